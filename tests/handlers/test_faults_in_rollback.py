"""What befalls a rollback from outside: a webhook on its switch, its branch, its finalizer, the operator's rights."""

from __future__ import annotations

import pytest

from reconciliation_contract.adapters.git import Unreachable
from tests.handlers.embedded import running
from tests.handlers.story import A, B, C, activate, fail, prove, release, source_of
from tests.support.api_server import CONTRACTS, EVENTS, FLUX, KUSTOMIZATIONS, SOURCES, ApiServer, Seen
from tests.support.api_server_flux import Flux, condition
from tests.support.virtual_time import eventually, passing
from tests.support.virtual_time_git import GitScript

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

URL = "https://git.example/shop"
TOLD = 30
"""Seconds in which a contract says what hinders its rollback."""
FINALIZER = "reconciliation.dev/rollback"


def told(flux: Flux, name: str) -> tuple[str, str, str]:
    """Status, reason and message of a condition."""
    found = condition(flux.seen, name)
    return found["status"], found["reason"], found["message"]


def switches(seen: Seen) -> bool:
    """Whether a request changes a Kustomization."""
    return seen.method == "PATCH" and seen.plural == KUSTOMIZATIONS


# Webhooks ---------------------------------------------------------------------------------------------------------

DENIED = 'admission webhook "guard.example" denied the request: not today'
FAILED = 'failed calling webhook "guard.example": context deadline exceeded'
HANGS = "no answer within 20 s; an admission webhook may hang"
WEBHOOKS = {
    "it refuses": (403, 0, DENIED, DENIED),
    "it refuses after a while": (400, 3, DENIED, DENIED),
    "nothing listens where it should": (500, 0, FAILED, FAILED),
    "it hangs, and is given ten seconds": (500, 10, FAILED, FAILED),
    "it hangs, and is given as long as can be": (500, 30, FAILED, HANGS),
    "the API server sheds load": (503, 0, "too many", "too many"),
}
"""Status, seconds before it is answered, what the API server says, and what the contract says."""


@pytest.mark.parametrize("name", WEBHOOKS)
async def test_a_webhook_that_hinders_the_switch_is_told(name: str) -> None:
    """Within 30 s the contract says so; a neighbour is followed meanwhile, and the switch is done once it can be."""
    status, after, answer, said = WEBHOOKS[name]
    async with ApiServer() as api, running(api):
        flux, other = Flux(api), Flux(api, "other")
        await prove(flux)
        await prove(other)
        with api.failing(status, answer, where=switches, after=after) as hindered:
            await fail(flux)
            await eventually(lambda: flux.pins, "the pinned copy")
            flux.fetch(A, flux.pins[0]["metadata"]["name"])
            await eventually(lambda: hindered, "the switch")
            await passing(TOLD)
            rolled_back = told(flux, "RolledBack")
            other.fetch(C)
            other.attempt(C)
            other.deliver(C)
            await passing(2)
            beside = other.status["delivery"]["revision"]
            await passing(170)
        await activate(flux)

    assert rolled_back[:2] == ("False", "ActRefused")
    assert said in rolled_back[2]
    assert C in beside
    assert len(hindered) <= 30


# The branch -------------------------------------------------------------------------------------------------------


async def test_a_branch_that_is_deleted_during_a_rollback_is_told() -> None:
    """Our own look finds it within a minute, however seldom Flux looks; the rollback stays, and a new branch ends it."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git):
        flux = Flux(api)
        await prove(flux)
        git.heads[URL] = B
        await fail(flux)
        await activate(flux)

        git.heads[URL] = None
        await eventually(lambda: flux.reason("Detected") == "SourceFailing", "it to be noticed", within=60)
        detected, state = told(flux, "Detected"), flux.state
        git.heads[URL] = C
        await release(flux, C)
        await eventually(lambda: flux.reason("Detected") == "Detected", "the new branch", within=60)

    assert detected[0] == "False"
    assert "the ref does not exist; create it" in detected[2]
    assert state == "Active"


async def test_a_source_that_flux_cannot_read_is_told() -> None:
    """Where only Flux can look, its word counts: the newest commit was detected, the next one would not be."""
    git = GitScript(heads={URL: Unreachable(URL, "no way there")})
    async with ApiServer() as api, running(api, git):
        flux = Flux(api)
        await prove(flux)

        said = {"type": "Ready", "status": "False", "reason": "GitOperationFailed", "message": "reference not found"}
        api.change(SOURCES, "apps", "shop", {"status": {"conditions": [said]}})
        await eventually(lambda: flux.reason("Detected") == "SourceFailing", "it to be noticed", within=60)

    assert told(flux, "Detected")[2].endswith("GitRepository: GitOperationFailed: reference not found")


# The finalizer ----------------------------------------------------------------------------------------------------


async def roll_back(api: ApiServer) -> Flux:
    """Bring a contract to where its rollback is in force."""
    flux = Flux(api)
    await prove(flux)
    await fail(flux)
    await activate(flux)
    return flux


async def test_a_finalizer_that_is_taken_off_is_set_again() -> None:
    """So a deletion still gives the Kustomization back."""
    async with ApiServer() as api, running(api):
        flux = await roll_back(api)

        api.change(CONTRACTS, "apps", "shop", {"metadata": {"finalizers": None}})
        await eventually(lambda: flux.seen["metadata"].get("finalizers"), "the finalizer", within=5)
        api.delete(CONTRACTS, "apps", "shop")
        await eventually(lambda: api.objects.find(CONTRACTS, ("apps", "shop")) is None, "the contract to go")

        assert source_of(flux) == "shop"
        assert flux.pins == []


async def test_a_contract_that_is_deleted_without_its_finalizer_is_told() -> None:
    """Stripped and deleted at once: an Event on the Kustomization has the commands, and nothing is done in no name."""
    async with ApiServer() as api, running(api):
        flux = await roll_back(api)
        pin = source_of(flux)

        api.objects.remove(CONTRACTS, ("apps", "shop"))
        await passing(5)

        laments = [seen.body for seen in api.writes(EVENTS) if seen.body["reason"] == "LeftBehind"]
        assert "Kustomization" in {body["regarding"]["kind"] for body in laments}
        for body in laments:
            assert "removed without its finalizer" in body["note"]
            assert "kubectl -n apps patch kustomization shop --type=merge -p" in body["note"]
            assert f"kubectl -n apps delete gitrepository {pin}" in body["note"]
        assert source_of(flux) == pin


# Rights and definitions -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("plural", [*FLUX, CONTRACTS])
async def test_rights_to_observe_that_are_taken_away_disarm(plural: str) -> None:
    """Blind for minutes, longer than a request is retried, it says so and does nothing; with its rights back it goes on within a minute."""
    async with ApiServer() as api, running(api) as operator:
        flux = Flux(api)
        await prove(flux)
        await fail(flux, attempts=1)
        with api.failing(
            403, "forbidden", where=lambda seen: seen.method == "GET" and seen.plural == plural and not seen.name
        ):
            api.objects.cut(plural)
            await passing(120)
            flux.attempt(B)
            flux.fail(B)
            blind, unready = told(flux, "Ready"), operator.sweep.unready()
            await passing(400)
            acted = api.writes(*FLUX)
        await eventually(lambda: not operator.sweep.unready(), "it to see again", within=60)
        await fail(flux, C)
        await eventually(lambda: flux.state == "Intended", "the rollback to begin on fresh facts", within=60)

    assert blind[:2] == ("Unknown", "ObservationsStale")
    assert "forbidden" in unready
    assert acted == []


async def test_contracts_whose_definition_goes_and_comes_are_followed() -> None:
    """With it all contracts are gone; made anew they are followed within a minute, without a restart."""
    async with ApiServer() as api, running(api) as operator:
        flux = Flux(api)
        await prove(flux)

        api.withdraw(CONTRACTS)
        await eventually(lambda: not operator.store.contracts, "the contracts to be forgotten", within=60)
        await passing(300)
        api.serve(CONTRACTS)
        flux.contract()
        await eventually(lambda: flux.reason() in ("Adopted", "PromisesKept"), "it to be followed", within=60)

        assert operator.sweep.unready() == ""
