"""What the cluster is compared with Git for: an occasion is compared at once, and again at every interval."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from reconciliation_contract.core.facts.observation import Observation, SourceRef
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises import drift
from reconciliation_contract.core.spec.contract import Contract


@dataclass(frozen=True, slots=True)
class Occasion:
    """What a comparison is made for; another one is due at once."""

    uid: str
    generation: int
    stands_since: datetime
    hash: str
    inventory: str
    """Digest of what the Kustomization has made."""
    source: SourceRef
    asked: str
    """The person's last request."""
    corrected: str
    """The last correction that Flux has taken up."""


def occasion_of(contract: Contract, memory: Memory, seen: Observation) -> Occasion | None:
    """What there is to compare with; None while Flux is at work on something else."""
    found = seen.flux.kustomization
    if found is None or found.delivered is None or found.deleting or found.source.kind not in seen.flux.source_kinds:
        return None
    correction = memory.drift.correction if memory.drift else None
    asked = drift.mark(correction) if correction else ""
    corrected = asked if asked and found.handled_request == asked else ""
    return Occasion(
        found.uid,
        found.generation,
        found.delivered.at,
        found.delivered.value,
        found.inventory.value.digest if found.inventory else "",
        found.source,
        contract.requested_at,
        corrected,
    )
