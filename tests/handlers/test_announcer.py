"""Milestones of deliveries on their way to whoever keeps a record of them: once each, whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from reconciliation_contract.adapters.notification import SinkError
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.config import Settings
from reconciliation_contract.core.delivery.milestone import Milestone, Step
from reconciliation_contract.notifier.delivery_queue import MOST, Announcer
from reconciliation_contract.notifier.ledger import Key
from reconciliation_contract.notifier.retry import Attempts
from tests.handlers.embedded import SETTINGS, running
from tests.handlers.story import A, B, C, activate, deliver, fail, prove, release
from tests.support.api_server import ApiServer
from tests.support.api_server_flux import Flux
from tests.support.receiver import Receiver, receiving
from tests.support.virtual_time import START, eventually, passing

pytestmark = pytest.mark.looptime

SHOP: Key = ("apps", "shop")


def milestone(name: str) -> Milestone:
    """One with this name."""
    return Milestone(name, Step.UPGRADED, *SHOP, "shop", A, f"pkg:generic/shop@{A}", START, START)


@dataclass
class Record:
    """Whoever keeps a record."""

    name: str = "test"
    down: bool = False
    tries: int = 0
    came: list[str] = field(default_factory=list)
    told: list[set[Key]] = field(default_factory=list)

    async def announce(self, milestone: Milestone) -> None:
        self.tries += 1
        if self.down:
            raise SinkError("down")
        self.came.append(milestone.id)


@asynccontextmanager
async def announcing(record: Record) -> AsyncIterator[tuple[Announcer, Metrics]]:
    """An announcer at work."""
    metrics = Metrics()
    announcer = Announcer(record, Attempts(record.name, metrics), record.told.append, metrics)
    task = asyncio.create_task(announcer.run())
    try:
        yield announcer, metrics
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_what_was_taken_is_remembered_until_the_status_says_so() -> None:
    """Each pass offers it again in the meantime; it is sent once, and a pass is asked for that writes it."""
    record = Record()
    async with announcing(record) as (announcer, _):
        for _ in range(5):
            announcer.know(SHOP, {"1"}, ())
            announcer.offer(milestone("1"), 0)
            await passing(10)
        assert (record.came, record.told) == (["1"], [{SHOP}])
        assert announcer.taken(SHOP) == {"1"}
        announcer.know(SHOP, (), {"1"})

        assert announcer.taken(SHOP) == frozenset()


async def test_what_another_replica_says_it_sent_is_not_sent() -> None:
    """It has some seconds to say so."""
    record = Record()
    async with announcing(record) as (announcer, _):
        announcer.offer(milestone("1"), 20)
        await passing(10)
        announcer.know(SHOP, (), {"1"})
        await passing(60)

    assert record.came == []


async def test_what_a_contract_came_to_is_announced_in_order() -> None:
    """What a crash left behind goes before what came since, though another replica might still say that it sent it."""
    record = Record()
    earlier, later = milestone("1"), replace(milestone("2"), at=START + timedelta(seconds=1))
    async with announcing(record) as (announcer, _):
        announcer.offer(earlier, 20)
        announcer.offer(replace(earlier, id="3", contract="other"), 20)
        await passing(5)
        announcer.offer(later, 0)
        await passing(1)
        assert record.came == ["1", "2"]
        await passing(60)

    assert record.came == ["1", "2", "3"]


async def test_a_record_that_is_down_is_tried_ever_more_rarely_and_gets_all_in_order() -> None:
    """Up to a bound: of more the oldest go, which is counted."""
    record = Record(down=True)
    async with announcing(record) as (announcer, metrics):
        for number in range(MOST + 5):
            announcer.offer(milestone(f"{number}"), 0)
        await passing(3600)
        assert 10 <= record.tries <= 40
        record.down = False
        await passing(600)
        labels = {"sink": "test", "result": "dropped"}
        dropped = metrics.registry.get_sample_value("flux_contract_notifications_total", labels)
        assert not announcer

    assert dropped == 5
    assert record.came == [f"{number}" for number in range(5, MOST + 5)]


# The whole operator -------------------------------------------------------------------------------------------------


def recording(receiver: Receiver) -> Settings:
    """Settings with the receiver as the sink for CloudEvents."""
    return replace(SETTINGS, cloudevents=receiver.url)


def steps(receiver: Receiver) -> list[tuple[str, str]]:
    """What was taken of services: the step, and the first digits of the commit that runs now."""
    services = [body for body in receiver.taken if body["type"].startswith("dev.cdevents.service.")]
    content = [body["data"]["subject"]["content"]["artifactId"] for body in services]
    runs = [next(commit[:1] for commit in (A, B, C) if commit in artifact) for artifact in content]
    return [(body["type"].split(".")[3], at) for body, at in zip(services, runs, strict=True)]


@pytest.mark.slow
async def test_deliveries_and_rollbacks_are_announced_once() -> None:
    """What begins is deployed, what follows is an upgrade; a restart after each step repeats nothing."""
    async with receiving() as receiver, ApiServer() as api:
        flux = Flux(api)
        async with running(api, settings=recording(receiver)):
            await prove(flux)
            await fail(flux)
            await activate(flux)
            await passing(30)
        async with running(api, settings=recording(receiver)):
            await passing(60)
            await release(flux)
            await deliver(flux, C)
            await passing(30)
        async with running(api, settings=recording(receiver)):
            await passing(3600)

    assert steps(receiver) == [("deployed", A[:1]), ("rolledback", A[:1]), ("upgraded", C[:1])]
    assert len({body["id"] for body in receiver.taken}) == len(receiver.taken)


@pytest.mark.slow
async def test_a_crash_before_it_was_sent_loses_nothing_and_one_after_repeats_its_name() -> None:
    """The next process finds it lacking; what came twice has the same identity."""
    async with receiving(503) as receiver, ApiServer() as api:
        flux = Flux(api)
        async with running(api, settings=recording(receiver)):
            await prove(flux)
            await deliver(flux, C)
            await passing(30)
        assert receiver.taken == []
        receiver.status = 202
        async with running(api, settings=recording(receiver)):
            with api.failing(503, where=lambda seen: seen.sub == "status"):
                await eventually(lambda: receiver.taken, "the event")
                await passing(1)
        async with running(api, settings=recording(receiver)):
            await passing(120)
            assert flux.status["memory"]["delivery"]["announced"] is True

    first, second = receiver.taken
    assert first == second
    assert steps(receiver) == [("upgraded", C[:1])] * 2


@pytest.mark.slow
async def test_a_record_that_hangs_delays_no_rollback_and_no_incident() -> None:
    """Its queue is its own."""
    async with receiving() as bus, receiving() as reader, ApiServer() as api:
        settings = replace(recording(bus), flux_events=reader.url)
        async with running(api, settings=settings):
            bus.stuck = True
            flux = Flux(api)
            await prove(flux)
            await fail(flux)
            await activate(flux)
            await eventually(lambda: reader.taken, "the opening")
            assert bus.came == []

    assert reader.reasons == ["ContractOpened"]


@pytest.mark.slow
async def test_two_operators_announce_once() -> None:
    """The second replica leaves it to the one whose pass it was."""
    async with receiving() as receiver, ApiServer() as api:
        settings = recording(receiver)
        async with running(api, settings=settings), running(api, settings=settings):
            flux = Flux(api)
            await prove(flux)
            await deliver(flux, C)
            await passing(120)

    assert steps(receiver) == [("deployed", A[:1]), ("upgraded", C[:1])]
