"""The queue of one sink: bounded, in order, patient, and emptied by one task."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import defaultdict
from collections.abc import Callable, Collection, Sequence
from typing import Final

from reconciliation_contract.adapters.metrics import Metrics
from reconciliation_contract.adapters.notification import Sink, SinkError, Undeliverable
from reconciliation_contract.core.incident import owed
from reconciliation_contract.core.notice import STORM, Notice, gathered
from reconciliation_contract.notifier.ledger import Item, Key, Ledger

_log = logging.getLogger(__name__)

MOST: Final = 1000
"""Incidents that wait for one sink; of more the oldest are dropped, until a later pass notes them again."""
SHORTEST: Final = 1.0
LONGEST: Final = 300.0
"""Seconds between two tries of a sink that fails."""

Letter = tuple[list[Notice], list[Item]]
"""Messages to be sent one after the other, and the incidents that are told by them. Without messages those were
told of before, together with others."""


class Outlet:
    """Where one sink's messages wait."""

    def __init__(self, sink: Sink, ledger: Ledger, tell: Callable[[set[Key]], None], metrics: Metrics) -> None:
        self.sink = sink
        self._ledger = ledger
        self._tell = tell
        self._metrics = metrics
        self._waiting: dict[str, tuple[float, Item]] = {}
        self._changed = asyncio.Event()
        self._failures = 0
        self._failing_since = 0.0
        self._not_before = 0.0
        self._repeat_at = 0.0
        metrics.sense_sink(sink.name, self._failing)

    def offer(self, item: Item, delay: float) -> None:
        """Have told what the sink lacks of an incident; offered again, it keeps its place."""
        due = asyncio.get_running_loop().time() + delay
        known = self._waiting.get(item.id)
        self._waiting[item.id] = (min(due, known[0]) if known else due, item)
        if len(self._waiting) > MOST:
            del self._waiting[next(iter(self._waiting))]
            self._metrics.notified(self.sink.name, "dropped")
        self._changed.set()

    def keep(self, key: Key, names: Collection[str]) -> None:
        """Forget what waits about a contract, apart from these incidents."""
        for name in [n for n, (_, item) in self._waiting.items() if item.key == key and n not in names]:
            del self._waiting[name]

    def _failing(self) -> float:
        """For how many seconds the sink has not taken what there is to tell."""
        if not self._failures or not (self._waiting or self.sink.repeats):
            return 0.0
        return asyncio.get_running_loop().time() - self._failing_since

    async def run(self) -> None:
        """Tell for ever."""
        while True:
            batch = await self._next()
            if self.sink.gathers:
                for notices, items in self._letters(batch):
                    if not await self._send_each(notices, items):
                        break  # what is left is due again after the pause
            else:
                await self._send_all(batch)

    async def _next(self) -> list[Item]:
        """Wait until something is due, and return all of it."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            times = [due for due, _ in self._waiting.values()] + ([self._repeat_at] if self.sink.repeats else [])
            try:
                async with asyncio.timeout_at(max(self._not_before, min(times)) if times else None):
                    await self._changed.wait()
            except TimeoutError:
                now = loop.time()
                self._repeat_at = now + self.sink.repeats
                return [item for due, item in self._waiting.values() if due <= now]

    def _have(self, item: Item) -> int:
        return self._ledger.have(item, self.sink.name)

    def _lacks(self, item: Item) -> list[Notice]:
        return [item.notice(number) for number in owed(item.incident, self._have(item))]

    # Storms -----------------------------------------------------------------------------------------------------

    def _letters(self, batch: list[Item]) -> list[Letter]:
        """What to send: a message for each incident, but one for all of a storm."""
        causes, kin = {self._group(item) for item in batch}, defaultdict(list)
        for item in self._ledger:
            if item.incident.cause and self._group(item) in causes:
                kin[self._group(item)].append(item)
        letters: list[Letter] = []
        storms: defaultdict[tuple[tuple[str, str], bool], list[Item]] = defaultdict(list)
        for item in batch:
            group = self._group(item)
            if sum(other.overlaps(item) for other in kin[group]) < STORM:
                letters.append((self._lacks(item), [item]))
            else:
                storms[group, item.incident.closed_at is not None].append(item)
        return [*letters, *(self._storm(items, kin[group], over) for (group, over), items in storms.items())]

    def _group(self, item: Item) -> tuple[str, str]:
        """Root cause, and whom it concerns."""
        return item.incident.cause, item.contract.namespace if self.sink.by_namespace else ""

    def _storm(self, items: list[Item], kin: list[Item], over: bool) -> Letter:
        """One message about all that began together, and one when the last of them is over."""
        first = min(items, key=lambda item: item.incident.opened_at)
        mine, scope = {item.id for item in items}, self._group(first)[1]
        rest = [item for item in kin if item.id not in mine and item.overlaps(first)]
        open_ = [item for item in rest if not item.incident.closed_at]
        if not over:
            told = sum(self._have(item) >= first.incident.count for item in open_)
            news = [item.notice(item.incident.count if self._have(item) else 1) for item in items]
            return ([] if told >= STORM else [gathered(news, scope)]), items
        if open_:
            return [], items
        ended = [*items, *rest]
        last = gathered([item.notice(item.incident.count) for item in ended], scope)
        if any(self._have(item) for item in ended):
            return [last], items
        return [gathered([item.notice(1) for item in ended], scope), last], items

    # Sending ----------------------------------------------------------------------------------------------------

    async def _send_all(self, batch: list[Item]) -> None:
        """Send everything at once: what is lacking, and again what is open."""
        lacking = {item.id for item in batch}
        open_ = [item for item in self._ledger if not item.incident.closed_at and item.id not in lacking]
        again = [item.notice(item.incident.count) for item in open_ if self._have(item)]
        news = [notice for item in batch for notice in self._lacks(item)]
        if (news or again) and await self._send([*again, *news]):
            self._told(batch)

    async def _send_each(self, notices: list[Notice], items: list[Item]) -> bool:
        """Send messages one after the other; whether the sink goes on."""
        for notice in notices:
            if not await self._send([notice]):
                return False
        self._told(items)
        return True

    async def _send(self, notices: Sequence[Notice]) -> bool:
        """Send, and count what became of it; a message that is refused for good counts as told."""
        try:
            await self.sink.send(notices)
        except Undeliverable as error:
            self._metrics.notified(self.sink.name, "refused")
            _log.error("a sink refuses a message", extra={"sink": self.sink.name, "error": str(error)})
        except SinkError as error:
            self._failed(str(error), error.retry_after)
            return False
        except Exception as error:  # noqa: BLE001 - ours, or a library's: this sink only
            _log.exception("a sink failed; please report this", extra={"sink": self.sink.name})
            self._failed(type(error).__name__)
            return False
        else:
            self._metrics.notified(self.sink.name, "taken")
        if self._failures:
            _log.info("a sink takes messages again", extra={"sink": self.sink.name})
        self._failures = 0
        return True

    def _failed(self, problem: str, asked: float = 0.0) -> None:
        """Pause before the next try; the first failure of a row is logged, all are counted.

        ``asked`` is for how many seconds the sink asks to be left alone.
        """
        self._metrics.notified(self.sink.name, "failed")
        if not self._failures:
            self._failing_since = asyncio.get_running_loop().time()
            _log.warning("a sink does not take messages", extra={"sink": self.sink.name, "error": problem})
        longest = self.sink.repeats / 2 or LONGEST  # a sink that forgets would take what is open for over
        pause = min(longest, SHORTEST * 2 ** min(self._failures, 12))
        self._failures += 1
        jitter = random.uniform(0.5, 1)  # noqa: S311 - only so that not all ask at once
        self._not_before = asyncio.get_running_loop().time() + max(pause * jitter, min(longest, asked))

    def _told(self, items: list[Item]) -> None:
        """Remember what was taken until the status says so, and have it written."""
        for item in items:
            self._ledger.take(item, self.sink.name)
            waiting = self._waiting.get(item.id)
            if waiting is not None and waiting[1].incident.count <= item.incident.count:
                del self._waiting[item.id]  # nothing newer came meanwhile
        if items:
            self._tell({item.key for item in items})
