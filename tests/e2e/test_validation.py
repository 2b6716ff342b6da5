"""Each manifest of a revision is tried on the real API server, beside Flux, and what is refused is named."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from playground.cluster import Cluster
from playground.waiting import wait_until
from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers
from reconciliation_contract.adapters.manifests.build import Artifact
from reconciliation_contract.adapters.manifests.builder import Builder
from tests.support.flux_account import flux_build
from tests.support.flux_objects import Workspace, condition, config_map, deployment, promise, verdict
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e

FILES = (".gitignore", ".github/ci.yaml", ".sops.yaml", "docs/a.yaml", "deploy/a.yaml", "deploy/b/.sops.yaml")
FILES += ("deploy/logo.yaml", "deploy/b/c.yaml")
ONLY = {".sourceignore": "# one directory, and a file of another\n/*\n!/deploy\ndeploy/b/\n!/docs/a.yaml\n"}

LOOPBACK = ArtifactServers(named=("127.0.0.1",))


@pytest.mark.usefixtures("validation")
def test_manifests_are_tried_beside_flux(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """A good revision is valid, with the time of its slowest; a bad one is refused, with file, object and reason."""
    start_operator(flux_build(cluster))
    repository = workspace.repository("shop")
    repository.commit({"deploy/web.yaml": deployment("1")}, "First")
    workspace.follow("shop", repository)
    workspace.wait("shop", lambda s: "lastGoodRevision" in s, "the first revision to be good")

    good = repository.commit({"deploy/web.yaml": deployment("2"), "deploy/a.yaml": config_map("a", a="1")}, "Good")
    status = workspace.wait("shop", lambda s: good in s.get("lastGoodRevision", ""), "it to be good")
    status = workspace.wait("shop", lambda s: verdict(s, "Validation") not in ("", "Pending"), "a verdict")

    said = promise(status, "Validation")
    measured(f"validation of 2 manifests: {said.get('message')}")
    assert said["verdict"] == "Kept", said
    assert said["message"].startswith("2 valid, the slowest ")
    assert condition(status, "Validated")["reason"] == "Validated"
    assert status["delivery"]["stages"]["validated"]["source"] == "Operator"

    invalid = deployment("3").replace("replicas: 1", "replicas: -1")
    namespace = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: lost, namespace: nowhere}\n"
    bad = repository.commit({"deploy/web.yaml": invalid, "deploy/lost.yaml": namespace}, "Bad")
    status = workspace.wait(
        "shop",
        lambda s: bad in s.get("delivery", {}).get("revision", "") and verdict(s, "Validation") == "Broken",
        "the bad revision to be refused",
    )

    said = promise(status, "Validation")
    assert said["reason"] == "Refused", said
    refused = condition(status, "Validated")
    assert refused["status"] == "False"
    assert "Deployment/" in refused["message"], refused
    assert "(deploy/web.yaml): Invalid: spec.replicas" in refused["message"], refused


@pytest.mark.usefixtures("validation")
def test_it_refuses_what_flux_refuses_and_nothing_else(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace
) -> None:
    """Fields that Flux drops, and what a changed CRD allows, are none; wrong types are, though they come as HTTP 500."""
    start_operator(flux_build(cluster), "--test-time=discovery_missed=100ms")
    repository = workspace.repository("shop")
    repository.commit({"deploy/crd.yaml": definition("a"), "deploy/w.yaml": widget("a")}, "First")
    workspace.follow("shop", repository)
    workspace.wait("shop", lambda s: "lastGoodRevision" in s, "the first revision to be good")

    odd = deployment("1").replace("replicas: 1", "replicas: 1\n  replica: 1")
    files = {"deploy/crd.yaml": definition("a", "b"), "deploy/w.yaml": widget("b"), "deploy/web.yaml": odd}
    # Flux is kept from being faster.
    workspace.change("kustomization", "shop", {"spec": {"dependsOn": [{"name": "absent"}]}})
    good = repository.commit(files, "A field that nobody knows, and a value that the CRD has only now")
    status = workspace.wait(
        "shop",
        lambda s: good in s["delivery"]["revision"] and verdict(s, "Validation") not in ("", "Pending"),
        "a verdict",
    )

    assert verdict(status, "Validation") == "Kept", status
    said = condition(status, "Validated")
    assert f"1 not checkable: Widget/{workspace.namespace}/w: not checkable before its changed" in said["message"]
    workspace.change("kustomization", "shop", {"spec": {"dependsOn": None}})
    workspace.wait("shop", lambda s: good in s.get("lastGoodRevision", ""), "it to be good for Flux")
    status = workspace.wait("shop", lambda s: good in s.get("drift", {}).get("revision", ""), "a comparison")
    assert condition(status, "InSync")["status"] == "True", status["drift"]

    text = deployment("2").replace("replicas: 1", "replicas: one")
    twice = deployment("2", "two").replace("image: two:2", "image: two:2\n        env: [{name: A}, {name: A}]")
    bad = repository.commit({"deploy/web.yaml": text, "deploy/two.yaml": twice, "deploy/w.yaml": widget("c")}, "Bad")
    status = workspace.wait(
        "shop",
        lambda s: bad in s.get("delivery", {}).get("revision", "") and verdict(s, "Validation") == "Broken",
        "the bad revision to be refused",
    )

    assert condition(status, "Validated")["message"].startswith("3 of 4 refused: Deployment/"), status
    found = status["validation"]
    told = {each["object"]: (each["file"], each["message"][:32]) for each in found["objects"]}
    assert (found["manifests"], found["refused"]) == (4, 3)
    assert told == {
        f"Deployment/{workspace.namespace}/two": ("deploy/two.yaml", ".spec.template.spec.containers[n"),
        f"Deployment/{workspace.namespace}/web": ("deploy/web.yaml", ".spec.replicas: expected numeric"),
        f"Widget/{workspace.namespace}/w": ("deploy/w.yaml", "Invalid: spec.size: Unsupported "),
    }


def definition(*sizes: str) -> str:
    """A CRD of widgets, cluster-wide as it is for one test only."""
    size = {"type": "string", "enum": list(sizes)}
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": size}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    names = {"kind": "Widget", "plural": "widgets", "singular": "widget"}
    spec = {"group": "validation.example", "names": names, "scope": "Namespaced", "versions": [version]}
    meta = {"name": "widgets.validation.example"}
    body = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": meta}
    return yaml.safe_dump(body | {"spec": spec})


def widget(size: str) -> str:
    """One of them."""
    body = {"apiVersion": "validation.example/v1", "kind": "Widget", "metadata": {"name": "w"}}
    return yaml.safe_dump(body | {"spec": {"size": size}})


def test_without_the_right_it_is_unknown(
    request: pytest.FixtureRequest, cluster: Cluster, start_operator: StartOperator, workspace: Workspace
) -> None:
    """What is missing is named, with what would give it, and nothing is broken by it."""
    start_operator(flux_build(cluster))
    repository = workspace.repository("shop")
    repository.commit({"deploy/a.yaml": config_map("a", a="1")}, "First")
    workspace.follow("shop", repository)
    workspace.wait("shop", lambda s: "lastGoodRevision" in s, "the first revision to be good")

    repository.commit({"deploy/a.yaml": config_map("a", a="2")}, "Second")
    status = workspace.wait("shop", lambda s: verdict(s, "Validation") == "Unknown", "the verdict to be unknown")

    said = condition(status, "Validated")["message"]
    assert "kustomizations" in said
    assert "deploy/components/validation" in said
    assert condition(status, "Ready")["status"] == "True"

    request.getfixturevalue("validation")
    here, account = ("-n", workspace.namespace), f"{workspace.namespace}:deployer"
    cluster.kubectl_run(*here, "create", "serviceaccount", "deployer")
    cluster.kubectl_run(
        *here, "create", "rolebinding", "deployer", "--clusterrole=edit", f"--serviceaccount={account}"
    )
    repository.commit({"tenant/b.yaml": config_map("b", b="1")}, "Third")
    workspace.kustomization("tenant", "shop", path="./tenant", serviceAccountName="deployer")
    workspace.contract("tenant")
    status = workspace.wait("tenant", lambda s: condition(s, "InSync").get("status"), "a comparison")

    assert condition(status, "InSync")["status"] == "Unknown"
    right = f"impersonate on serviceaccounts deployer in {workspace.namespace}"
    assert right in condition(status, "InSync")["message"]


def test_a_checkout_is_tried_before_a_merge(
    cluster: Cluster, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The command line says the same as the operator would, in the words of the system that runs it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy" / "a.yaml").write_text(config_map("a", a="1"))
    (tmp_path / ".github").mkdir()
    (tmp_path / ".github" / "ci.yaml").write_text("on: push\n")

    good = tried(cluster, workspace)
    (tmp_path / "deploy" / "web.yaml").write_text(deployment("1").replace("replicas: 1", "replicas: -1"))
    bad = tried(cluster, workspace)

    assert (good.returncode, good.stdout) == (0, ""), good.stderr
    assert bad.returncode == 1, bad.stderr
    assert "::error file=deploy/web.yaml,title=Deployment/web::Invalid: " in bad.stdout
    assert workspace.find("configmap", "a") is None

    (tmp_path / "deploy" / "web.yaml").unlink()
    nobody = tried(cluster, workspace, f"--as=system:serviceaccount:{workspace.namespace}:default")
    assert nobody.returncode == 1, nobody.stderr
    assert 'cannot patch resource "configmaps"' in nobody.stdout


async def test_a_checkout_is_packed_as_flux_packs_it(cluster: Cluster, workspace: Workspace, tmp_path: Path) -> None:
    """The same manifests as in source-controller's artifact, with patterns and without."""
    builder = Builder(None, str(cluster.flux_build), servers=LOOPBACK)
    kustomization = {"metadata": {"name": "all", "namespace": workspace.namespace}, "spec": {"path": "./"}}
    plain = {path: config_map(f"m{n}", a="b") for n, path in enumerate(FILES)}
    for name, ignore in (("plain", {}), ("some", {"deploy/.sourceignore": "/logo.yaml\n"}), ("one", ONLY)):
        files = plain | ignore
        repository = workspace.repository(name)
        repository.commit(files, "All")
        workspace.source(name, repository.url)
        artifact = wait_until(lambda name=name: artifact_of(workspace, name), 60, "an artifact")
        for path, text in files.items():
            (tmp_path / name / path).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / path).write_text(text)

        wanted = await builder.build(artifact, kustomization)
        found = await builder.build_tree(tmp_path / name, kustomization)

        assert [*found.objects] == [*wanted.objects] != [], name


def artifact_of(workspace: Workspace, name: str) -> Artifact | None:
    """What a source serves; None while there is nothing."""
    found = Artifact.of(workspace.get("source", name))
    return found if found.url else None


def tried(cluster: Cluster, workspace: Workspace, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `flux-contract validate` in the directory as a CI system does."""
    program = Path(sys.executable).with_name("flux-contract")
    where = [f"--kubeconfig={cluster.kubeconfig}", f"--namespace={workspace.namespace}", flux_build(cluster)]
    arguments = [program, "validate", ".", "--output=github", *where, *options]
    return subprocess.run(arguments, capture_output=True, text=True, check=False, timeout=60)
