"""What is wrong with a contract now, by cause: the grounds of incidents.

Trouble is a level, not an edge. A promise that was broken and whose goal was reached since is history: it is in the
status and in the metrics, but nobody needs to get up for it. At most one trouble is named for each cause::

    Delivery           the newest revision does not get to where it was promised to be, or was rolled back
    Dependency/NAME    something that delivery depends on fails
    NAME               another promise, such as Drift, is broken and still is
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from reconciliation_contract.core import reasons
from reconciliation_contract.core.cause import excerpt, unreachable
from reconciliation_contract.core.contract import Contract, RollbackMode
from reconciliation_contract.core.grounds import persistent_from
from reconciliation_contract.core.memory import Memory, RollbackState
from reconciliation_contract.core.observation import Dependency, Observation
from reconciliation_contract.core.promises import Judgement, PromiseName, Verdict
from reconciliation_contract.core.text import bounded
from reconciliation_contract.core.timeline import Delivery

DELIVERY: Final = "Delivery"
OUTAGE: Final = "Dependency/"
LONGEST: Final = 500
"""Characters of a message."""
PATIENCE: Final = timedelta(minutes=5)
"""How long a dependency may fail before people hear of it although no promise is broken."""
_WAY: Final = (
    PromiseName.DETECTION,
    PromiseName.VALIDATION,
    PromiseName.RECONCILIATION,
    PromiseName.ROLLBACK,
)
"""Promises about one thing, the way of a revision into the cluster."""
_FLEET: Final = "the cluster"


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong now."""

    key: str
    promise: str
    reason: str
    message: str
    """What is broken, what happens next and what a person can do."""
    revision: str = ""
    cause: str = ""
    critical: bool = False
    """Nothing but a person can mend it."""


def troubles(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Iterator[Trouble]:
    """Everything that is wrong now, at most one for each cause."""
    lasting = [j for j in memory.judgements if j.verdict is Verdict.BROKEN and j.measured is None]
    failing = next((d for d in memory.dependencies if d.ready is False), None)
    on_the_way = [j for j in lasting if j.promise in _WAY]
    if failing and (on_the_way or _impatient(memory, now)):
        yield _dependency(contract, memory, failing, on_the_way, seen)
    elif on_the_way and not failing:
        yield from _aftermath(contract, memory, on_the_way[0])
    delivery = memory.delivery
    if delivery and _undelivered(contract, memory, delivery, on_the_way, now, blamed=failing is not None):
        yield _delivery(contract, memory, delivery, on_the_way, seen)
    for judgement in lasting:
        if judgement.promise not in _WAY:
            yield _other(contract, memory, judgement)


def patience_ends(memory: Memory) -> datetime | None:
    """When a dependency that fails will have failed for too long; None where none fails."""
    condition = memory.conditions.get("DependenciesReady")
    if condition is None or condition.status != "False" or condition.transitioned_at is None:
        return None
    return condition.transitioned_at + PATIENCE


def _impatient(memory: Memory, now: datetime) -> bool:
    due = patience_ends(memory)
    return due is not None and now >= due


def _known(memory: Memory) -> set[str]:
    """The causes that people have been told of and that are not over."""
    return {incident.key for incident in memory.incidents if incident.count and incident.closed_at is None}


# The way of a revision -------------------------------------------------------------------------------------------


def _undelivered(
    contract: Contract, memory: Memory, delivery: Delivery, broken: list[Judgement], now: datetime, *, blamed: bool
) -> bool:
    """Whether the way of the newest revision is trouble of its own."""
    failures, undo = delivery.failures, memory.rollback
    if delivery.stages.healthy and failures is None and undo is None:
        return False
    known = _known(memory)
    if DELIVERY in known:  # it is over when a revision arrives, not when the next one is tried
        return True
    due = persistent_from(failures, contract.rollback)
    if undo is not None and undo.reason != reasons.REQUESTED and undo.state is not RollbackState.RELEASING:
        return True
    if failures is not None:
        return bool(broken) or (due is not None and now >= due)
    return bool(broken) and not blamed and not known  # what an outage broke belongs to the outage


def _delivery(
    contract: Contract, memory: Memory, delivery: Delivery, broken: list[Judgement], seen: Observation
) -> Trouble:
    failures, undo = delivery.failures, memory.rollback
    first = broken[0] if broken else None
    what = f"{first.promise} broken: {first.message}" if first else f"{delivery.revision} does not get healthy"
    why = f"{failures.reason}: {excerpt(failures.reason, failures.message, 140)}" if failures else ""
    if not why and undo:
        why = f"{undo.reason}: {bounded(undo.message, 140)}"
    text = _sentences(what, why, _named(delivery), _next(contract, memory), _advice(contract, memory))
    return Trouble(
        key=DELIVERY,
        promise=str(first.promise if first else PromiseName.RECONCILIATION),
        reason=failures.reason if failures else (undo.reason if undo else reasons.BUDGET_EXCEEDED),
        message=text,
        revision=delivery.revision,
        cause=_FLEET if seen.brake else f"commit {delivery.hash[:12]}",
        critical=undo is not None and undo.state is RollbackState.FAILED,
    )


def _named(delivery: Delivery) -> str:
    subject = f' "{bounded(delivery.subject, 60)}"' if delivery.subject else ""
    name = delivery.revision.partition("@")[0][-60:] if "@" in delivery.revision else ""
    return f"Revision {f'{name}@' if name else ''}{delivery.hash[:12]}{subject}"


def _next(contract: Contract, memory: Memory) -> str:
    """What happens next, if nobody does anything."""
    undo = memory.rollback
    if undo is not None:
        good = undo.good.hash[:12]
        match undo.state:
            case RollbackState.PROPOSED:
                return f"A rollback to {good} waits for approval"
            case RollbackState.INTENDED | RollbackState.SWITCHING:
                return f"Rolling back to {good}"
            case RollbackState.ACTIVE:
                return f"{good} runs instead until a fix is pushed"
            case RollbackState.FAILED:
                return f"The rollback failed: {bounded(undo.message, 120)}"
            case RollbackState.RELEASING:
                return "The rollback is being released"
    said = memory.conditions.get("RolledBack")
    if said is not None and said.reason not in (reasons.RECOVERED, reasons.RELEASED, reasons.CANCELLED):
        return f"No rollback: {bounded(said.message, 120)}"
    if contract.rollback.mode is RollbackMode.DISABLED:
        return "No rollback: spec.rollback.mode is Disabled"
    return "It is rolled back if it keeps failing" if memory.good else "Nothing to roll back to yet"


def _advice(contract: Contract, memory: Memory) -> str:
    undo = memory.rollback
    verb = "approve" if undo is not None and undo.state is RollbackState.PROPOSED else "get"
    return f"See: flux contract {verb} {contract.name} -n {contract.namespace}"


# Other causes ----------------------------------------------------------------------------------------------------


def _dependency(
    contract: Contract, memory: Memory, failing: Dependency, broken: list[Judgement], seen: Observation
) -> Trouble:
    what = f"{broken[0].promise} broken: {broken[0].message.partition(';')[0]}" if broken else "Delivery cannot work"
    named = _named(memory.delivery) if memory.delivery and broken else ""
    text = _sentences(what, bounded(failing.message, 250), named, _advice(contract, memory))
    return Trouble(
        key=f"{OUTAGE}{failing.name}",
        promise=str(broken[0].promise if broken else PromiseName.DEPENDENCIES),
        reason=reasons.DEPENDENCY_FAILS,
        message=text,
        revision=memory.delivery.revision if memory.delivery and broken else "",
        cause=_shared(failing, seen),
    )


def _aftermath(contract: Contract, memory: Memory, broken: Judgement) -> Iterator[Trouble]:
    """What an outage broke keeps it open until a revision arrives, or fails by itself."""
    if memory.delivery is None or memory.delivery.failures is not None:
        return
    for key in sorted(_known(memory)):
        if key.startswith(OUTAGE):
            what = f"{broken.promise} broken: {broken.message}"
            text = _sentences(what, "What failed works again", _named(memory.delivery), _advice(contract, memory))
            yield Trouble(key, str(broken.promise), broken.reason, text, memory.delivery.revision)


def _shared(failing: Dependency, seen: Observation) -> str:
    """Name the root cause so that all contracts which have it name it alike."""
    source = seen.source
    if source is not None and failing.name == source.kind:
        host = _host(source.url)
        if host and unreachable(failing.message):
            return f"{'Git' if source.kind == 'GitRepository' else 'source'} host {host}"
        return f"{source.kind} {source.namespace}/{source.name}"
    if failing.name in ("dependsOn", "Rights"):
        return bounded(failing.message.partition(": ")[0], 120)
    return failing.name


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


def _other(contract: Contract, memory: Memory, judgement: Judgement) -> Trouble:
    delivery = memory.delivery
    named = _named(delivery) if delivery else ""
    text = _sentences(f"{judgement.promise} broken: {judgement.message}", named, _advice(contract, memory))
    return Trouble(
        key=judgement.promise.value,
        promise=judgement.promise.value,
        reason=judgement.reason,
        message=text,
        revision=delivery.revision if delivery else "",
    )


def _sentences(*parts: str) -> str:
    return bounded(". ".join(part.rstrip(".") for part in parts if part), LONGEST)
