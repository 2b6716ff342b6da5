"""A source-controller that is dead: the operator sees in Git what Flux does not."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_objects import PATIENCE, Workspace, condition, config_map, verdict
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e

LEASES = "/apis/coordination.k8s.io/v1/namespaces/flux-system/leases"
LEASE = "source-controller-leader-election"


def now() -> str:
    """The time as Leases have it."""
    return datetime.now(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


@pytest.fixture
def renew(cluster: Cluster) -> Iterator[Callable[[], None]]:
    """Renew the leader Lease, which a controller outside a pod does not hold itself."""
    spec = {"holderIdentity": "source-controller-0", "leaseDurationSeconds": 1, "renewTime": now()}
    cluster.api.create(LEASES, {"metadata": {"name": LEASE}, "spec": spec})
    yield lambda: cluster.api.merge(f"{LEASES}/{LEASE}", {"spec": {"renewTime": now()}}) and None
    cluster.api.delete(f"{LEASES}/{LEASE}")


def test_a_commit_that_nobody_fetches_breaks_the_promise_while_it_happens(
    renew: Callable[[], None], start_operator: StartOperator, cluster: Cluster, workspace: Workspace
) -> None:
    """The commit is seen, its detection is broken on time, the dead controller is named; then all recovers."""
    start_operator()
    repository = workspace.repository("shop")
    first = repository.commit({"deploy/settings.yaml": config_map(color="blue")}, "Blue")
    workspace.source("shop", repository.url)
    workspace.kustomization("shop")
    workspace.contract("shop", promises={"detection": {"within": "45s"}})
    workspace.wait_good("shop", first)

    cluster.stop("source-controller")
    try:
        missed = repository.commit({"deploy/settings.yaml": config_map(color="red")}, "Red")
        status = workspace.wait(
            "shop", lambda s: verdict(s, "Detection") == "Broken", "the promise to be broken", 150
        )
    finally:
        cluster.start("source-controller")

    delivery = status["delivery"]
    told = next(promise for promise in delivery["promises"] if promise["name"] == "Detection")
    dependency = next(found for found in status["dependencies"] if found["name"] == "source-controller")
    assert missed in delivery["revision"]
    assert (delivery["stages"]["seen"]["source"], "detected" in delivery["stages"]) == ("Git", False)
    assert "source-controller does not renew its leader Lease" in told["message"]
    assert dependency["ready"] == "False"
    assert condition(status, "Detected")["reason"] == "NotDetected"
    assert condition(status, "Ready")["reason"] == "PromiseBroken"

    status = workspace.wait_good("shop", missed)
    assert verdict(status, "Detection") == "Broken"

    fixed = repository.commit({"deploy/settings.yaml": config_map(color="green")}, "Green")
    status = workspace.wait_good("shop", fixed)
    assert (verdict(status, "Detection"), verdict(status, "Reconciliation")) == ("Kept", "Kept")
    assert condition(status, "Ready")["status"] == "True"

    def depends_on_nothing_dead() -> bool:
        renew()
        return condition(workspace.contract_status("shop"), "DependenciesReady")["reason"] != "DependencyFails"

    wait_until(depends_on_nothing_dead, PATIENCE, "the controller to count as alive")
