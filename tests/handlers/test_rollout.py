"""Workloads are followed while a delivery is in flight, and at no other time."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.handlers.embedded import SETTINGS, running
from tests.handlers.story import A, B, activate, fail, prove
from tests.support.api_server import CONTRACTS, DEPLOYMENTS, ApiServer, Raw
from tests.support.api_server_flux import Flux, promise, verdict
from tests.support.receiver import receiving
from tests.support.virtual_time import eventually, passing

pytestmark = pytest.mark.looptime

WEB = "web_apps_Deployment"
RIGHT = "may not list deployments in apps"


def status(available: int, desired: int = 3) -> Raw:
    """The status of a Deployment whose controller has done what it could."""
    counts = {"replicas": desired, "updatedReplicas": desired, "availableReplicas": available}
    return {"status": {"observedGeneration": 99, **counts}}


def have(flux: Flux, available: int, name: str = "web") -> None:
    """Have so many of three replicas available."""
    flux.api.change(DEPLOYMENTS, flux.namespace, name, status(available))


async def serving(flux: Flux, **spec: object) -> None:
    """Have a Deployment of three replicas, delivered with A."""
    flux.own(DEPLOYMENTS, "web", {"replicas": 3})
    have(flux, 3)
    flux.declare()
    flux.inventory(WEB)
    flux.fetch(A)
    flux.deliver(A)
    flux.contract(**spec)
    await eventually(lambda: A in flux.status.get("lastGoodRevision", ""), "A to be good")


async def begin(flux: Flux, hash_: str = B) -> None:
    """Push a commit, which Flux begins to apply a second later."""
    flux.fetch(hash_)
    await passing(1)
    flux.attempt(hash_)
    await passing(1)
    flux.apply(hash_)


def availability(flux: Flux) -> Raw:
    """What is said of the promise."""
    return promise(flux.seen, "Availability")


def watches(flux: Flux) -> int:
    """Open watches of Deployments."""
    return flux.api.objects.watches(DEPLOYMENTS)


async def test_a_drop_of_a_second_breaks_the_promise() -> None:
    """It is seen although nobody polls; it is told at once, and its duration once the delivery is over."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        await begin(flux)
        have(flux, 1)
        await passing(1)
        have(flux, 3)
        await eventually(lambda: verdict(flux.seen, "Availability") == "Broken", "the drop")
        early = availability(flux)
        flux.deliver(B)
        await eventually(lambda: "measured" in availability(flux), "the measure")

        assert "Deployment/apps/web had 1 of 3 available since" in early["message"]
        assert "Deployment/apps/web had 1 of 3 available for 1s" in availability(flux)["message"]
        assert "measured" not in early
        assert availability(flux)["measured"] == "1s"
        assert flux.reason() == "PromiseBroken"


async def test_a_drop_that_is_over_is_told_once_and_so_is_its_end() -> None:
    """One opening and one recovery, over a restart, and silence from then on."""
    async with receiving() as receiver, ApiServer() as api:
        flux, settings = Flux(api), replace(SETTINGS, flux_events=receiver.url)
        async with running(api, settings=settings):
            await serving(flux)
            await begin(flux)
            have(flux, 1)
            await passing(1)
            have(flux, 3)
            await passing(1)
            flux.deliver(B)
            await passing(30)
            opened = list(receiver.reasons)
        async with running(api, settings=settings):
            await passing(7200)

        assert opened == ["ContractOpened"]
        assert receiver.reasons == ["ContractOpened", "ContractRecovered"]
        assert flux.status["memory"]["delivery"]["reported"] == ["Availability"]
        assert "incidents" not in flux.status


async def test_watches_are_open_only_while_a_delivery_is_in_flight() -> None:
    """One for each kind of the inventory, limited to the Kustomization's labels, and gone when it is healthy."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        await eventually(lambda: watches(flux) == 0, "A to be over")
        asked = len(api.requests)

        await begin(flux)
        during = watches(flux)
        flux.deliver(B)
        await eventually(lambda: verdict(flux.seen, "Availability") == "Kept", "the verdict")
        await eventually(lambda: watches(flux) == 0, "the watch to be closed")

        followed = [seen for seen in api.requests[asked:] if seen.plural == DEPLOYMENTS and seen.namespace == "apps"]
        lists = [seen for seen in followed if "watch" not in seen.query]
        assert (during, len(lists)) == (1, 1)
        assert {seen.query["labelSelector"] for seen in followed} == {
            "kustomize.toolkit.fluxcd.io/name=shop,kustomize.toolkit.fluxcd.io/namespace=apps"
        }
        assert not [seen for seen in api.requests if seen.plural in ("statefulsets", "daemonsets")]


async def test_following_costs_no_write_of_its_own() -> None:
    """A delivery without a drop is written as often as one without workloads."""
    counts = []
    for with_workloads in (True, False):
        async with ApiServer() as api, running(api):
            flux = Flux(api)
            await (serving(flux) if with_workloads else prove(flux))
            before = len(api.writes(CONTRACTS))
            await begin(flux)
            for available in (4, 3, 4, 3):
                if with_workloads:
                    have(flux, available)
                await passing(1)
            flux.deliver(B)
            await eventually(lambda: B in flux.status.get("lastGoodRevision", ""), "B to be good")  # noqa: B023 - awaited here
            counts.append(len(api.writes(CONTRACTS)) - before)

    assert counts[0] <= counts[1]


async def test_a_workload_still_rolling_is_waited_for() -> None:
    """Where Flux checks no health, Ready comes before the rollout is over; its drop counts."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        await begin(flux)
        flux.api.change(DEPLOYMENTS, "apps", "web", {"status": {"updatedReplicas": 0}})
        flux.deliver(B)
        await passing(5)
        rolling = verdict(flux.seen, "Availability")
        have(flux, 2)
        await passing(1)
        have(flux, 3)
        await eventually(lambda: "measured" in availability(flux), "the measure")

        assert rolling == "Pending"
        assert verdict(flux.seen, "Availability") == "Broken"


async def test_what_a_rollback_costs_counts_too() -> None:
    """The delivery is over when the good revision is back."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        await fail(flux, B)
        have(flux, 2)
        await activate(flux)
        have(flux, 3)
        await eventually(lambda: "measured" in availability(flux), "the measure")

        assert verdict(flux.seen, "Availability") == "Broken"
        assert verdict(flux.seen, "Rollback") == "Kept"


async def test_a_rollback_without_a_loss_keeps_the_promise() -> None:
    """A failed rollout that costs nobody anything is no downtime."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        flux.fetch(B)
        await passing(1)
        await fail(flux, B)
        await activate(flux)
        await eventually(lambda: verdict(flux.seen, "Availability") == "Kept", "the verdict")


async def test_a_restart_in_the_middle_is_unknown() -> None:
    """What nobody saw is not said to be kept."""
    async with ApiServer() as api:
        flux = Flux(api)
        async with running(api):
            await serving(flux)
            await begin(flux)
            await eventually(lambda: verdict(flux.seen, "Availability") == "Pending", "the delivery to be followed")

        async with running(api):
            flux.deliver(B)
            await eventually(lambda: verdict(flux.seen, "Availability") == "Unknown", "the verdict")

            assert availability(flux)["reason"] == "Unobserved"


async def test_a_watch_that_ends_loses_nothing() -> None:
    """The API server ends watches now and then; the next one begins where the last one ended."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        await begin(flux)
        api.objects.cut(DEPLOYMENTS)
        have(flux, 0)
        have(flux, 3)
        await passing(5)
        flux.deliver(B)

        await eventually(lambda: verdict(flux.seen, "Availability") == "Broken", "the verdict")


async def test_an_outage_of_a_moment_loses_nothing() -> None:
    """A watch that cannot be opened is opened later, from where the last one ended."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        await begin(flux)
        with api.failing(503, where=lambda seen: seen.plural == DEPLOYMENTS):
            api.objects.cut(DEPLOYMENTS)
            have(flux, 0)
            have(flux, 3)
            await passing(5)
        await passing(5)
        flux.deliver(B)

        await eventually(lambda: verdict(flux.seen, "Availability") == "Broken", "the verdict")


async def test_a_forgotten_version_is_unknown() -> None:
    """What happened between two watches is not known when the API server has forgotten it."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        await begin(flux)
        flux.noise()
        api.objects.compact()
        api.objects.cut(DEPLOYMENTS)
        await passing(3)
        flux.deliver(B)

        await eventually(lambda: verdict(flux.seen, "Availability") == "Unknown", "the verdict")
        assert "forgot" in availability(flux)["message"]


async def test_a_missing_right_is_named() -> None:
    """Verb, resource and namespace; the contract is Ready all the same."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux)
        with api.failing(403, "no", where=lambda seen: seen.plural == DEPLOYMENTS and seen.namespace == "apps"):
            await begin(flux)
            flux.deliver(B)
            await eventually(lambda: verdict(flux.seen, "Availability") == "Unknown", "the verdict")

        assert availability(flux)["reason"] == "NotPermitted"
        assert RIGHT in availability(flux)["message"]
        await eventually(lambda: flux.reason() == "PromisesKept", "the sum")


async def test_a_stated_minimum_counts() -> None:
    """Two of three are enough where that is what is promised."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await serving(flux, promises={"availability": {"minimum": "60%"}})
        await begin(flux)
        have(flux, 2)
        await passing(1)
        have(flux, 3)
        flux.deliver(B)

        await eventually(lambda: verdict(flux.seen, "Availability") == "Kept", "the verdict")
