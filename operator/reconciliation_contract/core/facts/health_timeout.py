"""How long Flux waits for what it applied to become healthy."""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from reconciliation_contract.core.facts.observation import Kustomization

SHORTEST_TIMEOUT: Final = timedelta(seconds=30)
"""kustomize-controller waits at least this long for health, whatever ``spec.timeout`` says."""


def effective_timeout(kustomization: Kustomization) -> timedelta:
    """How long Flux waits for health: ``spec.timeout``, else the interval less 30 s, never under 30 s."""
    return max(SHORTEST_TIMEOUT, kustomization.timeout or kustomization.interval - timedelta(seconds=30))
