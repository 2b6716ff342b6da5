"""What the operator makes of an API server, of watches and of objects that misbehave."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from dataclasses import replace

import aiohttp
import pytest

from reconciliation_contract.adapters.git import Unreachable
from reconciliation_contract.config import Listen
from reconciliation_contract.runtime.operator import Operator
from tests.handlers.embedded import SETTINGS, running, started
from tests.handlers.story import A, B, deliver, fail, prove
from tests.support.api_server import CONTRACTS, CRDS, FLUX, KUSTOMIZATIONS, SOURCES, ApiServer, Raw
from tests.support.api_server_flux import Flux, condition
from tests.support.virtual_time import eventually, passing
from tests.support.virtual_time_git import GitScript
from tests.support.virtual_time_port import free_port

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

URL = "https://git.example/shop"


# The API server ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [500, 503, 429])
async def test_an_ailing_api_server_is_outlived(status: int) -> None:
    """After minutes of errors everything that happened meanwhile is known within half a minute."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        with api.failing(status):
            api.objects.cut()
            flux.fetch(B)
            flux.attempt(B)
            flux.deliver(B)
            await passing(150)

        await eventually(lambda: B in flux.status["delivery"]["revision"], "the new revision", within=30)
        await passing(10)
        assert condition(flux.seen, "Ready")["status"] == "True"
        assert api.accepted(*FLUX) == []


async def test_a_start_during_an_outage_is_outlived() -> None:
    """An operator that starts while the API server is away is ready within half a minute of its return."""
    async with ApiServer() as api:
        flux = Flux(api)
        flux.standing()
        with ExitStack() as faults:
            faults.enter_context(api.failing(503))
            async with started(api) as (operator, _):
                await passing(150)
                faults.close()

                await eventually(lambda: not operator.sweep.unready(), "the operator to be ready", within=30)
                await eventually(lambda: flux.status.get("delivery"), "a delivery", within=5)


async def test_lost_connections_are_outlived() -> None:
    """After a minute in which every connection is cut everything is known again."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        api.hangs_up = True
        api.objects.cut()
        flux.fetch(B)
        flux.attempt(B)
        flux.deliver(B)
        await passing(60)
        api.hangs_up = False

        await eventually(lambda: B in flux.status["delivery"]["revision"], "the new revision", within=30)


async def test_an_outage_rolls_nothing_back() -> None:
    """A revision that fails while the API server is away for long is not rolled back on old facts."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux, attempts=1)

        with api.failing(503, where=lambda seen: seen.method == "GET" and not seen.name):
            api.objects.cut()
            await passing(600)

            assert api.writes(*FLUX) == []
            assert flux.state == ""
            assert flux.reason() == "ObservationsStale"


async def test_a_conflict_on_the_status_is_followed_by_a_write_on_the_newer_version() -> None:
    """Somebody else's change between the pass and its write is not overwritten."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        with api.failing(409, where=lambda seen: seen.sub == "status", times=1) as refused:
            flux.fetch(B)
            await eventually(lambda: refused, "a conflict")
            api.change(CONTRACTS, "apps", "shop", {"metadata": {"labels": {"mine": "kept"}}})
            await passing(5)

        versions = [int(seen.body[0]["value"]) for seen in api.writes(CONTRACTS)]
        assert versions == sorted(versions)
        assert B in flux.status["delivery"]["revision"]
        assert flux.seen["metadata"]["labels"] == {"mine": "kept"}


async def test_a_status_that_is_not_accepted_harms_only_its_contract() -> None:
    """What the API server refuses for one contract is tried again ever more rarely; the others go on."""
    async with ApiServer() as api, running(api):
        flux, other = Flux(api), Flux(api, "other")

        with api.failing(
            422, "status is invalid", where=lambda seen: seen.name == "shop" and seen.sub != ""
        ) as refused:
            flux.standing()
            await prove(other)
            await passing(120)

        assert 3 <= len(refused) <= 20
        assert other.reason() == "PromisesKept"
        assert not flux.status


@pytest.mark.parametrize(("times", "lasts"), [(1, 10), (0, 20)], ids=["once", "for a while"])
async def test_a_rejected_token_is_outlived(times: int, lasts: float) -> None:
    """A 401 leads to a new log-in, at most one a second, and not to the end of the operator."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        with api.failing(401, where=lambda seen: seen.query.get("watch") == "true", times=times) as refused:
            api.objects.cut(SOURCES)
            await passing(lasts)
        flux.fetch(B)

        await eventually(lambda: B in flux.status["delivery"]["revision"], "the new revision", within=10)
        assert 1 <= len(refused) <= 150  # one a second for each of the watches


# Watches ----------------------------------------------------------------------------------------------------------


async def test_a_watch_that_must_begin_anew_loses_nothing() -> None:
    """After 410 Gone the objects are listed again."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        api.objects.cut()
        flux.fetch(B)
        flux.attempt(B)
        api.objects.compact()
        await eventually(lambda: B in flux.status["delivery"]["revision"], "the new revision", within=30)

        assert api.objects.watches(SOURCES) == 1


async def test_what_stuck_watches_do_not_bring_is_read() -> None:
    """Without any progress of the watches the operator follows a delivery all the same, by its lists."""
    async with ApiServer() as api, running(api) as operator:
        flux = Flux(api)
        await prove(flux)

        api.frozen.update((KUSTOMIZATIONS, SOURCES))
        await deliver(flux, B)
        await eventually(lambda: B in flux.status["lastAppliedRevision"], "the new revision", within=60)

        assert operator.sweep.unready() == ""
        assert flux.reason() == "PartlyMeasured"


async def test_a_silently_stuck_watch_is_opened_anew() -> None:
    """A connection on which nothing arrives, not even bookmarks, is given up within 75 seconds."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        api.frozen.add(SOURCES)
        flux.fetch(B)
        await passing(1)
        api.frozen.clear()

        await eventually(lambda: B in flux.status["delivery"]["revision"], "the new revision", within=75)


async def test_deletions_that_no_watch_told_of_are_found_by_the_sweep() -> None:
    """Objects that vanished while nobody looked are noticed within half a minute, the contract included."""
    async with ApiServer() as api, running(api) as operator:
        flux, other = Flux(api), Flux(api, "other")
        await prove(flux)
        await prove(other)

        api.objects.remove(KUSTOMIZATIONS, ("apps", "shop"), silently=True)
        api.objects.remove(CONTRACTS, ("apps", "other"), silently=True)
        await passing(35)

        assert flux.reason() == "KustomizationNotFound"
        assert 'flux_contract_watch_misses_total{what="deleted"} 2.0' in _exposed(operator)
        assert list(operator.store.contracts) == [("apps", "shop")]
        assert 'name="other"' not in _exposed(operator)


def _exposed(operator: Operator) -> str:
    return b"".join(operator.metrics.scrape("")[1]).decode()


async def test_a_deleted_contract_is_forgotten_everywhere() -> None:
    """Queue, lookout, store and metrics know nothing of a contract that is gone."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git) as operator:
        flux = Flux(api)
        await prove(flux)

        api.delete(CONTRACTS, "apps", "shop")
        await passing(5)
        looked = len(git.looks)
        await passing(600)

        assert len(operator.queue) == 0
        assert operator.store.contracts == {}
        assert len(git.looks) == looked
        assert 'name="shop"' not in _exposed(operator)


async def test_a_contract_made_anew_begins_anew() -> None:
    """One of the same name and another uid inherits nothing."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        api.delete(CONTRACTS, "apps", "shop")
        await passing(2)
        flux.contract()
        await eventually(lambda: flux.status.get("delivery"), "a delivery")

        assert flux.status["delivery"]["adopted"] is True
        assert "history" not in flux.status


# Flux missing -----------------------------------------------------------------------------------------------------


async def test_without_flux_the_contract_says_so_and_goes_on_by_itself() -> None:
    """Contracts wait for Flux's definitions, and follow as soon as these appear."""
    async with ApiServer() as api:
        for plural in FLUX:
            api.withdraw(plural)
        async with running(api) as operator:
            flux = Flux(api)
            flux.contract()
            await eventually(lambda: flux.reason() == "FluxMissing", "the missing Flux to be noticed")
            ready = operator.sweep.unready()

            _install(api)
            flux.declare()
            flux.fetch(A)
            flux.deliver(A)

            await eventually(
                lambda: flux.reason() in ("PromisesKept", "PartlyMeasured"), "the contract to go on", within=45
            )
            assert ready == ""


async def test_flux_that_is_removed_is_noticed() -> None:
    """With Flux's definitions gone the contract says so, and the operator goes on."""
    async with ApiServer() as api:
        _install(api)
        async with running(api) as operator:
            flux = Flux(api)
            await prove(flux)

            for plural in FLUX:
                api.withdraw(plural)
                api.objects.remove(CRDS, ("", plural))

            await eventually(lambda: flux.reason() == "FluxMissing", "the missing Flux to be noticed", within=45)
            await passing(120)
            assert operator.sweep.unready() == ""


def _install(api: ApiServer) -> None:
    for plural, group in ((KUSTOMIZATIONS, "kustomize"), (SOURCES, "source")):
        api.serve(plural)
        spec = {"group": f"{group}.toolkit.fluxcd.io"}
        api.objects.create(CRDS, {"metadata": {"namespace": "", "name": plural}, "spec": spec})


# Objects ----------------------------------------------------------------------------------------------------------


HOSTILE: dict[str, Raw] = {
    "conditions are a text": {"status": {"conditions": "Ready"}},
    "conditions hold a list": {"status": {"conditions": [["Ready"]]}},
    "a condition without anything": {"status": {"conditions": [{}, {"type": None}]}},
    "a message of a megabyte": {
        "status": {"conditions": [{"type": "Ready", "status": "False", "reason": "X" * 5000, "message": "m" * 2**20}]}
    },
    "a revision without a hash": {"status": {"lastAttemptedRevision": "main", "lastAppliedRevision": 7}},
    "a revision of ten thousand characters": {"status": {"lastAttemptedRevision": "x" * 10_000 + f"@sha1:{B}"}},
    "times before time": {
        "status": {
            "conditions": [{"type": "Ready", "status": "False", "lastTransitionTime": "0001-01-01T00:00:00+14:00"}]
        }
    },
    "a spec of wrong types": {"spec": {"interval": [], "dependsOn": {"a": 1}, "sourceRef": "shop", "path": 3}},
    "control characters": {
        "status": {"conditions": [{"type": "Ready", "status": "False", "message": "\u202e\x1b[31m\n"}]}
    },
    "labels and annotations of wrong types": {"metadata": {"labels": "none", "annotations": [1]}},
}


async def test_hostile_objects_change_only_their_own_contracts() -> None:
    """Whatever a Kustomization holds, its contract has a status, the one beside it is followed, and all is well."""
    async with ApiServer() as api, running(api) as operator:
        good, hostile = Flux(api), {name: Flux(api, f"hostile-{place}") for place, name in enumerate(HOSTILE)}
        await prove(good)
        for flux in hostile.values():
            flux.standing(A)
        await passing(15)

        for name, flux in hostile.items():
            api.change(KUSTOMIZATIONS, "apps", flux.name, HOSTILE[name])
        await passing(5)
        await deliver(good, B)
        await passing(60)

        assert good.reason() == "PromisesKept"
        assert B in good.status["delivery"]["revision"]
        assert [name for name, flux in hostile.items() if not flux.reason()] == []
        assert operator.sweep.unready() == ""
        assert 'flux_contract_errors_total{kind="bug"} 0.0' in _exposed(operator)


async def test_a_contract_that_makes_no_sense_is_stalled_and_alone() -> None:
    """A spec that came past the schema is told to its author; the next generation is read anew."""
    async with ApiServer() as api, running(api):
        flux, other = Flux(api), Flux(api, "other")
        flux.declare()
        flux.contract(rollback={"after": {"failures": "many"}})
        await prove(other)
        stalled = condition(flux.seen, "Stalled")

        api.change(CONTRACTS, "apps", "shop", {"spec": {"rollback": {"after": {"failures": 2}}}})
        await passing(5)

        assert stalled["status"] == "True"
        assert "spec.rollback.after.failures" in stalled["message"]
        assert not condition(flux.seen, "Stalled")
        assert other.reason() == "PromisesKept"


async def test_a_status_written_by_somebody_else_is_replaced() -> None:
    """Nonsense in the status is no reason to fail, and is written over."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        nonsense = {"conditions": "none", "delivery": [1], "rollback": {"state": "Lost"}, "history": {"a": "b"}}
        api.change(CONTRACTS, "apps", "shop", {"status": nonsense})
        await passing(5)

        assert flux.reason()
        assert A in flux.status["delivery"]["revision"]
        assert "rollback" not in flux.status


async def test_a_pinned_copy_that_loses_its_owner_and_goes_harms_nothing() -> None:
    """Somebody takes our annotation off the pinned copy and deletes it: the next pass works all the same."""
    async with ApiServer() as api, running(api) as operator:
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await eventually(lambda: flux.pins, "the pinned copy")
        name = flux.pins[0]["metadata"]["name"]

        api.change(SOURCES, "apps", name, {"metadata": {"annotations": None, "labels": None}})
        await passing(1)
        api.delete(SOURCES, "apps", name)
        await eventually(lambda: flux.pins, "another pinned copy", within=90)

        assert 'flux_contract_errors_total{kind="bug"} 0.0' in _exposed(operator)


# Serving ----------------------------------------------------------------------------------------------------------


async def test_readiness_follows_the_facts() -> None:
    """/readyz fails with a reason until everything is known, and /healthz is well all the time."""
    port = free_port()
    settings = replace(SETTINGS, health=Listen("127.0.0.1", port))

    async def probe(path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as client, client.get(f"http://127.0.0.1:{port}{path}") as answer:
            return answer.status, await answer.text()

    async with ApiServer() as api:
        with ExitStack() as faults:
            faults.enter_context(api.failing(503, "not now", where=lambda seen: seen.plural == SOURCES))
            async with started(api, settings=settings) as (operator, _):
                await passing(5)
                before, well = await probe("/readyz"), await probe("/healthz")
                faults.close()
                await eventually(lambda: not operator.sweep.unready(), "the operator to be ready")
                await passing(2)
                after = await probe("/readyz")

    assert before[0] == 503
    assert "not now" in before[1]
    assert well == (200, "ok\n")
    assert after == (200, "ok\n")


async def test_a_repository_that_cannot_be_read_is_told_once() -> None:
    """Git's problem is in the status and costs one write, not one a look."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git):
        flux = Flux(api)
        await prove(flux)
        await passing(30)
        before = len(api.writes(CONTRACTS))

        git.heads[URL] = Unreachable(URL, "connection refused")
        await passing(600)

        assert len(api.writes(CONTRACTS)) - before == 1
        assert len(asyncio.all_tasks()) < 200
