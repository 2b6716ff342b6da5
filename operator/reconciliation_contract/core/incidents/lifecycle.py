"""The life of an incident: one opening, spaced reminders, one recovery.

::

    trouble ──▶ waiting (alerts.after) ──▶ told ──▶ reminded ... ──▶ well again, held ──▶ over ──▶ forgotten
                   │ gone: never told        │          ▲                │ relapse
                   ▼                         ▼          └────────────────┘
                                          unclear ──▶ given up

Neither trouble nor its end is guessed: what cannot be seen is *unclear*, and people hear nothing of it. A break that
is over when it is measured begins well again.

``count`` says how many messages are due; it is written to the status before any of them is sent. What each sink took
is written afterwards, and compared with it from then on. So a crash repeats at most the message that was under way,
which carries the same identity again.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.core.facts.attention import Attention
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.incidents.detection import (
    SPEC,
    Trouble,
    is_spoken_of,
    known,
    patience_ends,
    senseless,
    troubles,
)
from reconciliation_contract.core.incidents.message import identity, untold
from reconciliation_contract.core.incidents.recovery import BINDING, is_well, outcome
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import INCIDENTS, Incident, Memory
from reconciliation_contract.core.spec.contract import AlertTerms, Declared, InvalidContract, Severity
from reconciliation_contract.core.values.timing import Timing

_RANK: Final = tuple(Severity)


def follow(contract: Declared, memory: Memory, seen: Observation, looks: Attention, now: datetime) -> Memory:
    """Take every incident one step further; the same again where nothing changed."""
    heard = (_timed(_acknowledged(contract, incident, seen), contract.timing, now) for incident in memory.incidents)
    before = tuple(incident for incident in heard if not _terms(contract, incident.key).suspended)
    memory = replace(memory, incidents=before)
    if contract.deleting:
        return memory
    blind = looks is not Attention.FULL
    found = {trouble.key: trouble for trouble in _found(contract, memory, seen, now, blind=blind)}
    kept = [
        after
        for incident in before
        for after in (
            (incident,)
            if blind and incident.key != SPEC
            else _step(contract, memory, incident, found.get(incident.key), seen=seen, now=now)
        )
    ]
    open_ = {incident.key for incident in kept if not incident.closed_at}
    fresh = [
        begun
        for key, trouble in found.items()
        if key not in open_ and (begun := _begin(contract, trouble, before, now)) is not None
    ]
    memory = replace(memory, incidents=_fitted(kept, fresh, seen.notifications.sinks))
    return memory if blind else _reported(contract, memory, found)


def _found(contract: Declared, memory: Memory, seen: Observation, now: datetime, *, blind: bool) -> Iterator[Trouble]:
    """Everything that is wrong, as far as anybody looks; whether the contract makes sense its text alone tells."""
    if isinstance(contract, InvalidContract):
        yield senseless(contract)
    elif not blind:
        yield from troubles(contract, memory, seen, now)


def _step(
    contract: Declared,
    memory: Memory,
    incident: Incident,
    trouble: Trouble | None,
    *,
    seen: Observation,
    now: datetime,
) -> Iterator[Incident]:
    """One that is known; nothing where it is forgotten."""
    if incident.closed_at:
        yield from _remembered(contract, incident, trouble is not None, seen.notifications.sinks, now)
    elif trouble is not None and trouble.lasted is None:
        yield _go_on(contract, incident, trouble, now)
    elif incident.well_since or trouble is not None or is_well(incident.key, memory, seen):
        yield from _recover(contract, incident, memory, now)
    else:
        yield from _wait(contract, incident, now)


def rechecks(
    contract: Declared, memory: Memory, seen: Observation, looks: Attention, now: datetime
) -> Iterator[datetime]:
    """When time alone changes an incident; while nobody looks, only one about the contract's own text can change."""
    due = patience_ends(contract, memory)
    if due is not None and due > now:
        yield due
    for incident in memory.incidents if not contract.deleting else ():
        at = _recheck(contract, incident, seen.notifications.sinks)
        if at is not None and (looks is Attention.FULL or incident.key == SPEC):
            yield at


def _recheck(contract: Declared, incident: Incident, sinks: tuple[str, ...]) -> datetime | None:
    terms, timing = _terms(contract, incident.key), contract.timing
    if incident.closed_at:
        return incident.closed_at + (timing.sink_patience if untold(incident, sinks) else timing.relapse_window)
    if incident.well_since:
        return incident.well_since + hold(incident, timing)
    if incident.unclear_since:
        return incident.unclear_since + timing.unclear_patience
    if not incident.count:
        return incident.opened_at + terms.after
    return incident.told_at + terms.remind_every if terms.remind_every and incident.told_at else None


def hold(incident: Incident, timing: Timing) -> timedelta:
    """How long it must be well before it is over."""
    return min(timing.recovery_hold_longest, timing.recovery_hold * (1 << min(incident.relapses, 10)))


# Steps -----------------------------------------------------------------------------------------------------------


def _acknowledged(contract: Declared, incident: Incident, seen: Observation) -> Incident:
    """Note what the sinks have taken since."""
    name = identity(contract.uid, incident)
    taken: Mapping[str, int] = seen.notifications.told.get(name, {})
    told = {**incident.told, **{sink: n for sink, n in taken.items() if n > incident.told.get(sink, 0)}}
    if told == incident.told:
        return incident
    return replace(incident, told=told, storms={**incident.storms, **seen.notifications.storms.get(name, {})})


def _timed(incident: Incident, timing: Timing, now: datetime) -> Incident:
    """Bring times from the future back to now: a clock that was set back must not silence anything."""

    def timed(at: datetime | None) -> datetime | None:
        return now if at is not None and at > now + timing.clock_set_back else at

    return replace(
        incident,
        opened_at=incident.opened_at if incident.count else timed(incident.opened_at) or now,
        told_at=timed(incident.told_at),
        well_since=timed(incident.well_since),
        unclear_since=timed(incident.unclear_since),
        closed_at=timed(incident.closed_at),
    )


def _remembered(
    contract: Declared, incident: Incident, back: bool, sinks: tuple[str, ...], now: datetime
) -> Iterator[Incident]:
    """Keep what is over while a sink lacks its end, or while its coming back would be a relapse."""
    age, timing = now - (incident.closed_at or now), contract.timing
    if (untold(incident, sinks) and age < timing.sink_patience) or (not back and age < timing.relapse_window):
        yield incident


def _begin(contract: Declared, trouble: Trouble, before: tuple[Incident, ...], now: datetime) -> Incident | None:
    """Open one, told or waiting; None for what is over and was too short to be told."""
    terms = _terms(contract, trouble.key)
    over = trouble.lasted is not None
    if terms.suspended or (trouble.lasted is not None and trouble.lasted < terms.after):
        return None
    same = (each for each in before if each.key == trouble.key and each.closed_at)
    lately = [i.relapses + 1 for i in same if now - (i.closed_at or now) < contract.timing.relapse_window]
    incident = Incident(
        key=trouble.key,
        promise=trouble.promise,
        reason=trouble.reason,
        severity=_severity(terms, trouble),
        opened_at=now - (trouble.lasted or timedelta(0)),
        message=trouble.message,
        revision=trouble.revision,
        cause=trouble.cause,
        failing=trouble.failing,
        relapses=0 if over else max(lately, default=0),
        well_since=now if over else None,
    )
    return incident if terms.after and not over else _tell(incident, trouble, terms, now)


def _go_on(contract: Declared, incident: Incident, trouble: Trouble, now: datetime) -> Incident:
    terms = _terms(contract, incident.key)
    if incident.well_since:
        incident = replace(incident, well_since=None, relapses=incident.relapses + 1)
    incident = replace(incident, unclear_since=None)
    reminded = incident.told_at or incident.opened_at
    louder = _RANK.index(_severity(terms, trouble)) > _RANK.index(incident.severity)
    asks = trouble.plea not in ("", incident.plea)
    if incident.count:
        due = louder or asks or (bool(terms.remind_every) and now >= reminded + terms.remind_every)
    else:
        due = now >= incident.opened_at + terms.after
    if due:
        return _tell(incident, trouble, terms, now)
    said = not incident.count or trouble.next_step in incident.message
    return replace(incident, next_step="" if said else trouble.next_step)


def _tell(incident: Incident, trouble: Trouble, terms: AlertTerms, now: datetime) -> Incident:
    """Have another message told, about how things stand now."""
    return replace(
        incident,
        promise=trouble.promise,
        reason=trouble.reason,
        severity=max(incident.severity, _severity(terms, trouble), key=_RANK.index),
        message=trouble.message,
        revision=trouble.revision,
        cause=incident.cause if incident.count else trouble.cause,
        plea=trouble.plea or incident.plea,
        failing=trouble.failing,
        next_step="",
        count=incident.count + 1,
        told_at=now,
    )


def _recover(contract: Declared, incident: Incident, memory: Memory, now: datetime) -> Iterator[Incident]:
    if not incident.count:
        return  # it did not last long enough to be worth a word
    since = incident.well_since or now
    if now - since < hold(incident, contract.timing):
        yield replace(incident, well_since=since, unclear_since=None)
    else:
        closed = max(since, incident.opened_at)
        well = replace(incident, well_since=None, unclear_since=None, outcome=outcome(incident, memory))
        yield _close(well, closed, now)


def _wait(contract: Declared, incident: Incident, now: datetime) -> Iterator[Incident]:
    """Say nothing while nothing tells whether it is well; after a long time, that nothing does."""
    since = incident.unclear_since or now
    if now - since < contract.timing.unclear_patience:
        yield replace(incident, unclear_since=since)
    elif incident.count:
        yield _close(incident, max(since, incident.opened_at), now)


def _close(incident: Incident, at: datetime, now: datetime) -> Incident:
    return replace(incident, closed_at=at, next_step="", count=incident.count + 1, told_at=now)


def _terms(contract: Declared, key: str) -> AlertTerms:
    terms = contract.alerts.terms(key)
    return replace(terms, after=max(terms.after, contract.timing.absence_patience)) if key in BINDING else terms


def _severity(terms: AlertTerms, trouble: Trouble) -> Severity:
    return Severity.CRITICAL if trouble.critical else terms.severity


# Room ------------------------------------------------------------------------------------------------------------


def _fitted(kept: list[Incident], fresh: list[Incident], sinks: tuple[str, ...]) -> tuple[Incident, ...]:
    """As many as a status holds: what is over goes first, and what nobody has heard of yet can wait."""

    def worth(incident: Incident) -> int:
        if incident.closed_at:
            return 1 if untold(incident, sinks) else 0
        return 2 if incident in fresh or not incident.count else 3

    first = sorted([*kept, *fresh], key=lambda incident: (worth(incident), incident.opened_at))[-INCIDENTS:]
    return tuple(sorted(first, key=lambda incident: (not incident.closed_at, incident.opened_at)))


def _reported(contract: Declared, memory: Memory, found: Mapping[str, Trouble]) -> Memory:
    """Note which broken promises of the delivery people are told of, so that their end is not told anew."""
    delivery = memory.delivery
    if delivery is None:
        return memory
    told = known(memory)
    done = {
        judgement.promise
        for judgement in memory.judgements
        if judgement.verdict is Verdict.BROKEN and judgement.promise is not PromiseName.DRIFT
        if is_spoken_of(judgement.promise, told) or _is_too_short(contract, found.get(judgement.promise))
    }
    names = tuple(name.value for name in PromiseName if name in done or name in delivery.reported)
    return memory if names == delivery.reported else replace(memory, delivery=replace(delivery, reported=names))


def _is_too_short(contract: Declared, trouble: Trouble | None) -> bool:
    """Whether it is over and was not worth a word."""
    if trouble is None or trouble.lasted is None:
        return False
    terms = _terms(contract, trouble.key)
    return terms.suspended or trouble.lasted < terms.after
