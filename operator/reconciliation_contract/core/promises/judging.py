"""All verdicts on the current delivery are made here: what is known of it, and what happened to it, taken together.

::

    each promise's own evidence ──▶ what is concluded stays ──▶ what a rollback makes of the rest
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.core.facts.attention import Attention
from reconciliation_contract.core.facts.observation import API_SERVER, Kustomization, Observation, Outage
from reconciliation_contract.core.memory import budget, timeline
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Rollback, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.promises.availability import assess_availability
from reconciliation_contract.core.promises.deletion import assess_deletion
from reconciliation_contract.core.promises.dependencies import blame, needed
from reconciliation_contract.core.promises.drift import assess_drift
from reconciliation_contract.core.promises.validation import assess_validation
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken

_ON_TIME: Final = (PromiseName.DETECTION, PromiseName.RECONCILIATION, PromiseName.ROLLBACK)
CLAUSES: Final = (assess_validation, assess_deletion, assess_availability)
"""The promises that are not about a stretch of time alone. Each says None where nothing is known."""


def judge(contract: Contract, memory: Memory, seen: Observation, looks: Attention, now: datetime) -> Memory:
    """Judge every promise of the current delivery; what is concluded already stays.

    While the contract is suspended what is pending ends; while nothing is seen it waits.
    """
    match looks:
        case Attention.FULL:
            judged = _by_evidence(contract, memory, seen, now)
            return replace(memory, judgements=_by_rollback(contract, replace(memory, judgements=judged), seen, now))
        case Attention.SUSPENDED:
            return replace(memory, judgements=tuple(_paused(each) for each in memory.judgements))
        case Attention.BLIND:
            return memory


def _by_evidence(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> tuple[Judgement, ...]:
    """How each promise stands by what is known of it."""
    delivery = memory.delivery
    if delivery is None:
        return memory.judgements
    courses = budget.courses(contract.promises, delivery, blame(seen, delivery))
    fresh = [_one(_excused(course, delivery, seen, now), delivery, seen, now) for course in courses]
    if not (delivery.adopted or delivery.resumed):
        fresh += [said for clause in CLAUSES if (said := clause(contract, memory, seen, now))]
    known = {judgement.promise: judgement for judgement in memory.judgements}
    judged = known | {said.promise: budget.settle(known.get(said.promise), said) for said in fresh}
    judged.pop(PromiseName.DRIFT, None)
    if level := assess_drift(contract, memory):
        judged[PromiseName.DRIFT] = level
    return tuple(judged[name] for name in PromiseName if name in judged)


def rechecks(memory: Memory, now: datetime) -> Iterator[datetime]:
    """When time alone turns a verdict; one that nobody judges any more is pending past its deadline."""
    return (each.deadline for each in memory.judgements if each.deadline is not None and each.deadline >= now)


def _one(course: budget.Course, delivery: Delivery, seen: Observation, now: datetime) -> Judgement:
    if delivery.adopted:
        message = "it was there before this contract followed it; judged from the next commit on"
        return Judgement(course.promise, Verdict.UNKNOWN, course.within, reasons.ADOPTED, message)
    if course.end and not delivery.reached(course.end):
        message = f"{course.goal} before, and judged then; another commit came and went unnoticed by Flux"
        return Judgement(course.promise, Verdict.UNKNOWN, course.within, reasons.ADOPTED, message)
    judgement = budget.assess_course(course, now)
    if judgement.verdict is Verdict.BROKEN and course.end is None and _stood_unseen(course, delivery, seen):
        message = "it stood Ready once, but nobody saw when"
        return Judgement(course.promise, Verdict.UNKNOWN, course.within, reasons.UNOBSERVED, message)
    held = _held(course, delivery, seen)
    if held and course.end is None:
        return budget.conclude(judgement, Verdict.UNKNOWN, reasons.SUSPENDED, held)
    return judgement


def _excused(course: budget.Course, delivery: Delivery, seen: Observation, now: datetime) -> budget.Course:
    """The course, with a dependency to blame that was away for half of the budget, or at its end."""
    if course.start is None or course.blame or delivery.failures:
        return course
    deadline = course.start.at + course.within
    lost: dict[str, timedelta] = {}
    for outage in seen.operator.outages:
        begin, end = needed(outage.name, course.start.at, deadline, delivery)
        if begin >= end:
            continue
        until = outage.until or now
        cost = max(timedelta(0), min(until, end) - max(outage.since, begin))
        lost[outage.name] = lost.get(outage.name, timedelta(0)) + cost
        if (end == deadline and outage.since <= deadline <= until) or (
            cost and lost[outage.name] * 2 >= course.within
        ):
            return replace(course, blame=_told(outage, until))
    return course


def _told(outage: Outage, until: datetime) -> str:
    what = "the API server did not answer" if outage.name == API_SERVER else f"{outage.name} did not work"
    return f"{what} from {outage.since:%H:%M:%S} to {until:%H:%M:%S} UTC"


def _paused(judgement: Judgement) -> Judgement:
    """End what is pending while the contract is suspended: nobody looks, so nothing can be said of it."""
    message = "the contract was suspended before it was known"
    return budget.conclude(judgement, Verdict.UNKNOWN, reasons.SUSPENDED, message)


def owed(contract: Contract, delivery: Delivery, judgements: Iterable[Judgement]) -> Mapping[PromiseName, datetime]:
    """Since when each promise is still open, for the next delivery to go on with; what was judged is settled."""
    pending = {judgement.promise for judgement in judgements if not judgement.concluded}
    return {
        course.promise: min(at for at in (course.behind, course.start.at) if at)
        for course in budget.courses(contract.promises, delivery)
        if course.promise in pending and course.start
    }


def presumes(before: Memory, after: Memory) -> bool:
    """Whether a promise is broken now only because nothing was seen to happen."""
    return any(
        judgement.verdict is Verdict.BROKEN
        and judgement.reason in (reasons.BUDGET_EXCEEDED, reasons.DEPENDENCY_FAILED)
        and judgement.measured is None
        and judgement.promise in _ON_TIME
        and before.judgement(judgement.promise) != judgement
        for judgement in after.judgements
    )


def _stood_unseen(course: budget.Course, delivery: Delivery, seen: Observation) -> bool:
    """Whether it must have been Ready at the revision before the first look: only then is it the applied one."""
    kustomization = seen.flux.kustomization
    attempted = kustomization.attempted if kustomization else None
    if course.promise is not PromiseName.RECONCILIATION or kustomization is None or attempted is None:
        return False
    return attempted.value == delivery.hash and not attempted.exact and _applied(kustomization, delivery)


def _applied(kustomization: Kustomization, delivery: Delivery) -> bool:
    return kustomization.applied_revision.endswith(delivery.hash)


def _held(course: budget.Course, delivery: Delivery, seen: Observation) -> str:
    """Why Flux does not even try to get to the course's end; what is detected needs the source no more."""
    if seen.flux.source and seen.flux.source.suspended and delivery.stages.detected is None:
        return "the source was suspended before Flux had it"
    if seen.flux.kustomization and seen.flux.kustomization.suspended and course.promise is PromiseName.RECONCILIATION:
        return "the Kustomization was suspended before it was healthy"
    return ""


_UNDER_WAY = (RollbackState.SWITCHING, RollbackState.ACTIVE, RollbackState.FAILED)


def _by_rollback(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> tuple[Judgement, ...]:
    """What a rollback means for the promises of the delivery it belongs to."""
    undo, delivery, judged = memory.rollback, memory.delivery, memory.judgements
    if undo is None:  # what was given up before its end is not judged
        return tuple(each for each in judged if each.promise is not PromiseName.ROLLBACK or each.concluded)
    known = memory.judgement(PromiseName.ROLLBACK)
    if delivery is None or delivery.hash != undo.bad.hash or (undo.state not in _UNDER_WAY and known is None):
        return judged
    message, was_done = f"never became healthy; rolled back: {undo.reason}", switched(undo, seen)
    kept = tuple(_undone(j, message) if was_done else j for j in judged if j.promise is not PromiseName.ROLLBACK)
    return (*kept, budget.settle(known, _way_back(contract, undo, seen, now)))


def _undone(judgement: Judgement, message: str) -> Judgement:
    """What a rollback makes of a pending promise: only those about the way to healthy are broken by it."""
    match judgement.promise:
        case PromiseName.AVAILABILITY:
            return judgement  # the way back can cost replicas, too
        case PromiseName.DETECTION | PromiseName.RECONCILIATION:
            return budget.conclude(judgement, Verdict.BROKEN, reasons.ROLLED_BACK, message)
        case _:  # what the revision deleted is wanted again
            return budget.conclude(judgement, Verdict.SUPERSEDED, reasons.ROLLED_BACK, message)


def switched(undo: Rollback, seen: Observation) -> bool:
    """Whether the act was done: until then the delivery goes on as if there had never been an intent."""
    kustomization = seen.flux.kustomization
    return undo.completed_at is not None or (kustomization is not None and kustomization.source == undo.pin)


def _way_back(contract: Contract, undo: Rollback, seen: Observation, now: datetime) -> Judgement:
    start = timeline.Moment(undo.started_at, timeline.Witness.WATCH)
    end = timeline.Moment(undo.completed_at, timeline.Witness.WATCH) if undo.completed_at else None
    goal, note = f"back at {undo.good.name}", _delayed(contract, undo, seen.flux.kustomization) if end else ""
    course = budget.Course(PromiseName.ROLLBACK, contract.rollback.within, start, end, goal, note=note)
    return budget.assess_course(course, now)


def _delayed(contract: Contract, rollback: Rollback, kustomization: Kustomization | None) -> str:
    """How long Flux let the good revision wait; empty where that was soon, or is not known."""
    attempted = kustomization.attempted if kustomization else None
    if attempted is None or attempted.value != rollback.good.hash or not attempted.exact:
        return ""
    passed = attempted.at - rollback.started_at
    return f"Flux took it up after {spoken(passed)}" if passed >= contract.timing.slow_switch else ""
