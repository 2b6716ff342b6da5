"""An operator that takes over from an earlier version in the middle of a rollback."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tests.handlers.embedded import running
from tests.handlers.story import B, C, activate, release, source_of
from tests.support.api_server import CONTRACTS, FLUX, ApiServer
from tests.support.api_server_flux import Flux
from tests.support.earlier import AGE, restored
from tests.support.virtual_time import eventually, passing

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

EARLIER = Path(__file__).parent / "earlier"
SNAPSHOTS = sorted(path.relative_to(EARLIER).as_posix() for path in EARLIER.rglob("*.yaml"))
SOON = 60.0
"""Seconds after the snapshot was taken at which the operator takes over; later, a decision would be too old."""


@pytest.mark.parametrize("snapshot", SNAPSHOTS)
async def test_a_rollback_of_an_earlier_version_is_gone_on_with(snapshot: str) -> None:
    """Whatever state it is in, it is done once, is taken back whole, and nothing of what was known is lost."""
    async with ApiServer() as api:
        found = yaml.safe_load((EARLIER / snapshot).read_text())
        restored(api, found)
        flux = Flux(api)
        before = flux.status
        await passing(AGE)
        async with running(api) as operator:
            if flux.state == "Proposed":
                asked = {"annotations": {"reconciliation.dev/approve": B}}
                api.change(CONTRACTS, "apps", "shop", {"metadata": asked})
                await eventually(lambda: flux.state == "Intended", "the approval to be taken up")
            if flux.state in ("Intended", "Switching"):
                await activate(flux)
            kept = flux.status
            await release(flux, C)
            flux.attempt(C)
            flux.deliver(C)
            await eventually(lambda: C in flux.status["lastGoodRevision"], "the fix to be good")
            bugs = b"".join(operator.metrics.scrape("")[1]).decode()

    assert 'flux_contract_errors_total{kind="bug"} 0.0' in bugs
    assert kept["lastGoodRevision"] == before["lastGoodRevision"]
    if before["rollback"]["state"] not in ("Proposed", "Releasing"):  # it begins with the approval; it is over
        assert kept["rollback"]["startedAt"] == before["rollback"]["startedAt"]
    assert source_of(flux) == "shop"
    assert flux.pins == []
    assert not flux.seen["metadata"].get("finalizers")
    assert len([seen for seen in api.accepted(*FLUX) if seen.method == "POST"]) <= 1
