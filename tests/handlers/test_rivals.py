"""Several contracts that bind one Kustomization: one acts, and the others say which."""

from __future__ import annotations

from typing import Any

import pytest

from tests.handlers.embedded import running
from tests.handlers.story import A, B, C, activate, fail, prove, source_of
from tests.support.api_server import CONTRACTS, KUSTOMIZATIONS, SOURCES, ApiServer
from tests.support.api_server_flux import QUICK, Flux, condition
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime

TWIN = "a-twin"
"""Sorted by name it is the first, by age the second."""


def status_of(api: ApiServer, name: str) -> dict[str, Any]:
    """The status of a contract."""
    return dict(api.get(CONTRACTS, "apps", name).get("status") or {})


def said(api: ApiServer, name: str) -> str:
    """What the set-up of a contract is remarked on."""
    return str(condition(api.get(CONTRACTS, "apps", name), "Feasible").get("message", ""))


async def prove_both(flux: Flux) -> None:
    """Make everything and a younger contract, and wait until both know a good revision."""
    await prove(flux)
    spec = {"kustomizationRef": {"name": flux.name}, "rollback": QUICK}
    flux.api.create(CONTRACTS, flux.namespace, TWIN, spec, metadata={})
    await eventually(
        lambda: A in str(status_of(flux.api, TWIN).get("lastGoodRevision")), "it to know a good revision"
    )


async def test_only_the_oldest_contract_acts() -> None:
    """A persistent failure is rolled back once; the younger measures, and names the other and what to do."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove_both(flux)

        await fail(flux)
        await activate(flux)
        await passing(120)

        assert len(api.accepted(SOURCES)) == 1
        assert len([seen for seen in api.accepted(KUSTOMIZATIONS) if "spec" in seen.body]) == 1
        assert "state" not in status_of(api, TWIN).get("rollback", {})
        hint = "contract shop acts for this Kustomization; delete one of the two, or disable rollback in one"
        assert hint in said(api, TWIN)
        assert "acts for this" not in said(api, "shop")


async def test_the_younger_acts_once_it_is_alone() -> None:
    """As soon as the older leaves rollbacks to others, without another event of Flux."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove_both(flux)
        older = api.get(CONTRACTS, "apps", "shop")["spec"]

        api.change(CONTRACTS, "apps", "shop", {"spec": {**older, "rollback": {"mode": "Disabled"}}})
        await passing(5)

        assert "acts for this" not in said(api, TWIN)
        await fail(flux)
        await eventually(lambda: status_of(api, TWIN).get("rollback", {}).get("state"), "its rollback")
        assert flux.state == ""


async def test_the_younger_acts_once_the_older_makes_no_sense() -> None:
    """What an older contract can no longer do is taken over at once, without another event of Flux."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove_both(flux)

        api.change(CONTRACTS, "apps", "shop", {"spec": {"rollback": {"after": {"duration": "never"}}}})
        await passing(5)

        assert "acts for this" not in said(api, TWIN)


async def lose_contract(api: ApiServer) -> Flux:
    """Roll back, and have the contract vanish without giving anything back."""
    flux = Flux(api)
    await prove(flux)
    await fail(flux)
    await activate(flux)
    api.objects.remove(CONTRACTS, ("apps", "shop"))
    return flux


@pytest.mark.parametrize("name", ["shop", "restored"])
async def test_what_a_lost_contract_left_is_taken_over(name: str) -> None:
    """Restored from a backup, with another uid: the rollback goes on, a fix ends it and nothing is left."""
    async with ApiServer() as api, running(api):
        flux = await lose_contract(api)
        await passing(5)
        spec = {"kustomizationRef": {"name": flux.name}, "rollback": QUICK}
        api.create(CONTRACTS, flux.namespace, name, spec, metadata={})
        await eventually(lambda: status_of(api, name).get("rollback", {}).get("state") == "Active", "it to go on")
        assert status_of(api, name)["rollback"]["badRevisions"] == [f"sha1:{B}"]
        assert flux.pins

        flux.fetch(C)
        await eventually(lambda: not flux.pins, "the pinned copy to go")
        assert source_of(flux) == flux.name
        await eventually(lambda: "state" not in status_of(api, name)["rollback"], "it to be over")


async def test_what_a_lost_contract_left_is_nobodys_without_rollback() -> None:
    """Whoever disables rollbacks was asked for no right to change the Kustomization, so nothing is taken over."""
    async with ApiServer() as api, running(api):
        flux = await lose_contract(api)
        spec = {"kustomizationRef": {"name": flux.name}, "rollback": {"mode": "Disabled"}}
        api.create(CONTRACTS, flux.namespace, "other", spec, metadata={})
        flux.fetch(C)
        await passing(600)

        assert len(flux.pins) == 1
        assert source_of(flux) != flux.name
        assert status_of(api, "other").get("rollback") is None
