"""Operators that are killed, started again, or run at the same time: every act is done, and done once."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from playground.waiting import wait_until
from tests.support.flux_objects import PATIENCE, Object, Workspace, condition, deployment, verdict
from tests.support.flux_objects_watch import Recorder, Sighting
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e

LABEL = "reconciliation.dev/contract"
MANAGER = "reconciliation-contract"
TRACEBACK = "Traceback"


def is_under_way(thing: Object) -> bool:
    """Whether a version of a contract has begun to follow a second delivery."""
    status = thing.get("status", {})
    return len(status.get("history", [])) == 1 and "healthy" not in status["delivery"]["stages"]


def is_at_rest(status: Object) -> bool:
    """Whether the current delivery is judged and no incident is left to end."""
    open_ones = [one for one in status.get("incidents", []) if "closedAt" not in one]
    return verdict(status, "Reconciliation") == "Kept" and not open_ones


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


def test_a_killed_operator_resumes_a_delivery(start_operator: StartOperator, workspace: Workspace) -> None:
    """Killed while a commit is under way, it judges that commit once; the writes of a rollback have their own tests."""
    operator, dead = start_operator(), threading.Event()
    prepare(workspace, "shop")

    def kill(seen: Sighting) -> None:
        if is_under_way(seen.thing) and operator.pid and not dead.is_set():
            os.kill(operator.pid, signal.SIGKILL)
            dead.set()

    with Recorder(workspace, "contract", kill) as contracts:
        delivered = release(workspace, "shop", "2")
        wait_until(dead.is_set, PATIENCE, "the second delivery")
        operator.kill()
        operator.start()
        workspace.wait_good("shop", delivered)
        workspace.wait("shop", lambda s: verdict(s, "Reconciliation") in ("Kept", "Unknown"), "the verdict")

    verdicts = contracts.values("shop", lambda thing: verdict(thing["status"], "Reconciliation"))
    assert len([one for one in verdicts[1:] if one not in ("", "Pending")]) == 1
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
    workspace.wait("shop", is_at_rest, "the verdict, and the end of the incident")
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
