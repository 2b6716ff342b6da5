"""Why there is nothing to follow."""

from __future__ import annotations

from reconciliation_contract.core.facts.observation import Condition, Observation
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons


def obstacle(contract: Contract, seen: Observation) -> Condition | None:
    """Why there is nothing to follow, with what to do about it; None where there is."""
    where = f"Kustomization {contract.namespace}/{contract.kustomization}"
    if not seen.flux.installed:
        return Condition("False", reasons.FLUX_MISSING, "the cluster has no Flux Kustomizations; install Flux")
    kustomization = seen.flux.kustomization
    if kustomization is None:
        message = f"{where} does not exist; create it or mend spec.kustomizationRef"
        return Condition("False", reasons.KUSTOMIZATION_MISSING, message)
    ref = kustomization.source
    if ref.kind not in seen.flux.source_kinds:
        known = ", ".join(seen.flux.source_kinds)
        message = f"{where} takes its manifests from a source of kind {ref.kind}; what can be followed: {known}"
        return Condition("False", reasons.SOURCE_UNSUPPORTED, message)
    if seen.flux.denied:
        message = f"{seen.flux.denied}; keep {where} and its source in one namespace"
        return Condition("False", reasons.SOURCE_DENIED, message)
    if seen.flux.source is None:
        message = f"{ref.kind} {ref.namespace}/{ref.name} does not exist; create it or mend {where}'s sourceRef"
        return Condition("False", reasons.SOURCE_MISSING, message)
    return None
