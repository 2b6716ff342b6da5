"""What waits for one sink: bounded by the messages that it makes, and forgotten with its contract."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from reconciliation_contract.notifier.ledger import Item, Key


@dataclass(frozen=True, slots=True)
class _Entry:
    due: float
    item: Item

    @property
    def cause(self) -> str:
        """What it shares a message with; an incident without a cause stands alone."""
        return self.item.incident.cause or self.item.id


class Waiting:
    """Incidents of which a sink lacks messages."""

    def __init__(self, most: int) -> None:
        """``most`` is the number of causes, and of single incidents, that may wait."""
        self._most = most
        self._of: dict[Key, dict[str, _Entry]] = {}
        self._causes: dict[str, dict[str, Key]] = {}

    def __bool__(self) -> bool:
        """Whether something is due sooner or later."""
        return math.isfinite(self.next())

    def __iter__(self) -> Iterator[_Entry]:
        return (entry for mine in self._of.values() for entry in mine.values())

    def put(self, item: Item, due: float) -> int:
        """Have an incident wait; put again, it keeps its place. Return how many older ones had to go for it."""
        known = self._of.get(item.key, {}).get(item.id)
        if known is not None:
            self._remove(known)
        entry = _Entry(min(due, known.due) if known else due, item)
        self._of.setdefault(item.key, {})[item.id] = entry
        self._causes.setdefault(entry.cause, {})[item.id] = item.key
        if len(self._causes) <= self._most:
            return 0
        oldest = [self._of[key][id_] for id_, key in next(iter(self._causes.values())).items()]
        for gone in oldest:
            self._remove(gone)
        return len(oldest)

    def keep(self, key: Key, names: Collection[str]) -> None:
        """Forget what waits about a contract, apart from these incidents."""
        for entry in [entry for id_, entry in self._of.get(key, {}).items() if id_ not in names]:
            self._remove(entry)

    def told(self, item: Item, count: int) -> None:
        """Forget an incident of which so many messages are told, unless there is more to tell of it."""
        entry = self._of.get(item.key, {}).get(item.id)
        if entry is not None and entry.item.incident.count <= count:
            self._remove(entry)

    def park(self, item: Item) -> None:
        """Have an incident wait until it is put again or all are woken, unless there is something newer to tell."""
        entry = self._of.get(item.key, {}).get(item.id)
        if entry is not None and entry.item.incident.count <= item.incident.count:
            self._of[item.key][item.id] = replace(entry, due=math.inf)

    def wake(self, due: float) -> None:
        """Have all that is parked due."""
        for mine in self._of.values():
            for id_, entry in mine.items():
                mine[id_] = replace(entry, due=due) if math.isinf(entry.due) else entry

    def due(self, now: float) -> list[Item]:
        """What is to be told now."""
        return [entry.item for entry in self if entry.due <= now]

    def next(self) -> float:
        """When the first of all is due; never, where nothing waits but what is parked."""
        return min((entry.due for entry in self), default=math.inf)

    def _remove(self, entry: _Entry) -> None:
        mine, kin = self._of[entry.item.key], self._causes[entry.cause]
        del mine[entry.item.id], kin[entry.item.id]
        if not mine:
            del self._of[entry.item.key]
        if not kin:
            del self._causes[entry.cause]
