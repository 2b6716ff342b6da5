"""The milestones of deliveries on their way to a sink that keeps a record of them: bounded, in order, patient.

They have a queue of their own with pauses of its own, so incidents never wait for them. As with incidents, nothing
here must survive: what the status does not show as taken is noted again by the next pass.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Final

from reconciliation_contract.adapters.notification import Recorder
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.core.delivery.milestone import Milestone
from reconciliation_contract.notifier.ledger import Key
from reconciliation_contract.notifier.retry import Attempts

MOST: Final = 1000
"""Milestones that wait; of more the oldest is dropped, until a later pass notes it again."""


@dataclass(frozen=True, slots=True)
class _Entry:
    due: float
    milestone: Milestone


class Announcer:
    """Where one sink's milestones wait."""

    def __init__(
        self, sink: Recorder, attempts: Attempts, tell: Callable[[set[Key]], None], metrics: Metrics
    ) -> None:
        self.sink = sink
        self.attempts = attempts
        self._tell = tell
        self._metrics = metrics
        self._waiting: dict[str, _Entry] = {}
        self._taken: dict[Key, set[str]] = {}
        self._changed = asyncio.Event()

    def taken(self, key: Key) -> frozenset[str]:
        """What was taken of a contract's milestones, as far as the status does not say so."""
        return frozenset(self._taken.get(key, ()))

    def __bool__(self) -> bool:
        """Whether there is something to announce."""
        return bool(self._waiting)

    def know(self, key: Key, lacking: Collection[str], done: Collection[str]) -> None:
        """Take what a contract's status says of its milestones: which it lacks, and which are done with."""
        mine = self._taken.pop(key, set()) & {*lacking}
        if mine:
            self._taken[key] = mine
        for name in done:
            self._waiting.pop(name, None)

    def offer(self, milestone: Milestone, delay: float) -> None:
        """Have one announced, and what its contract came to before no later; offered again, it keeps its place."""
        if milestone.id in self._taken.get(_key(milestone), ()):
            return
        due = asyncio.get_running_loop().time() + delay
        known = self._waiting.get(milestone.id)
        self._waiting[milestone.id] = _Entry(min(due, known.due) if known else due, milestone)
        for name, entry in self._waiting.items():
            if _key(entry.milestone) == _key(milestone) and entry.milestone.at < milestone.at:
                self._waiting[name] = replace(entry, due=min(due, entry.due))
        if len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
            self._metrics.notified(self.sink.name, "dropped")
        self._changed.set()

    def forget(self, key: Key) -> None:
        """Forget a contract that is gone; what it came to remains true, and is still announced."""
        self._taken.pop(key, None)

    async def run(self) -> None:
        """Announce for ever, one after the other."""
        while True:
            milestone = await self._next()
            if await self.attempts.make(self.sink.announce(milestone)):
                key = _key(milestone)
                self._waiting.pop(milestone.id, None)
                self._taken.setdefault(key, set()).add(milestone.id)
                self._tell({key})

    async def _next(self) -> Milestone:
        """Wait until one is due."""
        while True:
            self._changed.clear()
            first = min(self._waiting.values(), key=lambda entry: entry.due, default=None)
            if first is None:
                await self._changed.wait()
                continue
            try:
                async with asyncio.timeout_at(max(first.due, self.attempts.not_before)):
                    await self._changed.wait()
            except TimeoutError:
                if first.milestone.id in self._waiting:
                    return first.milestone


def _key(milestone: Milestone) -> Key:
    return milestone.namespace, milestone.contract
