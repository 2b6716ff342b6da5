"""The queue of one sink: bounded, in order, patient, and emptied by one task."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Collection, Sequence
from typing import Final

from reconciliation_contract.adapters.notification import Sink
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.core.incidents.message import Notice
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.notifier.grouping import letters
from reconciliation_contract.notifier.ledger import Item, Key, Ledger, Told
from reconciliation_contract.notifier.pending import Waiting
from reconciliation_contract.notifier.retry import Attempts

MOST: Final = 1000
"""Causes and single incidents that wait for one sink; of more the oldest is dropped, until a later pass notes it
again."""
TOGETHER: Final = 250
"""Messages in one request to a sink that wants everything; writing them must not hold up the passes."""


class Outlet:
    """Where one sink's messages wait."""

    def __init__(
        self,
        sink: Sink,
        attempts: Attempts,
        ledger: Ledger,
        tell: Callable[[set[Key]], None],
        metrics: Metrics,
        *,
        timing: Timing = TIMING,
    ) -> None:
        self._settling = timing.settling.total_seconds()
        self.sink = sink
        self.attempts = attempts
        self._ledger = ledger
        self._tell = tell
        self._metrics = metrics
        self._waiting = Waiting(MOST)
        self._settled_at = 0.0
        self._wakes_at = math.inf
        self._changed = asyncio.Event()
        self._repeat_at = 0.0 if sink.repeats else math.inf
        """When what is open is to be told again."""

    def offer(self, item: Item, delay: float) -> None:
        """Have told what the sink lacks of an incident; offered again, it keeps its place."""
        due = asyncio.get_running_loop().time() + delay
        for _ in range(self._waiting.put(item, due)):
            self._metrics.notified(self.sink.name, "dropped")
        if due < self._wakes_at:
            self._changed.set()

    def wake(self, delay: float) -> None:
        """Look again at what waits for others of its storm, after so many seconds."""
        self._waiting.wake(asyncio.get_running_loop().time() + delay)
        self._changed.set()

    def keep(self, key: Key, names: Collection[str]) -> None:
        """Forget what waits about a contract, apart from these incidents."""
        self._waiting.keep(key, names)

    def __bool__(self) -> bool:
        """Whether there is something to tell."""
        return bool(self._waiting) or (bool(self.sink.repeats) and any(map(self._lasts, self._ledger)))

    async def run(self) -> None:
        """Tell for ever."""
        self._settled_at = asyncio.get_running_loop().time() + self._settling
        while True:
            batch = await self._next()
            if self.sink.repeats:
                await self._send_all(batch)
            else:
                await self._send_letters(batch)

    async def _next(self) -> list[Item]:
        """Wait until something is due, and return all of it."""
        loop = asyncio.get_running_loop()
        while True:
            self._changed.clear()
            self._wakes_at = max(
                self._settled_at, self.attempts.not_before, min(self._waiting.next(), self._repeat_at)
            )
            try:
                async with asyncio.timeout_at(None if math.isinf(self._wakes_at) else self._wakes_at):
                    await self._changed.wait()
            except TimeoutError:
                now = loop.time()
                self._repeat_at = now + (self.sink.repeats or math.inf)
                return self._waiting.due(now)

    # What the sink has been told ---------------------------------------------------------------------------------

    def have(self, item: Item) -> int:
        """How many messages of an incident it took."""
        return self._ledger.have(item, self.sink.name)

    def storm(self, item: Item) -> str:
        """The storm in which it was told of an incident; empty where alone."""
        return self._ledger.storm(item, self.sink.name)

    def _lasts(self, item: Item) -> bool:
        """Whether it was told of an incident that is open."""
        return not item.incident.closed_at and self.have(item) > 0

    # Sending ----------------------------------------------------------------------------------------------------

    async def _send_letters(self, batch: list[Item]) -> None:
        """Send one message for each incident, or one for a storm; what is left is due again after a pause.

        What there is nothing to say of, since others of its storm are open, waits until one of them is over or gone.
        """
        sink = self.sink
        written = list(letters(batch, self._ledger, self, gathers=sink.gathers, by_namespace=sink.by_namespace))
        told = {item.id for letter in written for item, _ in letter.told}
        for item in batch:
            if item.id not in told:
                self._waiting.park(item)
        for letter in written:
            if letter.notice is not None and not await self._send([letter.notice]):
                return
            self._told(letter.told, letter.storm)

    async def _send_all(self, batch: list[Item]) -> None:
        """Send the newest of everything: of what is due, and again of what is open."""
        due = {item.id for item in batch}
        again = [item for item in self._ledger if item.id not in due and self._lasts(item)]
        items = [*batch, *again]
        for start in range(0, len(items), TOGETHER):
            part = items[start : start + TOGETHER]
            if not await self._send([item.notice(item.incident.count) for item in part]):
                return
            self._told([(item, item.incident.count) for item in part if item.id in due])

    async def _send(self, notices: Sequence[Notice]) -> bool:
        """Send once; False where it is to be tried again, after a pause."""
        taken = await self.attempts.make(self.sink.send(notices))
        if not taken and self.sink.repeats:
            self._repeat_at = self.attempts.not_before
        return taken

    def _told(self, told: Sequence[tuple[Item, int]], storm: str = "") -> None:
        """Remember how much was taken until the status says so, and have it written."""
        for item, count in told:
            self._ledger.take(item, self.sink.name, Told(count, storm))
            self._waiting.told(item, count)
        if told:
            self._tell({item.key for item, _ in told})
