"""Incidents from the failing commit to the reader: one opening and one recovery, whatever happens in between."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from reconciliation_contract.api.status.apart import join
from reconciliation_contract.config import Settings
from tests.handlers.embedded import SETTINGS, running
from tests.handlers.story import A, B, C, activate, deliver, fail, prove, release
from tests.support.api_server import CONTRACTS, EVENTS, KUSTOMIZATIONS, ApiServer
from tests.support.api_server_flux import Flux
from tests.support.receiver import TOKEN, Receiver, receiving
from tests.support.virtual_time import eventually, passing

pytestmark = [pytest.mark.looptime, pytest.mark.slow]

BOTH = ["ContractOpened", "ContractRecovered"]


def telling(receiver: Receiver) -> Settings:
    """Settings with the receiver in the place of Flux's notification-controller."""
    return replace(SETTINGS, flux_events=receiver.url)


def incidents(flux: Flux) -> list[dict[str, object]]:
    """The incidents of the status."""
    return [dict(each) for each in join(flux.status).get("incidents") or []]


async def break_it(flux: Flux) -> None:
    """Bring a contract to an active rollback."""
    await prove(flux)
    await fail(flux)
    await activate(flux)


async def mend_it(flux: Flux) -> None:
    """Push a fix, and wait until it counts as recovered."""
    await release(flux)
    await deliver(flux, C)
    await passing(120)


async def test_a_failing_commit_is_told_once_and_so_is_the_fix() -> None:
    """From the first failure over the rollback to the fix: two messages, and then silence."""
    async with receiving() as receiver, ApiServer() as api, running(api, settings=telling(receiver)):
        flux = Flux(api)

        await break_it(flux)
        await mend_it(flux)

        assert receiver.reasons == BOTH
        assert len(receiver.came) == 2
        (known,) = incidents(flux)
        assert (known["count"], known["told"]) == (2, {"flux": 2})
        await passing(3700)
        written = len(api.writes(CONTRACTS))
        assert incidents(flux) == []
        await passing(7200)
        assert len(api.writes(CONTRACTS)) == written
        assert len(receiver.came) == 2


async def test_what_is_sent_was_written_before() -> None:
    """No message leaves while the status that says so cannot be written."""
    async with receiving() as receiver, ApiServer() as api, running(api, settings=telling(receiver)):
        flux = Flux(api)
        await prove(flux)

        with api.failing(503, where=lambda seen: seen.sub == "status") as refused:
            await fail(flux)
            await passing(60)
            assert refused
            assert receiver.came == []
        await eventually(lambda: receiver.came, "the message")

        assert receiver.reasons == ["ContractOpened"]


async def test_two_operators_tell_once() -> None:
    """A second replica that sees the same leaves it to the one that wrote it."""
    async with receiving() as receiver, ApiServer() as api:
        settings = telling(receiver)
        async with running(api, settings=settings), running(api, settings=settings):
            flux = Flux(api)

            await break_it(flux)
            await mend_it(flux)
            await passing(600)

        assert receiver.reasons == BOTH
        assert len(receiver.came) == 2


async def test_a_crash_before_the_message_leaves_loses_nothing() -> None:
    """The next process finds it due and sends it."""
    async with receiving(503) as receiver, ApiServer() as api:
        flux = Flux(api)
        async with running(api, settings=telling(receiver)):
            await prove(flux)
            await fail(flux)
            await passing(30)
        receiver.status = 202

        async with running(api, settings=telling(receiver)):
            await passing(60)
            assert receiver.reasons == ["ContractOpened"]
            await activate(flux)
            await mend_it(flux)

        assert receiver.reasons == BOTH


async def test_a_crash_after_the_message_left_repeats_it_under_the_same_name() -> None:
    """What was sent but not yet written as sent comes again with the same token, so its reader sees it once."""
    async with receiving() as receiver, ApiServer() as api:
        flux = Flux(api)
        async with running(api, settings=telling(receiver)):
            await prove(flux)
            await fail(flux)
            await eventually(lambda: incidents(flux), "the incident")
            with api.failing(503, where=lambda seen: seen.sub == "status"):
                await eventually(lambda: receiver.came, "the message")
                await passing(1)

                assert "told" not in incidents(flux)[0]
        async with running(api, settings=telling(receiver)):
            await passing(60)
            await activate(flux)
            await mend_it(flux)

        assert receiver.reasons == BOTH
        assert len(receiver.came) == 3
        assert receiver.came[0].body == receiver.came[1].body


async def test_a_restart_after_everything_was_told_tells_nothing() -> None:
    """An open incident and one that is over are known from the status."""
    async with receiving() as receiver, ApiServer() as api:
        flux = Flux(api)
        async with running(api, settings=telling(receiver)):
            await break_it(flux)
            await passing(30)
        async with running(api, settings=telling(receiver)):
            await passing(60)
            await mend_it(flux)
        async with running(api, settings=telling(receiver)):
            await passing(600)

        assert len(receiver.came) == 2


async def test_a_sink_that_is_down_for_an_hour_gets_everything_then() -> None:
    """Opening and recovery are sent in their order, once, and the sink's own state is in the metrics."""
    async with receiving(500) as receiver, ApiServer() as api:
        async with running(api, settings=telling(receiver)) as operator:
            flux = Flux(api)
            await break_it(flux)
            await mend_it(flux)
            await passing(3600)
            assert receiver.taken == []
            assert 5 <= len(receiver.came) <= 40
            receiver.status = 202
            await passing(600)
            failed = operator.metrics.registry.get_sample_value(
                "flux_contract_notifications_total", {"sink": "flux", "result": "failed"}
            )

        assert receiver.reasons == BOTH
        assert failed == len(receiver.came) - 2


async def test_a_sink_that_hangs_delays_nothing() -> None:
    """The rollback goes its way while the sink holds every connection."""
    async with receiving() as receiver, ApiServer() as api, running(api, settings=telling(receiver)) as operator:
        receiver.stuck = True
        flux = Flux(api)

        await break_it(flux)
        await release(flux)
        await deliver(flux, C)

        await eventually(lambda: flux.reason() == "PromisesKept", "the fix to be seen", within=3)
        assert C in flux.status["delivery"]["revision"]
        assert receiver.came == []
        assert operator.sweep.unready() == ""


async def test_a_message_that_is_refused_is_not_sent_for_ever() -> None:
    """A sink that says that the message is no good has had it; it is counted."""
    async with receiving(400) as receiver, ApiServer() as api:
        async with running(api, settings=telling(receiver)) as operator:
            await break_it(Flux(api))
            await passing(3600)
            refused = operator.metrics.registry.get_sample_value(
                "flux_contract_notifications_total", {"sink": "flux", "result": "refused"}
            )

        assert len(receiver.came) == 1
        assert refused == 1


async def test_a_duplicate_counts_as_taken() -> None:
    """Flux's answer that it has had the event ends the matter."""
    async with receiving(429) as receiver, ApiServer() as api, running(api, settings=telling(receiver)):
        flux = Flux(api)
        await break_it(flux)
        await passing(600)

        assert len(receiver.came) == 1
        assert incidents(flux)[0]["told"] == {"flux": 1}


async def test_a_receiver_that_is_busy_loses_nothing() -> None:
    """It is left alone as it asks, by each queue, and then gets the opening and the recovery, once each."""
    async with receiving(429) as receiver, ApiServer() as api:
        receiver.headers = {"Retry-After": "100"}
        async with running(api, settings=replace(SETTINGS, cloudevents=receiver.url)):
            flux = Flux(api)
            await break_it(flux)
            await passing(150)
            asked = Counter(post.body["id"] for post in receiver.came)
            assert len(asked) == 2, "a delivery and the opening"
            assert max(asked.values()) <= 2
            assert "told" not in incidents(flux)[0]
            receiver.status = 202
            await passing(100)
            await mend_it(flux)

        told = [body["type"].split(".") for body in receiver.taken]
        assert [kind for _, _, about, kind, *_ in told if about == "incident"] == ["detected", "resolved"]


async def test_the_event_is_what_flux_expects() -> None:
    """About the Kustomization, with the prefix that an Alert can select, a token, and no revision under Flux's key."""
    async with receiving() as receiver, ApiServer() as api, running(api, settings=telling(receiver)):
        flux = Flux(api)
        await break_it(flux)
        await passing(10)

        (body,) = receiver.taken
        about = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "namespace": "apps"}
        assert body["involvedObject"] == {**about, "name": "shop", "uid": flux.kustomization["metadata"]["uid"]}
        assert (body["severity"], body["reason"]) == ("error", "ContractOpened")
        assert body["message"].startswith("[contract/shop] apps/shop: Reconciliation failing (HealthCheckFailed)\n")
        assert B[:12] in body["message"]
        assert len(body["message"]) <= 650
        assert {key.partition("/")[0] for key in body["metadata"]} == {"kustomize.toolkit.fluxcd.io"}
        assert body["metadata"][TOKEN]
        assert "kustomize.toolkit.fluxcd.io/revision" not in body["metadata"]


async def test_a_contract_that_is_deleted_is_told_of_no_more() -> None:
    """What waits for a sink that is down is forgotten with the contract."""
    async with receiving(503) as receiver, ApiServer() as api, running(api, settings=telling(receiver)):
        flux = Flux(api)
        await prove(flux, rollback={"mode": "Disabled", "after": {"failures": 2}})
        await fail(flux)
        await passing(10)
        assert receiver.came

        api.delete(CONTRACTS, "apps", "shop")
        await passing(5)
        receiver.status = 202
        await passing(3600)

        assert receiver.taken == []


async def test_a_kustomization_that_is_gone_is_told_and_is_no_recovery() -> None:
    """What failed before is neither well nor broken while it cannot be seen; its absence is told by itself."""
    async with receiving() as receiver, ApiServer() as api, running(api, settings=telling(receiver)):
        flux = Flux(api)
        await prove(flux, rollback={"mode": "Disabled", "after": {"failures": 2}})
        await fail(flux)
        await passing(30)
        api.delete(KUSTOMIZATIONS, "apps", "shop")
        await passing(600)

        assert receiver.reasons == ["ContractOpened", "ContractOpened"]
        assert "Kustomization apps/shop does not exist" in receiver.taken[1]["message"]
        assert {str(i["key"]): i["count"] for i in incidents(flux)} == {"Delivery": 1, "Dependency/Kustomization": 1}


async def test_a_contract_that_makes_no_sense_is_told_once_and_so_is_its_mend() -> None:
    """Over restarts; what was delivered before is remembered, and a deletion is immediate."""
    async with receiving() as receiver, ApiServer() as api:
        flux = Flux(api)
        async with running(api, settings=telling(receiver)):
            await prove(flux)
            api.change(CONTRACTS, "apps", "shop", {"spec": {"suspend": "perhaps"}})
            await passing(60)
        async with running(api, settings=telling(receiver)):
            await passing(600)
            assert receiver.reasons == ["ContractOpened"]
            assert "spec.suspend is 'perhaps'; write true or false" in receiver.taken[0]["message"]
            api.change(CONTRACTS, "apps", "shop", {"spec": {"suspend": False}})
            await passing(30)
        async with running(api, settings=telling(receiver)):
            await passing(600)
            assert receiver.reasons == BOTH
            assert len(receiver.came) == 2
            found = [e["reason"] for e in api.objects.list(EVENTS, "apps") if e["reason"].startswith("Incident")]
            assert sorted(set(found)) == ["IncidentClosed", "IncidentOpened"]
            assert A in flux.status["lastGoodRevision"]
            api.change(CONTRACTS, "apps", "shop", {"spec": {"suspend": "perhaps"}})
            await passing(10)
            api.delete(CONTRACTS, "apps", "shop")
            await passing(1)

            assert not api.objects.list(CONTRACTS, "apps")


async def test_kubernetes_has_an_event_on_both_objects() -> None:
    """One Event an incident on the contract and on the Kustomization; reminders count on in it."""
    async with ApiServer() as api, running(api):
        flux = Flux(api)
        await prove(flux, alerts={"remindEvery": "20m"})
        await fail(flux)
        await activate(flux)
        await passing(2500)
        await mend_it(flux)

        found = [e for e in api.objects.list(EVENTS, "apps") if e["reason"].startswith("Incident")]
        told = sorted((e["reason"], e["regarding"]["kind"], (e.get("series") or {}).get("count")) for e in found)
        assert told == [
            ("IncidentClosed", "Kustomization", None),
            ("IncidentClosed", "ReconciliationContract", None),
            ("IncidentOpened", "Kustomization", 3),
            ("IncidentOpened", "ReconciliationContract", 3),
        ]
