"""Many deliveries in flight at once: watched, polled, or honestly not followed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Since
from reconciliation_contract.observers.workloads import FOLLOWED, WATCHED, Rollouts
from tests.support.builders import at
from tests.support.builders_core import Case, delivery, failing
from tests.support.virtual_time import now, passing

pytestmark = pytest.mark.looptime

INVENTORY = Since(Inventory.of([("apps_web_apps_Deployment", "v1")]), at(0), exact=True)
WEB = {
    "metadata": {"namespace": "apps", "name": "web", "generation": 1},
    "spec": {"replicas": 1},
    "status": {"observedGeneration": 1, "replicas": 1, "updatedReplicas": 1, "availableReplicas": 1},
}


class Workloads:
    """Stands in for the cluster: one Deployment, whoever asks."""

    def __init__(self) -> None:
        self.lists = 0
        self.watches = 0

    async def select(self, *_: object) -> tuple[list[Any], str]:
        """List it."""
        self.lists += 1
        return [WEB], "1"

    async def watch(self, *_: object) -> AsyncIterator[Any]:
        """Wait for changes, which never come."""
        self.watches += 1
        await asyncio.get_running_loop().create_future()
        yield None


def delivering() -> Case:
    """A delivery that begins."""
    case = failing().but(memory__delivery=delivery(failures=None, started_at=at(0)))
    return case.but(kustomization__inventory=INVENTORY, kustomization__failures=())


async def test_the_first_are_watched_the_next_polled_and_the_rest_not_followed() -> None:
    """What a thousand deliveries at once cost is bounded; those that nobody follows say so."""
    cluster, told, case = Workloads(), set[tuple[str, str]](), delivering()
    rollouts = Rollouts(cluster, told.update, now)  # type: ignore[arg-type]  # a script

    for number in range(FOLLOWED + 5):
        rollouts.attend(("apps", f"shop-{number}"), case.contract, case.memory, case.seen)
    await passing(9)
    first, last = rollouts.facts(("apps", "shop-0")), rollouts.facts(("apps", f"shop-{FOLLOWED}"))
    lists = cluster.lists
    rollouts.close()
    await passing(9)

    assert cluster.watches == WATCHED
    assert WATCHED < lists <= WATCHED + 5 * (FOLLOWED - WATCHED)
    assert cluster.lists == lists
    assert first is not None
    assert (first.followed, first.settled, first.gap) == (1, True, "")
    assert last is not None
    assert "too many" in last.gap
    assert rollouts.facts(("apps", "shop-0")) is None


async def test_what_is_not_in_flight_is_not_followed() -> None:
    """A suspended contract's case is closed, and nothing is opened for an adopted delivery."""
    cluster, case, key = Workloads(), delivering(), ("apps", "shop")
    rollouts = Rollouts(cluster, lambda _: None, now)  # type: ignore[arg-type]  # a script

    rollouts.attend(key, case.contract, case.memory, case.seen)
    begun = rollouts.facts(key)
    paused = case.but(contract__suspended=True)
    rollouts.attend(key, paused.contract, paused.memory, paused.seen)

    assert begun is not None
    assert begun.began_at is None
    assert rollouts.facts(key) is None


async def test_without_workloads_nothing_is_asked() -> None:
    """There is nothing to lose, and that is known at once."""
    cluster, key = Workloads(), ("apps", "shop")
    case = delivering().but(kustomization__inventory=None)
    rollouts = Rollouts(cluster, lambda _: None, now)  # type: ignore[arg-type]  # a script

    rollouts.attend(key, case.contract, case.memory, case.seen)
    await passing(5)
    found = rollouts.facts(key)

    assert (cluster.lists, cluster.watches) == (0, 0)
    assert found is not None
    assert (found.followed, found.began_at is not None) == (0, True)
