"""Whether a pass looks at its contract. It is asked once, when the pass begins."""

from __future__ import annotations

from enum import Enum

from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.spec.contract import Contract


class Attention(Enum):
    """How much of a contract's work a pass may do."""

    FULL = "full"
    """The cluster is seen: facts are recorded and judged, requests are taken up, rollbacks go on."""
    SUSPENDED = "suspended"
    """The contract is suspended: nothing is recorded or judged, and nothing done but for its deletion."""
    BLIND = "blind"
    """The operator does not see the cluster: nothing is concluded from what it saw before."""


def attention(contract: Contract, seen: Observation) -> Attention:
    """How much of its work this pass may do. A person's wish comes before what the operator can see."""
    if contract.suspended:
        return Attention.SUSPENDED
    return Attention.FULL if seen.operator.fresh else Attention.BLIND
