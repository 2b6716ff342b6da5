"""Replicas of the kinds that have some, from the raw objects; field meanings: the Kubernetes API, ``apps/v1``."""

from __future__ import annotations

from typing import Final

from reconciliation_contract.api.kubernetes.raw import Raw, read_map, read_number, read_text
from reconciliation_contract.core.facts.replicas import Replicas

KINDS: Final = ("Deployment", "StatefulSet", "DaemonSet")
"""The kinds whose availability is followed, all of the group ``apps``."""


def replicas(kind: str, raw: Raw) -> Replicas | None:
    """Read a workload; None where it is on its way out."""
    meta, spec, status = read_map(raw, "metadata"), read_map(raw, "spec"), read_map(raw, "status")
    if "deletionTimestamp" in meta:
        return None
    told = read_number(status, "observedGeneration") >= read_number(meta, "generation")
    if kind == "DaemonSet":
        desired, available = read_number(status, "desiredNumberScheduled"), read_number(status, "numberAvailable")
        updated, others = read_number(status, "updatedNumberScheduled"), 0
    else:
        wanted = spec.get("replicas")
        desired, available = wanted if isinstance(wanted, int) else 1, read_number(status, "availableReplicas")
        updated = read_number(status, "updatedReplicas")
        others = read_number(status, "replicas") - updated
    held = spec.get("paused") is True or _waits(spec)
    rolled = updated >= desired and others <= 0
    return Replicas(desired, available, settled=told and available >= desired and (rolled or held))


def _waits(spec: Raw) -> bool:
    """Whether pods are replaced only when somebody deletes them, or only some of them are."""
    strategy = read_map(spec, "updateStrategy")
    partition = read_number(read_map(strategy, "rollingUpdate"), "partition")
    return read_text(strategy, "type") == "OnDelete" or partition > 0
