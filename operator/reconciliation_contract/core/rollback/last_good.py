"""When a revision has proved itself good: it has stayed Ready through a settling time."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.memory.memory import Good, Memory
from reconciliation_contract.core.rollback.guards import unfitness
from reconciliation_contract.core.spec.contract import Contract


def settles_at(contract: Contract, memory: Memory, seen: Observation) -> datetime | None:
    """When the revision that now stands will have proved itself; None if it does not stand, or already has."""
    delivery, kustomization = memory.delivery, seen.flux.kustomization
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


def prove(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Remember the revision as good once it has stayed Ready through the settling time."""
    due, delivery, kustomization = settles_at(contract, memory, seen), memory.delivery, seen.flux.kustomization
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
