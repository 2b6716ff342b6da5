"""Every write of a rollback, however it begins and ends: the operator dies before it and after it, or it fails.

A proxy between the operator and the API server knows the writes. Each contract has one kill-point of its own, and all
of them roll back side by side. A rollback is right when there was one switch there and one back, one pinned copy, and
nothing is left over.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest
import yaml

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.api_server_proxy import Fault, Passing
from tests.support.flux_objects import QUICK, Workspace, config_map, deployment
from tests.support.flux_objects_watch import Recorder
from tests.support.killing import Killer, points, through_proxy
from tests.support.operator_process import OperatorProcess

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
DELETION = (*ACTS[6:10], "allow deletion")
"""Every write when a contract is deleted during its rollback."""
PROPOSAL = ("status Proposed", "status Intended")
"""The writes that are others with `mode: Manual`."""
FAILURE = ("status Failed",)
"""The write where the good revision cannot be fetched any more."""
UNLUCKY = ("ann", "bob", "eve", "joe", "max", "zoe")
SHARE = 0.4
"""Part of all writes that fail."""
ANSWERS = (409, 429, 500, 503)
LONGEST = 240.0
"""Seconds for what many contracts do side by side on a busy machine."""


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
    mend(workspace, names)
    yield


def rewrite(workspace: Workspace, names: Sequence[str]) -> None:
    """Force a bad commit on each branch, and lose the good one."""
    for name in names:
        repository = workspace.repository(name)
        repository.reset("main", repository.commit(bad(name), "Rewritten", branch="rewritten"))
        repository.delete_branch("rewritten")
        repository.forget()


def mend(workspace: Workspace, names: Sequence[str]) -> None:
    """Push a fix to each."""
    for name in names:
        files = {"deploy/bad.yaml": None, "deploy/map.yaml": config_map(name, fixed="1")}
        workspace.repository(name).commit(files, "Fix")


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
    killer, names = Killer(points(ACTS)), tuple(points(ACTS))
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


def test_the_operator_may_die_at_every_write_of_an_end(
    cluster: Cluster, workspace: Workspace, alone: None, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """Contracts deleted during their rollbacks: each goes, and gives back everything, once."""
    places = points(DELETION)
    killer, names = Killer(places), tuple(places)
    with (
        through_proxy(cluster, tmp_path, killer.rule, killer.kill) as operator,
        Recorder(workspace, "kustomization") as kustomizations,
        Recorder(workspace, "source") as sources,
    ):
        killer.operator = operator
        story = stories(workspace, names)
        next(story)
        next(story)
        wait_until(lambda: set(states(workspace).values()) == {"Active"}, LONGEST, "every rollback to be in force")
        for name in names:
            workspace.delete("contract", name)

        def all_are_gone() -> bool:
            killer.revive()
            return not workspace.all("contract") and len(workspace.all("source")) == len(names)

        wait_until(all_are_gone, LONGEST, "every contract and pinned copy to be gone")

    assert killer.sprung == set(names)
    for name in names:
        assert_right(name, kustomizations, sources)
    measured(f"the operator was killed {len(killer.sprung)} times; {len(names)} contracts gone, each rollback undone")


def test_the_operator_may_die_around_a_proposal_and_a_failure(
    cluster: Cluster, workspace: Workspace, alone: None, tmp_path: Path, measured: Callable[[str], None]
) -> None:
    """What waits for a person is done once when he approves; what cannot be done is not, and ends with a fix."""
    manual, failed = points(PROPOSAL, "manual-"), points(FAILURE, "lost-")
    killer, names = Killer({**manual, **failed}), (*manual, *failed)
    with (
        through_proxy(cluster, tmp_path, killer.rule, killer.kill) as operator,
        Recorder(workspace, "kustomization") as kustomizations,
        Recorder(workspace, "source") as sources,
    ):
        killer.operator = operator

        def all_are(state: str, *those: str) -> bool:
            killer.revive()
            return {states(workspace)[name] for name in those} == {state}

        story = stories(workspace, tuple(manual))
        next(story)
        next(stories(workspace, tuple(failed)))
        for name in manual:
            workspace.change("contract", name, {"spec": {"rollback": {**QUICK, "mode": "Manual"}}})
        for name in failed:
            workspace.change("contract", name, {"spec": {"rollback": {**QUICK, "within": "15s"}}})
        next(story)
        rewrite(workspace, tuple(failed))
        wait_until(lambda: all_are("Proposed", *manual), LONGEST, "every rollback to be proposed")
        wait_until(lambda: all_are("Failed", *failed), LONGEST, "what cannot be done to be given up")
        for name in manual:
            approval = workspace.contract_status(name)["rollback"]["from"]
            annotations = {"reconciliation.dev/approve": f"{approval} by zoe"}
            workspace.change("contract", name, {"metadata": {"annotations": annotations}})
        wait_until(lambda: all_are("Active", *manual), LONGEST, "every rollback to be in force")
        next(story)
        mend(workspace, tuple(failed))
        wait_until(lambda: all_are("over", *manual), LONGEST, "every rollback to be over")
        wait_until(lambda: all_are("", *failed), LONGEST, "what was given up to be over")
        wait_until(lambda: len(workspace.all("source")) == len(names), LONGEST, "the pinned copies to be gone")

    assert killer.sprung == set(names)
    for name in manual:
        assert_right(name, kustomizations, sources)
    for name in failed:
        assert kustomizations.values(name, lambda thing: thing["spec"]["sourceRef"]["name"]) == [name]
    measured(f"the operator was killed {len(killer.sprung)} times around proposals and failures, each done once")


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
