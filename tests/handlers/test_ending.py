"""Contracts that are deleted while what they must give back cannot be given back."""

from __future__ import annotations

import pytest

from tests.handlers.embedded import running
from tests.handlers.story import C, activate, fail, prove, source_of
from tests.support.api_server import CONTRACTS, EVENTS, FLUX, KUSTOMIZATIONS, ApiServer, Seen
from tests.support.api_server_flux import Flux
from tests.support.virtual_time import eventually, passing

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

LIMIT = 30
"""Seconds in which a contract must be gone."""


def _acts(seen: Seen) -> bool:
    return seen.plural in FLUX and seen.method in ("PATCH", "DELETE", "POST")


async def _gone(api: ApiServer) -> None:
    await eventually(
        lambda: api.objects.find(CONTRACTS, ("apps", "shop")) is None, "the contract to go", within=LIMIT
    )


@pytest.mark.parametrize("status", [403, 422, 500], ids=["rights are withdrawn", "not accepted", "a webhook is down"])
@pytest.mark.parametrize("age", [1, 600], ids=["at once", "long after"])
async def test_a_contract_goes_though_its_acts_are_refused_for_good(status: int, age: float) -> None:
    """Within 30 s the contract is gone, and both Events name what is left and how to remove it."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)
        pin = source_of(flux)

        with api.failing(status, where=_acts):
            await passing(age)
            api.delete(CONTRACTS, "apps", "shop")
            await _gone(api)
            await passing(1)

        told = [seen.body for seen in api.writes(EVENTS) if seen.body["reason"] == "LeftBehind"]
        assert {body["regarding"]["kind"] for body in told} == {"ReconciliationContract", "Kustomization"}
        for body in told:
            assert "kubectl -n apps patch kustomization shop --type=merge -p" in body["note"]
            assert f"kubectl -n apps delete gitrepository {pin}" in body["note"]


async def test_a_refusal_that_is_mended_in_time_leaves_nothing() -> None:
    """A right that comes back within seconds is used, and nothing is left to tell."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)

        with api.failing(403, where=_acts):
            api.delete(CONTRACTS, "apps", "shop")
            await passing(5)
        await _gone(api)

        assert source_of(flux) == "shop"
        assert flux.pins == []
        assert "LeftBehind" not in [seen.body["reason"] for seen in api.writes(EVENTS)]


@pytest.mark.parametrize("seconds", [14, 40, 120])
@pytest.mark.parametrize("status", [429, 503])
async def test_an_outage_of_the_api_server_abandons_nothing(seconds: float, status: int) -> None:
    """While nothing can be done the deletion waits, and afterwards everything is given back."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)

        with api.failing(status, where=_acts):
            api.delete(CONTRACTS, "apps", "shop")
            await passing(seconds)
        await _gone(api)

        assert source_of(flux) == "shop"
        assert flux.pins == []
        assert "LeftBehind" not in [seen.body["reason"] for seen in api.writes(EVENTS)]


async def test_a_release_is_tried_once_more_before_it_is_given_up() -> None:
    """Rights that lacked for long and are there again when the contract is deleted are used."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)
        with api.failing(403, where=_acts):
            flux.fetch(C)
            await passing(300)

        api.delete(CONTRACTS, "apps", "shop")
        await _gone(api)

        assert source_of(flux) == "shop"
        assert flux.pins == []
        assert "LeftBehind" not in [seen.body["reason"] for seen in api.writes(EVENTS)]


async def test_a_kustomization_that_cannot_go_holds_up_nothing() -> None:
    """Flux is gone and its finalizer stays: the contract goes with its copy, and nobody asks again and again."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)
        api.change(KUSTOMIZATIONS, "apps", "shop", {"metadata": {"finalizers": ["finalizers.fluxcd.io"]}})
        api.delete(KUSTOMIZATIONS, "apps", "shop")
        await passing(5)

        api.delete(CONTRACTS, "apps", "shop")
        await _gone(api)

        assert flux.pins == []
        assert "LeftBehind" not in [seen.body["reason"] for seen in api.writes(EVENTS)]


async def test_a_kustomization_made_anew_with_the_copy_is_given_back() -> None:
    """As after `kubectl replace --force`, or from a backup: it returns to its source, and a fix goes through."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)
        old = api.get(KUSTOMIZATIONS, "apps", "shop")
        api.objects.remove(KUSTOMIZATIONS, ("apps", "shop"))
        marks = {"annotations": old["metadata"]["annotations"]}
        api.create(KUSTOMIZATIONS, "apps", "shop", old["spec"], status=old["status"], metadata=marks)

        await eventually(lambda: source_of(flux) == "shop", "it to be given back")
        await eventually(lambda: not flux.pins, "the copy to go")
        assert api.get(KUSTOMIZATIONS, "apps", "shop")["metadata"].get("annotations", {}) == {}
        flux.fetch(C)
        api.delete(CONTRACTS, "apps", "shop")
        await _gone(api)


async def test_an_invalid_contract_gives_back_what_it_took() -> None:
    """A spec that makes no sense any more does not keep a deletion from releasing first."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, serviceAccountName="deployer")
        await fail(flux)
        await activate(flux)
        api.change(CONTRACTS, "apps", "shop", {"spec": {"rollback": {"within": "soon"}}})
        await eventually(lambda: flux.reason() == "InvalidSpec", "the contract to be called invalid")

        api.delete(CONTRACTS, "apps", "shop")
        await _gone(api)

        assert source_of(flux) == "shop"
        assert flux.pins == []
        assert {seen.headers.get("Impersonate-User") for seen in api.writes(*FLUX)} == {
            "system:serviceaccount:apps:deployer"
        }


async def test_a_right_that_comes_late_is_used_soon() -> None:
    """Granted long after the promised time, it is picked up within 15 s and the rollback is done."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        with api.failing(403, where=_acts):
            await fail(flux)
            await passing(600)

        await eventually(lambda: flux.pins, "the pinned copy", within=15)
        await activate(flux)

        assert flux.state == "Active"
