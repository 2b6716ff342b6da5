"""The promise that a delivery does not take replicas away.

The delivery is in flight until it is healthy and its workloads have settled, or until it is rolled back. Where no
health is checked, workloads that never settle are waited for no longer than a reconciliation may take; a delivery
that never ends is watched no longer than a rollback of it would have taken.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.facts.replicas import WORST, Drop, Rollout
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons

_NONE = timedelta(0)
"""How long a drop is tolerated."""


def in_flight(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> bool:
    """Whether the workloads are to be followed now."""
    delivery, kustomization, found = memory.delivery, seen.flux.kustomization, seen.live.rollout
    if delivery is None or delivery.adopted or kustomization is None:
        return False
    if contract.suspended or contract.deleting or kustomization.suspended:
        return False
    said = memory.judgement(PromiseName.AVAILABILITY)
    if said is None or not said.concluded:
        return True
    # A drop that was told is followed to its end, for its duration.
    if said.verdict is not Verdict.BROKEN or said.measured is not None:
        return False
    if found is None:
        return delivery.stages.healthy is None
    return now < _given_up_at(contract, memory, delivery)


def assess_availability(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Judgement | None:
    """How the promise stands; None where nobody follows this delivery."""
    found, delivery = seen.live.rollout, memory.delivery
    if found is None or delivery is None or found.delivery != delivery.started_at:
        return None
    over = _is_over(contract, memory, found, now)
    drops = [drop for drop in found.drops if not drop.absent or (over and _is_wanted(drop, seen))]
    if drops:
        return _broken(drops, over=over)
    if found.lacking:
        return _said(Verdict.UNKNOWN, reasons.NOT_PERMITTED, found.lacking)
    if seen.flux.kustomization is not None and seen.flux.kustomization.suspended:
        return _said(Verdict.UNKNOWN, reasons.SUSPENDED, "the Kustomization is suspended")
    if not over and now >= _given_up_at(contract, memory, delivery):
        message = "no workload lost replicas for as long as it was watched; the delivery has not ended since"
        return _said(Verdict.UNKNOWN, reasons.UNOBSERVED, message)
    if not over or found.began_at is None:
        return _said(Verdict.PENDING, reasons.IN_PROGRESS, "watched for workloads that lose replicas")
    unseen = found.gap or _unseen(found, delivery)
    if unseen:
        return _said(Verdict.UNKNOWN, reasons.UNOBSERVED, unseen)
    if not found.followed:
        return _said(Verdict.KEPT, reasons.WITHIN_BUDGET, "no workload was there before")
    message = f"no workload lost available replicas, of {found.followed} followed"
    return _said(Verdict.KEPT, reasons.WITHIN_BUDGET, message, _NONE)


def _said(verdict: Verdict, reason: str, message: str, measured: timedelta | None = None) -> Judgement:
    return Judgement(PromiseName.AVAILABILITY, verdict, _NONE, reason, message, measured)


def _broken(drops: list[Drop], *, over: bool) -> Judgement:
    """Name the worst; how long the longest lasted is measured once all is over."""
    message = "; ".join(drop.told() for drop in drops[:WORST])
    lasted = [drop.lasted for drop in drops if drop.lasted is not None]
    measured = max(lasted) if over and len(lasted) == len(drops) else None
    return _said(Verdict.BROKEN, reasons.DOWNTIME, message, measured)


def _is_wanted(drop: Drop, seen: Observation) -> bool:
    """Whether a workload that was gone is part of the revision."""
    inventory = seen.flux.kustomization.inventory if seen.flux.kustomization else None
    return inventory is not None and any(each.key == drop.key for each in inventory.value.entries())


def _is_over(contract: Contract, memory: Memory, found: Rollout, now: datetime) -> bool:
    delivery, undo = memory.delivery, memory.rollback
    if delivery is None:
        return False
    if undo is not None and undo.bad.hash == delivery.hash:
        back = undo.completed_at is not None and found.settled
        return back or undo.state is RollbackState.FAILED
    healthy = delivery.stages.healthy
    return healthy is not None and (found.settled or now >= healthy.at + contract.promises.reconciliation)


def _given_up_at(contract: Contract, memory: Memory, delivery: Delivery) -> datetime:
    """When nobody watches any longer, although the delivery has not ended: by then a rollback would have."""
    begun = memory.rollback.started_at if memory.rollback else delivery.started_at
    return begun + contract.promises.reconciliation + contract.rollback.duration + contract.rollback.within


def _unseen(found: Rollout, delivery: Delivery) -> str:
    """Why the time before the first look is not covered; empty where nothing can have happened in it."""
    attempted, applied, failures = delivery.stages.attempted, delivery.stages.applied, delivery.failures
    began_at = found.began_at
    if attempted is None or began_at is None or began_at <= attempted.at:
        return ""
    moved = [at for at in (applied and applied.at, failures and failures.first_at) if at]
    if found.steady and all(began_at <= at for at in moved):
        return ""
    return "nobody watched the workloads from the beginning of the delivery on"
