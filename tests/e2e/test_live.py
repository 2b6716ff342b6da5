"""What becomes of the objects of a delivery: deleted in time or named, and updated without losing replicas."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta

import pytest
import yaml

from playground.cluster import Cluster
from reconciliation_contract.api.duration import parse_duration
from tests.e2e.conftest import DEPLOY
from tests.support.flux_objects import Object, Workspace, condition, config_map, deployment, verdict
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

ROLE = DEPLOY / "components" / "live" / "role-live.yaml"
NAME = "reconciliation-contract-live"
FINALIZER = "example.com/hold"
PRUNE = "kustomize.toolkit.fluxcd.io/prune"
CONFIG_MAPS = (
    '[{"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}}]'
)


@pytest.fixture(scope="module")
def role(cluster: Cluster) -> Iterator[None]:
    """The opt-in, with the kind that the commits here delete."""
    cluster.kubectl_run("apply", "-f", str(ROLE))
    cluster.kubectl_run("patch", "clusterrole", NAME, "--type=json", "--patch", CONFIG_MAPS)
    yield
    cluster.kubectl_run("delete", "-f", str(ROLE))


def held(name: str, **metadata: object) -> str:
    """A ConfigMap with more metadata."""
    thing = yaml.safe_load(config_map(name))
    thing["metadata"] |= metadata
    return str(yaml.safe_dump(thing))


def rolling(tag: str, strategy: Object, replicas: int = 3) -> str:
    """A Deployment that is updated in a certain way."""
    thing = yaml.safe_load(deployment(tag, replicas=replicas))
    thing["spec"]["strategy"] = strategy
    return str(yaml.safe_dump(thing))


def said(status: Object, promise: str) -> Object:
    """What the status says of a promise."""
    found = status.get("delivery", {}).get("promises") or []
    return next((dict(item) for item in found if item["name"] == promise), {})


def seconds(span: str) -> float:
    """A duration of the status."""
    return parse_duration(span, timedelta(0)).total_seconds()


def begin(
    workspace: Workspace, files: dict[str, str], **spec: object
) -> tuple[Callable[[dict[str, str | None]], str], Callable[..., Object]]:
    """Deliver a first commit; return what commits the next one, and what waits for the status then."""
    repository = workspace.repository("shop")
    sha = repository.commit({f"deploy/{name}.yaml": text for name, text in files.items()}, "First")
    workspace.source("shop", repository.url)
    workspace.kustomization("shop", timeout="30s")
    workspace.contract("shop", **spec)
    workspace.wait_good("shop", sha)
    newest = sha

    def commit(changed: dict[str, str | None]) -> str:
        nonlocal newest
        newest = repository.commit({f"deploy/{name}.yaml": text for name, text in changed.items()}, "Next")
        return newest

    def wait(promise: str, wanted: str, *, measured: bool = False) -> Object:
        def there(status: Object) -> bool:
            of_it = newest in status.get("delivery", {}).get("revision", "")
            return (
                of_it and verdict(status, promise) == wanted and ("measured" in said(status, promise) or not measured)
            )

        return workspace.wait("shop", there, f"{promise} to be {wanted}")

    return commit, wait


def test_without_the_right_the_promise_is_unknown(workspace: Workspace, operator: OperatorProcess) -> None:
    """Without the opt-in the message names verb, resource and namespace, and the contract is Ready all the same."""
    commit, wait = begin(
        workspace, {"web": deployment("1.0.0"), "settings": config_map(), "more": config_map("more")}
    )

    commit({"web": deployment("1.1.0"), "settings": None})
    status = wait("Availability", "Unknown")
    status = wait("Deletion", "Unknown")

    namespace = workspace.namespace
    assert f"may not list deployments in {namespace}" in said(status, "Availability")["message"]
    assert f"may not get ConfigMap objects in {namespace}" in said(status, "Deletion")["message"]
    workspace.wait_reason("shop", "PromisesKept")


@pytest.mark.usefixtures("role", "operator")
def test_a_deletion_that_a_finalizer_blocks_is_named_and_measured(
    workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """Broken at the deadline with the finalizer and who set it; the time is added when the finalizer goes."""
    files = {"held": held("held", finalizers=[FINALIZER]), "free": config_map("free"), "stays": config_map("stays")}
    commit, wait = begin(workspace, files, promises={"deletion": {"within": "5s"}})

    commit({"held": None, "free": None})
    status = wait("Deletion", "Broken")
    told = said(status, "Deletion")["message"]
    free = workspace.find("configmap", "free")
    workspace.change("configmap", "held", {"metadata": {"finalizers": None}})
    after = wait("Deletion", "Broken", measured=True)

    assert f"ConfigMap/{workspace.namespace}/held" in told
    assert f"finalizer {FINALIZER}, set by kustomize-controller" in told
    assert free is None
    assert verdict(status, "Reconciliation") == "Kept"
    assert condition(status, "Ready")["reason"] == "PromiseBroken"
    assert 5 < seconds(said(after, "Deletion")["measured"]) < 90
    measured(f"deletion: {told}")
    measured(f"deletion: {said(after, 'Deletion')['message']}")


@pytest.mark.usefixtures("role", "operator")
def test_what_is_protected_from_pruning_is_no_failure(workspace: Workspace, measured: Callable[[str], None]) -> None:
    """It stays, and the promise is kept by what had to go."""
    files = {"kept": held("kept", annotations={PRUNE: "disabled"}), "free": config_map("free"), "x": config_map("x")}
    commit, wait = begin(workspace, files)

    commit({"kept": None, "free": None})
    status = wait("Deletion", "Kept")

    assert workspace.find("configmap", "kept") is not None
    assert workspace.find("configmap", "free") is None
    assert "1 left alone" in said(status, "Deletion")["message"]
    measured(f"deletion: {said(status, 'Deletion')['message']}")


@pytest.mark.usefixtures("role", "operator")
def test_an_update_without_downtime_is_kept(workspace: Workspace, measured: Callable[[str], None]) -> None:
    """A rolling update that adds before it takes away loses no replica."""
    surge = {"rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    commit, wait = begin(workspace, {"web": rolling("1.0.0", surge)})

    commit({"web": rolling("1.1.0", surge)})
    status = wait("Availability", "Kept")

    assert said(status, "Availability")["measured"] == "0s"
    assert verdict(status, "Reconciliation") == "Kept"
    measured(f"availability: {said(status, 'Availability')['message']}")


@pytest.mark.usefixtures("role", "operator")
def test_an_update_that_stops_all_pods_first_is_broken(workspace: Workspace, measured: Callable[[str], None]) -> None:
    """Recreate takes every replica away, if only for a moment: named, counted and timed."""
    recreate = {"type": "Recreate"}
    commit, wait = begin(workspace, {"web": rolling("1.0.0", recreate)})

    commit({"web": rolling("1.1.0", recreate)})
    status = wait("Availability", "Broken", measured=True)

    found = said(status, "Availability")
    assert f"Deployment/{workspace.namespace}/web had 0 of 3 available for" in found["message"]
    assert 0 < seconds(found["measured"]) < 60
    assert verdict(status, "Reconciliation") == "Kept"
    workspace.wait_reason("shop", "PromiseBroken")
    measured(f"availability: {found['message']}")


@pytest.mark.usefixtures("role", "operator")
def test_a_bad_release_that_costs_replicas_is_broken_and_timed(
    workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """What a bad image takes down counts until the rollback has brought it back."""
    eager = {"rollingUpdate": {"maxUnavailable": 2, "maxSurge": 0}}
    commit, wait = begin(workspace, {"web": rolling("1.0.0", eager)})

    commit({"web": rolling("never-ready", eager)})
    first = wait("Availability", "Broken")
    status = wait("Availability", "Broken", measured=True)

    # In the middle of a rollback the status has little room: the incident says in full what the verdict says in short.
    told = [one["message"] for one in status["incidents"] if one["key"] == "Availability"]
    assert f"Deployment/{workspace.namespace}/web had 1 of 3 available" in told[0]
    assert f"Deployment/{workspace.namespace}/web had 1 of" in said(status, "Availability")["message"]
    assert "measured" not in said(first, "Availability")
    assert verdict(status, "Rollback") == "Kept"
    measured(f"availability: {said(status, 'Availability')['message']}")
