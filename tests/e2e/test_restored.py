"""etcd goes away, and comes back as it was or as it was before: the operator goes on without a restart."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.cluster import Cluster
from playground.component import API_SERVER, ETCD, FLUX, KUBERNETES
from playground.waiting import wait_until
from tests.e2e.conftest import OPERATORS
from tests.support.flux_objects import CRD, Object, Workspace, config_map, new_namespace
from tests.support.operator_process import OperatorProcess, fetch, operator_process

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).parents[2] / "deploy"
NAMES = ("shop", "till", "mail")
SIGHT = 60.0
"""Seconds until the operator must see what is there."""


@pytest.fixture
def workspace() -> Iterator[Workspace]:
    """A namespace of a cluster whose etcd may go back in time: nobody else is in it."""
    with Cluster() as cluster:
        cluster.kubectl_run("apply", "-k", str(DEPLOY))
        wait_until(lambda: cluster.api.find(f"{CRD}?limit=1"), 30, "the contracts to be served")
        with new_namespace(cluster) as found:
            yield found


@pytest.fixture
def operator(request: pytest.FixtureRequest, workspace: Workspace, tmp_path: Path) -> Iterator[OperatorProcess]:
    """An operator that follows three contracts, each with a good revision."""
    with operator_process(workspace.cluster, tmp_path / "operator.log") as process:
        request.node.stash[OPERATORS] = [process]
        process.start()
        deliver(workspace, "1")
        for name in NAMES:
            workspace.follow(name, workspace.repository(name))
        followed(workspace, "1")
        yield process


def deliver(workspace: Workspace, value: str) -> None:
    """Commit to each repository."""
    for name in NAMES:
        workspace.repository(name).commit({"deploy/settings.yaml": config_map(name, value=value)}, f"Release {value}")


def followed(workspace: Workspace, value: str, within: float = 90) -> None:
    """Wait until each contract is kept at what Flux has applied, and Flux has applied the last commit."""

    def there(name: str) -> bool:
        kustomization, status = workspace.get("kustomization", name), workspace.contract_status(name)
        applied = kustomization.get("status", {}).get("lastAppliedRevision", "")
        head = workspace.repository(name).head()
        return head in applied and head in status.get("lastGoodRevision", "") and is_ready(status)

    wait_until(lambda: all(there(name) for name in NAMES), within, f"release {value} to be followed")


def is_ready(status: Object) -> bool:
    """Whether a status says that its contract is kept."""
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", []))


def revisions(workspace: Workspace) -> dict[str, str]:
    """At which revision each contract is kept."""
    return {name: workspace.contract_status(name).get("lastAppliedRevision", "") for name in NAMES}


class Snapshot:
    """The data of a stopped etcd, to go back to."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._data, self._copy = cluster.state / "etcd", cluster.state / "etcd-snapshot"

    def take(self) -> None:
        """Copy the data."""
        self._cluster.stop(API_SERVER)
        self._cluster.stop(ETCD)
        shutil.copytree(self._data, self._copy)
        self._cluster.start(ETCD)
        self._cluster.start(API_SERVER)

    def restore(self) -> None:
        """Go back; whoever keeps a cache of the API server's objects is started again, but for the operator."""
        others = (*FLUX, *KUBERNETES)
        for name in (*others, API_SERVER, ETCD):
            self._cluster.stop(name, grace=2)
        shutil.rmtree(self._data)
        shutil.copytree(self._copy, self._data)
        for name in (ETCD, API_SERVER, *reversed(others)):
            self._cluster.start(name)


def test_etcd_that_goes_back_in_time_is_noticed(workspace: Workspace, operator: OperatorProcess) -> None:
    """Statuses and versions are those of a week ago: within a minute the operator sees what there is, and goes on."""
    snapshot = Snapshot(workspace.cluster)
    snapshot.take()
    for value in ("2", "3", "4"):
        deliver(workspace, value)
        followed(workspace, value)
    pid = operator.pid

    snapshot.restore()

    followed(workspace, "4", SIGHT)
    deliver(workspace, "5")
    followed(workspace, "5", SIGHT)
    lost = operator.sample("flux_contract_watch_misses_total", what="lost")
    deliver(workspace, "6")
    followed(workspace, "6", SIGHT)
    assert lost
    assert operator.sample("flux_contract_watch_misses_total", what="lost") == lost, "the watches do not work again"
    assert operator.pid == pid
    assert fetch(f"{operator.health}/readyz")[0] == 200


def test_etcd_that_is_away_for_a_minute(workspace: Workspace, operator: OperatorProcess) -> None:
    """Suspended and deleted Kustomizations among them: it answers all the time, and goes on by itself."""
    pid = operator.pid
    workspace.change("kustomization", "till", {"spec": {"suspend": True}})
    workspace.change("contract", "mail", {"spec": {"suspend": True}})
    before = operator.sample("flux_contract_pass_duration_seconds_count") or 0

    workspace.cluster.pause(ETCD)
    try:
        for _ in range(12):
            with pytest.raises(Exception, match="waited"):
                wait_until(lambda: fetch(f"{operator.health}/healthz")[0] != 200, 5, "a probe that fails")
    finally:
        workspace.cluster.resume(ETCD)

    workspace.change("kustomization", "till", {"spec": {"suspend": False}})
    workspace.change("contract", "mail", {"spec": {"suspend": False}})
    deliver(workspace, "2")
    followed(workspace, "2", SIGHT)
    passes = (operator.sample("flux_contract_pass_duration_seconds_count") or 0) - before
    assert operator.pid == pid
    assert passes < 400
    assert (
        sum(operator.sample("flux_contract_needless_looks_total", part=part) or 0 for part in ("pass", "comparison"))
        == 0
    )
