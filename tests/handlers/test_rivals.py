"""Several contracts that bind one Kustomization: one acts, and the others say which."""

from __future__ import annotations

import pytest

from tests.handlers.embedded import running
from tests.handlers.story import A, activate, fail, prove
from tests.support.api_server import CONTRACTS, KUSTOMIZATIONS, SOURCES, ApiServer
from tests.support.api_server_flux import QUICK, Flux, condition
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime

TWIN = "a-twin"
"""Sorted by name it is the first, by age the second."""


def status_of(api: ApiServer, name: str) -> dict[str, object]:
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
