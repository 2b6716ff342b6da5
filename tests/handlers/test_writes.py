"""How much the operator writes, what, and when: no more than it must."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import pytest

from reconciliation_contract.adapters.git import Unreachable, UnsupportedRef
from tests.handlers.embedded import running
from tests.handlers.story import A, B, activate, deliver, fail, prove
from tests.support.api_server import CONTRACTS, EVENTS, FLUX, SOURCES, ApiServer
from tests.support.api_server_flux import Flux, condition, verdict
from tests.support.virtual_time import START, eventually, passing
from tests.support.virtual_time_git import Answer, GitScript

pytestmark = pytest.mark.looptime

URL = "https://git.example/shop"


async def test_observing_writes_nothing_to_the_objects_of_flux() -> None:
    """With --observe-only even a revision that keeps failing leaves Flux's objects as Flux made them."""
    async with ApiServer() as api, running(api, acts=False):
        flux = Flux(api)
        await prove(flux)

        await fail(flux, B, attempts=4)
        await passing(600)

        assert api.writes(*FLUX) == []
        assert [seen.sub for seen in api.writes(CONTRACTS)] == ["status"] * len(api.writes(CONTRACTS))
        assert flux.reason("RolledBack") == "RollbackDisabled"


async def test_a_delivery_that_succeeds_writes_nothing_to_the_objects_of_flux() -> None:
    """An operator that may act does not touch anything while all is well."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        await deliver(flux, B)
        await passing(60)

        assert api.writes(*FLUX) == []
        assert "finalizers" not in flux.seen["metadata"]
        assert B in flux.status["lastGoodRevision"]


async def test_noise_writes_nothing() -> None:
    """Flux's own reconciles, five events each and without any news, are not written down."""
    async with ApiServer() as api, running(api, GitScript(heads={URL: A})):
        flux = Flux(api)
        await prove(flux)
        before = api.writes()

        for _ in range(20):
            flux.noise()
            await passing(30)

        assert api.writes() == before


async def test_silence_writes_nothing() -> None:
    """Half an hour in which nothing happens at all is not written down."""
    async with ApiServer() as api, running(api, GitScript(heads={URL: A})):
        flux = Flux(api)
        await prove(flux)
        before = api.writes()

        await passing(1500)

        assert api.writes() == before


async def _nothing_to_follow(flux: Flux) -> None:
    flux.contract()
    await eventually(lambda: flux.status, "a status")


async def _broken(flux: Flux) -> None:
    await prove(flux)
    flux.fetch(B)
    flux.attempt(B)
    await eventually(lambda: verdict(flux.seen, "Reconciliation") == "Broken", "the verdict", within=400)


async def _failing(flux: Flux) -> None:
    await prove(flux)
    await fail(flux, B, attempts=1)


async def _rolled_back(flux: Flux) -> None:
    await prove(flux)
    await fail(flux)
    await activate(flux)


async def _suspended(flux: Flux) -> None:
    await prove(flux)
    flux.api.change(CONTRACTS, "apps", "shop", {"spec": {"suspend": True}})
    await eventually(lambda: flux.reason() == "Suspended", "the contract to be suspended")


async def _senseless(flux: Flux) -> None:
    flux.contract(promises={"detection": {"within": "10m"}})
    await eventually(lambda: flux.reason("Stalled"), "the contract to be refused")


@pytest.mark.parametrize(
    "before",
    [
        pytest.param(_nothing_to_follow, id="nothing to follow"),
        pytest.param(prove, id="all is well"),
        pytest.param(_failing, id="an attempt has failed"),
        pytest.param(_broken, id="a promise is broken"),
        pytest.param(_rolled_back, id="a rollback is in force"),
        pytest.param(_suspended, id="the contract is suspended"),
        pytest.param(_senseless, id="the contract makes no sense"),
    ],
)
async def test_a_restart_writes_nothing(before: Callable[[Flux], object]) -> None:
    """A second operator over the same objects finds everything as the first one wrote it."""
    git = GitScript(heads={URL: UnsupportedRef(URL, "*", "for a test")})
    async with ApiServer() as api:
        async with running(api, git):
            await before(Flux(api))
            await passing(30)
        written = api.writes()

        async with running(api, git):
            await passing(20)

        assert api.writes() == written


@pytest.mark.parametrize("head", [A, Unreachable(URL, "for a test")], ids=["readable", "unreadable"])
async def test_a_restart_writes_nothing_about_git(head: Answer) -> None:
    """What was known of the repository stays written until it is known anew."""
    git = GitScript(heads={URL: head})
    async with ApiServer() as api:
        async with running(api, git):
            await prove(Flux(api))
            await passing(30)
        written = api.writes()

        async with running(api, git):
            await passing(20)

        assert api.writes() == written


async def test_each_visible_transition_is_written_once() -> None:
    """Every step of a delivery that shows in the status costs one write, and no other does."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git):
        flux = Flux(api)
        await prove(flux)
        await passing(30)
        steps: dict[str, tuple[Callable[[], object], int]] = {
            "Git has a new commit, and then its time": (lambda: git.heads.update({URL: B}), 2),
            "the source has it": (lambda: flux.fetch(B), 1),
            "the Kustomization takes it up": (lambda: flux.attempt(B), 1),
            "a reconcile without news": (flux.noise, 0),
            "it is applied": (lambda: flux.apply(B), 1),
            "it is healthy": (lambda: flux.deliver(B), 1),
            "another reconcile without news": (flux.noise, 0),
            "it has proved itself": (lambda: None, 1),
            "nothing": (lambda: None, 0),
        }

        counted = {}
        for name, (step, _) in steps.items():
            before = len(api.writes(CONTRACTS))
            step()
            await passing(5 if "healthy" in name or "another" in name else 30)
            counted[name] = len(api.writes(CONTRACTS)) - before

        assert counted == {name: count for name, (_, count) in steps.items()}


async def test_the_source_is_noticed_at_once_after_a_write_of_our_own() -> None:
    """A contract whose status was just written still hears of its source."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git):
        flux = Flux(api)
        await prove(flux)
        git.heads[URL] = B
        await eventually(lambda: flux.reason("Detected") == "NotDetected", "Git's new commit to be seen")

        flux.fetch(B)
        await passing(0.1)

        assert flux.reason("Detected") == "Detected"


async def test_a_deadline_turns_the_verdict_without_any_event() -> None:
    """A pending promise is broken just after its deadline, though nothing happens in the cluster."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, promises={"reconciliation": {"within": "3m"}, "detection": {"within": "1m"}})
        flux.fetch(B)
        await passing(1)
        pushed = START + timedelta(seconds=api.writes(CONTRACTS)[-1].at)
        before = len(api.writes(CONTRACTS))

        await passing(170)
        quiet = len(api.writes(CONTRACTS)) - before
        await passing(20)

        assert quiet == 0
        late = START + timedelta(seconds=api.writes(CONTRACTS)[-1].at) - pushed - timedelta(minutes=3)
        assert timedelta(0) <= late <= timedelta(seconds=0.1)
        assert len(api.writes(CONTRACTS)) - before == 1
        assert verdict(flux.seen, "Reconciliation") == "Broken"
        assert flux.reason() == "PromiseBroken"


async def test_every_write_names_the_field_manager_and_every_change_its_version() -> None:
    """What was written names us, and what was changed was changed on the version that was known."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)

        written = [seen for seen in api.writes() if seen.method != "DELETE"]
        assert {seen.query.get("fieldManager") for seen in written} == {"reconciliation-contract"}
        for seen in written:
            if seen.method == "PATCH":
                body = (
                    seen.body
                    if isinstance(seen.body, dict)
                    else {"metadata": {"resourceVersion": seen.body[0]["value"]}}
                )
                assert int(body["metadata"]["resourceVersion"]) > 1000, seen


async def test_events_are_told_once_for_each_transition() -> None:
    """A broken promise and a delivery are one Event each, however often they are looked at and after a restart."""
    async with ApiServer() as api:
        flux = Flux(api)
        async with running(api):
            await prove(flux)
            flux.fetch(B)
            flux.attempt(B)
            await passing(400)
            flux.deliver(B)
            flux.noise()
            await passing(30)
        async with running(api):
            flux.noise()
            await passing(30)

        told = [(seen.body["reason"], seen.body["type"]) for seen in api.writes(EVENTS)]
        both = [("IncidentOpened", "Warning")] * 2
        over = [("IncidentClosed", "Normal")] * 2
        news = [("Delivered", "Normal"), ("PromiseBroken", "Warning"), *both, ("Delivered", "Normal"), *over]
        assert told == news
        assert api.writes(EVENTS)[1].body["regarding"]["uid"] == flux.seen["metadata"]["uid"]


async def test_many_contracts_of_one_source_are_written_once_each() -> None:
    """One commit that moves many contracts costs one write for each of them and step."""
    async with ApiServer() as api, running(api):
        team = [Flux(api, f"shop-{number}") for number in range(5)]
        for flux in team:
            await prove(flux)
        before = len(api.writes(CONTRACTS))

        for flux in team:
            flux.attempt(B)
        await passing(10)
        for flux in team:
            flux.fetch(B)
        await passing(10)

        assert len(api.writes(CONTRACTS)) - before <= 5 * 3
        assert api.writes(SOURCES) == []


async def test_a_requested_look_is_answered_in_the_status() -> None:
    """The annotation reconcile.fluxcd.io/requestedAt costs one write, which echoes it."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        before = len(api.writes())

        annotation = {"reconcile.fluxcd.io/requestedAt": "now"}
        api.change(CONTRACTS, "apps", "shop", {"metadata": {"annotations": annotation}})
        await passing(5)

        assert len(api.writes()) - before == 1
        assert flux.status["lastHandledReconcileAt"] == "now"
        assert condition(flux.seen, "Ready")["status"] == "True"
