"""Grounds for a rollback, and objections to it: a chain of small predicates, each with its reason."""

from __future__ import annotations

from datetime import datetime

from reconciliation_contract.core import reasons
from reconciliation_contract.core.cause import classify
from reconciliation_contract.core.contract import Contract, RollbackMode, RollbackPolicy
from reconciliation_contract.core.memory import Good, Memory
from reconciliation_contract.core.observation import Observation
from reconciliation_contract.core.timeline import Delivery, Failures


def persistent_from(failures: Failures | None, policy: RollbackPolicy) -> datetime | None:
    """When a failure counts (or will count, if nothing improves) as persistent; None without failed attempts."""
    if failures is None:
        return None
    if failures.count >= policy.failures:
        return failures.last_at
    return failures.first_at + policy.duration


def objection(contract: Contract, memory: Memory, delivery: Delivery, seen: Observation) -> tuple[str, str] | None:
    """The first reason, with its message, not to roll the delivery back; None if there is none."""
    failures, good, policy = delivery.failures, memory.good, contract.rollback
    if policy.mode is RollbackMode.DISABLED:
        return (reasons.ROLLBACK_DISABLED, "spec.rollback.mode is Disabled")
    if not seen.acts:
        return (reasons.ROLLBACK_DISABLED, "the operator runs with --observe-only")
    change = changed(delivery.hash, seen)
    if change:
        return (reasons.CANCELLED, change)
    if delivery.hash in memory.bad:
        message = f"{delivery.revision} was rolled back once already; push a fix"
        return (reasons.ALREADY_ROLLED_BACK, message)
    cause = classify(failures.reason, failures.message) if failures else None
    if cause and not cause.curable:
        return (reasons.NOT_CURABLE, f"a rollback would not help: {cause.remedy}")
    unfit = unfitness(good, delivery.hash, seen)
    return (reasons.NO_GOOD_REVISION, unfit) if unfit else None


def changed(bad: str, seen: Observation) -> str:
    """Why the world is not (or no longer) as a rollback of ``bad`` assumes; empty if it is."""
    kustomization, source = seen.kustomization, seen.source
    if kustomization is None or kustomization.deleting:
        return "the Kustomization is gone"
    if kustomization.suspended:
        return "the Kustomization is suspended"
    if source is None or source.artifact is None or source.artifact.value.hash != bad:
        return "the source has moved on"
    if source.suspended:
        return "the source is suspended"
    if kustomization.attempted is None or kustomization.attempted.value != bad:
        return "the Kustomization is not at the failing revision"
    if kustomization.delivered is not None:
        return "the revision has become healthy"
    return ""


def unfitness(good: Good | None, bad: str, seen: Observation) -> str:
    """Why there is no way back to ``good``; empty if there is one."""
    if good is None or good.hash == bad:
        return "no other revision has been healthy under this contract yet; push a fix"
    kustomization = seen.kustomization
    if kustomization is None or kustomization.uid != good.kustomization_uid:
        return "the last good revision was that of another Kustomization of the same name; push a fix"
    if (kustomization.source, kustomization.path) != (good.source, good.path):
        return "the last good revision came from another source or path; push a fix"
    return ""
