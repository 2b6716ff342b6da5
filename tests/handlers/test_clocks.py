"""Clocks that lie: in what Flux says, in our own status, and the operator's own."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.runtime.operator import Operator
from tests.handlers.embedded import running
from tests.handlers.story import A, B, C, deliver, prove
from tests.support.api_server import CONTRACTS, FLUX, KUSTOMIZATIONS, SOURCES, ApiServer
from tests.support.api_server_flux import Flux, verdict
from tests.support.virtual_time import eventually, now, passing, stamp

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

FORGED = {
    "the first year": "0001-01-01T00:00:00Z",
    "before computers": "1899-12-31T23:59:59Z",
    "an hour ago": timedelta(hours=-1),
    "in an hour": timedelta(hours=1),
    "in ten years": "2036-01-05T12:00:00Z",
    "the last year": "9999-12-31T23:59:59Z",
    "beyond the last zone": "9999-12-31T23:59:59-14:00",
    "no time": "yesterday",
}
RESTLESS = 20
"""Passes over a contract in ten minutes that would mean that it never rests."""


def forged(thing: Any, text: str) -> Any:
    """The same thing with another time wherever there is one."""
    if isinstance(thing, dict):
        return {key: forged(value, text) for key, value in thing.items()}
    if isinstance(thing, list):
        return [forged(value, text) for value in thing]
    return text if isinstance(thing, str) and thing.startswith("2026-") and thing.endswith("Z") else thing


def exposed(operator: Operator) -> str:
    """All metrics."""
    return b"".join(operator.metrics.scrape("")[1]).decode()


def passes(operator: Operator) -> float:
    """How many passes there were."""
    name = "flux_contract_pass_duration_seconds_count"
    return float(next(line.split()[1] for line in exposed(operator).splitlines() if line.startswith(name)))


async def test_forged_times_mislead_nobody_for_long() -> None:
    """In Kustomization, source or status: nothing is rolled back for one, nothing spins, and what comes next is judged."""
    async with ApiServer() as api, running(api) as operator:
        names = {
            f"{plural}-{number}": (plural, lie)
            for plural in (KUSTOMIZATIONS, SOURCES, CONTRACTS)
            for number, lie in enumerate(FORGED.values())
        }
        other, liars = Flux(api), {name: Flux(api, name) for name in names}
        for flux in (other, *liars.values()):
            flux.standing()
        await prove_all(other, *liars.values())

        for name, (plural, lie) in names.items():
            text = lie if isinstance(lie, str) else stamp(now() + lie)
            api.change(plural, "apps", name, {"status": forged(api.get(plural, "apps", name)["status"], text)})
        await passing(5)
        before = passes(operator)
        await passing(600)
        spun = passes(operator) - before
        for flux in (other, *liars.values()):
            await deliver(flux, B)
        await passing(30)

        assert spun < RESTLESS * len(liars)
        assert [name for name, flux in liars.items() if B not in flux.status["lastGoodRevision"]] == []
        judged = {name: verdict(flux.seen, "Reconciliation") for name, flux in liars.items()}
        assert {name: said for name, said in judged.items() if said not in ("Kept", "Unknown")} == {}
        assert verdict(other.seen, "Reconciliation") == "Kept"
        assert api.writes(*FLUX) == []
        assert 'flux_contract_errors_total{kind="bug"} 0.0' in exposed(operator)


async def prove_all(*all_of_them: Flux) -> None:
    """Wait until the commit that stands is known to be good everywhere."""
    for flux in all_of_them:
        await eventually(lambda flux=flux: A in flux.status.get("lastGoodRevision", ""), f"{flux.name} to be good")


@pytest.mark.parametrize("hours", [-24, 1, 24])
async def test_a_clock_that_is_set_rolls_nothing_back(hours: int) -> None:
    """The operator's own clock goes wrong and is put right: deliveries are followed, and measured again afterwards."""
    async with ApiServer() as api:
        offset = timedelta(0)
        async with running(api, clock=lambda: now() + offset) as operator:
            flux = Flux(api)
            await prove(flux)

            offset = timedelta(hours=hours)
            await passing(120)
            await deliver(flux, B)
            await passing(60)
            during = flux.status["delivery"]["revision"]
            offset = timedelta(0)
            await passing(120)
            await deliver(flux, C)
            await passing(60)

            assert B in during
            assert C in flux.status["lastGoodRevision"]
            assert verdict(flux.seen, "Reconciliation") == "Kept"
            assert api.writes(*FLUX) == []
            assert operator.sweep.unready() == ""
