"""What leaves an inventory is followed until it is gone: how often, by which requests, over restarts."""

from __future__ import annotations

import pytest

from tests.handlers.embedded import running
from tests.handlers.story import A, B, C, deliver, prove
from tests.support.api_server import CONFIG_MAPS, CONTRACTS, ApiServer, Raw, Seen
from tests.support.api_server_flux import Flux, promise, verdict
from tests.support.virtual_time import eventually, passing

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

SETTINGS = "settings__ConfigMap"
HELD = {"finalizers": ["example.com/hold"]}
QUICK = {"promises": {"deletion": {"within": "30s"}}}


async def removing(flux: Flux, **spec: object) -> None:
    """Have a commit applied that removes a ConfigMap, and ask for its deletion as Flux does."""
    flux.own(CONFIG_MAPS, "settings", **HELD)
    flux.declare()
    flux.inventory(SETTINGS)
    flux.fetch(A)
    flux.deliver(A)
    flux.contract(**QUICK, **spec)
    await eventually(lambda: A in flux.status.get("lastGoodRevision", ""), "A to be good")
    flux.fetch(B)
    flux.attempt(B)
    await passing(1)
    flux.apply(B)
    flux.api.delete(CONFIG_MAPS, flux.namespace, "settings")
    flux.inventory()
    flux.deliver(B)


def deletion(flux: Flux) -> Raw:
    """What is said of the promise."""
    return promise(flux.seen, "Deletion")


def release(flux: Flux) -> None:
    """Take the finalizer off."""
    flux.api.change(CONFIG_MAPS, flux.namespace, "settings", {"metadata": {"finalizers": None}})


def looks(api: ApiServer) -> list[Seen]:
    """Every look at a ConfigMap."""
    return [seen for seen in api.requests if seen.plural == CONFIG_MAPS]


async def test_what_is_gone_in_time_is_kept_and_measured() -> None:
    """The object is looked at until it is gone, by its metadata only, and then never again."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await removing(flux)
        await eventually(lambda: verdict(flux.seen, "Deletion") == "Pending", "the deletion to be awaited")
        await passing(5)

        release(flux)
        await eventually(lambda: verdict(flux.seen, "Deletion") == "Kept", "the deletion to be kept")
        asked = len(looks(api))
        await passing(600)

        assert 5 <= float(deletion(flux)["measured"].removesuffix("s")) < 10
        assert len(looks(api)) == asked
        assert {seen.method for seen in looks(api)} == {"GET"}
        assert all("as=PartialObjectMetadata;" in seen.headers["Accept"] for seen in looks(api))


async def test_what_hangs_is_named_at_the_deadline_and_measured_at_its_end() -> None:
    """Broken, with the finalizer; the looks go on, and the time is added when it goes."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await removing(flux)

        await eventually(lambda: verdict(flux.seen, "Deletion") == "Broken", "the deadline")
        told = deletion(flux)
        writes = len(api.writes(CONTRACTS))
        await passing(300)
        quiet = len(api.writes(CONTRACTS)) - writes
        release(flux)
        await eventually(lambda: "measured" in deletion(flux), "the measure")

        assert "ConfigMap/apps/settings" in told["message"]
        assert "finalizer example.com/hold" in told["message"]
        assert quiet == 0
        assert verdict(flux.seen, "Deletion") == "Broken"
        assert flux.reason() == "PromiseBroken"


async def test_a_restart_goes_on_with_what_is_remembered() -> None:
    """What had left before is awaited further, and broken if it hangs too long."""
    async with ApiServer() as api:
        flux = Flux(api)
        async with running(api):
            await removing(flux)
            await eventually(lambda: "deleted at" in deletion(flux).get("message", ""), "the first look")

        async with running(api):
            await eventually(lambda: verdict(flux.seen, "Deletion") == "Broken", "the deadline")
            release(flux)
            await eventually(lambda: "measured" in deletion(flux), "the measure")


async def test_what_changed_while_nobody_looked_is_unknown() -> None:
    """An operator that did not run when the inventory changed does not say that all is gone."""
    async with ApiServer() as api:
        flux = Flux(api)
        async with running(api):
            await prove(flux, A)
            flux.inventory(SETTINGS)
            await eventually(
                lambda: "inventory" in flux.status.get("memory", {}).get("deletion", {}),
                "the inventory to be remembered",
            )
            known = flux.status["memory"]["deletion"]["inventory"]
            flux.fetch(B)
            flux.attempt(B)
            await eventually(lambda: verdict(flux.seen, "Deletion") == "Pending", "the delivery to begin")
        flux.apply(B)
        flux.inventory()
        flux.deliver(B)

        async with running(api):
            await eventually(lambda: verdict(flux.seen, "Deletion") == "Unknown", "the verdict")

            assert deletion(flux)["reason"] == "Unobserved"
            assert flux.status["memory"]["deletion"]["inventory"] != known


async def test_a_missing_right_is_named() -> None:
    """Without the right to look the promise is Unknown at once, says which it is, and is not asked again."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        with api.failing(403, "no", where=lambda seen: seen.plural == CONFIG_MAPS and seen.method == "GET"):
            await removing(flux)
            await eventually(lambda: verdict(flux.seen, "Deletion") == "Unknown", "the verdict")
            asked = len(looks(api))
            await passing(60)

        assert deletion(flux)["reason"] == "NotPermitted"
        assert "may not get ConfigMap objects in apps" in deletion(flux)["message"]
        assert len(looks(api)) <= asked + 1
        assert flux.reason() == "PromisesKept"


async def test_a_kind_that_is_no_more_took_its_objects_along() -> None:
    """A commit that removes a definition removes its objects, too."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, A)
        flux.inventory("one_gone.example.com_Kind", SETTINGS)
        await deliver(flux, B)
        await passing(1)

        flux.inventory(SETTINGS)
        await deliver(flux, C)

        await eventually(lambda: verdict(flux.seen, "Deletion") == "Kept", "the verdict")
        assert "1 deleted" in deletion(flux)["message"]


async def test_an_outage_is_waited_out() -> None:
    """An API server that does not answer says nothing about what is gone."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await removing(flux)
        with api.failing(503, where=lambda seen: seen.plural == CONFIG_MAPS):
            await passing(20)
            pending = verdict(flux.seen, "Deletion")

        release(flux)
        await eventually(lambda: verdict(flux.seen, "Deletion") == "Kept", "the verdict")

        assert pending == "Pending"


async def test_what_hangs_is_an_incident_until_it_is_gone_whatever_is_pushed() -> None:
    """A new commit does not make it well: the recovery comes when the object goes, over a restart, too."""
    async with ApiServer() as api:
        flux = Flux(api)
        async with running(api):
            await removing(flux)
            await eventually(lambda: verdict(flux.seen, "Deletion") == "Broken", "the deadline")
            await deliver(flux, C)
            await passing(300)

            assert verdict(flux.seen, "Deletion") == "Kept"
            assert [(i["key"], i["count"]) for i in flux.status["incidents"]] == [("Deletion", 1)]
        async with running(api):
            await passing(300)
            assert [(i["key"], i["count"]) for i in flux.status["incidents"]] == [("Deletion", 1)]
            release(flux)
            await passing(120)

        (over,) = flux.status["incidents"]
        assert over["count"] == 2
        assert "unclearSince" not in over
