"""A look at the objects themselves before silence is taken for a broken promise.

A watch that lags looks just like a Flux that does nothing, and a verdict is not taken back. So when the only evidence
is that nothing was seen to happen, the source and the Kustomization are read once, and decided on anew.
"""

from __future__ import annotations

from datetime import datetime

from reconciliation_contract.adapters.kubernetes.client import KUSTOMIZATIONS, Cluster, resource_of
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.observers.store import Key, Store


async def look_closely(cluster: Cluster, store: Store, seen: Observation, now: datetime) -> set[Key]:
    """Bring what a contract follows up to date; return all contracts that this concerns. Raises `ClusterError`."""
    concerned: set[Key] = set()
    if source := seen.flux.source:
        key = (source.namespace, source.name)
        raw = await cluster.find(resource_of(source.kind), *key)
        concerned |= (
            store.put_source(raw, now, live=False, kind=source.kind)
            if raw
            else store.drop_source(key, source.uid, source.kind)
        )
    if kustomization := seen.flux.kustomization:
        key = (kustomization.namespace, kustomization.name)
        raw = await cluster.find(KUSTOMIZATIONS, *key)
        concerned |= (
            store.put_kustomization(raw, now, live=False) if raw else store.drop_kustomization(key, kustomization.uid)
        )
    return concerned
