"""A restart between our own look at Git and Flux's."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.facts.observation import Artifact, FluxFacts, Git, Observation, Since, Source
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.spec.contract import Contract

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD, NEW = "a" * 40, "b" * 40


@pytest.mark.parametrize(("looked", "followed"), [(False, NEW), (True, OLD)])
def test_what_flux_has_not_detected_is_not_given_up_before_git_is_looked_at(looked: bool, followed: str) -> None:
    """The older artifact is no way back while Git has not been asked again; afterwards it is."""
    contract = Contract("apps", "shop", "u", 1, NOW - timedelta(days=1), "shop")
    memory = Memory(delivery=Delivery(f"main@sha1:{NEW}", NEW, started_at=NOW - timedelta(seconds=5)))
    artifact = Since(Artifact(f"main@sha1:{OLD}", OLD, NOW - timedelta(hours=1)), NOW, exact=False)
    source = Source("apps", "shop", "s", "1", "http://git/shop", artifact=artifact)

    decision = evaluate(contract, memory, Observation(git=Git(looked=looked), flux=FluxFacts(source=source)), NOW)

    assert decision.memory.delivery
    assert decision.memory.delivery.hash == followed
    assert len(decision.memory.history) == (1 if looked else 0)
