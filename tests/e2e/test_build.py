"""What is built here is what Flux applies: the same objects as its inventory, with the same content."""

from __future__ import annotations

import base64
import json
import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.api_client import ApiClient
from playground.cache import cache_directory
from playground.cluster import Cluster
from playground.progress import Progress
from playground.toolchain import NoGoError, find_go
from playground.toolset import CLUSTER
from playground.waiting import wait_until
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers
from reconciliation_contract.adapters.manifests.build import Artifact, Built
from reconciliation_contract.adapters.manifests.builder import Builder
from reconciliation_contract.adapters.manifests.error import BuildError, BuildFailed, BuildUnknown
from reconciliation_contract.core.facts.inventory import Entry
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.errors import Missing
from tests.e2e.conftest import PODINFO
from tests.support.flux_objects import PATIENCE, Workspace, condition, config_map, deployment
from tests.support.hostile_trees import HOSTILE

LOOPBACK = ArtifactServers(named=("127.0.0.1",))

pytestmark = pytest.mark.e2e

Raw = Mapping[str, Any]
Files = dict[str, str]

ANNOTATION = "kustomize.toolkit.fluxcd.io"


def text(*objects: Raw) -> str:
    return yaml.safe_dump_all(objects)


def thing(kind: str, name: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    return {"apiVersion": version, "kind": kind, "metadata": {"name": name}, **more}


# Layouts: files and spec by what they show --------------------------------------------------------------------

BASE: Files = {
    "base/kustomization.yaml": "resources: [web.yaml, settings.yaml]\n",
    "base/web.yaml": deployment("1"),
    "base/settings.yaml": config_map(colour="blue"),
}
COMPONENT: Files = {
    "component/kustomization.yaml": "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\n"
    "resources: [extra.yaml]\npatches: [{path: patch.yaml}]\n",
    "component/extra.yaml": config_map("extra", from_="component"),
    "component/patch.yaml": config_map(colour="red", shade="dark"),
}
NOTE = """\
apiVersion: builtin
kind: AnnotationsTransformer
metadata: {name: note}
annotations: {note: text}
fieldSpecs: [{path: metadata/annotations, create: true}]
"""
OVERLAY = {
    "resources": ["../base", "../loose/map.yaml"],
    "components": ["../component"],
    "namePrefix": "pre-",
    "nameSuffix": "-suf",
    "labels": [{"pairs": {"team": "a"}, "includeSelectors": True}],
    "images": [{"name": "web", "newName": "shop", "newTag": "2"}],
    "replicas": [{"name": "web", "count": 2}],
    "patches": [
        {"target": {"kind": "Deployment"}, "patch": '[{"op": "add", "path": "/spec/paused", "value": true}]'}
    ],
    "configMapGenerator": [{"name": "generated", "files": ["app.conf", "other=../loose/file"], "literals": ["a=b"]}],
    "secretGenerator": [{"name": "hidden", "envs": ["hidden.env"]}],
    "transformers": [NOTE],
}
SUBSTITUTED = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: substituted}
data:
  inline: ${inline}
  map: "${from_map}"
  secret: ${from_secret:-none}
  default: ${absent:=a ${inline} b}
  cased: ${inline^^}
  cut: ${inline:1:2}
  escaped: $${inline}
  truth: "${truth}"
---
apiVersion: v1
kind: ConfigMap
metadata:
  name: untouched
  annotations: {kustomize.toolkit.fluxcd.io/substitute: disabled}
data: {kept: "${inline}"}
"""
SCALARS = """\
apiVersion: v1
kind: ConfigMap
metadata: {name: scalars}
data:
  a: "yes"
  b: 'on'
  c: "0644"
  d: "1.0"
  e: 2020-01-01
  f: 1:30
  g: "~"
  h: ""
  i: 6e74912
  "y": "n"
  text: |
    ---
    more
"""
MODE = """\
apiVersion: v1
kind: Pod
metadata: {name: mode}
spec:
  nodeName: nowhere
  automountServiceAccountToken: false
  containers: [{name: a, image: a}]
  volumes: [{name: v, secret: {secretName: s, defaultMode: 0640}}]
"""
DEFINITION = thing(
    "CustomResourceDefinition",
    "gadgets.a.example",
    "apiextensions.k8s.io/v1",
    spec={
        "group": "a.example",
        "names": {"kind": "Gadget", "plural": "gadgets"},
        "scope": "Namespaced",
        # Tools leave a place for the bundle; Flux takes it out, and the API server would not accept it.
        "conversion": {
            "strategy": "Webhook",
            "webhook": {"conversionReviewVersions": ["v1"], "clientConfig": {"url": "https://a", "caBundle": "Cg=="}},
        },
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
)
ROLE = thing("ClusterRole", "example:reader", "rbac.authorization.k8s.io/v1", rules=[])
BINDING = thing(
    "ClusterRoleBinding",
    "example:reader",
    "rbac.authorization.k8s.io/v1",
    roleRef={"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "example:reader"},
    subjects=[{"kind": "ServiceAccount", "name": "reader"}],
)

LAYOUTS: dict[str, tuple[Files, dict[str, Any]]] = {
    "a plain directory": (
        {
            "plain/b.yml": text(thing("ConfigMap", "b", data={"x": "y"}), thing("ConfigMap", "c")),
            "plain/deep/er/a.yaml": config_map("a", x="y"),
            "plain/own/Kustomization": "resources: [x.yaml]\nnamePrefix: own-\n",
            "plain/own/x.yaml": config_map("x"),
            "plain/own/not-listed.yaml": config_map("unlisted"),
            "plain/README.md": "text",
        },
        {"path": "plain"},
    ),
    "an overlay": (
        {
            **BASE,
            **COMPONENT,
            "overlay/kustomization.yaml": json.dumps(OVERLAY),
            "overlay/app.conf": "a=b\n",
            "overlay/hidden.env": "password=hunter2\n",
            "loose/map.yaml": config_map("loose", x="y"),
            "loose/file": "content",
        },
        {"path": "./overlay"},
    ),
    "everything in the spec": (
        {**BASE, **COMPONENT},
        {
            "path": "/base/",
            "namePrefix": "spec-",
            "nameSuffix": "-x",
            "components": ["../component", "../missing"],
            "ignoreMissingComponents": True,
            "images": [{"name": "web", "newTag": "3"}],
            "patches": [{"patch": deployment("4", replicas=3), "target": {"kind": "Deployment"}}],
            "commonMetadata": {"labels": {"l": "1"}, "annotations": {"a": "2"}},
        },
    ),
    "substitution": (
        {"vars/a.yaml": SUBSTITUTED},
        {
            "path": "vars",
            "postBuild": {
                "substitute": {"inline": "value", "truth": "yes it is"},
                "substituteFrom": [
                    {"kind": "ConfigMap", "name": "values"},
                    {"kind": "Secret", "name": "values"},
                    {"kind": "Secret", "name": "missing", "optional": True},
                ],
            },
        },
    ),
    "definitions and what they define": (
        {"crds/all.yaml": text(thing("Gadget", "one", "a.example/v1", spec={"x": 1.0}), DEFINITION)},
        {"path": "crds"},
    ),
    "objects of the whole cluster": (
        {"wide/all.yaml": text(ROLE, BINDING, thing("ServiceAccount", "reader"))},
        {"path": "wide"},
    ),
    "scalars": ({"scalars/a.yaml": SCALARS, "scalars/b.yaml": MODE}, {"path": "scalars"}),
    "an empty directory": ({"empty/README.md": "nothing"}, {"path": "empty"}),
    "a kustomization without resources": (
        {"bare/kustomization.yaml": "configMapGenerator: [{name: bare, literals: [a=b]}]"},
        {"path": "bare"},
    ),
}


# Reading ----------------------------------------------------------------------------------------------------------


class Reading:
    """Reads for the builder by the playground's client."""

    def __init__(self, api: ApiClient) -> None:
        self.api = api

    async def get(self, resource: Resource, namespace: str, name: str, *, user: str = "") -> Raw:
        assert not user
        found = self.api.find(resource.path_of(namespace, name))
        if found is None:
            raise Missing("read", name)
        return found


EARLY = ("ArtifactFailed", "DependencyNotReady")
"""Reasons that pass by themselves."""


@pytest.fixture
def builder(cluster: Cluster) -> Builder:
    return Builder(Reading(cluster.api), str(cluster.flux_build), servers=LOOPBACK)


def applied(workspace: Workspace, name: str) -> Raw:
    """Wait until Flux has applied a Kustomization at the source's artifact."""

    def done() -> Raw | None:
        found = workspace.get("kustomization", name)
        ready = condition(found, "Ready")
        early = "no matches for kind" in ready.get("message", "")  # another tree brings the definition
        if ready.get("status") == "False" and not early and ready["reason"] not in EARLY:
            raise AssertionError(f"{name}: {ready['message']}")
        # Conditions and the other fields arrive one after the other.
        complete = "lastAppliedRevision" in found["status"] and "inventory" in found["status"]
        return found if ready.get("status") == "True" and complete else None

    return wait_until(done, PATIENCE * 2, f"Flux to apply {name}")


def inventory(kustomization: Raw) -> set[str]:
    return {entry["id"] for entry in kustomization["status"].get("inventory", {}).get("entries", [])}


def identifiers(built: Built, wanted: set[str]) -> set[str]:
    """Write keys as Flux does. The API server knows better than a manifest which kinds have a namespace."""
    pairs = [(Entry(m.key._replace(namespace=""), "").id, Entry(m.key, "").id) for m in built.objects]
    return {wide if wide in wanted else namespaced for wide, namespaced in pairs}


def differences(built: Any, live: Any, at: str = "") -> list[str]:
    """Where the live object lacks what was built; what the API server adds does not count."""
    if at == "/metadata/creationTimestamp":
        return []
    if isinstance(built, dict) and isinstance(live, dict):
        return [found for key in built for found in differences(built[key], live.get(key), f"{at}/{key}")]
    if isinstance(built, list) and isinstance(live, list) and len(built) == len(live):
        return [
            found
            for n, (one, other) in enumerate(zip(built, live, strict=True))
            for found in differences(one, other, f"{at}/{n}")
        ]
    # An empty value is not stored.
    return [] if built == live or (not built and live is None) else [f"{at}: {built!r} is {live!r}"]


# Tests ------------------------------------------------------------------------------------------------------------


async def build(builder: Builder, workspace: Workspace, name: str) -> Built:
    kustomization = workspace.get("kustomization", name)
    source = workspace.get("source", kustomization["spec"]["sourceRef"]["name"])
    return await builder.build(Artifact.of(source), kustomization)


async def test_every_layout_builds_to_the_inventory_of_flux(
    workspace: Workspace, builder: Builder, measured: Callable[[str], None]
) -> None:
    """The same identities; and each object lives as it was built."""
    repository = workspace.repository("layouts")
    repository.commit({k: v for files, _ in LAYOUTS.values() for k, v in files.items()}, "all layouts")
    workspace.source("layouts", repository.url)
    values = {"from_map": "map", "inline": "overridden"}
    workspace.api.apply(workspace.path("configmap", "values"), thing("ConfigMap", "values", data=values))
    secret = thing("Secret", "values", data={"from_secret": base64.b64encode(b"sec\nret").decode()})
    workspace.api.apply(workspace.path("secret", "values"), secret)
    names = {f"layout-{n}": title for n, title in enumerate(LAYOUTS)}
    for name, title in names.items():
        workspace.kustomization(name, "layouts", wait=False, **LAYOUTS[title][1])

    for name, title in names.items():
        kustomization = applied(workspace, name)
        built = await build(builder, workspace, name)
        wanted = inventory(kustomization)

        assert identifiers(built, wanted) == wanted, title
        assert built.digest == kustomization["status"]["history"][0]["digest"], title
        for manifest in built.objects:
            found = live(workspace, manifest, wanted)
            assert differences(manifest.body, found) == [], (title, manifest.key)
            assert manifest.file in LAYOUTS[title][0], (title, manifest)
    measured(f"built as Flux does: {len(names)} layouts")


def live(workspace: Workspace, manifest: Manifest, wanted: set[str]) -> Any:
    """Read an object with kubectl, which finds its path."""
    kind = f"{manifest.kind}.{manifest.api_version.rpartition('/')[0]}".rstrip(".")
    namespace = ["--namespace", manifest.namespace] if manifest.namespace else []
    return json.loads(workspace.cluster.kubectl_run("get", kind, manifest.name, *namespace, "--output=json"))


async def test_every_release_of_podinfo_builds_to_the_inventory_of_flux(
    workspace: Workspace, builder: Builder, measured: Callable[[str], None]
) -> None:
    """A real repository, sixteen times."""
    if not PODINFO.is_dir():
        pytest.skip("the releases of podinfo are not beside the repository")
    files = {str(p.relative_to(PODINFO)): p.read_text() for p in sorted(PODINFO.rglob("*")) if p.is_file()}
    await compare(workspace, builder, "podinfo", files, sorted({name.split("/")[0] for name in files if "/" in name}))
    measured("built as Flux does: the releases of podinfo")


TREES: dict[str, list[str]] = {
    "github.com/fluxcd/source-controller": ["config/crd", "config/rbac", "config/manager", "config/default"],
    "github.com/fluxcd/notification-controller": ["config/crd", "config/rbac", "config/manager", "config/default"],
    "github.com/fluxcd/kustomize-controller": ["config/crd", "config/rbac", "config/manager"],
    "sigs.k8s.io/kwok": ["kustomize/crd", "kustomize/rbac", "kustomize/kwok", "kustomize/stage/fast"],
}


@pytest.mark.parametrize("module", TREES)
async def test_a_public_tree_builds_to_the_inventory_of_flux(
    workspace: Workspace, builder: Builder, module: str, measured: Callable[[str], None]
) -> None:
    """Kustomizations of the Go modules that the cluster is built from."""
    folder = module_folder(module)
    top = TREES[module][0].split("/")[0]
    paths = [path for path in sorted((folder / top).rglob("*")) if path.is_file()]
    files = {str(path.relative_to(folder)): path.read_text(errors="replace") for path in paths}

    await compare(workspace, builder, "tree", files, [path for path in TREES[module] if (folder / path).is_dir()])
    measured(f"built as Flux does: {module}")


async def test_a_remote_base_is_unknown_and_named(workspace: Workspace, builder: Builder) -> None:
    """Kustomize-controller's own tree has one."""
    folder = module_folder("github.com/fluxcd/kustomize-controller")
    kustomization = {"metadata": {"name": "x", "namespace": "y"}, "spec": {"path": "default"}}

    with pytest.raises(BuildUnknown) as caught:
        await builder.build_tree(folder / "config", kustomization)

    assert caught.value.reason == reasons.REMOTE_BASE
    assert "source-controller.crds.yaml" in caught.value.message


FAILING: dict[str, Files] = {
    "outside": {"outside/kustomization.yaml": "resources: [../../../etc/passwd]"},
    "missing": {"missing/kustomization.yaml": "resources: [nothing.yaml]"},
    "unknown": {"unknown/kustomization.yaml": "resources: [../field]", "field/kustomization.yaml": "madeUp: 1"},
    "nameless": {"nameless/x.yaml": "kind: ConfigMap\napiVersion: v1\n"},
    "broken": {"broken/x.yaml": "a: ["},
    "substitution": {"substitution/x.yaml": config_map("x", a="${a-b}")},
    "unset": {"unset/x.yaml": config_map("x", a="${unset}")},
}


async def test_what_flux_cannot_build_cannot_be_built(workspace: Workspace, builder: Builder) -> None:
    """The two agree on what is wrong."""
    repository = workspace.repository("failing")
    repository.commit({k: v for files in FAILING.values() for k, v in files.items()}, "all of it wrong")
    workspace.source("failing", repository.url)
    for name in FAILING:
        post_build = {"postBuild": {"substitute": {"x": "y"}}}
        workspace.kustomization(name, "failing", path=name, **post_build)

    for name in FAILING:

        def failed(name: str = name) -> bool:
            return condition(workspace.get("kustomization", name), "Ready").get("reason") == "BuildFailed"

        wait_until(failed, PATIENCE, f"Flux to fail building {name}")
        with pytest.raises(BuildFailed):
            await build(builder, workspace, name)


async def test_hostile_trees_end_as_they_do_in_flux(
    workspace: Workspace, builder: Builder, measured: Callable[[str], None]
) -> None:
    """What Flux takes is taken, with the same digest; what it refuses is refused, in its words."""
    repository = workspace.repository("hostile")
    trees = {f"h{n}": files for n, files in enumerate(HOSTILE.values())}
    repository.commit({f"{top}/{name}": text for top, files in trees.items() for name, text in files.items()}, "All")
    workspace.source("hostile", repository.url)
    for top in trees:
        workspace.kustomization(top, "hostile", path=f"{top}/app", namePrefix=f"{top}-", wait=False)

    taken = 0
    for top, title in zip(trees, HOSTILE, strict=True):
        ready = wait_until(lambda top=top: ended(workspace, top), PATIENCE * 2, f"Flux to end with {title}")
        history = workspace.get("kustomization", top)["status"].get("history", [])
        match await outcome(builder, workspace, top):
            case BuildFailed() as error:
                assert ready["reason"] == "BuildFailed", (title, ready, error)
                # Behind the first words stand folders, and files in no certain order.
                ours, theirs = (words(text)[:22] for text in (error.message, ready["message"]))
                assert ours == theirs, title
            case Built() as built:
                taken += 1
                assert [entry["digest"] for entry in history[:1]] == [built.digest], (title, ready)
            case error:
                assert error.reason == reasons.REMOTE_BASE, (title, error)
    measured(f"hostile trees: {len(trees)}, of which Flux and we take {taken}")


async def outcome(builder: Builder, workspace: Workspace, name: str) -> Built | BuildError:
    """What a build comes to."""
    try:
        return await build(builder, workspace, name)
    except BuildError as error:
        return error


def ended(workspace: Workspace, name: str) -> Raw | None:
    """The condition Ready, once Flux has come to an end with the tree."""
    ready = condition(workspace.get("kustomization", name), "Ready")
    return ready if ready.get("status") in ("True", "False") and ready["reason"] not in EARLY else None


def words(message: str) -> str:
    """A message without the folders in which something was built, which differ each time."""
    return re.sub(r"/tmp/[\w-]+/?|\.\./|\W+", " ", message)


async def compare(workspace: Workspace, builder: Builder, name: str, files: Files, paths: list[str]) -> None:
    """Deliver directories of a tree side by side, and compare."""
    repository = workspace.repository(name)
    repository.commit(files, "the tree")
    workspace.source(name, repository.url)
    for n, path in enumerate(paths):
        # Some are what the cluster itself runs on: nothing is pruned.
        spec = workspace.kustomization_spec(name, path=path, prune=False, wait=False, force=True)
        if name == "podinfo":
            spec["namePrefix"] = f"r{n}-"
        if path.endswith(("default", "kwok")):
            # They have a namespace of their own.
            del spec["targetNamespace"]
        workspace.write("kustomization", f"tree-{n}", spec)

    for n, path in enumerate(paths):
        kustomization = applied(workspace, f"tree-{n}")
        wanted = inventory(kustomization)
        built = await build(builder, workspace, f"tree-{n}")

        assert identifiers(built, wanted) == wanted != set(), path
        assert built.digest == kustomization["status"]["history"][0]["digest"], path


def module_folder(module: str) -> Path:
    """Where Go keeps a module that the cluster was built from."""
    try:
        go = find_go(cache_directory(), Progress(quiet=True)).command
    except NoGoError:
        pytest.skip("no Go here")
    command = [go, "list", "-mod=readonly", "-m", "-f", "{{.Dir}}", module]
    answer = subprocess.run(command, cwd=CLUSTER.module, capture_output=True, text=True, check=False)
    if not answer.stdout.strip():
        pytest.skip(f"the source of {module} is not on this machine")
    return Path(answer.stdout.strip())
