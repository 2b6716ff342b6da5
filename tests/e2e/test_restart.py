"""Operators that are killed, started again, or run at the same time: every act is done, and done once."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable

import pytest

from playground.waiting import wait_until
from tests.support.flux_objects import PATIENCE, Object, Workspace, condition, deployment, verdict
from tests.support.flux_objects_watch import Recorder, Sighting
from tests.support.operator_process import OperatorProcess, StartOperator

pytestmark = pytest.mark.e2e

LABEL = "reconciliation.dev/contract"
MANAGER = "reconciliation-contract"
TRACEBACK = "Traceback"


def rollback_is(state: str) -> Callable[[Object], bool]:
    """Whether a version of a contract says that its rollback is in a state."""
    return lambda thing: thing.get("status", {}).get("rollback", {}).get("state") == state


def is_under_way(thing: Object) -> bool:
    """Whether a version of a contract has begun to follow a second delivery."""
    status = thing.get("status", {})
    return len(status.get("history", [])) == 1 and "healthy" not in status["delivery"]["stages"]


MOMENTS: dict[str, tuple[str, Callable[[Object], bool]]] = {
    "delivering": ("contract", is_under_way),
    "intended": ("contract", rollback_is("Intended")),
    "pinned": ("source", lambda thing: LABEL in thing["metadata"].get("labels", {})),
    "switching": ("contract", rollback_is("Switching")),
    "switched": ("kustomization", lambda thing: thing["spec"]["sourceRef"]["name"] != thing["metadata"]["name"]),
    "releasing": ("contract", rollback_is("Releasing")),
}
"""By the name of the contract to which it happens: the kind that shows the moment, and how."""


class Trap:
    """Kills the operator in the moment it is armed for, once."""

    def __init__(self, operator: OperatorProcess) -> None:
        self._operator = operator
        self._armed = ""
        self._sprung = threading.Event()

    def arm(self, moment: str) -> None:
        """Wait for a moment of the contract of that name."""
        self._sprung.clear()
        self._armed = moment

    def look(self, kind: str) -> Callable[[Sighting], None]:
        """Look at each version of a kind."""

        def on_sight(seen: Sighting) -> None:
            name = seen.thing["metadata"].get("labels", {}).get(LABEL, seen.name)
            wanted, is_now = MOMENTS.get(self._armed, ("", lambda _: False))
            if (kind, name) == (wanted, self._armed) and is_now(seen.thing) and self._operator.pid:
                os.kill(self._operator.pid, signal.SIGKILL)
                self._armed = ""
                self._sprung.set()

        return on_sight

    def wait(self, moment: str) -> None:
        """Wait until the operator is killed, and start it again."""
        wait_until(self._sprung.is_set, PATIENCE, f"the moment {moment}")
        self._operator.kill()
        self._operator.start()


def prepare(workspace: Workspace, *names: str) -> None:
    """Bring contracts, side by side, to where each has a good revision."""
    good = {}
    for name in names:
        repository = workspace.repository(name)
        good[name] = repository.commit({"deploy/web.yaml": deployment("1", name)}, "Good")
        workspace.follow(name, repository)
    for name in names:
        workspace.wait_good(name, good[name])


def release(workspace: Workspace, name: str, tag: str) -> str:
    """Commit a Deployment with another image."""
    return workspace.repository(name).commit({"deploy/web.yaml": deployment(tag, name)}, f"Release {tag}")


def sources_of(kustomizations: Recorder, name: str) -> list[str]:
    """The sources that a Kustomization had, one after the other."""
    return kustomizations.values(name, lambda thing: thing["spec"]["sourceRef"]["name"])


def pins_of(sources: Recorder, name: str, event: str) -> list[str]:
    """The pinned copies of a contract's source that came or went."""
    found = [seen for seen in sources.sightings() if seen.kind == event]
    return [seen.name for seen in found if seen.thing["metadata"].get("labels", {}).get(LABEL) == name]


def assert_once(name: str, pin: str, kustomizations: Recorder, sources: Recorder) -> None:
    """There was one pinned copy, and one switch to it and back."""
    assert sources_of(kustomizations, name) == [name, pin, name]
    assert pins_of(sources, name, "ADDED") == [pin]


def test_a_killed_operator_resumes_and_repeats_nothing(start_operator: StartOperator, workspace: Workspace) -> None:
    """Killed at each moment of a delivery and a rollback, the operator goes on where it stopped."""
    # Contracts that fail side by side are the test's doing, not an outage.
    operator = start_operator("--fleet-brake", "0")
    trap = Trap(operator)
    prepare(workspace, *MOMENTS)
    undone = [name for name in MOMENTS if name != "delivering"]
    bad, pins, fixes = {}, {}, {}

    with (
        Recorder(workspace, "contract", trap.look("contract")) as contracts,
        Recorder(workspace, "source", trap.look("source")) as sources,
        Recorder(workspace, "kustomization", trap.look("kustomization")) as kustomizations,
    ):
        trap.arm("delivering")
        delivered = release(workspace, "delivering", "2")
        trap.wait("delivering")
        for name in undone:
            trap.arm(name if name != "releasing" else "")
            bad[name] = release(workspace, name, "never-ready")
            if name != "releasing":
                trap.wait(name)
        for name in undone:
            pins[name] = workspace.wait_state(name, "Active")["rollback"]["pinRef"]["name"]
        trap.arm("releasing")
        for name in undone:
            fixes[name] = release(workspace, name, "3")
        trap.wait("releasing")
        for name in undone:
            workspace.wait_good(name, fixes[name])
            workspace.wait_gone("source", pins[name])
        arrived = workspace.wait_good("delivering", delivered)

    assert verdict(arrived, "Reconciliation") in ("Kept", "Unknown")
    verdicts = contracts.values("delivering", lambda thing: verdict(thing["status"], "Reconciliation"))
    assert len([one for one in verdicts[1:] if one not in ("", "Pending")]) == 1
    for name in undone:
        assert_once(name, pins[name], kustomizations, sources)
        status = workspace.contract_status(name)
        assert status["rollback"]["badRevisions"] == [f"sha1:{bad[name]}"]
        assert [past["result"] for past in status["history"]] == ["RolledBack", "Healthy"]
    assert TRACEBACK not in operator.log.read_text()


def test_two_operators_roll_back_once(start_operator: StartOperator, workspace: Workspace) -> None:
    """Without an election, two operators at the same time do one act between them, and then both rest."""
    operators = [start_operator(), start_operator()]
    prepare(workspace, "shop", "till")

    with Recorder(workspace, "source") as sources, Recorder(workspace, "kustomization") as kustomizations:
        for name in ("shop", "till"):
            release(workspace, name, "never-ready")
        pins = {name: workspace.wait_state(name, "Active")["rollback"]["pinRef"]["name"] for name in ("shop", "till")}
        fixes = {name: release(workspace, name, "2") for name in ("shop", "till")}
        for name, fix in fixes.items():
            workspace.wait_good(name, fix)
            workspace.wait_gone("source", pins[name])

    for name in ("shop", "till"):
        assert_once(name, pins[name], kustomizations, sources)
    for operator in operators:
        operator.check()
        assert TRACEBACK not in operator.log.read_text()
    workspace.wait("shop", lambda s: "seen" in s["delivery"]["stages"], "our own look at Git")
    version = workspace.version("contract", "shop")
    for _ in range(3):
        workspace.reconcile("kustomization", "shop")
    assert workspace.version("contract", "shop") == version


def test_nothing_changed_nothing_written(start_operator: StartOperator, workspace: Workspace) -> None:
    """Neither Flux's reconciles, nor a restart, nor a second operator writes what is known already."""
    operator = start_operator()
    prepare(workspace, "shop")
    workspace.wait("shop", lambda s: "seen" in s["delivery"]["stages"], "our own look at Git")

    with Recorder(workspace, "contract") as contracts:
        versions = [workspace.version("contract", "shop")]
        for _ in range(5):
            workspace.reconcile("source", "shop")
            workspace.reconcile("kustomization", "shop")
        versions.append(workspace.version("contract", "shop"))
        operator.stop()
        operator.start()
        another = start_operator()
        for running in (operator, another):
            wait_until(
                lambda running=running: (running.sample("flux_contract_pass_duration_seconds_count") or 0) >= 2,
                PATIENCE,
                "passes",
            )
        workspace.reconcile("source", "shop")
        workspace.reconcile("kustomization", "shop")
        versions.append(workspace.version("contract", "shop"))

    assert len(set(versions)) == 1
    assert [seen.kind for seen in contracts.sightings()] == ["ADDED"]
    assert operator.sample("flux_contract_status_writes_total") == 0
    for kind in ("source", "kustomization"):
        assert MANAGER not in {entry["manager"] for entry in workspace.get(kind, "shop")["metadata"]["managedFields"]}


def test_an_observing_operator_never_acts(start_operator: StartOperator, workspace: Workspace) -> None:
    """With --observe-only a persistent failure is told, and nothing of Flux is touched."""
    start_operator("--observe-only")
    prepare(workspace, "shop")

    with Recorder(workspace, "source") as sources, Recorder(workspace, "kustomization") as kustomizations:
        bad = release(workspace, "shop", "never-ready")
        told = workspace.wait_reason("shop", "RollbackDisabled", "RolledBack")
        workspace.wait("shop", lambda s: s["delivery"]["failures"]["count"] >= 3, "one more failed attempt")

    assert "--observe-only" in told["message"]
    status = workspace.contract_status("shop")
    assert bad in status["delivery"]["revision"]
    assert condition(status, "Healthy")["reason"] == "Failing"
    assert sources_of(kustomizations, "shop") == ["shop"]
    assert pins_of(sources, "shop", "ADDED") == []
    managers = {
        entry["manager"]
        for recorder in (sources, kustomizations)
        for seen in recorder.sightings()
        for entry in seen.thing["metadata"]["managedFields"]
    }
    assert MANAGER not in managers
    assert workspace.get("contract", "shop")["metadata"].get("finalizers", []) == []
