"""The life of an incident: one opening, spaced reminders, one recovery.

::

    trouble ──▶ waiting (alerts.after) ──▶ told ──▶ reminded ... ──▶ well again, held ──▶ over ──▶ forgotten
                   │ gone: never told                   ▲                   │ relapse
                   ▼                                    └───────────────────┘

``count`` says how many messages are due; it is written to the status before any of them is sent. What each sink took
is written afterwards, and compared with it from then on. So a crash repeats at most the message that was under way,
which carries the same identity again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final

from reconciliation_contract.core.contract import Contract, Severity
from reconciliation_contract.core.memory import INCIDENTS, Incident, Memory
from reconciliation_contract.core.observation import Observation
from reconciliation_contract.core.trouble import Trouble, patience_ends, troubles

HOLD: Final = timedelta(minutes=1)
"""How long all must be well before it counts as over; doubled with every relapse."""
LONGEST_HOLD: Final = timedelta(hours=1)
REMEMBERED: Final = timedelta(hours=1)
"""An incident that comes back so soon after its end is a relapse."""
KEPT: Final = timedelta(days=1)
"""How long a sink that does not answer is waited for after the end."""
_SKEW: Final = timedelta(minutes=1)
"""A time of ours further ahead than this tells of a clock that was set back."""
_RANK: Final = tuple(Severity)


def follow(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> tuple[Incident, ...]:
    """Take every incident one step further; the same again where nothing changed."""
    if contract.alerts.suspended:
        return ()
    known = tuple(_timed(_acknowledged(contract, incident, seen), now) for incident in memory.incidents)
    if not seen.fresh or contract.suspended or contract.deleting:
        return known
    found = {trouble.key: trouble for trouble in troubles(contract, memory, seen, now)}
    kept = [gone for i in known if i.closed_at for gone in _remembered(i, i.key in found, seen.sinks, now)]
    open_ = {incident.key: incident for incident in known if not incident.closed_at}
    for key, incident in open_.items():
        trouble = found.get(key)
        kept.extend(_go_on(contract, incident, trouble, now) if trouble else _recover(incident, now))
    kept.extend(_begin(contract, found[key], known, now) for key in found if key not in open_)
    # Of too many, what is over goes first.
    return tuple(sorted(kept, key=lambda incident: (not incident.closed_at, incident.opened_at))[-INCIDENTS:])


def rechecks(contract: Contract, memory: Memory) -> Iterator[datetime]:
    """When time alone changes an incident."""
    alerts, due = contract.alerts, patience_ends(memory)
    if due is not None:
        yield due
    for incident in memory.incidents:
        if incident.closed_at:
            yield incident.closed_at + REMEMBERED
        elif incident.well_since:
            yield incident.well_since + hold(incident)
        elif not incident.count:
            yield incident.opened_at + alerts.after
        elif alerts.remind_every and incident.told_at:
            yield incident.told_at + alerts.remind_every


def hold(incident: Incident) -> timedelta:
    """How long it must be well before it is over."""
    return min(LONGEST_HOLD, HOLD * (1 << min(incident.relapses, 10)))


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


# Steps -----------------------------------------------------------------------------------------------------------


def _acknowledged(contract: Contract, incident: Incident, seen: Observation) -> Incident:
    """Note what the sinks have taken since."""
    taken: Mapping[str, int] = seen.told.get(identity(contract.uid, incident), {})
    told = {**incident.told, **{sink: n for sink, n in taken.items() if n > incident.told.get(sink, 0)}}
    return replace(incident, told=told) if told != incident.told else incident


def _timed(incident: Incident, now: datetime) -> Incident:
    """Bring times from the future back to now: a clock that was set back must not silence anything."""
    told, well = incident.told_at, incident.well_since
    if told is not None and told > now + _SKEW:
        incident = replace(incident, told_at=now)
    if well is not None and well > now + _SKEW:
        incident = replace(incident, well_since=now)
    if not incident.count and incident.opened_at > now + _SKEW:
        incident = replace(incident, opened_at=now)
    return incident


def _remembered(incident: Incident, back: bool, sinks: tuple[str, ...], now: datetime) -> Iterator[Incident]:
    """Keep what is over while a sink lacks its end, or while its coming back would be a relapse."""
    age = now - (incident.closed_at or now)
    if (untold(incident, sinks) and age < KEPT) or (not back and age < REMEMBERED):
        yield incident


def _begin(contract: Contract, trouble: Trouble, known: tuple[Incident, ...], now: datetime) -> Incident:
    lately = [
        i.relapses + 1 for i in known if i.key == trouble.key and i.closed_at and now - i.closed_at < REMEMBERED
    ]
    incident = Incident(
        key=trouble.key,
        promise=trouble.promise,
        reason=trouble.reason,
        severity=_severity(contract, trouble),
        opened_at=now,
        message=trouble.message,
        revision=trouble.revision,
        cause=trouble.cause,
        relapses=max(lately, default=0),
    )
    return incident if contract.alerts.after else _tell(contract, incident, trouble, now)


def _go_on(contract: Contract, incident: Incident, trouble: Trouble, now: datetime) -> Iterator[Incident]:
    alerts = contract.alerts
    if incident.well_since:
        incident = replace(incident, well_since=None, relapses=incident.relapses + 1)
    reminded = incident.told_at or incident.opened_at
    louder = _RANK.index(_severity(contract, trouble)) > _RANK.index(incident.severity)
    if incident.count:
        due = louder or (bool(alerts.remind_every) and now >= reminded + alerts.remind_every)
    else:
        due = now >= incident.opened_at + alerts.after
    yield _tell(contract, incident, trouble, now) if due else incident


def _tell(contract: Contract, incident: Incident, trouble: Trouble, now: datetime) -> Incident:
    """Have another message told, about how things stand now."""
    return replace(
        incident,
        promise=trouble.promise,
        reason=trouble.reason,
        severity=max(incident.severity, _severity(contract, trouble), key=_RANK.index),
        message=trouble.message,
        revision=trouble.revision,
        cause=incident.cause if incident.count else trouble.cause,
        count=incident.count + 1,
        told_at=now,
    )


def _recover(incident: Incident, now: datetime) -> Iterator[Incident]:
    if not incident.count:
        return  # it did not last long enough to be worth a word
    since = incident.well_since or now
    if now - since < hold(incident):
        yield replace(incident, well_since=since)
    else:
        closed = max(since, incident.opened_at)
        yield replace(incident, well_since=None, closed_at=closed, count=incident.count + 1, told_at=now)


def _severity(contract: Contract, trouble: Trouble) -> Severity:
    return Severity.CRITICAL if trouble.critical else contract.alerts.severity
