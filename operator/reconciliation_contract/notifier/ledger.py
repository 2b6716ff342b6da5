"""What is known of all incidents, and what the sinks took of them since the statuses were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reconciliation_contract.core.contract import Contract
from reconciliation_contract.core.incident import identity
from reconciliation_contract.core.memory import Incident
from reconciliation_contract.core.notice import Notice, notice

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """An incident of a contract."""

    key: Key
    contract: Contract
    uid: str
    """That of the Kustomization."""
    incident: Incident
    id: str = field(init=False)

    def __post_init__(self) -> None:
        """Derive its identity once; it is asked for often."""
        object.__setattr__(self, "id", identity(self.contract.uid, self.incident))

    def notice(self, number: int) -> Notice:
        """Write one of its messages."""
        return notice(self.contract, self.uid, self.incident, number)

    def overlaps(self, other: Item) -> bool:
        """Whether this one had not ended when the other began."""
        closed = self.incident.closed_at
        return closed is None or closed >= other.incident.opened_at


class Ledger:
    """By contract."""

    def __init__(self) -> None:
        self._items: dict[Key, Sequence[Item]] = {}
        self.taken: dict[Key, dict[str, dict[str, int]]] = {}
        """By contract, incident and sink: messages taken that the status does not show yet."""

    def knows(self, key: Key) -> bool:
        """Whether a contract has incidents."""
        return key in self._items

    def put(self, key: Key, items: Sequence[Item]) -> None:
        """Know a contract's incidents as the status has them; what it shows as taken need not be remembered here."""
        if items:
            self._items[key] = items
        else:
            self._items.pop(key, None)
        told = {item.id: item.incident.told for item in items}
        fresh = {
            name: newer
            for name, sinks in self.taken.pop(key, {}).items()
            if name in told and (newer := {sink: n for sink, n in sinks.items() if n > told[name].get(sink, 0)})
        }
        if fresh:
            self.taken[key] = fresh

    def take(self, item: Item, sink: str) -> None:
        """Remember that a sink has all messages of an incident."""
        self.taken.setdefault(item.key, {}).setdefault(item.id, {})[sink] = item.incident.count

    def have(self, item: Item, sink: str) -> int:
        """How many messages a sink took."""
        since = self.taken.get(item.key, {}).get(item.id, {}).get(sink, 0)
        return max(since, item.incident.told.get(sink, 0))

    def __iter__(self) -> Iterator[Item]:
        """All incidents that people are to hear of, those lately over included."""
        return (item for items in self._items.values() for item in items if item.incident.count)
