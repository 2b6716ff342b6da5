"""Which delivery is followed: from one to the next, as the revision that the cluster should be at moves."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciliation_contract.core import sighting, timeline, verdict
from reconciliation_contract.core.contract import Contract
from reconciliation_contract.core.counting import recount, respecified
from reconciliation_contract.core.memory import HISTORY, Memory, Past, Result, footing_of
from reconciliation_contract.core.observation import Observation
from reconciliation_contract.core.promises import PromiseName, Verdict
from reconciliation_contract.core.timeline import Delivery, Span


def follow(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Go on with the current delivery; begin the next one where the target has moved."""
    goal, first = sighting.target(seen), memory.delivery is None
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
    return verdict.judge(contract, replace(memory, delivery=sighting.follow(delivery, seen)), seen, now)


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
    undo, way_back = memory.rollback, memory.judgement(PromiseName.ROLLBACK)
    if undo and undo.bad.hash == delivery.hash:
        rolled_back = verdict.switched(undo, seen)
    else:
        rolled_back = way_back is not None and delivery.hash in memory.bad
    if rolled_back:
        return Result.ROLLED_BACK
    return Result.HEALTHY if delivery.stages.healthy else Result.SUPERSEDED
