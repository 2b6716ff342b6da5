"""Every write of a rollback, from the intent to its end: the operator dies before it and after it, or it fails.

A proxy between the operator and the API server knows the writes. Each contract has one kill-point of its own, and all
of them roll back side by side. A rollback is right when there was one switch there and one back, one pinned copy, and
nothing is left over.
"""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest
import yaml

from playground.cluster import Cluster
from playground.process import ProcessDiedError
from playground.waiting import wait_until
from tests.support.api_server_proxy import Fault, Passing, Proxy, Rule
from tests.support.flux_objects import Workspace, config_map, deployment
from tests.support.flux_objects_watch import Recorder
from tests.support.operator_process import ACCOUNT, OperatorProcess, operator_process

pytestmark = pytest.mark.e2e

ACTS = (
    "status Intended",
    "hold deletion",
    "pin",
    "status Switching",
    "switch",
    "status Active",
    "status Releasing",
    "switch back",
    "disown",
    "unpin",
    "status over",
    "allow deletion",
)
"""Every write of a rollback and its release, in order."""
POINTS: Mapping[str, tuple[str, bool]] = {
    f"{'after' if done else 'before'}-{act.lower().replace(' ', '-')}": (act, done)
    for act in ACTS
    for done in (False, True)
}
"""By the name of its contract: the write, and whether it is done when the operator dies."""
UNLUCKY = ("ann", "bob", "eve", "joe", "max", "zoe")
SHARE = 0.4
"""Part of all writes that fail."""
ANSWERS = (409, 429, 500, 503)
LONGEST = 240.0
"""Seconds for what many contracts do side by side on a busy machine."""


class Killer:
    """Kills the operator at the point of each contract, once, and starts it again."""

    def __init__(self) -> None:
        self.operator: OperatorProcess | None = None
        self.sprung: set[str] = set()
        self._dead = threading.Event()

    def rule(self, passing: Passing) -> Fault | None:
        """Die at this contract's own write, unless that has happened already."""
        act, done = POINTS.get(passing.contract, ("", False))
        if self._dead.is_set():
            return Fault()  # what the dying operator still sends does not arrive
        if passing.act != act or passing.contract in self.sprung:
            return None
        self.sprung.add(passing.contract)
        return Fault(done=done)

    def kill(self) -> None:
        """Kill the operator at once: it finishes nothing."""
        self._dead.set()
        if self.operator and self.operator.pid:
            os.kill(self.operator.pid, signal.SIGKILL)

    def revive(self) -> None:
        """Start the operator again if it is dead; where it dies again before it is ready, the next call does."""
        if self._dead.is_set() and self.operator:
            self.operator.kill()
            self._dead.clear()
            with suppress(ProcessDiedError):
                self.operator.start()


@contextmanager
def through_proxy(cluster: Cluster, folder: Path, rule: Rule, kill: Callable[[], None]) -> Iterator[OperatorProcess]:
    """The operator, started, with the proxy between it and the API server."""
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(cluster.token_kubeconfig(ACCOUNT, ACCOUNT), rule, kill))
        kubeconfig = proxy.kubeconfig(folder / "kubeconfig")
        # Contracts that fail side by side are the test's doing, not an outage.
        process = operator_process(cluster, folder / "operator.log", "--fleet-brake=0", kubeconfig=kubeconfig)
        operator = stack.enter_context(process)
        operator.start()
        yield operator


def bad(name: str) -> dict[str, str]:
    """Manifests that the API server refuses at once, as their selector does not match."""
    found = yaml.safe_load(deployment("2", name))
    found["spec"]["selector"] = {"matchLabels": {"app": "another"}}
    return {"deploy/bad.yaml": yaml.safe_dump(found)}


def stories(workspace: Workspace, names: Sequence[str]) -> Iterator[None]:
    """Bring contracts to a good revision, fail, be rolled back, and be released by a fix; pauses between."""
    repositories = {name: workspace.repository(name) for name in names}
    good = {
        name: repository.commit({"deploy/map.yaml": config_map(name)}, "Good")
        for name, repository in repositories.items()
    }
    for name in names:
        workspace.follow(name, repositories[name])
    for name in names:
        workspace.wait_good(name, good[name])
    yield
    for name in names:
        repositories[name].commit(bad(name), "Bad")
    yield
    for name in names:
        repositories[name].commit({"deploy/bad.yaml": None, "deploy/map.yaml": config_map(name, fixed="1")}, "Fix")
    yield


def states(workspace: Workspace) -> dict[str, str]:
    """How the rollback of each contract stands; `over` when everything of it is gone."""
    found = {}
    for contract in workspace.all("contract"):
        rollback = contract.get("status", {}).get("rollback", {})
        held = contract["metadata"].get("finalizers")
        ended = "over" if rollback.get("badRevisions") and not held else ""
        found[contract["metadata"]["name"]] = rollback.get("state") or ended
    return found


def assert_right(name: str, kustomizations: Recorder, sources: Recorder) -> None:
    """One switch there and one back, one pinned copy, nothing left over."""
    switched = kustomizations.values(name, lambda thing: thing["spec"]["sourceRef"]["name"])
    assert len(switched) == 3, f"{name}: {switched}"
    assert (switched[0], switched[2]) == (name, name)
    made = [seen.name for seen in sources.sightings(switched[1]) if seen.kind == "ADDED"]
    assert made == [switched[1]]
    left = kustomizations.sightings(name)[-1].thing["metadata"]
    assert "reconciliation.dev/rolled-back-from" not in left.get("annotations", {})
    assert "reconciliation-contract" not in {claim["manager"] for claim in left["managedFields"]}


@pytest.fixture
def alone(shared: OperatorProcess) -> None:
    """No other operator is at work."""
    shared.stop()


def test_the_operator_may_die_before_and_after_every_write(
    cluster: Cluster, workspace: Workspace, alone: None, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """Twelve writes, killed before and after each: every rollback is done once, whole, and taken back whole."""
    killer, names = Killer(), tuple(POINTS)
    with (
        through_proxy(cluster, tmp_path, killer.rule, killer.kill) as operator,
        Recorder(workspace, "kustomization") as kustomizations,
        Recorder(workspace, "source") as sources,
    ):
        killer.operator = operator

        def all_are(state: str) -> bool:
            killer.revive()
            return set(states(workspace).values()) == {state}

        story = stories(workspace, names)
        next(story)
        next(story)
        wait_until(lambda: all_are("Active"), LONGEST, "every rollback to be in force")
        next(story)
        wait_until(lambda: all_are("over"), LONGEST, "every rollback to be over")
        wait_until(lambda: len(workspace.all("source")) == len(names), LONGEST, "the pinned copies to be gone")

    assert killer.sprung == set(names)
    for name in names:
        assert_right(name, kustomizations, sources)
    measured(f"the operator was killed {len(killer.sprung)} times; {len(names)} rollbacks, each done once")


def test_any_write_may_fail_or_seem_to(
    cluster: Cluster, workspace: Workspace, alone: None, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """With 409, 429, 500 and 503 for two writes in five, some of them done all the same, no act is repeated or lost."""
    dice, faults = random.Random(5), Counter[str]()

    def rule(passing: Passing) -> Fault | None:
        if passing.contract not in UNLUCKY or dice.random() > SHARE:
            return None
        fault = Fault(dice.choice(ANSWERS), done=dice.random() > 0.5)
        faults[f"{fault.status}{' but done' if fault.done else ''}"] += 1
        return fault

    with (
        through_proxy(cluster, tmp_path, rule, lambda: None),
        Recorder(workspace, "kustomization") as kustomizations,
        Recorder(workspace, "source") as sources,
    ):
        story = stories(workspace, UNLUCKY)
        next(story)
        next(story)
        began = time.monotonic()
        wait_until(lambda: set(states(workspace).values()) == {"Active"}, LONGEST, "every rollback to be in force")
        next(story)
        wait_until(lambda: set(states(workspace).values()) == {"over"}, LONGEST, "every rollback to be over")

    for name in UNLUCKY:
        assert_right(name, kustomizations, sources)
    assert sum(faults.values()) >= len(UNLUCKY) * 3
    told = ", ".join(f"{count}x {fault}" for fault, count in sorted(faults.items()))
    measured(
        f"{sum(faults.values())} writes failed ({told}) in {time.monotonic() - began:.0f} s; no act was repeated"
    )
