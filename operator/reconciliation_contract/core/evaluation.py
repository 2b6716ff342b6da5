"""One pass: from what is remembered and what is seen to what is to be done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from reconciliation_contract.core import (
    availability,
    conditions,
    deletion,
    incident,
    promises,
    reasons,
    rollback,
    sync,
    timeline,
)
from reconciliation_contract.core.announcement import announcements
from reconciliation_contract.core.contract import Contract, InvalidContract
from reconciliation_contract.core.counting import recount, respecified, resumed
from reconciliation_contract.core.departure import Departures
from reconciliation_contract.core.dependency import blame, dependencies
from reconciliation_contract.core.effects import AllowDeletion, Effect
from reconciliation_contract.core.grounds import unfitness
from reconciliation_contract.core.memory import (
    HISTORY,
    Good,
    Memory,
    Past,
    Result,
    Rollback,
    RollbackState,
    footing_of,
)
from reconciliation_contract.core.observation import Kustomization, Observation
from reconciliation_contract.core.promises import Judgement, PromiseName, Verdict
from reconciliation_contract.core.request import names
from reconciliation_contract.core.standing import Step
from reconciliation_contract.core.timeline import Delivery, Span
from reconciliation_contract.core.validation import judge as judge_validation

CLAUSES: Final = (judge_validation, deletion.judge, availability.judge)
"""The promises that are not about a stretch of time alone. Each says None where nothing is known."""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass decided: write ``memory`` if it changed, then perform ``effects``, then look again."""

    memory: Memory
    effects: tuple[Effect, ...] = ()
    recheck_at: datetime | None = None
    """When the world's silence alone changes something; None: only an event can."""
    settled: bool = True
    """False when the next pass has work to do as soon as this one is written."""


def evaluate(contract: Contract | InvalidContract, memory: Memory, seen: Observation, now: datetime) -> Decision:
    """Decide everything about one contract at one moment. Pure: the same arguments give the same decision."""
    before = memory
    memory = replace(memory, observed_generation=contract.generation)
    if isinstance(contract, InvalidContract):
        effects: tuple[Effect, ...] = (AllowDeletion(),) if contract.deleting and contract.finalized else ()
        return Decision(replace(memory, conditions=conditions.stalled(contract, memory, now)), effects)
    memory = replace(memory, dependencies=dependencies(seen) if seen.complete else memory.dependencies)
    memory = replace(memory, handled_request=contract.requested_at or memory.handled_request)
    memory = resumed(contract, memory, now)
    if seen.fresh and not contract.suspended:
        memory = sync.remember(contract, _forget(contract, memory), seen, now)
        memory = _prove(contract, _follow(contract, memory, seen, now), seen, now)
        memory = replace(memory, departures=_departures(contract, memory, seen, now))
    idle = contract.suspended and not contract.deleting  # a deletion ends in every state
    took = Step(memory) if idle else rollback.step(contract, memory, seen, now)
    memory = _mark(contract, took.memory, seen, now) if seen.fresh and not contract.suspended else took.memory
    memory = replace(memory, conditions=conditions.derive(contract, memory, seen, took.standing, now))
    memory = incident.follow(contract, memory, seen, now)
    rechecks = [
        took.recheck_at,
        *incident.rechecks(contract, memory),
        _settles_at(contract, memory, seen),
        *(j.deadline for j in memory.judgements),
    ]
    due = min((at for at in rechecks if at is not None and at >= now), default=None)
    told = announcements(before, memory, seen.kustomization)
    settled = memory.rollback == before.rollback and sync.is_written(before, memory)
    asked = sync.requests(memory, seen, now) if settled else ()
    return Decision(memory, (*took.effects, *told, *asked), due, settled)


def _departures(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Departures:
    """What to remember of what has left the inventory."""
    if seen.departures is None or memory.delivery is None:
        return memory.departures
    return seen.departures.count_for(memory.delivery.started_at, contract.promises.deletion, now).kept()


def _forget(contract: Contract, memory: Memory) -> Memory:
    """Lift the ban on a second rollback where a person asks for it, but not during the first."""
    asked, undo = contract.requests.forget, memory.rollback
    kept = tuple(h for h in memory.bad if not names(asked, h) or (undo is not None and undo.bad.hash == h))
    return replace(memory, bad=kept)


# Following ---------------------------------------------------------------------------------------------------


def _follow(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Go on with the current delivery; begin the next one where the target has moved."""
    goal, first = timeline.target(seen), memory.delivery is None
    memory = _advance(contract, memory, seen, now)
    if goal is None or (memory.delivery and memory.delivery.hash == goal.hash) or _awaits_look(memory, seen):
        return memory
    delivery = Delivery(goal.revision, goal.hash, started_at=now, adopted=first and _predates(contract, seen))
    memory = replace(_finish(memory, seen, now), delivery=delivery, judgements=())
    return _advance(contract, memory, seen, now)


def _awaits_look(memory: Memory, seen: Observation) -> bool:
    """Whether the delivery was found in Git before Flux had it, and Git has not been looked at again yet.

    After a restart the older artifact alone would look like a way back.
    """
    delivery, artifact = memory.delivery, seen.source.artifact if seen.source else None
    if seen.git.looked or delivery is None or delivery.stages.detected is not None or artifact is None:
        return False
    return artifact.value.updated_at <= delivery.started_at


def _advance(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Record what is seen of the current delivery and judge it."""
    if memory.delivery is None:
        return memory
    delivery = recount(memory.delivery, now) if respecified(memory, seen) else memory.delivery
    return _judge(contract, replace(memory, delivery=timeline.follow(delivery, seen)), seen, now)


def _predates(contract: Contract, seen: Observation) -> bool:
    """Whether the source had its artifact before there was a contract.

    Both times are whole seconds. A contract that the artifact itself brought came after it within the same second,
    too, and must not make its Kustomization wait for what the Kustomization is doing.
    """
    artifact = seen.source.artifact if seen.source else None
    if artifact is None:
        return False
    inside = contract.parent == f"{contract.namespace}/{contract.kustomization}"
    at = artifact.value.updated_at
    return at < contract.created_at or (inside and at == contract.created_at)


def _finish(memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Move the current delivery to the history."""
    delivery = memory.delivery
    if delivery is None:
        return memory
    pushed, healthy, undo = timeline.origin(delivery), delivery.stages.healthy, memory.rollback
    past = Past(
        revision=delivery.revision,
        hash=delivery.hash,
        result=_result(delivery, memory, seen),
        ended_at=healthy.at if healthy else now,
        subject=delivery.subject,
        latency=Span.between(pushed, healthy).longest if pushed and healthy and not delivery.adopted else None,
        broken=tuple(j.promise for j in memory.judgements if j.verdict is Verdict.BROKEN),
        failed_at=delivery.failures.first_at if delivery.failures else None,
        recovered_at=undo.completed_at if undo and undo.bad.hash == delivery.hash else None,
        footing=footing_of(memory.good) if memory.good and memory.good.hash == delivery.hash else "",
    )
    return replace(memory, history=(past, *memory.history)[:HISTORY])


def _result(delivery: Delivery, memory: Memory, seen: Observation) -> Result:
    if delivery.adopted:
        return Result.ADOPTED
    undo, verdict = memory.rollback, memory.judgement(PromiseName.ROLLBACK)
    if undo and undo.bad.hash == delivery.hash:
        rolled_back = _switched(undo, seen)
    else:
        rolled_back = verdict is not None and delivery.hash in memory.bad
    if rolled_back:
        return Result.ROLLED_BACK
    return Result.HEALTHY if delivery.stages.healthy else Result.SUPERSEDED


# Judging -----------------------------------------------------------------------------------------------------


def _judge(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    delivery = memory.delivery
    if delivery is None:
        return memory
    courses = promises.courses(contract.promises, delivery, blame(seen))
    fresh = [_one(course, delivery, seen, now) for course in courses]
    if not delivery.adopted:
        fresh += [said for clause in CLAUSES if (said := clause(contract, memory, seen, now))]
    known = {judgement.promise: judgement for judgement in memory.judgements}
    judged = known | {said.promise: promises.settle(known.get(said.promise), said) for said in fresh}
    judged.pop(PromiseName.DRIFT, None)
    if level := sync.judge(contract, memory):
        judged[PromiseName.DRIFT] = level
    return replace(memory, judgements=tuple(judged[name] for name in PromiseName if name in judged))


def _one(course: promises.Course, delivery: Delivery, seen: Observation, now: datetime) -> Judgement:
    if delivery.adopted:
        message = "delivered before this contract began; judged from the next commit on"
        return Judgement(course.promise, Verdict.UNKNOWN, course.within, reasons.ADOPTED, message)
    judgement = promises.judge(course, now)
    if judgement.verdict is Verdict.BROKEN and course.end is None and _stood_unseen(course, delivery, seen):
        message = "it stood Ready once, but nobody saw when"
        return Judgement(course.promise, Verdict.UNKNOWN, course.within, reasons.UNOBSERVED, message)
    paused = _paused(course, delivery, seen)
    if paused and course.end is None:
        return promises.conclude(judgement, Verdict.UNKNOWN, reasons.SUSPENDED, paused)
    return judgement


def _stood_unseen(course: promises.Course, delivery: Delivery, seen: Observation) -> bool:
    """Whether it must have been Ready at the revision before the first look: only then is it the applied one."""
    kustomization = seen.kustomization
    attempted = kustomization.attempted if kustomization else None
    if course.promise is not PromiseName.RECONCILIATION or kustomization is None or attempted is None:
        return False
    return attempted.value == delivery.hash and not attempted.exact and _applied(kustomization, delivery)


def _applied(kustomization: Kustomization, delivery: Delivery) -> bool:
    return kustomization.applied_revision.endswith(delivery.hash)


def _paused(course: promises.Course, delivery: Delivery, seen: Observation) -> str:
    """Why Flux does not even try to get to the course's end; what is detected needs the source no more."""
    if seen.source and seen.source.suspended and delivery.stages.detected is None:
        return "the source was suspended before Flux had it"
    if seen.kustomization and seen.kustomization.suspended and course.promise is PromiseName.RECONCILIATION:
        return "the Kustomization was suspended before it was healthy"
    return ""


_UNDER_WAY = (RollbackState.SWITCHING, RollbackState.ACTIVE, RollbackState.FAILED)


def _mark(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Judge what the rollback means for the promises of the delivery it belongs to."""
    undo, delivery = memory.rollback, memory.delivery
    if undo is None:  # what was given up before its end is not judged
        ended = tuple(j for j in memory.judgements if j.promise is not PromiseName.ROLLBACK or j.concluded)
        return replace(memory, judgements=ended)
    if delivery is None or delivery.hash != undo.bad.hash:
        return memory
    if undo.state not in _UNDER_WAY and memory.judgement(PromiseName.ROLLBACK) is None:
        return memory
    message, switched = f"never became healthy; rolled back: {undo.reason}", _switched(undo, seen)
    kept = tuple(
        _undone(j, message) if switched else j for j in memory.judgements if j.promise is not PromiseName.ROLLBACK
    )
    mine = promises.settle(memory.judgement(PromiseName.ROLLBACK), _way_back(contract, undo, now))
    return replace(memory, judgements=(*kept, mine))


def _undone(judgement: Judgement, message: str) -> Judgement:
    """What a rollback makes of a pending promise: only those about the way to healthy are broken by it."""
    match judgement.promise:
        case PromiseName.AVAILABILITY:
            return judgement  # the way back can cost replicas, too
        case PromiseName.DETECTION | PromiseName.RECONCILIATION:
            return promises.conclude(judgement, Verdict.BROKEN, reasons.ROLLED_BACK, message)
        case _:  # what the revision deleted is wanted again
            return promises.conclude(judgement, Verdict.SUPERSEDED, reasons.ROLLED_BACK, message)


def _switched(undo: Rollback, seen: Observation) -> bool:
    """Whether the act was done: until then the delivery goes on as if there had never been an intent."""
    kustomization = seen.kustomization
    return undo.completed_at is not None or (kustomization is not None and kustomization.source == undo.pin)


def _way_back(contract: Contract, undo: Rollback, now: datetime) -> Judgement:
    start = timeline.Moment(undo.started_at, timeline.Witness.WATCH)
    end = timeline.Moment(undo.completed_at, timeline.Witness.WATCH) if undo.completed_at else None
    goal = f"back at {undo.good.name}"
    return promises.judge(promises.Course(PromiseName.ROLLBACK, contract.rollback.within, start, end, goal), now)


# Proving -----------------------------------------------------------------------------------------------------


def _settles_at(contract: Contract, memory: Memory, seen: Observation) -> datetime | None:
    """When the revision that now stands will have proved itself; None if it does not stand, or already has."""
    delivery, kustomization = memory.delivery, seen.kustomization
    if delivery is None or kustomization is None or memory.rollback or delivery.hash in memory.bad:
        return None
    healthy, stands = delivery.stages.healthy, kustomization.delivered
    if healthy is None or stands is None or stands.value != delivery.hash or kustomization.suspended:
        return None
    if _same(memory.good, delivery.hash, seen):
        return None
    return max(healthy.at, stands.at) + contract.rollback.settle


def _same(good: Good | None, hash_: str, seen: Observation) -> bool:
    return good is not None and good.hash == hash_ and not unfitness(good, "", seen)


def _prove(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Remember the revision as good once it has stayed Ready through the settling time."""
    due, delivery, kustomization = _settles_at(contract, memory, seen), memory.delivery, seen.kustomization
    if due is None or now < due or delivery is None or kustomization is None:
        return memory
    good = Good(
        revision=delivery.revision,
        hash=delivery.hash,
        since=due,
        kustomization_uid=kustomization.uid,
        source=kustomization.source,
        path=kustomization.path,
        checked=kustomization.checks_health,
        manifests=kustomization.manifests.get(delivery.hash, ""),
        spec=kustomization.spec,
    )
    return replace(memory, good=good)
