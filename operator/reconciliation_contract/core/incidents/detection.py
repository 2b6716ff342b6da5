"""What is wrong with a contract now, by cause: the grounds of incidents.

Trouble is a level, not an edge. At most one is named for each cause::

    Delivery           the newest revision does not get to where it was promised to be, or was rolled back
    Dependency/NAME    something that delivery depends on fails, or what is to be followed is gone
    Spec               the contract makes no sense; of all else nothing is known then
    NAME               another promise, such as Drift, is broken; or was, and people have not been told yet
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.core.facts.failure_cause import excerpt
from reconciliation_contract.core.facts.observation import RIGHTS, Condition, Dependency, Observation
from reconciliation_contract.core.facts.obstacle import obstacle
from reconciliation_contract.core.facts.pruning import Fate
from reconciliation_contract.core.incidents.broken_promises import WAY, lasting, overrun, passed
from reconciliation_contract.core.incidents.sentences import (
    advice,
    broken,
    failing,
    named,
    next_step,
    root_cause,
    sentences,
)
from reconciliation_contract.core.memory.budget import Judgement, PromiseName
from reconciliation_contract.core.memory.memory import Memory, Rollback, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.promises.dependencies import needs
from reconciliation_contract.core.rollback.guards import persistent_from
from reconciliation_contract.core.rollback.pinned_copy import astray
from reconciliation_contract.core.spec.contract import Contract, Declared, InvalidContract, Topic
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.text import bounded

DELIVERY: Final = "Delivery"
OUTAGE: Final = "Dependency/"
SPEC: Final = Topic.SPEC.value
FLUX: Final = f"{OUTAGE}Flux"
KUSTOMIZATION: Final = f"{OUTAGE}Kustomization"
SOURCE: Final = f"{OUTAGE}Source"
"""What is to be followed and is not there."""
_HARMLESS: Final = f"{OUTAGE}{RIGHTS}"
"""Nothing is late for want of it."""
_FLEET: Final = "the cluster"
_OF_COMMIT: Final = (*WAY, PromiseName.AVAILABILITY)
"""Promises that a commit breaks; what it breaks for many contracts is told of together."""
_MISSING: Final = {reasons.FLUX_MISSING: FLUX, reasons.KUSTOMIZATION_MISSING: KUSTOMIZATION}


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
    plea: str = ""
    """What only a person can do, and for which revision, told apart from other such pleas; empty for none."""
    next_step: str = ""
    """What happens next; it changes more often than the message is told."""
    failing: bool = False
    """Attempts fail, but no promise is broken: not yet, or not any more."""
    lasted: timedelta | None = None
    """How long it lasted, where it is over and people have not been told; None where it lasts."""


def troubles(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Iterator[Trouble]:
    """Everything that is wrong now, at most one for each cause."""
    missing = obstacle(contract, seen)
    if missing is not None:
        yield _unbound(contract, memory, missing, seen)
        return
    broken_now = lasting(memory)
    on_the_way = [judgement for judgement in broken_now if judgement.promise in WAY]
    blamed = bool(on_the_way) and _culprit(memory, seen) is not None
    found = list(_outages(contract, memory, on_the_way, seen, now))
    delivery = memory.delivery
    if delivery and not _is_paused(seen) and _undelivered(contract, memory, delivery, on_the_way, now, blamed=blamed):
        found.append(_delivery(contract, memory, delivery, on_the_way, seen))
    yield from found
    others = _others(contract, memory, broken_now, {trouble.key for trouble in found} | known(memory))
    yield from {each.key: each for each in (*others, *_astray(contract, memory, seen))}.values()


def senseless(contract: InvalidContract) -> Trouble:
    """A contract that makes no sense: it waits for its author, and what it follows goes on without it."""
    problem = f"{SPEC} broken: {bounded(contract.problem, 250)}"
    return Trouble(
        key=SPEC,
        promise=SPEC,
        reason=reasons.INVALID_SPEC,
        message=sentences(problem, "Nothing is judged or rolled back until it is mended", advice(contract, Memory())),
    )


def patience_ends(contract: Declared, memory: Memory) -> datetime | None:
    """When a dependency that fails will have failed for too long; None where none fails."""
    return memory.failing_since + contract.timing.dependency_patience if memory.failing_since else None


def _impatient(contract: Contract, memory: Memory, now: datetime) -> bool:
    due = patience_ends(contract, memory)
    return due is not None and now >= due


def known(memory: Memory) -> set[str]:
    """The causes that people have been told of and that are not over."""
    return {incident.key for incident in memory.incidents if incident.count and incident.closed_at is None}


def is_spoken_of(promise: PromiseName, keys: Iterable[str]) -> bool:
    """Whether incidents with these keys speak of a promise of the current delivery."""
    return any(key == promise or (promise in WAY and (key == DELIVERY or _delays(key))) for key in keys)


def _delays(key: str) -> bool:
    """Whether it is an outage that can make a revision late."""
    return key.startswith(OUTAGE) and key != _HARMLESS


# The way of a revision -------------------------------------------------------------------------------------------


def _is_paused(seen: Observation) -> bool:
    """Whether nobody tries, so that nothing tells how the newest revision would fare."""
    return seen.flux.kustomization is not None and seen.flux.kustomization.suspended


def _undelivered(
    contract: Contract,
    memory: Memory,
    delivery: Delivery,
    on_the_way: list[Judgement],
    now: datetime,
    *,
    blamed: bool,
) -> bool:
    """Whether the way of the newest revision is trouble of its own."""
    failures, undo = delivery.failures, memory.rollback
    if delivery.stages.healthy and failures is None and undo is None:
        return False
    told = known(memory)
    if DELIVERY in told:  # it is over when a revision arrives, not when the next one is tried
        return True
    if undo is not None and undo.reason != reasons.REQUESTED and undo.state is not RollbackState.RELEASING:
        return True
    if failures is not None:
        enough = contract.alerts.failures or contract.rollback.failures
        due = persistent_from(failures, replace(contract.rollback, failures=enough))
        return bool(on_the_way) or (due is not None and now >= due)
    # What an outage broke belongs to the outage.
    return bool(on_the_way) and not blamed and not any(map(_delays, told))


def _delivery(
    contract: Contract, memory: Memory, delivery: Delivery, on_the_way: list[Judgement], seen: Observation
) -> Trouble:
    failures, undo = delivery.failures, memory.rollback
    first = on_the_way[0] if on_the_way else None
    if first:
        what = broken(first)
    else:
        what = failing(memory, failures) if failures else f"{delivery.revision} does not get healthy"
    why = f"{failures.reason}: {excerpt(failures.reason, failures.message, 140)}" if failures else ""
    if not why and undo:
        why = f"{undo.reason}: {bounded(undo.message, 140)}"
    then = next_step(contract, memory)
    return Trouble(
        key=DELIVERY,
        promise=str(first.promise if first else PromiseName.RECONCILIATION),
        reason=failures.reason if failures else (undo.reason if undo else reasons.BUDGET_EXCEEDED),
        message=sentences(what, why, named(delivery), then, advice(contract, memory)),
        revision=delivery.revision,
        cause=_FLEET if seen.operator.brake else f"commit {delivery.hash[:12]}",
        critical=undo is not None and undo.state is RollbackState.FAILED,
        plea=_plea(undo),
        next_step=then,
        failing=first is None,
    )


def _plea(undo: Rollback | None) -> str:
    """What a person alone can do about a rollback that does not go on by itself."""
    if undo is None or undo.state not in (RollbackState.PROPOSED, RollbackState.FAILED):
        return ""
    return f"{undo.state}/{undo.bad.hash[:12]}"


# Outages ---------------------------------------------------------------------------------------------------------


def _failing(memory: Memory) -> list[Dependency]:
    return [dependency for dependency in memory.dependencies if dependency.ready is False]


def _culprit(memory: Memory, seen: Observation) -> Dependency | None:
    """What fails of that without which the delivery does not get on."""
    needed = needs(memory.delivery, seen) if memory.delivery else ()
    return next((each for each in _failing(memory) if each.name in needed), None)


def _outages(
    contract: Contract, memory: Memory, on_the_way: list[Judgement], seen: Observation, now: datetime
) -> Iterator[Trouble]:
    """The first dependency that fails, and each other that people know of and that is not over."""
    told, down, impatient = known(memory), _failing(memory), _impatient(contract, memory, now)
    first, culprit = next((each for each in down if each.name != RIGHTS), None), _culprit(memory, seen)
    for each in down:
        late = on_the_way if each is culprit else []
        lasts = impatient and (each is first or each.name == RIGHTS)
        if late or lasts or f"{OUTAGE}{each.name}" in told:
            yield _outage(contract, memory, each, late, seen)
    delivery = memory.delivery
    if on_the_way and delivery is not None and delivery.failures is None:
        names = {f"{OUTAGE}{dependency.name}" for dependency in down}
        for key in sorted(key for key in told - names if _delays(key)):
            yield _aftermath(contract, memory, delivery, on_the_way[0], key)


def _outage(
    contract: Contract, memory: Memory, down: Dependency, on_the_way: list[Judgement], seen: Observation
) -> Trouble:
    first, delivery = (on_the_way[0] if on_the_way else None), memory.delivery
    what = f"{first.promise} broken: {first.message.partition(';')[0]}" if first else ""
    if not first and down.name != RIGHTS:
        what = "Delivery cannot work"
    about = named(delivery) if delivery and first else ""
    return Trouble(
        key=f"{OUTAGE}{down.name}",
        promise=str(first.promise if first else PromiseName.DEPENDENCIES),
        reason=reasons.DEPENDENCY_FAILS,
        message=sentences(what, bounded(down.message, 250), about, advice(contract, memory)),
        revision=delivery.revision if delivery and first else "",
        cause=root_cause(down, seen),
    )


def _aftermath(contract: Contract, memory: Memory, delivery: Delivery, first: Judgement, key: str) -> Trouble:
    """What an outage broke keeps it open until a revision arrives, or fails by itself."""
    text = sentences(broken(first), "What failed works again", named(delivery), advice(contract, memory))
    return Trouble(key, str(first.promise), first.reason, text, delivery.revision)


def _unbound(contract: Contract, memory: Memory, missing: Condition, seen: Observation) -> Trouble:
    """Nothing can be followed: what ran may be gone with it."""
    key = _MISSING.get(missing.reason, SOURCE)
    ref = seen.flux.kustomization.source if seen.flux.kustomization else None
    shared = {FLUX: "Flux", SOURCE: f"{ref.kind} {ref.namespace}/{ref.name}" if ref else ""}
    return Trouble(
        key=key,
        promise=str(PromiseName.DEPENDENCIES),
        reason=missing.reason,
        message=sentences(f"Nothing can be delivered: {missing.message}", advice(contract, memory)),
        cause=bounded(shared.get(key, ""), 120),
        critical=key == KUSTOMIZATION and memory.good is not None,
    )


# Other causes ----------------------------------------------------------------------------------------------------


def _others(
    contract: Contract, memory: Memory, broken_now: list[Judgement], spoken_of: set[str]
) -> Iterator[Trouble]:
    """Promises that are not about the way of a revision, and breaks that are over and nothing else speaks of."""
    past = [each for each in passed(memory) if not is_spoken_of(each.promise, spoken_of)]
    over = [replace(_other(contract, memory, each), lasted=overrun(each)) for each in past]
    still = [_other(contract, memory, each) for each in broken_now if each.promise not in WAY]
    # Of two about the same promise, what still is.
    yield from {each.key: each for each in (*over, *_overdue(contract, memory), *still)}.values()


def _other(contract: Contract, memory: Memory, judgement: Judgement) -> Trouble:
    delivery = memory.delivery
    about = named(delivery) if delivery else ""
    return Trouble(
        key=judgement.promise.value,
        promise=judgement.promise.value,
        reason=judgement.reason,
        message=sentences(broken(judgement), about, advice(contract, memory)),
        revision=delivery.revision if delivery else "",
        cause=_of_commit(judgement.promise, delivery) if delivery else "",
    )


def _of_commit(promise: PromiseName, delivery: Delivery) -> str:
    return f"{promise} of commit {delivery.hash[:12]}" if promise in _OF_COMMIT else ""


def _astray(contract: Contract, memory: Memory, seen: Observation) -> Iterator[Trouble]:
    """A rollback whose pinned copy, or whose Kustomization, is not what was decided any more."""
    undo, kustomization = memory.rollback, seen.flux.kustomization
    if undo is None or kustomization is None or kustomization.source != undo.pin:
        return
    if undo.state is not RollbackState.RELEASING and (wrong := astray(undo, seen)):
        what = f"Flux may run something else than {undo.good.hash[:12]}, to which it was rolled back"
        text = sentences(what, bounded(wrong, 250), "Push a fix, or release", advice(contract, memory))
        rollback = str(PromiseName.ROLLBACK)
        yield Trouble(rollback, rollback, reasons.COPY_DIFFERS, text, undo.bad.name, critical=True)


def _overdue(contract: Contract, memory: Memory) -> Iterator[Trouble]:
    """What an earlier delivery should have deleted, and is still there."""
    late = [each for each in memory.departures.overdue if each.fate is Fate.AWAITED]
    if not late:
        return
    more = f"; {len(late) - 1} more" if len(late) > 1 else ""
    what = f"{PromiseName.DELETION} broken: {late[0].name} {late[0].account}".rstrip()
    text = sentences(f"{what}{more}", "An earlier revision deleted it", advice(contract, memory))
    yield Trouble(str(PromiseName.DELETION), str(PromiseName.DELETION), reasons.BUDGET_EXCEEDED, text)
