"""How all contracts stand for the brake, read from their statuses, so that a restart forgets nothing."""

from __future__ import annotations

from collections import Counter
from datetime import datetime

from reconciliation_contract.api.status.fleet import pulse
from reconciliation_contract.core.rollback.fleet_brake import Fleet, Pulse, brake
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.observers.store import Key, Store


class Pulses:
    """Keeps the few facts of each contract that the brake asks for. It belongs to one event loop."""

    def __init__(self, store: Store, least: int, timing: Timing = TIMING) -> None:
        self._store = store
        self._window = timing.brake_window
        self._least = least
        self._filled = False
        self._pulses: dict[Key, Pulse] = {}
        self._sources: Counter[str] = Counter()
        self._failing: dict[Key, Pulse] = {}
        self._begun: dict[Key, Pulse] = {}

    def note(self, key: Key) -> None:
        """Take a contract as the store has it now; one that is gone is forgotten."""
        self._drop(key)
        found = self._read(key)
        if found is None:
            return
        self._pulses[key] = found
        self._sources[found.source] += 1
        if found.failing_since:
            self._failing[key] = found
        if found.begun:
            self._begun[key] = found

    def brake(self, key: Key, now: datetime) -> str:
        """Why no rollback of this contract may begin now; empty if it may."""
        if not self._filled:  # before the first pass of each, what it was when the operator ended counts
            self._filled = True
            for known in self._store.contracts:
                self.note(known)
        mine = self._pulses.get(key)
        if mine is None:
            return ""
        failing, begun = self._failing.values(), self._begun.values()
        fleet = Fleet(len(self._pulses), len(self._sources), failing, begun, self._window)
        return brake(mine, fleet, self._least, now)

    def _drop(self, key: Key) -> None:
        known = self._pulses.pop(key, None)
        self._failing.pop(key, None)
        self._begun.pop(key, None)
        if known is None:
            return
        self._sources[known.source] -= 1
        if not self._sources[known.source]:
            del self._sources[known.source]

    def _read(self, key: Key) -> Pulse | None:
        record = self._store.contracts.get(key)
        if record is None or not isinstance(record.contract, Contract):
            return None
        kustomization = self._store.kustomizations.get((record.contract.namespace, record.contract.kustomization))
        if kustomization is None:
            return None
        ref = kustomization.source  # a pinned copy has the URL of its original
        source = self._store.source(ref)
        return pulse(record.contract, record.status, kustomization, source.url if source else "")
