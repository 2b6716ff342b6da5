"""The brake for the fleet in the running operator: through a long outage, a restart and the recovery."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from tests.handlers.embedded import running
from tests.handlers.story import A, B, C, activate, deliver, fail, prove
from tests.support.api_server import FLUX, ApiServer
from tests.support.api_server_flux import Flux
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime


async def _fleet(api: ApiServer) -> list[Flux]:
    """Five repositories, all of them proved."""
    fleet = [Flux(api, f"shop-{number}") for number in range(5)]
    for flux in fleet:
        await prove(flux)
    return fleet


async def _outage(fleet: Sequence[Flux], minutes: float) -> None:
    """Have every attempt at the newest commits fail, one a minute, for so long."""
    for flux in fleet:
        flux.fetch(B)
    for _ in range(int(minutes)):
        for flux in fleet:
            flux.attempt(B)
        await passing(5)
        for flux in fleet:
            flux.fail(B)
        await passing(55)


def _said(fleet: Sequence[Flux]) -> set[str]:
    return {flux.state or flux.reason("RolledBack") for flux in fleet}


@pytest.mark.slow
async def test_an_outage_rolls_nothing_back_however_long_it_lasts() -> None:
    """For as long as all fail, also long after they began to, nothing is done; afterwards all is as before."""
    async with ApiServer() as api, running(api):
        fleet = await _fleet(api)

        await _outage(fleet, 40)
        during = _said(fleet)
        for flux in fleet:
            await deliver(flux, B)
        await passing(60)

        assert during == {"FleetBrake"}
        assert api.accepted(*FLUX) == []
        assert _said(fleet) == {"Recovered"}


async def test_a_restart_in_an_outage_rolls_nothing_back() -> None:
    """The first contract that is looked at by a new process knows of all the others."""
    async with ApiServer() as api:
        async with running(api):
            fleet = await _fleet(api)
            await _outage(fleet, 3)
        async with running(api):
            await passing(120)

            assert _said(fleet) == {"FleetBrake"}
        assert api.accepted(*FLUX) == []


async def test_those_that_recover_last_are_not_rolled_back_for_it() -> None:
    """When the brake comes off, what failed under it does not count: the last two are tried once more first."""
    async with ApiServer() as api, running(api):
        fleet = await _fleet(api)
        await _outage(fleet, 3)

        for flux in fleet[:3]:
            await deliver(flux, B)
        await passing(180)
        waiting = _said(fleet[3:])
        for flux in fleet[3:]:
            await deliver(flux, B)
        await passing(60)

        assert waiting == {"Recovered"}
        assert api.accepted(*FLUX) == []


async def test_after_an_outage_a_bad_commit_is_rolled_back() -> None:
    """The brake that is off holds nothing back."""
    async with ApiServer() as api, running(api):
        fleet = await _fleet(api)
        await _outage(fleet, 3)
        for flux in fleet:
            await deliver(flux, B)
        await passing(60)

        await fail(fleet[0], C)
        await activate(fleet[0], B)

        assert fleet[0].state == "Active"
        assert {flux.state for flux in fleet[1:]} == {""}


async def test_an_outage_that_shows_after_the_decision_stops_the_switch() -> None:
    """An intent is withdrawn with its pinned copy when the others begin to fail as well."""
    async with ApiServer() as api, running(api):
        fleet = await _fleet(api)
        await fail(fleet[0])
        await eventually(lambda: fleet[0].pins, "the pinned copy")

        await _outage(fleet[1:], 1)
        fleet[0].fetch(A, fleet[0].pins[0]["metadata"]["name"])
        await passing(60)

        assert fleet[0].reason("RolledBack") == "FleetBrake"
        assert fleet[0].pins == []
        assert "rollback" not in fleet[0].status
        assert {seen.method for seen in api.accepted(*FLUX)} == {"POST", "DELETE"}
