"""When a contract is looked at though nothing happens: at a time of its own, and never without a pause."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.config import Settings
from reconciliation_contract.core.values.timing import TIMING
from reconciliation_contract.observers.store import Key, Store
from reconciliation_contract.runtime.pace import (
    A_SECOND,
    AT_ONCE,
    IN_A_ROW,
    Pace,
    routine,
    spread,
)
from reconciliation_contract.runtime.queue import Queue
from reconciliation_contract.runtime.reconciler import Reconciler
from tests.support.builders_operator import reach
from tests.support.builders_world import World
from tests.support.virtual_time import START, passing

ROUND = TIMING.routine
SHORT, LONGEST = TIMING.pause_short.total_seconds(), TIMING.pause_forced_longest.total_seconds()

KEY = ("apps", "shop")
MANY = [(f"team-{number % 40}", f"service-{number}") for number in range(3000)]


@given(st.text(max_size=20), st.text(max_size=20), st.integers(0, 10**9))
def test_the_routine_look_lies_ahead_and_not_too_far(namespace: str, name: str, seconds: int) -> None:
    """Within a round, whatever the contract and the clock; and once a round, at the same time of it."""
    now = START + timedelta(seconds=seconds)

    at = routine((namespace, name), now)

    assert now <= at < now + ROUND
    assert abs(routine((namespace, name), at + timedelta(seconds=1)) - at - ROUND) < timedelta(milliseconds=1)


def test_routine_looks_are_spread_over_the_round() -> None:
    """However they began: no second has more than a few times its share of three thousand contracts."""
    seconds = Counter(int((routine(key, START) - START).total_seconds()) for key in MANY)

    assert max(seconds.values()) < 4 * len(MANY) / ROUND.total_seconds()


def test_very_many_contracts_that_are_told_at_once_are_spread() -> None:
    """In a fixed order and at a bounded rate, so that what is urgent comes between."""
    delays = dict(spread(MANY))
    seconds = Counter(int(delay) for delay in delays.values())

    assert delays == dict(spread(reversed(MANY)))
    assert max(delays.values()) < len(MANY) / A_SECOND
    assert max(seconds.values()) < 1.5 * A_SECOND


def test_few_contracts_are_looked_at_at_once() -> None:
    """A single event waits for nothing."""
    assert set(dict(spread(MANY[:AT_ONCE])).values()) == {0.0}


def test_a_chain_of_acts_waits_for_nothing() -> None:
    """As many looks as a rollback may need follow each other at once, again and again after a pause."""
    pace = Pace()

    for _ in range(3):
        assert [pace.pause(KEY, 0.0) for _ in range(IN_A_ROW)] == [(0.0, False)] * IN_A_ROW
        assert pace.pause(KEY, 30.0) == (30.0, False)


@given(st.lists(st.floats(-10, SHORT, exclude_max=True, allow_nan=False), min_size=40, max_size=40))
def test_nobody_looks_without_a_pause_for_long(asked: list[float]) -> None:
    """Whoever asks again and again waits ever longer, up to a minute, and it is told each time."""
    pace = Pace()

    pauses = [pace.pause(KEY, seconds) for seconds in asked]

    forced = [seconds for seconds, told in pauses if told]
    assert len(forced) == len(asked) - IN_A_ROW
    assert forced == sorted(forced)
    assert (forced[0], forced[-1]) == (SHORT, LONGEST)
    assert all(seconds >= 0 for seconds, _ in pauses)


def test_each_contract_has_its_own_pace() -> None:
    """One that goes wrong makes no other wait; one that is made anew begins anew."""
    pace = Pace()
    for _ in range(20):
        pace.pause(KEY, 0.0)

    assert pace.pause(("apps", "other"), 0.0) == (0.0, False)
    pace.forget(KEY)
    assert pace.pause(KEY, 0.0) == (0.0, False)


class Idle(Reconciler):
    """Looks at contracts without waiting for anything."""

    looked = 0

    async def look(self, key: Key) -> None:  # noqa: ARG002 - whichever it is
        """Make a pass that is over at once."""
        self.looked += 1


@pytest.mark.looptime
async def test_passes_let_others_have_their_turn() -> None:
    """What waits for the event loop gets it after each pass, however many contracts are due."""
    queue: Queue[Key] = Queue()
    reconciler = Idle(Store(), queue, reach(World(parent=False, contract={}, annotations={})), Settings())
    for key in MANY:
        queue.add(key)

    work = asyncio.create_task(reconciler.work())
    seen = []
    for _ in range(5):
        await asyncio.sleep(0)
        seen.append(reconciler.looked)
    await passing(1)
    work.cancel()

    assert seen[-1] <= len(seen)
    assert reconciler.looked == len(MANY)
