"""How a delivery ended, as soon as it did: the next commit may be months away.

It ends when it is healthy, when a rollback from it is complete, or when it is overtaken before either. One that was
healthy and is rolled back later has ended twice, and counts as a failure, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Past, Result, Rollback
from reconciliation_contract.core.memory.timeline import Delivery


def is_same(one: Delivery | None, other: Delivery | None) -> bool:
    """Whether two deliveries are one at two times."""
    if one is None or other is None:
        return False
    return (one.hash, one.started_at) == (other.hash, other.started_at)


def undone(memory: Memory) -> Rollback | None:
    """The rollback that ended the current delivery; None where none did."""
    undo, delivery = memory.rollback, memory.delivery
    if undo is None or delivery is None or undo.bad.hash != delivery.hash or undo.completed_at is None:
        return None
    return undo


def result(memory: Memory) -> Result | None:
    """How the current delivery has ended so far; None while it has not."""
    delivery = memory.delivery
    if delivery is None:
        return None
    released = memory.rollback is None and memory.judgement(PromiseName.ROLLBACK) and delivery.hash in memory.bad
    if undone(memory) or released:
        return Result.ROLLED_BACK
    if delivery.stages.healthy is None:
        return None
    return Result.ADOPTED if delivery.adopted else Result.HEALTHY


def last_healthy(memory: Memory) -> datetime | None:
    """When a delivery last was healthy; where the history tells no more, when the revision had proved good."""
    healthy = memory.delivery.stages.healthy if memory.delivery else None
    if healthy:
        return healthy.at
    known = (past.ended_at for past in memory.history if past.was_healthy)
    return next(known, memory.good.since if memory.good else None)


def results(before: Memory, after: Memory) -> Iterator[Result]:
    """How deliveries ended between two passes."""
    same, known, now = is_same(before.delivery, after.delivery), result(before), result(after)
    if before.delivery and not same and known is None and after.history:
        yield after.history[0].result
    if now is not None and not (same and known in (now, Result.ROLLED_BACK)):
        yield now


def so_far(memory: Memory) -> tuple[Past, ...]:
    """The history, newest first, as if the current delivery belonged to it once it has ended."""
    delivery, ended = memory.delivery, result(memory)
    healthy = delivery.stages.healthy if delivery else None
    undo = undone(memory)
    at = healthy.at if healthy else undo.completed_at if undo else None
    if delivery is None or ended is None or at is None:
        return memory.history
    current = Past(
        delivery.revision,
        delivery.hash,
        ended,
        at,
        broken=tuple(j.promise for j in memory.judgements if j.verdict is Verdict.BROKEN),
        failed_at=delivery.failures.first_at if delivery.failures else None,
        recovered_at=undo.completed_at if undo else None,
    )
    return (current, *memory.history)
