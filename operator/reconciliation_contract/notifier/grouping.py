"""Which messages tell of what is due: one for each incident, or one for all of a storm.

::

                         fewer than STORM              STORM or more, or their storm goes on
    due, nobody told ──▶ each alone                    one opening for all (latecomers: none)
    due, told alone  ──▶ each alone
    due, in a storm  ─────────────────────────────────▶ one reminder a round, one recovery when the last is over

Incidents of one root cause that overlap in time, one after the other, make a storm. A sink may have been told of the
first of them alone before it was one: they keep their own subjects to the end. So the status says of each incident in
which storm a sink was told of it, and every subject that is opened is resolved once. The ends of those that recover
early are owed until the storm is over, so that anyone who is left can end it.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Protocol

from reconciliation_contract.core.incidents.message import STORM, Notice, gathered, owed
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.notifier.ledger import Item

_LOUDNESS: Final = tuple(Severity)
_NEVER: Final = datetime.max.replace(tzinfo=UTC)

Group = tuple[str, str]
"""A root cause, and the namespace that hears of it; empty for all."""


@dataclass(frozen=True, slots=True)
class Letter:
    """A message, and the incidents that it tells of, each with how many of its messages its reader then has.

    Without a message they were told of before, together with others.
    """

    notice: Notice | None
    told: Sequence[tuple[Item, int]]
    storm: str = ""
    """The subject under which they are told of; empty where each has its own."""


class Reader(Protocol):
    """What one sink has been told so far."""

    def have(self, item: Item) -> int:
        """How many messages of an incident it took."""

    def storm(self, item: Item) -> str:
        """The storm in which it was told of an incident; empty where alone."""


def letters(
    batch: Sequence[Item], known: Iterable[Item], reader: Reader, *, gathers: bool, by_namespace: bool
) -> Iterator[Letter]:
    """What to send of the incidents in ``batch``, which are due; ``known`` are all that there are, these included."""

    def group(item: Item) -> Group:
        return item.incident.cause, item.contract.namespace if by_namespace else ""

    due: set[str] = set()
    concerned: set[Group] = set()
    for item in batch:
        if item.incident.cause and (gathers or reader.storm(item)):
            due.add(item.id)
            concerned.add(group(item))
        else:
            yield from _alone(item, reader)
    kin: defaultdict[Group, list[Item]] = defaultdict(list)
    for item in known:
        if group(item) in concerned:
            kin[group(item)].append(item)
    for (cause, scope), found in kin.items():
        yield from _of_kin(f"{cause}/{scope}", found, due, reader)


def _alone(item: Item, reader: Reader) -> Iterator[Letter]:
    """The messages of one incident that a sink lacks; with the last of them it has all that there are."""
    *first, last = owed(item.incident, reader.have(item)) or (0,)
    for number in first:
        yield Letter(item.notice(number), [(item, number)])
    yield Letter(item.notice(last) if last else None, _all([item]))


def _all(items: Iterable[Item]) -> list[tuple[Item, int]]:
    """Incidents of which everything is told."""
    return [(item, item.incident.count) for item in items]


def _but_ends(items: Iterable[Item]) -> list[tuple[Item, int]]:
    """Incidents of which everything is told, apart from the end of those that are over."""
    return [(item, item.incident.count - bool(item.incident.closed_at)) for item in items]


def _clusters(kin: list[Item]) -> Iterator[list[Item]]:
    """Part incidents where there was none for a while."""
    cluster: list[Item] = []
    end = _NEVER
    for item in sorted(kin, key=_age):
        if cluster and item.incident.opened_at > end:
            yield cluster
            cluster = []
        closed = item.incident.closed_at or _NEVER
        end = max(end, closed) if cluster else closed
        cluster.append(item)
    if cluster:
        yield cluster


def _age(item: Item) -> tuple[datetime, str]:
    return item.incident.opened_at, item.id


def _of_kin(name: str, kin: list[Item], due: set[str], reader: Reader) -> Iterator[Letter]:
    """Those of a root cause, whose name makes the storm's."""
    told = [item for item in kin if item.id in due and reader.have(item)]
    for item in told:
        if not reader.storm(item):
            yield from _alone(item, reader)
    for storm in sorted({reader.storm(item) for item in told} - {""}):
        yield from _continued(storm, [item for item in kin if reader.storm(item) == storm], due, reader)
    for cluster in _clusters(kin):
        if any(item.id in due and not reader.have(item) for item in cluster):
            yield from _begun(name, cluster, due, reader)


def _continued(storm: str, members: list[Item], due: set[str], reader: Reader) -> Iterator[Letter]:
    """A reminder, unless another of the storm brought it, or the recovery once the last of it is over.

    Until then no end of theirs counts as told: whoever is left ends the storm, also where the last that was open is
    deleted.
    """
    open_ = [item for item in members if not item.incident.closed_at]
    if not open_:
        lacking = [item for item in members if reader.have(item) < item.incident.count]
        yield Letter(_ended(storm, members), _all(lacking), storm)
        return
    reminded = [item for item in open_ if item.id in due]
    if reminded:
        first = max(reminded, key=lambda item: item.incident.count)
        heard = any(reader.have(item) >= first.incident.count for item in open_)
        reminder = _gathered(storm, first.notice(first.incident.count), open_)
        yield Letter(None if heard else reminder, _all(reminded), storm)


def _begun(name: str, cluster: list[Item], due: set[str], reader: Reader) -> Iterator[Letter]:
    """The opening of a storm, unless they are too few for one, or one goes on already.

    All that nobody was told of are in it, those that are due in a moment, too: so whoever opens it, and however often
    after a crash, names it alike.
    """
    fresh = [item for item in cluster if not reader.have(item)]
    open_ = [item for item in cluster if not item.incident.closed_at]
    going_on = next((storm for item in open_ if (storm := reader.storm(item))), "")
    if going_on:
        yield Letter(None, _but_ends(fresh), going_on)
        return
    ids = {item.id for item in fresh}
    concerned = [item for item in cluster if item.id in ids or not item.incident.closed_at]
    if len(concerned) < STORM:
        for item in fresh:
            if item.id in due:
                yield from _alone(item, reader)
        return
    storm = hashlib.sha256(f"{name}/{fresh[0].id}".encode()).hexdigest()[:16]
    yield Letter(_gathered(storm, fresh[0].notice(1), concerned), _but_ends(fresh), storm)
    if all(item.incident.closed_at for item in fresh):
        yield Letter(_ended(storm, fresh), _all(fresh), storm)


def _ended(storm: str, items: Sequence[Item]) -> Notice:
    """The last message of a storm; where one of it cannot be judged any more, nobody says that all is well."""
    last = next((item for item in items if item.incident.unclear_since), items[0])
    return _gathered(storm, last.notice(last.incident.count), items)


def _gathered(storm: str, notice: Notice, items: Sequence[Item]) -> Notice:
    """One message about many, in the words of one."""
    ends = [item.incident.closed_at for item in items if item.incident.closed_at]
    return gathered(
        notice,
        storm,
        names=sorted({f"{item.contract.namespace}/{item.contract.name}" for item in items}),
        severity=max((item.incident.severity for item in items), key=_LOUDNESS.index),
        opened_at=min(item.incident.opened_at for item in items),
        closed_at=max(ends) if notice.over else None,
    )
