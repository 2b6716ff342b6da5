"""What to look at next: a queue of keys without duplicates, with delays and backoff.

A key is never handed out twice at the same time; added meanwhile, it comes again afterwards.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from datetime import timedelta
from typing import Generic, TypeVar

from reconciliation_contract.core.values.timing import TIMING, Timing

K = TypeVar("K")

_TICK = 1e-6
"""Seconds that are no wait: a timer that is shorter fires at once, and to ask again would spin."""


class Queue(Generic[K]):
    """Keys that wait to be looked at. It belongs to one event loop."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self._first = timing.retry.total_seconds()
        self._longest = timing.retry_longest.total_seconds()
        self._due: dict[K, float] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._working: set[K] = set()
        self._again: set[K] = set()
        self._tries: dict[K, int] = {}
        self._counter = 0
        self._changed = asyncio.Event()

    def __len__(self) -> int:
        """Count the keys that wait, the delayed ones included."""
        return len(self._due) + len(self._again)

    def overdue(self) -> list[float]:
        """How many seconds each key has been due that nobody looks at yet."""
        now = asyncio.get_running_loop().time()
        return [now - at for at in self._due.values() if at <= now]

    def add(self, key: K, delay: float = 0.0) -> None:
        """Ask for a look at ``key`` in ``delay`` seconds; the earliest request wins."""
        if key in self._working and delay <= 0:
            self._again.add(key)
            return
        at = asyncio.get_running_loop().time() + max(0.0, delay)
        if key in self._due and self._due[key] <= at:
            return
        self._due[key] = at
        self._counter += 1
        heapq.heappush(self._heap, (at, self._counter, key))
        self._changed.set()

    def retry(self, key: K, longest: timedelta | None = None) -> float:
        """Ask for a look after a failure: later each time, with jitter. Return the delay in seconds."""
        tries = self._tries.get(key, 0)
        self._tries[key] = tries + 1
        most = self._longest if longest is None else longest.total_seconds()
        backoff = min(most, self._first * 2.0 ** min(tries, 16))
        delay: float = backoff * random.uniform(0.8, 1.2)  # noqa: S311 - jitter
        self.add(key, delay)
        return delay

    def forget(self, key: K) -> None:
        """Begin the backoff anew: the last look succeeded."""
        self._tries.pop(key, None)

    async def get(self) -> K:
        """Wait for the next key that is due. Follow with `done`."""
        while True:
            key, wait = self._pop()
            if key is not None:
                self._working.add(key)
                return key
            self._changed.clear()
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue

    def _pop(self) -> tuple[K | None, float | None]:
        now = asyncio.get_running_loop().time()
        while self._heap:
            at, _, key = self._heap[0]
            if self._due.get(key) != at:
                heapq.heappop(self._heap)  # overtaken by an earlier request
            elif at - now > _TICK:
                return None, at - now
            elif key in self._working:
                heapq.heappop(self._heap)
                del self._due[key]
                self._again.add(key)
            else:
                heapq.heappop(self._heap)
                del self._due[key]
                return key, None
        return None, None

    def done(self, key: K) -> None:
        """Give a key back; it comes again if it was asked for meanwhile."""
        self._working.discard(key)
        if key in self._again:
            self._again.discard(key)
            self.add(key)
