"""From when on failed attempts count: only those of what there is now speak for a rollback."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciliation_contract.core.facts.attention import Attention
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.memory.timeline import Delivery


def recount(delivery: Delivery, now: datetime) -> Delivery:
    """Count failed attempts from now on: those before say nothing of what there is now."""
    return replace(delivery, failures=None, counted_from=now)


def resumed(memory: Memory, looks: Attention, now: datetime) -> Memory:
    """Take note of a suspension, and of its end once the cluster is seen; only what fails from then on counts."""
    if looks is Attention.SUSPENDED:
        return replace(memory, suspended=True)
    if looks is Attention.BLIND or not memory.suspended:
        return memory
    delivery = recount(memory.delivery, now) if memory.delivery else None
    return replace(memory, suspended=False, delivery=delivery)


def respecified(memory: Memory, seen: Observation) -> bool:
    """Whether the failed attempts were those of another spec of the Kustomization's own."""
    failures, kustomization = memory.delivery.failures if memory.delivery else None, seen.flux.kustomization
    if failures is None or kustomization is None or memory.rollback is not None:
        return False
    return bool(failures.spec and kustomization.spec) and failures.spec != kustomization.spec
