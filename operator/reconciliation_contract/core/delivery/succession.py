"""Which delivery is followed: from one to the next, as the revision that the cluster should be at moves."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime, timedelta

from reconciliation_contract.core.delivery import stages
from reconciliation_contract.core.delivery.failure_count import recount, respecified
from reconciliation_contract.core.delivery.stages import Target
from reconciliation_contract.core.facts.attention import Attention
from reconciliation_contract.core.facts.failure_cause import classify
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.memory import timeline
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import HISTORY, Memory, Past, Result, footing_of
from reconciliation_contract.core.memory.timeline import Delivery, Failures, Span
from reconciliation_contract.core.promises import judging
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.text import bounded
from reconciliation_contract.core.values.timing import Timing


def follow(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Go on with the current delivery; begin the next one where the target has moved.

    One that is left is judged for the last time, as its verdicts go to the history with it.
    """
    goal, bound = stages.target(seen, contract.timing), _binding(seen)
    memory = _advance(memory, seen, contract.timing, now)
    if goal is None or _awaits_look(memory, seen):
        return memory
    last = memory.delivery
    if last is None or last.hash != goal.hash:
        memory = judging.judge(contract, memory, seen, Attention.FULL, now)
        delivery = replace(_next(contract, memory, seen, goal, now), binding=bound)
        memory = _advance(
            replace(_finish(memory, seen, now), delivery=delivery, judgements=()), seen, contract.timing, now
        )
    elif bound and last.binding != bound and stages.serves(seen, goal.hash):
        memory = replace(memory, delivery=replace(last, binding=bound))
    return memory


def _next(contract: Contract, memory: Memory, seen: Observation, goal: Target, now: datetime) -> Delivery:
    """Begin with a revision: what its promises count from, and whether they count at all."""
    last = memory.delivery
    fresh = Delivery(goal.revision, goal.hash, started_at=now)
    if last is None:
        return replace(fresh, adopted=_predates(contract, seen))
    if memory.suspended:  # what came while nothing was judged
        return replace(fresh, adopted=True)
    if last.binding and last.binding != _binding(seen) and seen.flux.source and seen.flux.source.artifact:
        return replace(fresh, adopted=True)
    owed = judging.owed(contract, last, memory.judgements)
    return replace(
        fresh,
        resumed=_stood_all_along(memory, seen, goal),
        undetected_since=owed.get(PromiseName.DETECTION),
        unhealthy_since=owed.get(PromiseName.RECONCILIATION),
    )


def _binding(seen: Observation) -> str:
    """Digest of the Kustomization and its own source; empty where either is missing."""
    if seen.flux.kustomization is None or seen.flux.source is None:
        return ""
    ref = seen.flux.source.reference
    told = f"{seen.flux.kustomization.uid}\n{ref.kind}/{ref.namespace}/{ref.name}"
    return hashlib.sha256(told.encode()).hexdigest()[:8]


def _stood_all_along(memory: Memory, seen: Observation, goal: Target) -> bool:
    """Whether Flux had the revision before the one that is left for it: a way back that it never noticed."""
    artifact, left = seen.flux.source.artifact if seen.flux.source else None, memory.delivery
    if artifact is None or left is None or not stages.serves(seen, goal.hash):
        return False
    followed = any(past.hash == goal.hash for past in memory.history)
    return followed and artifact.value.updated_at <= left.started_at


def _awaits_look(memory: Memory, seen: Observation) -> bool:
    """Whether the delivery was found in Git before Flux had it, and Git has not been looked at again yet.

    After a restart the older artifact alone would look like a way back.
    """
    delivery, artifact = memory.delivery, seen.flux.source.artifact if seen.flux.source else None
    if seen.git.looked or delivery is None or delivery.stages.detected is not None or artifact is None:
        return False
    return artifact.value.updated_at <= delivery.started_at


def _advance(memory: Memory, seen: Observation, timing: Timing, now: datetime) -> Memory:
    """Record what is seen of the current delivery."""
    if memory.delivery is None:
        return memory
    delivery = recount(memory.delivery, now) if respecified(memory, seen) else memory.delivery
    return replace(memory, delivery=_caught_up(stages.follow(delivery, seen, timing), memory, seen))


def _caught_up(delivery: Delivery, memory: Memory, seen: Observation) -> Delivery:
    """Let go of earlier commits where Flux has meanwhile fetched, or got healthy, one that came after them."""
    artifact = seen.flux.source.artifact if seen.flux.source else None
    stands = seen.flux.kustomization.delivered if seen.flux.kustomization else None
    undetected, unhealthy = delivery.undetected_since, delivery.unhealthy_since
    if undetected and artifact and artifact.value.hash != delivery.hash:
        fetched = artifact.value.updated_at + timedelta(seconds=1) > undetected  # stamped in whole seconds
        undetected = None if fetched else undetected
    if unhealthy and stands and stands.value != delivery.hash and stands.at > unhealthy:
        older = {past.hash for past in memory.history if past.ended_at <= unhealthy}
        unhealthy = unhealthy if stands.value in older else None
    return replace(delivery, undetected_since=undetected, unhealthy_since=unhealthy)


def _predates(contract: Contract, seen: Observation) -> bool:
    """Whether the source had its artifact before there was a contract, or the Kustomization.

    Both times are whole seconds. A contract that the artifact itself brought came after it within the same second,
    too, and must not make its Kustomization wait for what the Kustomization is doing.
    """
    artifact = seen.flux.source.artifact if seen.flux.source else None
    if artifact is None:
        return False
    kustomization = seen.flux.kustomization
    if kustomization and kustomization.created_at and artifact.value.updated_at < kustomization.created_at:
        return True
    inside = contract.parent == f"{contract.namespace}/{contract.kustomization}"
    at = artifact.value.updated_at
    return at < contract.created_at or (inside and at == contract.created_at)


def _finish(memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Move the current delivery to the history."""
    delivery = memory.delivery
    if delivery is None:
        return memory
    healthy, undo = delivery.stages.healthy, memory.rollback
    undo = undo if undo and undo.bad.hash == delivery.hash else None
    past = Past(
        revision=delivery.revision,
        hash=delivery.hash,
        result=_result(delivery, memory, seen),
        ended_at=healthy.at if healthy else now,
        subject=delivery.subject,
        latency=_latency(delivery, memory),
        broken=tuple(j.promise for j in memory.judgements if j.verdict is Verdict.BROKEN),
        failed_at=delivery.failures.first_at if delivery.failures and _curable(delivery.failures) else None,
        recovered_at=undo.completed_at if undo else None,
        footing=footing_of(memory.good) if memory.good and memory.good.hash == delivery.hash else "",
    )
    if undo and past.result is Result.ROLLED_BACK:
        past = replace(past, left_for=undo.good.name, because=bounded(undo.because, 72))
    return replace(memory, history=_kept((past, *memory.history)))


def _kept(history: tuple[Past, ...]) -> tuple[Past, ...]:
    """Keep to the bound: what was overtaken untouched goes first, however new, for it says nothing."""
    if len(history) <= HISTORY:
        return history
    gone = next((i for i in reversed(range(len(history))) if history[i].untouched), len(history) - 1)
    return history[:gone] + history[gone + 1 :]


def _latency(delivery: Delivery, memory: Memory) -> timedelta | None:
    """From the push to healthy, where that was seen closely enough for a verdict."""
    pushed, healthy = timeline.origin(delivery), delivery.stages.healthy
    said = memory.judgement(PromiseName.RECONCILIATION)
    if pushed is None or healthy is None or said is None or said.measured is None:
        return None
    return Span.between(pushed, healthy).longest


def _curable(failures: Failures) -> bool:
    """Whether they are the commit's: an outage of a webhook or a right that is lacking is no failure of a change."""
    return classify(failures.reason, failures.message).curable


def _result(delivery: Delivery, memory: Memory, seen: Observation) -> Result:
    if delivery.adopted or (delivery.stages.healthy and not delivery.reached(delivery.stages.healthy)):
        return Result.ADOPTED
    undo, way_back = memory.rollback, memory.judgement(PromiseName.ROLLBACK)
    if undo and undo.bad.hash == delivery.hash:
        rolled_back = judging.switched(undo, seen)
    else:
        rolled_back = way_back is not None and delivery.hash in memory.bad
    if rolled_back:
        return Result.ROLLED_BACK
    return Result.HEALTHY if delivery.stages.healthy else Result.SUPERSEDED
