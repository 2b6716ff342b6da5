"""A rollback as the API server sees it: what is written, in which order, with which preconditions, and only once."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest

from tests.handlers.embedded import running, started
from tests.handlers.story import A, B, C, activate, fail, prove, release, source_of, switch
from tests.support.api_server import CONTRACTS, EVENTS, FLUX, KUSTOMIZATIONS, SOURCES, ApiServer, Seen
from tests.support.api_server_flux import Flux, condition
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime

FINALIZER = "reconciliation.dev/rollback"
MARK = "reconciliation.dev/rolled-back-from"
SSA = "kustomize.toolkit.fluxcd.io/ssa"


def _told(seen: Seen) -> str:
    """One write in a word or two."""
    match seen.plural, seen.method:
        case "reconciliationcontracts", _ if seen.sub:
            state = seen.body[1]["value"].get("rollback", {}).get("state", "none")
            return f"status {state}"
        case "reconciliationcontracts", _:
            return "finalizer on" if FINALIZER in seen.body["metadata"]["finalizers"] else "finalizer off"
        case "kustomizations", _:
            return "switch"
        case _, method:
            return f"{method} pin"


def _order(api: ApiServer) -> list[str]:
    """The writes that were accepted, without statuses that leave the state as it was."""
    steps: list[str] = []
    for step in (_told(seen) for seen in api.accepted(CONTRACTS, *FLUX)):
        known = next((earlier for earlier in reversed(steps) if earlier.startswith("status")), "")
        if step != known:
            steps.append(step)
    return steps


async def test_each_act_comes_after_its_intent_is_written() -> None:
    """Intended is written before the pinned copy is made, Switching before the switch, Releasing before its undoing."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        await fail(flux)
        await activate(flux)
        await release(flux)
        await passing(5)

        assert _order(api) == [
            "status none",
            "status Intended",
            "finalizer on",
            "POST pin",
            "status Switching",
            "switch",
            "status Active",
            "status Releasing",
            "switch",
            "DELETE pin",
            "status none",
            "finalizer off",
        ]


async def test_the_switch_is_decided_on_one_version_of_the_kustomization() -> None:
    """The patch carries uid and resourceVersion as they were decided on, and changes but the source and our mark."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        decided = flux.kustomization["metadata"]

        await switch(flux)

        (seen,) = api.writes(KUSTOMIZATIONS)
        pin = flux.pins[0]["metadata"]["name"]
        assert seen.body == {
            "metadata": {
                "uid": decided["uid"],
                "resourceVersion": decided["resourceVersion"],
                "annotations": {MARK: B},
            },
            "spec": {"sourceRef": {"name": pin}},
        }
        assert seen.headers["Content-Type"] == "application/merge-patch+json"
        assert flux.kustomization["spec"]["sourceRef"] == {"kind": "GitRepository", "name": pin}


async def test_the_pinned_copy_serves_the_good_commit_of_the_same_branch() -> None:
    """What is created is a GitRepository at the last known good commit that names the contract it belongs to."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        await fail(flux)
        await eventually(lambda: flux.pins, "the pinned copy")

        (pin,) = flux.pins
        assert pin["spec"]["ref"] == {"branch": "main", "commit": A}
        assert pin["spec"]["url"] == "https://git.example/shop"
        assert pin["metadata"]["labels"] == {"reconciliation.dev/contract": "shop"}
        assert pin["metadata"]["annotations"]["reconciliation.dev/contract-uid"] == flux.seen["metadata"]["uid"]


async def test_a_release_leaves_the_kustomization_as_it_was() -> None:
    """After a fix the source, the annotations and the finalizers are those from before."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        api.change(CONTRACTS, "apps", "shop", {"metadata": {"finalizers": ["example.org/mine"]}})
        annotations = {SSA: "Merge", "example.org/mine": "kept"}
        labels = {f"kustomize.toolkit.fluxcd.io/{part}": "apps" for part in ("name", "namespace")}
        api.change(KUSTOMIZATIONS, "apps", "shop", {"metadata": {"annotations": annotations, "labels": labels}})
        before = flux.kustomization

        await fail(flux)
        await activate(flux)
        held = flux.kustomization["metadata"]["annotations"]
        holding = flux.seen["metadata"]["finalizers"]
        await release(flux)
        await passing(5)

        assert held == {SSA: "Ignore", "example.org/mine": "kept", MARK: B}
        assert holding == ["example.org/mine", FINALIZER]
        assert flux.kustomization["spec"] == before["spec"]
        assert flux.kustomization["metadata"]["annotations"] == annotations
        assert flux.seen["metadata"]["finalizers"] == ["example.org/mine"]


async def test_a_rollback_is_told_once() -> None:
    """Each step that a person should hear of is one Event, in its order."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        await fail(flux)
        await activate(flux)
        flux.noise()
        await passing(60)
        await release(flux)
        await passing(60)

        events = (seen.body for seen in api.writes(EVENTS) if not seen.body["reason"].startswith("Incident"))
        told = [body["reason"] for body in events]
        assert told == ["Delivered", "RollingBack", "PromiseBroken", "PersistentFailure", "Releasing", "Released"]


async def _intended(flux: Flux) -> None:
    await fail(flux)


async def _pinned(flux: Flux) -> None:
    await fail(flux)
    await eventually(lambda: flux.pins, "the pinned copy")


async def _switched(flux: Flux) -> None:
    await fail(flux)
    await switch(flux)


@pytest.mark.parametrize(
    ("before", "lost"),
    [
        pytest.param(_intended, "POST gitrepositories", id="before the pinned copy is made"),
        pytest.param(_pinned, "PATCH kustomizations", id="before the switch"),
        pytest.param(_switched, "nothing", id="after the switch"),
    ],
)
async def test_a_crash_resumes_the_rollback_and_repeats_nothing(
    before: Callable[[Flux], Coroutine[Any, Any, None]], lost: str
) -> None:
    """An operator that dies at any step is succeeded by one that goes on there."""
    async with ApiServer() as api:
        flux = Flux(api)
        with api.failing(503, where=lambda seen: f"{seen.method} {seen.plural}" == lost):
            async with running(api):
                await prove(flux)
                await before(flux)
                if lost.startswith("PATCH"):
                    flux.fetch(A, flux.pins[0]["metadata"]["name"])
                await passing(5)

        async with running(api):
            await activate(flux)
            await passing(60)

        assert [_told(seen) for seen in api.accepted(*FLUX)] == ["POST pin", "switch"]
        assert flux.state == "Active"


async def test_two_operators_act_once() -> None:
    """A second replica that sees the same failure repeats neither the pinned copy nor the switch."""
    async with ApiServer() as api, running(api), running(api):
        flux = Flux(api)
        await prove(flux)

        await fail(flux)
        await activate(flux)
        await passing(60)

        assert [_told(seen) for seen in api.accepted(*FLUX)] == ["POST pin", "switch"]
        assert flux.state == "Active"


async def test_a_refused_act_is_told_and_tried_again() -> None:
    """Without the right to create a source: condition, Event, retries with growing pauses, and success once granted."""
    said = 'gitrepositories is forbidden: User "operator" cannot create resource'
    async with ApiServer() as api, running(api) as operator:
        flux, other = Flux(api), Flux(api, "other")
        await prove(flux)
        await prove(other)
        with api.failing(403, said, where=lambda seen: str(seen) == "POST gitrepositories/apps") as refused:
            await fail(flux)
            await passing(20)
            told = condition(flux.seen, "RolledBack")
            written = len(api.writes(CONTRACTS))
            await passing(20)
            quiet = len(api.writes(CONTRACTS)) - written
            other.fetch(C)
            other.attempt(C)
            other.deliver(C)
            await passing(5)

        await activate(flux)

        assert (told["status"], told["reason"]) == ("False", "ActRefused")
        assert said in told["message"]
        assert quiet == 0
        assert 4 <= len(refused) <= 20
        assert "ActRefused" in [seen.body["reason"] for seen in api.writes(EVENTS)]
        assert C in other.status["delivery"]["revision"]
        assert other.reason() == "PromisesKept"
        assert operator.sweep.unready() == ""


async def test_a_refusal_that_reads_differently_each_time_does_not_spin() -> None:
    """An admission webhook that puts a number into its message is asked no more often than any other."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        with api.failing(403, "denied by request #", where=lambda seen: str(seen) == "POST gitrepositories/apps"):
            await fail(flux)
            await passing(60)

        assert 4 <= len(api.writes(SOURCES)) <= 15


async def test_the_news_of_a_pass_are_told_though_its_act_is_refused() -> None:
    """The Event that the act was refused comes from a pass whose act is refused again."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)

        with api.failing(403, where=lambda seen: str(seen) == "POST gitrepositories/apps"):
            await fail(flux)
            await passing(60)

        told = [seen.body["reason"] for seen in api.writes(EVENTS)]
        assert told.count("ActRefused") == 1


async def test_a_conflict_on_the_status_repeats_the_pass_and_not_the_act() -> None:
    """A status that cannot be written means no act; the pass is repeated on the newer version."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        with api.failing(409, where=lambda seen: seen.sub == "status", times=3) as refused:
            await fail(flux)
            await activate(flux)

        assert len(refused) == 3
        assert [_told(seen) for seen in api.accepted(*FLUX)] == ["POST pin", "switch"]


async def test_a_kustomization_that_changes_meanwhile_is_not_switched_on_old_facts() -> None:
    """A conflict on the switch is no error: it is decided anew on the newer version, or not at all."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await eventually(lambda: flux.pins, "the pinned copy")

        with api.failing(409, where=lambda seen: seen.plural == KUSTOMIZATIONS and seen.method == "PATCH") as refused:
            flux.fetch(A, flux.pins[0]["metadata"]["name"])
            await eventually(lambda: refused, "a conflict")
            api.change(KUSTOMIZATIONS, "apps", "shop", {"spec": {"suspend": True}})
            await passing(5)
        await passing(60)

        assert api.accepted(KUSTOMIZATIONS) == []
        assert flux.reason("RolledBack") == "Cancelled"
        assert flux.pins == []


async def test_the_finalizer_is_there_before_the_switch_and_gone_after_the_release() -> None:
    """A contract deleted during a rollback is kept until the Kustomization is back at its own source."""
    async with ApiServer() as api, running(api) as operator:
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)

        api.delete(CONTRACTS, "apps", "shop")
        kept = flux.seen["metadata"]["deletionTimestamp"]
        await eventually(
            lambda: api.objects.find(CONTRACTS, ("apps", "shop")) is None, "the contract to go", within=30
        )
        await passing(60)

        assert kept
        assert source_of(flux) == "shop"
        assert flux.pins == []
        assert MARK not in flux.kustomization["metadata"]["annotations"]
        assert operator.store.contracts == {}
        assert len(operator.queue) == 0


async def test_a_finalizer_that_was_taken_off_is_set_again_before_the_switch() -> None:
    """Somebody's clean-up between the pinned copy and the switch does not lose the way back."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await eventually(lambda: flux.pins, "the pinned copy")

        api.change(CONTRACTS, "apps", "shop", {"metadata": {"finalizers": None}})
        await switch(flux)

        assert flux.seen["metadata"]["finalizers"] == [FINALIZER]
        assert _order(api).count("finalizer on") == 2
        assert _order(api).index("switch") > len(_order(api)) - 1 - _order(api)[::-1].index("finalizer on")


async def test_a_deletion_ends_though_flux_is_gone() -> None:
    """With Flux uninstalled there is nothing to undo, and the contract goes."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux)
        await fail(flux)
        await activate(flux)
        for plural in FLUX:
            api.withdraw(plural)

        api.delete(CONTRACTS, "apps", "shop")

        await eventually(
            lambda: api.objects.find(CONTRACTS, ("apps", "shop")) is None, "the contract to go", within=60
        )


async def test_acts_run_as_the_declared_service_account() -> None:
    """What touches Flux's objects is done as the contract's account, what touches the contract as ourselves."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, serviceAccountName="deployer")
        await fail(flux)
        await activate(flux)
        await release(flux)

        acted = {seen.headers.get("Impersonate-User") for seen in api.writes(*FLUX)}
        own = {seen.headers.get("Impersonate-User") for seen in api.writes(CONTRACTS, EVENTS)}
        assert acted == {"system:serviceaccount:apps:deployer"}
        assert own == {None}


async def test_nothing_is_done_before_the_operator_is_ready() -> None:
    """Until everything is known once, not even a status is written."""
    async with ApiServer() as api:
        flux = Flux(api)
        flux.standing()
        with api.failing(503, where=lambda seen: seen.plural == SOURCES):
            async with started(api) as (operator, _):
                await passing(60)

                assert operator.sweep.unready().startswith("not synced: cannot list")
                assert api.writes() == []
