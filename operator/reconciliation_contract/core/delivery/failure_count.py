"""From when on failed attempts count: only those of what there is now speak for a rollback."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.spec.contract import Contract


def recount(delivery: Delivery, now: datetime) -> Delivery:
    """Count failed attempts from now on: those before say nothing of what there is now."""
    return replace(delivery, failures=None, counted_from=now)


def resumed(contract: Contract, memory: Memory, now: datetime) -> Memory:
    """Take note of a suspension; after it only what is seen to fail from now on counts."""
    delivery = memory.delivery
    if memory.suspended and not contract.suspended and delivery:
        delivery = recount(delivery, now)
    return replace(memory, suspended=contract.suspended, delivery=delivery)


def respecified(memory: Memory, seen: Observation) -> bool:
    """Whether the failed attempts were those of another spec of the Kustomization's own."""
    failures, kustomization = memory.delivery.failures if memory.delivery else None, seen.kustomization
    if failures is None or kustomization is None or memory.rollback is not None:
        return False
    return bool(failures.spec and kustomization.spec) and failures.spec != kustomization.spec
