"""The queue: no key twice, the earliest request wins, and nothing that was asked for is lost."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation_contract.core.values.timing import TIMING
from reconciliation_contract.runtime.queue import Queue
from tests.support.virtual_time import passing, virtually

pytestmark = pytest.mark.looptime

FIRST, LONGEST = TIMING.retry.total_seconds(), TIMING.retry_longest.total_seconds()


def clock() -> float:
    """Seconds since the loop began."""
    return asyncio.get_running_loop().time()


async def drain(queue: Queue[str]) -> list[str]:
    """Take everything that is due now."""
    taken = []
    while True:
        try:
            key = await asyncio.wait_for(queue.get(), 0.001)
        except TimeoutError:
            return taken
        taken.append(key)
        queue.done(key)


async def test_keys_come_in_the_order_in_which_they_are_due() -> None:
    """First those without a delay, in their order, then the others."""
    queue: Queue[str] = Queue()
    for key, delay in (("late", 5), ("one", 0), ("soon", 1), ("two", 0)):
        queue.add(key, delay)

    taken = []
    for _ in range(4):
        key = await queue.get()
        queue.done(key)
        taken.append((key, round(clock())))

    assert taken == [("one", 0), ("two", 0), ("soon", 1), ("late", 5)]


async def test_a_key_that_waits_is_not_added_again() -> None:
    """Any number of requests before the look are one look."""
    queue: Queue[str] = Queue()
    for _ in range(100):
        queue.add("shop")

    assert len(queue) == 1
    assert await drain(queue) == ["shop"]
    assert len(queue) == 0


@pytest.mark.parametrize("delays", [(10, 1), (1, 10)], ids=["the earlier comes second", "the earlier comes first"])
async def test_the_earliest_request_wins(delays: tuple[float, float]) -> None:
    """A later request neither delays an earlier one nor adds a look of its own."""
    queue: Queue[str] = Queue()
    for delay in delays:
        queue.add("shop", delay)

    key = await queue.get()
    at = clock()
    queue.done(key)
    await passing(20)

    assert at == pytest.approx(1, abs=0.01)
    assert await drain(queue) == []


async def test_a_key_at_work_comes_again_only_afterwards() -> None:
    """A request during the work is one more look, after the work."""
    queue: Queue[str] = Queue()
    queue.add("shop")
    key = await queue.get()

    queue.add("shop")
    queue.add("shop")
    during = await drain(queue)
    queue.done(key)

    assert during == []
    assert await drain(queue) == ["shop"]


async def test_a_delay_that_ends_during_the_work_is_not_lost() -> None:
    """A look that is due while the key is at work follows the work."""
    queue: Queue[str] = Queue()
    queue.add("shop")
    key = await queue.get()

    queue.add("shop", 1)
    await passing(5)
    during = await drain(queue)
    queue.done(key)

    assert during == []
    assert await drain(queue) == ["shop"]


async def test_a_waiting_worker_is_woken_by_an_earlier_request() -> None:
    """Who waits for a distant deadline takes what comes meanwhile."""
    queue: Queue[str] = Queue()
    queue.add("distant", 3600)
    worker = asyncio.create_task(queue.get())
    await passing(10)

    queue.add("now")

    assert await worker == "now"
    assert clock() == pytest.approx(10, abs=0.01)


async def test_the_pauses_after_failures_grow_to_a_bound_and_begin_anew() -> None:
    """Each about twice the last with some jitter, a minute at most; a success forgets them."""
    queue: Queue[str] = Queue()

    pauses = [queue.retry("shop") for _ in range(14)]
    queue.forget("shop")
    again = queue.retry("shop")

    for number, pause in enumerate(pauses):
        assert pause == pytest.approx(min(LONGEST, FIRST * 2**number), rel=0.2)
    assert again == pytest.approx(FIRST, rel=0.2)
    assert queue.retry("other") == pytest.approx(FIRST, rel=0.2)


async def test_a_thousand_failures_do_not_overflow() -> None:
    """However often it failed, a minute is the longest pause."""
    queue: Queue[str] = Queue()

    pauses = [queue.retry("shop") for _ in range(1500)]

    assert max(pauses) <= LONGEST * 1.2


async def test_a_deadline_between_two_ticks_is_taken_without_spinning() -> None:
    """A wait that is shorter than the clock's resolution is none."""
    queue: Queue[str] = Queue()
    await passing(3340.04)

    queue.add("shop", 4e-13)

    assert await queue.get() == "shop"


Step = tuple[str, str, float]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("add"), st.sampled_from("abc"), st.sampled_from([0.0, 0.0, 0.5, 3.0])),
        st.tuples(st.just("wait"), st.just(""), st.sampled_from([0.1, 1.0, 4.0])),
    ),
    max_size=25,
)


@settings(max_examples=30, deadline=None)
@given(steps=STEPS, lasts=st.sampled_from([0.0, 0.3, 2.0]), workers=st.integers(1, 3))
def test_whatever_is_asked_for_is_looked_at_and_never_twice_at_once(
    steps: list[Step], lasts: float, workers: int
) -> None:
    """For any requests: a look begins after the last one for its key, and no key is at two workers."""
    virtually(lambda: _story(steps, lasts, workers))


async def _story(steps: list[Step], lasts: float, workers: int) -> None:
    queue: Queue[str] = Queue()
    asked: dict[str, float] = {}
    begun: dict[str, float] = {}
    busy: list[str] = []

    async def work() -> None:
        while True:
            key = await queue.get()
            assert key not in busy
            busy.append(key)
            begun[key] = clock()
            await passing(lasts)
            busy.remove(key)
            queue.done(key)

    tasks = [asyncio.create_task(work()) for _ in range(workers)]
    for kind, key, seconds in steps:
        if kind == "add":
            queue.add(key, seconds)
            asked[key] = clock()
        else:
            await passing(seconds)
    await passing(100)
    for task in tasks:
        task.cancel()
    ended = await asyncio.gather(*tasks, return_exceptions=True)

    assert all(isinstance(end, asyncio.CancelledError) for end in ended), ended
    assert begun.keys() == asked.keys()
    assert all(begun[key] >= asked[key] for key in asked)
    assert len(queue) == 0
