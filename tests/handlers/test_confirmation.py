"""Silence alone breaks no promise: the objects are read once before it is believed."""

from __future__ import annotations

import pytest

from tests.handlers.embedded import LAGGING, running
from tests.handlers.story import B, prove
from tests.support.api_server import KUSTOMIZATIONS, SOURCES, ApiServer
from tests.support.api_server_flux import Flux, promise, verdict
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime

PROMISES = {"detection": {"within": "40s"}, "reconciliation": {"within": "1m"}}


async def test_a_watch_that_lags_across_the_deadline_breaks_nothing() -> None:
    """What got healthy in time, while the watch brought nothing, is kept."""
    async with ApiServer() as api, running(api, settings=LAGGING):
        flux = Flux(api)
        await prove(flux, promises=PROMISES)
        flux.fetch(B)
        await passing(4)

        api.frozen.add(KUSTOMIZATIONS)
        flux.attempt(B)
        await passing(5)
        flux.deliver(B)
        await passing(60)

        assert verdict(flux.seen, "Reconciliation") == "Kept"
        assert promise(flux.seen, "Reconciliation")["measured"][0] in "89"


async def test_what_cannot_be_read_stays_pending() -> None:
    """Without an answer nothing is concluded; the promise is broken when the API server confirms that nothing came."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, promises=PROMISES)
        flux.fetch(B)
        await passing(30)

        with api.failing(503, where=lambda seen: seen.method == "GET" and "fieldSelector" in seen.query):
            await passing(40)
            assert verdict(flux.seen, "Reconciliation") == "Pending"

        await eventually(lambda: verdict(flux.seen, "Reconciliation") == "Broken", "the verdict", within=30)


async def test_a_broken_promise_costs_one_look_at_each_object() -> None:
    """Nothing is read while it is pending, and nothing again once it is broken."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, promises=PROMISES)
        flux.fetch(B)
        await passing(55)
        before = [seen for seen in api.requests if "fieldSelector" in seen.query]

        await eventually(lambda: verdict(flux.seen, "Reconciliation") == "Broken", "the verdict", within=30)
        await passing(300)

        looks = [seen.plural for seen in api.requests if "fieldSelector" in seen.query]
        assert before == []
        assert sorted(looks) == sorted([KUSTOMIZATIONS, SOURCES])


async def test_an_outage_of_the_api_server_excuses_nothing_that_came_in_time() -> None:
    """With something to blame the objects are read all the same: what got healthy meanwhile breaks nothing."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, promises=PROMISES)
        flux.fetch(B)
        await passing(4)

        api.frozen.add(KUSTOMIZATIONS)
        flux.attempt(B)
        flux.deliver(B)
        with api.failing(503, where=lambda seen: seen.method == "GET"):
            await passing(70)
        await eventually(lambda: verdict(flux.seen, "Reconciliation") != "Pending", "the verdict", within=60)

        assert verdict(flux.seen, "Reconciliation") in ("Kept", "Unknown")
