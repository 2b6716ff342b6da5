"""Tells people of incidents, in the background: a sink that is slow, down or wrong delays nothing but itself.

::

    pass ── note ──▶ outlet of each sink ──▶ sink
      ▲                 │ waits a little, gathers storms, tries again
      └──── told ◀──────┘ what was taken; the next pass writes it into the status

What is due stands in the status, so nothing here must survive: whatever is lost is noted again by the next pass. The
pass that made a message due has it sent soon; one that merely finds it so leaves whoever did the time to send it and
to say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from reconciliation_contract.adapters.metrics import Metrics
from reconciliation_contract.adapters.notification import Sink
from reconciliation_contract.core.contract import Contract
from reconciliation_contract.core.memory import Incident
from reconciliation_contract.core.notice import identity
from reconciliation_contract.notifier.ledger import Item, Key, Ledger
from reconciliation_contract.notifier.outlet import Outlet

GATHER: Final = 5.0
"""Seconds in which messages of the same root cause are gathered."""
ANOTHERS: Final = 20.0
"""Seconds in which another replica, or this one before a crash, may still say that it has sent a message."""


class Notifier:
    """All outlets."""

    def __init__(self, sinks: Sequence[Sink], tell: Callable[[set[Key]], None], metrics: Metrics) -> None:
        self._ledger = Ledger()
        self._outlets = [Outlet(sink, self._ledger, tell, metrics) for sink in sinks]
        self.sinks = tuple(sink.name for sink in sinks)

    def told(self, key: Key) -> Mapping[str, Mapping[str, int]]:
        """What sinks took of a contract's incidents, as far as the status does not say so."""
        taken = self._ledger.taken.get(key, {})
        return {name: {sink: told.count for sink, told in sinks.items()} for name, sinks in taken.items()}

    def storms(self, key: Key) -> Mapping[str, Mapping[str, str]]:
        """In which storms sinks were told of them, likewise."""
        taken = self._ledger.taken.get(key, {})
        return {
            name: {sink: told.storm for sink, told in sinks.items() if told.storm} for name, sinks in taken.items()
        }

    def note(self, contract: Contract, uid: str, before: Sequence[Incident], after: Sequence[Incident]) -> None:
        """Take a contract's incidents as they stood before a pass and now stand in the status; tell what is lacking.

        ``uid`` is that of the Kustomization.
        """
        key = (contract.namespace, contract.name)
        if not self._outlets or (not after and not self._ledger.knows(key)):
            return
        items = [Item(key, contract, uid, incident) for incident in after]
        known = {identity(contract.uid, incident): incident.count for incident in before}
        self._ledger.put(key, items)
        for outlet in self._outlets:
            lacking = [item for item in items if self._ledger.have(item, outlet.sink.name) < item.incident.count]
            outlet.keep(key, {item.id for item in lacking})
            for item in lacking:
                mine = item.incident.count > known.get(item.id, 0)
                outlet.offer(item, GATHER if mine else ANOTHERS)

    def forget(self, key: Key) -> None:
        """Forget a contract that is gone: what was open of it is told no more."""
        self._ledger.put(key, [])
        for outlet in self._outlets:
            outlet.keep(key, set())

    async def run(self) -> None:
        """Run all outlets, for ever."""
        async with asyncio.TaskGroup() as group:
            for outlet in self._outlets:
                group.create_task(outlet.run(), name=f"outlet {outlet.sink.name}")

    async def close(self) -> None:
        """Free what the sinks hold."""
        for outlet in self._outlets:
            await outlet.sink.close()
