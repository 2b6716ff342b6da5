"""A fault of ours in work that goes on: the work goes on, the fault is counted, and the facts say so meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.api.kubernetes.metadata import Live
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Commit, Since, Source
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.observers.git import Lookout
from reconciliation_contract.observers.pruning import Removals
from reconciliation_contract.observers.supervisor import BUG, Keeper
from reconciliation_contract.observers.workloads import Rollouts
from tests.support.builders import at
from tests.support.builders_core import delivery, failing
from tests.support.virtual_time import now, passing
from tests.support.virtual_time_git import GitScript

pytestmark = pytest.mark.looptime

KEY = ("apps", "shop")
URL = "https://git.example/shop"
HASH = "a" * 40
FAULT = RuntimeError("can't start new thread")
SOURCE = Source("apps", "shop", "s-1", "1", URL, {"branch": "main"})


class Count:
    """Counts faults."""

    def __init__(self) -> None:
        self.faults = 0
        self.keeper = Keeper(self.note)

    def note(self) -> None:
        self.faults += 1


@pytest.fixture
def count() -> Count:
    return Count()


async def test_a_look_at_git_that_breaks_is_made_again(count: Count) -> None:
    """What the repository says is known again after the fault, and until then it is said that it is not."""
    git = GitScript(heads={URL: FAULT})
    lookout = Lookout(git, None, lambda _: None, now, timedelta(seconds=15), keeper=count.keeper)  # type: ignore[arg-type]  # scripts
    lookout.facts(KEY, SOURCE, "")
    await passing(5)
    broken = lookout.facts(KEY, SOURCE, "")
    git.heads[URL] = HASH
    await passing(30)
    whole = lookout.facts(KEY, SOURCE, "")
    lookout.close()

    assert (broken.problem, broken.looked) == (BUG, True)
    assert (whole.problem, whole.head and whole.head.hash) == ("", HASH)
    assert count.faults == 1


async def test_the_time_of_a_commit_is_asked_for_again(count: Count) -> None:
    """A fault while a commit is read does not leave its time unknown for good."""
    git = GitScript(heads={URL: HASH}, commits={HASH: FAULT})
    lookout = Lookout(git, None, lambda _: None, now, timedelta(seconds=15), keeper=count.keeper)  # type: ignore[arg-type]  # scripts
    lookout.facts(KEY, SOURCE, HASH)
    await passing(5)
    git.commits.clear()
    await passing(30)
    found = lookout.facts(KEY, SOURCE, HASH)
    lookout.close()

    assert isinstance(found.commits[HASH], Commit)
    assert count.faults == 1


class Workloads:
    """Stands in for the cluster: the first list breaks."""

    def __init__(self) -> None:
        self.answers: Iterator[Exception | None] = iter([FAULT])

    async def select(self, *_: object) -> tuple[list[Any], str]:
        if fault := next(self.answers, None):
            raise fault
        return [], "1"

    async def watch(self, *_: object) -> AsyncIterator[Any]:
        await asyncio.get_running_loop().create_future()
        yield None


async def test_workloads_are_followed_again_and_the_gap_is_told(count: Count) -> None:
    """A drop that nobody can have seen must not come out as none."""
    inventory = Since(Inventory.of([("apps_web_apps_Deployment", "v1")]), at(0), exact=True)
    case = failing().but(memory__delivery=delivery(failures=None, started_at=at(0)))
    case = case.but(kustomization__inventory=inventory, kustomization__failures=())
    rollouts = Rollouts(Workloads(), lambda _: None, now, count.keeper)  # type: ignore[arg-type]  # a script

    rollouts.attend(KEY, case.contract, case.memory, case.seen)
    await passing(30)
    found = rollouts.facts(KEY)
    rollouts.close()

    assert found is not None
    assert found.gap == BUG
    assert found.began_at is not None
    assert count.faults == 1


class LiveObjects:
    """Stands in for the cluster: the first look breaks, then the object is gone."""

    def __init__(self) -> None:
        self.looks = 0

    async def look(self, _: object) -> Live | None:
        self.looks += 1
        if self.looks == 1:
            raise FAULT
        return None


async def test_what_left_is_looked_for_again(count: Count) -> None:
    """What a commit deleted is seen to be gone after the fault."""
    live = LiveObjects()
    removals = Removals(live, lambda _: None, now, count.keeper)  # type: ignore[arg-type]  # a script
    full = Inventory.of([("apps_web_apps_Deployment", "v1"), ("apps_web__Service", "v1")])
    less = Inventory.of([("apps_web_apps_Deployment", "v1")])
    case = failing().but(memory__delivery=delivery(failures=None, started_at=at(0)))
    found = case.seen.flux.kustomization
    assert found is not None
    prunes = replace(found, prunes=True)

    removals.facts(KEY, replace(prunes, inventory=Since(full, at(0), exact=True)), Memory())
    removals.facts(KEY, replace(prunes, inventory=Since(less, now(), exact=True)), Memory())
    removals.attend(KEY, case.contract, case.memory)
    await passing(60)
    left = removals.facts(KEY, replace(prunes, inventory=Since(less, now(), exact=True)), Memory())
    removals.close()

    assert live.looks >= 2
    assert left is not None
    assert left.pending == ()
    assert count.faults == 1
