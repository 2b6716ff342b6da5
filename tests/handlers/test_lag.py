"""A watch of Kustomizations that lags behind the operator's own switch, while the source's watch does not."""

from __future__ import annotations

import pytest

from tests.handlers.embedded import LAGGING, running
from tests.handlers.story import A, C, fail, prove, source_of
from tests.support.api_server import CONTRACTS, KUSTOMIZATIONS, ApiServer
from tests.support.api_server_flux import Flux
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime

MARK = "reconciliation.dev/rolled-back-from"


async def _switched_unseen(api: ApiServer, flux: Flux) -> None:
    """Have the operator switch, and its watch of Kustomizations go silent just before."""
    await fail(flux)
    await eventually(lambda: flux.pins, "the pinned copy")
    await passing(2)
    api.frozen.add(KUSTOMIZATIONS)
    flux.fetch(A, flux.pins[0]["metadata"]["name"])
    await eventually(lambda: source_of(flux) != "shop", "the switch")


@pytest.mark.parametrize("seconds", [0.02, 0.1, 0.5, 10])
async def test_a_fix_that_is_pushed_at_the_switch_is_delivered(seconds: float) -> None:
    """The Kustomization is given its own source back before the pinned copy goes, and no trace stays."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await _switched_unseen(api, flux)

        flux.fetch(C)
        await passing(seconds)
        api.frozen.clear()
        api.objects.cut(KUSTOMIZATIONS)
        await passing(100)

        assert source_of(flux) == "shop"
        assert flux.pins == []
        assert MARK not in flux.kustomization["metadata"].get("annotations", {})
        assert not flux.state


async def test_a_deletion_at_the_switch_gives_everything_back() -> None:
    """The contract goes when the Kustomization is at its own source, whatever the watch has told."""
    async with ApiServer() as api, running(api, settings=LAGGING):
        flux = Flux(api)
        await prove(flux)
        await _switched_unseen(api, flux)

        api.delete(CONTRACTS, "apps", "shop")
        await eventually(lambda: api.objects.find(CONTRACTS, ("apps", "shop")) is None, "the end", within=30)

        assert source_of(flux) == "shop"
        assert flux.pins == []


async def test_a_pinned_copy_that_is_in_use_is_not_removed() -> None:
    """Where the answer to the switch is lost as well, the API server is asked before the pinned copy goes."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await eventually(lambda: flux.pins, "the pinned copy")
        await passing(2)
        api.frozen.add(KUSTOMIZATIONS)
        with api.failing(503, where=lambda seen: seen.plural == KUSTOMIZATIONS and seen.method == "PATCH") as lost:
            flux.fetch(A, flux.pins[0]["metadata"]["name"])
            await eventually(lambda: lost, "the switch")
        done = lost[0].body
        annotations = done["metadata"]["annotations"]
        api.change(KUSTOMIZATIONS, "apps", "shop", {"metadata": {"annotations": annotations}, "spec": done["spec"]})

        flux.fetch(C)
        await passing(100)

        assert source_of(flux) == "shop"
        assert flux.pins == []
        assert MARK not in flux.kustomization["metadata"].get("annotations", {})
        assert not flux.state
