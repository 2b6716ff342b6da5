"""What is known of all incidents, and what the sinks took of them since the statuses were written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from reconciliation_contract.core.incidents.message import Notice, identity, notice
from reconciliation_contract.core.memory.memory import Incident
from reconciliation_contract.core.spec.contract import Declared

Key = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Item:
    """An incident of a contract."""

    key: Key
    contract: Declared
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


@dataclass(frozen=True, slots=True)
class Told:
    """What a sink has of an incident."""

    count: int
    """Messages."""
    storm: str
    """The subject under which it was told of it together with others; empty where alone."""


class Ledger:
    """By contract."""

    def __init__(self) -> None:
        self._items: dict[Key, Sequence[Item]] = {}
        self.taken: dict[Key, dict[str, dict[str, Told]]] = {}
        """By contract, incident and sink: what was taken that the status does not show yet."""

    def knows(self, key: Key) -> bool:
        """Whether a contract has incidents."""
        return key in self._items

    def put(self, key: Key, items: Sequence[Item]) -> bool:
        """Know a contract's incidents as the status has them; what it shows as taken need not be remembered here.

        Return whether one that was open is gone.
        """
        ids = {item.id for item in items}
        gone = any(not item.incident.closed_at and item.id not in ids for item in self._items.get(key, ()))
        if items:
            self._items[key] = items
        else:
            self._items.pop(key, None)
        told = {item.id: item.incident.told for item in items}
        fresh = {
            name: newer
            for name, sinks in self.taken.pop(key, {}).items()
            if name in told
            and (newer := {sink: mine for sink, mine in sinks.items() if mine.count > told[name].get(sink, 0)})
        }
        if fresh:
            self.taken[key] = fresh
        return gone

    def take(self, item: Item, sink: str, told: Told) -> None:
        """Remember what a sink has of an incident now."""
        self.taken.setdefault(item.key, {}).setdefault(item.id, {})[sink] = told

    def have(self, item: Item, sink: str) -> int:
        """How many messages a sink took."""
        since = self._since(item, sink)
        return max(since.count if since else 0, item.incident.told.get(sink, 0))

    def storm(self, item: Item, sink: str) -> str:
        """The storm in which a sink was told of an incident; empty where alone, or not at all."""
        since = self._since(item, sink)
        return since.storm if since else item.incident.storms.get(sink, "")

    def _since(self, item: Item, sink: str) -> Told | None:
        return self.taken.get(item.key, {}).get(item.id, {}).get(sink)

    def __iter__(self) -> Iterator[Item]:
        """All incidents that people are to hear of, those lately over included."""
        return (item for items in self._items.values() for item in items if item.incident.count)
