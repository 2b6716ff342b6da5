"""Which delivery was there before its contract."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.facts.observation import Artifact, FluxFacts, Observation, Since, Source
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Contract

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
HASH = "a" * 40


@pytest.mark.parametrize(
    ("parent", "later", "adopted"),
    [
        pytest.param("", 0, False, id="of the same second, declared elsewhere"),
        pytest.param("", 1, True, id="of the second before, declared elsewhere"),
        pytest.param("apps/fleet", 0, False, id="of the same second, brought by another Kustomization"),
        pytest.param("apps/shop", 0, True, id="of the same second, which brought the contract"),
        pytest.param("apps/shop", -1, False, id="of the second after, which did not bring it"),
    ],
)
def test_what_was_there_before_is_adopted(parent: str, later: int, adopted: bool) -> None:
    """A contract inside its own Kustomization must never wait for the delivery that brings it."""
    contract = Contract("apps", "shop", "u", 1, NOW + timedelta(seconds=later), "shop", parent=parent)
    artifact = Since(Artifact(f"main@sha1:{HASH}", HASH, NOW), NOW, exact=False)
    source = Source("apps", "shop", "s", "1", "http://git/shop", artifact=artifact)

    delivery = evaluate(contract, Memory(), Observation(flux=FluxFacts(source=source)), NOW).memory.delivery

    assert delivery
    assert delivery.adopted is adopted
