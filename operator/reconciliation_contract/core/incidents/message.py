"""What people read: one message about an incident, or about the many that a root cause made at once.

Everything is made from what the status says, so a message that is sent again after a crash is the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Final

from reconciliation_contract.core.incidents.sentences import LONGEST, sentences
from reconciliation_contract.core.memory.memory import Incident
from reconciliation_contract.core.spec.contract import Declared, Severity
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.text import bounded, cleaned

STORM: Final = 4
"""Contracts with the same root cause from which on they are told of in one message."""
WELL: Final = "All is well again"
_LONGEST: Final = 1000
_NAMED: Final = 5
"""Contracts that a message about many names."""


class Kind(StrEnum):
    """What a message says of its incident."""

    OPENED = "Opened"
    REMINDED = "Reminded"
    RECOVERED = "Recovered"
    ENDED = "Ended"
    """Nothing tells any more whether it is well."""


@dataclass(frozen=True, slots=True)
class Notice:
    """One message."""

    id: str
    """The same for the same message, whoever sends it and however often."""
    subject: str
    """What its opening, reminders and recovery have in common."""
    kind: Kind
    namespace: str
    contract: str
    kustomization: str
    kustomization_uid: str
    key: str
    promise: str
    reason: str
    severity: Severity
    title: str
    """One line."""
    text: str
    stand: str
    """The same, with what has changed since it was told."""
    revision: str
    cause: str
    opened_at: datetime
    at: datetime
    """When it became due."""
    closed_at: datetime | None = None
    concerned: int = 1
    """Contracts that it is about."""
    of_storm: bool = False
    """Whether it is about a storm, of which the contract that it names is but one."""

    def __post_init__(self) -> None:
        """Take its words through the filter, however they were made."""
        for name in ("title", "text", "stand", "promise", "reason", "cause", "revision", "key"):
            object.__setattr__(self, name, cleaned(getattr(self, name), _LONGEST))

    @property
    def over(self) -> bool:
        """Whether it is the last one about its incident."""
        return self.kind in (Kind.RECOVERED, Kind.ENDED)


def identity(uid: str, incident: Incident) -> str:
    """Name an incident of the contract with this uid: the same for every replica and after every restart."""
    opened = incident.opened_at.astimezone(UTC).isoformat(timespec="milliseconds")
    return hashlib.sha256(f"{uid}/{incident.key}/{opened}".encode()).hexdigest()[:16]


def untold(incident: Incident, sinks: tuple[str, ...]) -> tuple[str, ...]:
    """The sinks that lack a message of it."""
    return tuple(sink for sink in sinks if incident.told.get(sink, 0) < incident.count)


def owed(incident: Incident, have: int) -> tuple[int, ...]:
    """Numbers of the messages that a sink lacks which took ``have``: the newest, and the opening before a recovery.

    Reminders that were missed are not made up for.
    """
    if incident.count <= have:
        return ()
    first = (1,) if not have and incident.count > 1 and incident.closed_at else ()
    return (*first, incident.count if have or incident.closed_at else 1)


def notice(contract: Declared, uid: str, incident: Incident, number: int) -> Notice:
    """Write message ``number`` about an incident; ``uid`` is that of the Kustomization."""
    name, kind = identity(contract.uid, incident), _kind(incident, number)
    where, lasted = f"{contract.namespace}/{contract.name}", _lasted(incident, kind)
    word = _word(incident)
    title = {
        Kind.OPENED: f"{where}: {incident.promise} {word} ({incident.reason})",
        Kind.REMINDED: f"{where}: {incident.promise} still {word} after {lasted}",
        Kind.RECOVERED: f"{where}: {incident.promise} recovered after {lasted}",
        Kind.ENDED: f"{where}: {incident.promise} cannot be judged any more after {lasted}",
    }[kind]
    over = kind in (Kind.RECOVERED, Kind.ENDED)
    text = ending(incident) if over else incident.message
    return Notice(
        id=f"{name}-{number}",
        subject=name,
        kind=kind,
        namespace=contract.namespace,
        contract=contract.name,
        kustomization=contract.kustomization,
        kustomization_uid=uid,
        key=incident.key,
        promise=incident.promise,
        reason=incident.reason,
        severity=incident.severity,
        title=title,
        text=text,
        stand=sentences(text, f"Now: {incident.next_step}") if incident.next_step else text,
        revision=incident.revision,
        cause=incident.cause,
        opened_at=incident.opened_at,
        at=incident.told_at or incident.opened_at,
        closed_at=incident.closed_at if over else None,
    )


def ending(incident: Incident) -> str:
    """Say how an incident that is over ended, and how long it lasted."""
    lasted = spoken(max(timedelta(0), (incident.closed_at or incident.opened_at) - incident.opened_at))
    was = f"{incident.promise} was {_word(incident)} ({incident.reason})"
    if incident.unclear_since:
        return sentences(f"Given up: {was} for {lasted}, and nothing has told since whether it still is")
    return sentences(f"It is well again: {was} for {lasted}", incident.outcome)


def _word(incident: Incident) -> str:
    return "failing" if incident.failing else "broken"


def gathered(
    first: Notice,
    storm: str,
    *,
    names: Sequence[str],
    severity: Severity,
    opened_at: datetime,
    closed_at: datetime | None,
) -> Notice:
    """Write one message about many incidents of the same root cause, in the words of one of them.

    ``storm`` is the subject of all messages about them, ``names`` are those of the contracts.
    """
    shown = ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")
    many, lasted = f"{len(names)} contracts", spoken(max(timedelta(0), (closed_at or first.at) - opened_at))
    title = {
        Kind.OPENED: f"{first.cause}: {many} broken",
        Kind.REMINDED: f"{first.cause}: {many} still broken after {lasted}",
        Kind.RECOVERED: f"{first.cause}: {many} recovered after {lasted}",
        Kind.ENDED: f"{first.cause}: {many} cannot be judged any more after {lasted}",
    }[first.kind]
    text = bounded(f"{many}: {shown}. {WELL if first.kind is Kind.RECOVERED else first.text}", LONGEST)
    return replace(
        first,
        id=f"{storm}-{'end' if closed_at else first.id.rpartition('-')[2]}",
        subject=storm,
        severity=severity,
        title=title,
        text=text,
        stand=text,
        opened_at=opened_at,
        closed_at=closed_at,
        concerned=len(names),
        of_storm=True,
    )


def _kind(incident: Incident, number: int) -> Kind:
    if number <= 1:
        return Kind.OPENED
    if incident.closed_at and number >= incident.count:
        return Kind.ENDED if incident.unclear_since else Kind.RECOVERED
    return Kind.REMINDED


def _lasted(incident: Incident, kind: Kind) -> str:
    end = incident.closed_at if kind in (Kind.RECOVERED, Kind.ENDED) else incident.told_at
    return spoken(max(timedelta(0), (end or incident.opened_at) - incident.opened_at))
