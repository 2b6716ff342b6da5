"""Tells people of incidents, and tools of deliveries, in the background.

A sink that is slow, down or wrong delays nothing but itself::

    pass ── note ──▶ outlet of each sink ──▶ sink
      ▲                 │ waits a little, gathers storms, tries again
      └──── told ◀──────┘ what was taken; the next pass writes it into the status

Milestones of deliveries go the same way, by an announcer for each sink that keeps a record of them.

What is due stands in the status, so nothing here must survive: whatever is lost is noted again by the next pass. The
pass that made a message due has it sent soon; one that merely finds it so leaves whoever did the time to send it and
to say so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial

from reconciliation_contract.adapters.notification import Recorder, Sink
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.core.delivery.milestone import milestones, unannounced
from reconciliation_contract.core.facts.observation import Source
from reconciliation_contract.core.incidents.message import identity
from reconciliation_contract.core.memory.memory import Incident, Memory
from reconciliation_contract.core.spec.contract import Contract, Declared
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.notifier.delivery_queue import Announcer
from reconciliation_contract.notifier.incident_queue import Outlet
from reconciliation_contract.notifier.ledger import Item, Key, Ledger
from reconciliation_contract.notifier.retry import Attempts


class Notifier:
    """All queues."""

    def __init__(
        self, sinks: Sequence[Sink], tell: Callable[[set[Key]], None], metrics: Metrics, timing: Timing = TIMING
    ) -> None:
        self._timing = timing
        self._ledger = Ledger()
        self._outlets: list[Outlet] = []
        self._announcers: list[Announcer] = []
        self.sinks = tuple(sink.name for sink in sinks)
        for sink in sinks:
            # A sink that forgets would take what is open for over.
            attempts = Attempts(sink.name, metrics, sink.repeats / 2, timing)
            outlet = Outlet(sink, attempts, self._ledger, tell, metrics, timing=timing)
            queues: list[Outlet | Announcer] = [outlet]
            self._outlets.append(outlet)
            if isinstance(sink, Recorder):
                own = Attempts(sink.name, metrics, timing=timing)
                queues.append(announcer := Announcer(sink, own, tell, metrics))
                self._announcers.append(announcer)
            metrics.sense_sink(sink.name, partial(_failing, queues))

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

    def note(self, contract: Declared, uid: str, before: Sequence[Incident], after: Sequence[Incident]) -> None:
        """Take a contract's incidents as they stood before a pass and now stand in the status; tell what is lacking.

        ``uid`` is that of the Kustomization.
        """
        key = (contract.namespace, contract.name)
        if not self._outlets or (not after and not self._ledger.knows(key)):
            return
        items = [Item(key, contract, uid, incident) for incident in after]
        known = {identity(contract.uid, incident): incident.count for incident in before}
        self._put(key, items)
        for outlet in self._outlets:
            lacking = [item for item in items if self._ledger.have(item, outlet.sink.name) < item.incident.count]
            outlet.keep(key, {item.id for item in lacking})
            for item in lacking:
                mine = item.incident.count > known.get(item.id, 0)
                timing = self._timing
                grouped = item.incident.closed_at and outlet.storm(item)
                owed = timing.group_orphaned if grouped else timing.replica_wait
                outlet.offer(item, (timing.grouping if mine else owed).total_seconds())

    def announced(self, key: Key) -> frozenset[str]:
        """Which milestones of a contract all recorders took, as far as the status does not say so."""
        taken = [announcer.taken(key) for announcer in self._announcers]
        return frozenset.intersection(*taken) if taken else frozenset()

    def announce(
        self, contract: Contract, before: Memory, after: Memory, source: Source | None, now: datetime
    ) -> None:
        """Take what a contract's delivery had come to before a pass, and has now; announce what is lacking.

        ``source`` is where its revisions come from.
        """
        if not self._announcers or after.delivery is None:
            return
        key, known = (contract.namespace, contract.name), {each.id for each in milestones(contract, before)}
        lacking = unannounced(contract, after, source, now)
        done = {each.id for each in milestones(contract, after)} - {each.id for each in lacking}
        for announcer in self._announcers:
            announcer.know(key, {each.id for each in lacking}, done)
            for each in lacking:
                wait = self._timing.replica_wait.total_seconds()
                announcer.offer(each, wait if each.id in known else 0.0)

    def forget(self, key: Key) -> None:
        """Forget a contract that is gone: what was open of it is told no more."""
        self._put(key, [])
        for outlet in self._outlets:
            outlet.keep(key, set())
        for announcer in self._announcers:
            announcer.forget(key)

    def _put(self, key: Key, items: Sequence[Item]) -> None:
        """Know a contract's incidents; where one of a storm is gone that was open, the storm may be over."""
        if self._ledger.put(key, items):
            for outlet in self._outlets:
                outlet.wake(self._timing.group_orphaned.total_seconds())

    async def run(self) -> None:
        """Run all queues, for ever."""
        async with asyncio.TaskGroup() as group:
            for outlet in self._outlets:
                group.create_task(outlet.run(), name=f"outlet {outlet.sink.name}")
            for announcer in self._announcers:
                group.create_task(announcer.run(), name=f"announcer {announcer.sink.name}")

    async def close(self) -> None:
        """Free what the sinks hold."""
        for outlet in self._outlets:
            await outlet.sink.close()


def _failing(queues: Sequence[Outlet | Announcer]) -> float:
    """For how many seconds a sink has not taken what there is for it."""
    return max(queue.attempts.failing() if queue else 0.0 for queue in queues)
