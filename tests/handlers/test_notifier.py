"""Storms, queues and sinks that misbehave: thousands of incidents in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import timedelta

import pytest

from reconciliation_contract.adapters.notification import SinkError, cloudevents
from reconciliation_contract.adapters.notification.flux import GROUP, FluxSink
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.core.delivery.milestone import Milestone
from reconciliation_contract.core.incidents.message import Kind, Notice
from reconciliation_contract.core.memory.memory import Incident, Memory
from reconciliation_contract.core.spec.contract import Contract, Severity
from reconciliation_contract.core.values.timing import TIMING
from reconciliation_contract.notifier import Notifier
from reconciliation_contract.notifier.incident_queue import MOST
from reconciliation_contract.notifier.ledger import Key
from tests.support.builders_core import CONTRACT, delivery, moment
from tests.support.receiver import receiving
from tests.support.virtual_time import eventually, now, passing

pytestmark = pytest.mark.looptime

SETTLING = TIMING.settling.total_seconds()
REVISION = "main@sha1:" + "a" * 40
MINUTE = timedelta(minutes=1)


@dataclass
class Sink:
    """A sink that keeps what it is sent."""

    name: str = "test"
    gathers: bool = True
    by_namespace: bool = False
    repeats: float = 0.0
    down: bool = False
    retry_after: float = 0.0
    """What it asks for while it is down."""
    tries: int = 0
    sent: list[Notice] = field(default_factory=list)
    refuses: Callable[[Notice], bool] = lambda _: False

    async def send(self, notices: Sequence[Notice]) -> None:
        self.tries += 1
        if self.down or any(map(self.refuses, notices)):
            raise SinkError("down", self.retry_after)
        self.sent.extend(notices)

    async def close(self) -> None:
        pass

    @property
    def kinds(self) -> list[str]:
        return [notice.kind.value for notice in self.sent]


class Fleet:
    """Contracts whose statuses say what they are told to; what was taken is written as a pass would."""

    def __init__(self, sink: Sink | FluxSink) -> None:
        self.sink = sink
        self.metrics = Metrics()
        self.known: dict[Key, Incident] = {}
        self.notifier = Notifier([sink], self.write, self.metrics)

    def write(self, keys: set[Key]) -> None:
        for key in keys:
            incident = self.known[key]
            told = {name: n for sinks in self.notifier.told(key).values() for name, n in sinks.items()}
            storms = {name: storm for sinks in self.notifier.storms(key).values() for name, storm in sinks.items()}
            known = replace(incident, told={**incident.told, **told}, storms={**incident.storms, **storms})
            self.note(key, known)

    def note(self, key: Key, incident: Incident) -> None:
        before = (self.known[key],) if key in self.known else ()
        self.known[key] = incident
        self.notifier.note(self.contract(key), "", before, (incident,))

    def contract(self, key: Key) -> Contract:
        return replace(CONTRACT, namespace=key[0], name=key[1], uid=f"uid-{key}", kustomization=key[1])

    def again(self) -> None:
        """Look at all contracts, as after a start."""
        for key, incident in self.known.items():
            self.note(key, incident)

    def break_all(self, keys: Sequence[Key], cause: str) -> None:
        for key in keys:
            opened = Incident("Delivery", "Reconciliation", "Failed", Severity.WARNING, now(), "broken", cause=cause)
            self.note(key, replace(opened, revision=REVISION, count=1, told_at=now()))

    def mend(self, keys: Sequence[Key]) -> None:
        for key in keys:
            incident = self.known[key]
            self.note(key, replace(incident, count=incident.count + 1, closed_at=now(), told_at=now()))

    def delete(self, key: Key) -> None:
        self.known.pop(key)
        self.notifier.forget(key)

    def suspend(self, key: Key) -> None:
        contract, before = self.contract(key), self.known.pop(key)
        self.notifier.note(contract, "", (before,), ())

    def result(self, result: str) -> float:
        labels = {"sink": self.sink.name, "result": result}
        return self.metrics.registry.get_sample_value("flux_contract_notifications_total", labels) or 0.0

    def failing(self) -> float | None:
        labels = {"sink": self.sink.name}
        return self.metrics.registry.get_sample_value("flux_contract_sink_failing_seconds", labels)


@asynccontextmanager
async def running(sink: Sink | FluxSink, known: dict[Key, Incident] | None = None) -> AsyncIterator[Fleet]:
    """A fleet whose notifier is at work, where something is known already."""
    fleet = Fleet(sink)
    fleet.known = dict(known or {})
    task = asyncio.create_task(fleet.notifier.run())
    try:
        yield fleet
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


def keys(number: int, namespaces: int = 1) -> list[Key]:
    """Names of contracts, spread over namespaces."""
    return [(f"team-{n % namespaces}", f"shop-{n:04}") for n in range(number)]


async def test_a_thousand_contracts_without_a_controller_are_one_message() -> None:
    """One opening that names the root cause and counts them, one recovery when the last of them is well."""
    sink = Sink()
    async with running(sink) as fleet:
        fleet.break_all(keys(1000), "source-controller")
        await passing(60)
        fleet.mend(keys(999))
        await passing(60)
        assert sink.kinds == ["Opened"]
        fleet.mend(keys(1000)[999:])
        await passing(60)

    assert sink.kinds == ["Opened", "Recovered"]
    opened, recovered = sink.sent
    assert opened.title == "source-controller: 1000 contracts broken"
    assert opened.text.startswith("1000 contracts: team-0/shop-0000, team-0/shop-0001,")
    assert (opened.concerned, recovered.concerned) == (1000, 1000)
    assert opened.subject == recovered.subject
    assert len(opened.text) <= 500
    assert all(incident.told == {"test": incident.count} for incident in fleet.known.values())


async def test_latecomers_to_a_storm_are_silent() -> None:
    """What breaks for a cause that was told of already adds nothing to it."""
    sink = Sink()
    async with running(sink) as fleet:
        for n in range(0, 100, 10):
            fleet.break_all(keys(100)[n : n + 10], "source-controller")
            await passing(20)

    assert sink.kinds == ["Opened"]


async def test_a_storm_that_comes_one_by_one_is_one_message_from_the_fourth_on() -> None:
    """The first three were told alone and are told of alone to the end; the storm counts all, and ends once."""
    sink = Sink()
    async with running(sink) as fleet:
        for key in keys(10):
            fleet.break_all([key], "source-controller")
            await passing(60)
        assert [notice.concerned for notice in sink.sent] == [1, 1, 1, 4]
        assert sink.sent[3].title == "source-controller: 4 contracts broken"
        for key in keys(10):
            fleet.mend([key])
            await passing(60)

    opened = [notice.subject for notice in sink.sent if notice.kind is Kind.OPENED]
    recovered = [notice.subject for notice in sink.sent if notice.kind is Kind.RECOVERED]
    assert len(set(opened)) == 4
    assert recovered == opened


async def test_a_storm_that_comes_one_by_one_is_reminded_of_once_a_round() -> None:
    """The first of it that is due brings the reminder; those told alone have their own."""
    sink = Sink()
    async with running(sink) as fleet:
        for key in keys(10):
            fleet.break_all([key], "source-controller")
            await passing(60)
        sink.sent.clear()
        for key, incident in list(fleet.known.items()):
            fleet.note(key, replace(incident, count=2, told_at=now()))
            await passing(60)

    assert [(notice.kind, notice.concerned) for notice in sink.sent] == [(Kind.REMINDED, n) for n in (1, 1, 1, 7)]


@pytest.mark.slow
async def test_ten_thousand_contracts_are_one_message_that_counts_them_all() -> None:
    """What waits for a sink is bounded by messages, not by contracts."""
    sink = Sink(down=True)
    async with running(sink) as fleet:
        fleet.break_all(keys(10_000), "source-controller")
        await passing(60)
        sink.down = False
        await passing(120)
        fleet.mend(keys(10_000))
        await passing(60)

    assert [(notice.kind, notice.concerned) for notice in sink.sent] == [
        (Kind.OPENED, 10_000),
        (Kind.RECOVERED, 10_000),
    ]
    assert fleet.result("dropped") == 0


async def test_after_a_start_a_storm_is_over_only_when_all_of_it_has_been_looked_at() -> None:
    """A contract that was not looked at yet may still be in it."""
    sink = Sink()
    async with running(sink) as before:
        before.break_all(keys(10), "source-controller")
        await passing(60)
    async with running(sink, before.known) as after:
        first, *rest = keys(10)
        after.note(first, after.known[first])
        after.mend([first])
        await passing(15)
        for key in rest:
            after.note(key, after.known[key])
        await passing(60)

    assert sink.kinds == ["Opened"]


@pytest.mark.parametrize("restarts", [False, True])
@pytest.mark.parametrize("how", [Fleet.delete, Fleet.suspend])
async def test_a_storm_ends_though_its_last_open_contract_is_gone(
    how: Callable[[Fleet, Key], None], restarts: bool
) -> None:
    """Deleted, or its alerts suspended: those that recovered before it end the storm, once, also after a restart."""
    sink = Sink()
    async with running(sink) as before:
        before.break_all(keys(5), "source-controller")
        await passing(60)
        before.mend(keys(4))
        await passing(900)
        assert sink.kinds == ["Opened"]
        if not restarts:
            how(before, keys(5)[4])
            await passing(900)
    async with running(sink, before.known) as after:
        if restarts:
            after.known.pop(keys(5)[4])
        after.again()
        await passing(900)

    assert sink.kinds == ["Opened", "Recovered"]
    assert all(incident.told == {"test": incident.count} for incident in after.known.values())


async def test_a_storm_goes_on_when_one_of_many_open_contracts_is_gone() -> None:
    """The rest of them end it; what waits for that is no failure of the sink."""
    sink = Sink()
    async with running(sink) as fleet:
        fleet.break_all(keys(6), "source-controller")
        await passing(60)
        fleet.mend(keys(4))
        fleet.delete(keys(6)[4])
        sink.down = True
        fleet.break_all(keys(7)[6:], "")
        await passing(60)
        fleet.delete(keys(7)[6])
        sink.down = False
        await passing(3600)
        assert sink.kinds == ["Opened"]
        assert fleet.failing() == 0
        fleet.mend(keys(6)[5:])
        await passing(60)

    assert sink.kinds == ["Opened", "Recovered"]


async def test_each_namespace_hears_of_its_own_where_readers_are_bound_to_one() -> None:
    """For Alerts, which name namespaces, a storm is one message for each of them."""
    sink = Sink(by_namespace=True)
    async with running(sink) as fleet:
        fleet.break_all(keys(1000, 10), "source-controller")
        await passing(60)

    assert sorted(notice.namespace for notice in sink.sent) == [f"team-{n}" for n in range(10)]
    assert {notice.concerned for notice in sink.sent} == {100}


async def test_each_contract_of_a_storm_has_a_commit_status_of_its_own() -> None:
    """Whatever the number: each that fails is marked on the commit, and cleared when it is well, by its own name."""
    async with receiving() as receiver:
        sink = FluxSink(receiver.url, "pod-1", commit_statuses=True)
        async with running(sink) as fleet:
            fleet.break_all(keys(5), "commit abc")
            await eventually(lambda: len(receiver.taken) == 5, "five failures")
            fleet.mend(keys(5))
            await eventually(lambda: len(receiver.taken) == 10, "five successes")
        await sink.close()

    marks = [(event["involvedObject"]["name"], event["severity"]) for event in receiver.taken]
    assert sorted(marks[:5]) == [(name, "error") for _, name in keys(5)]
    assert sorted(marks[5:]) == [(name, "info") for _, name in keys(5)]
    assert all(event["metadata"][f"{GROUP}/revision"] == REVISION for event in receiver.taken)


async def test_a_few_with_the_same_cause_are_told_one_by_one() -> None:
    """Three contracts have a message each, so each of their readers hears of it."""
    sink = Sink()
    async with running(sink) as fleet:
        fleet.break_all(keys(3), "commit abc")
        await passing(60)
        fleet.mend(keys(3))
        await passing(60)

    assert sorted(sink.kinds) == ["Opened"] * 3 + ["Recovered"] * 3


async def test_a_second_storm_of_the_same_cause_is_told_again() -> None:
    """What is over does not silence what comes after it."""
    sink = Sink()
    async with running(sink) as fleet:
        for _ in range(2):
            fleet.break_all(keys(10), "source-controller")
            await passing(60)
            fleet.mend(keys(10))
            await passing(60)

    assert sink.kinds == ["Opened", "Recovered"] * 2
    assert {notice.concerned for notice in sink.sent} == {10}
    assert len({notice.id for notice in sink.sent}) == 4


async def test_a_restart_amid_a_storm_tells_nothing_twice() -> None:
    """A new process finds that all were told, and still knows when the last of them is over."""
    sink = Sink()
    async with running(sink) as before:
        before.break_all(keys(50), "source-controller")
        await passing(60)
    async with running(sink, before.known) as after:
        after.again()
        await passing(60)
        assert sink.kinds == ["Opened"]
        after.mend(keys(50))
        await passing(60)

    assert sink.kinds == ["Opened", "Recovered"]


async def test_a_storm_that_passed_while_the_sink_was_down_is_told_in_order() -> None:
    """Opening and recovery, one of each."""
    sink = Sink(down=True)
    async with running(sink) as fleet:
        fleet.break_all(keys(50), "source-controller")
        await passing(60)
        fleet.mend(keys(50))
        await passing(60)
        sink.down = False
        await passing(600)

    assert sink.kinds == ["Opened", "Recovered"]


@pytest.mark.parametrize("number", [1, 50])
async def test_what_was_taken_is_not_sent_again_when_the_next_is_refused(number: int) -> None:
    """One opening, however often its recovery is tried; alone and for a storm."""
    sink = Sink(down=True, refuses=lambda notice: notice.over)
    async with running(sink) as fleet:
        fleet.break_all(keys(number), "source-controller")
        await passing(60)
        fleet.mend(keys(number))
        sink.down = False
        await passing(600)
        assert sink.kinds == ["Opened"]
        assert sink.tries > 5
        sink.refuses = lambda _: False
        await passing(600)

    assert sink.kinds == ["Opened", "Recovered"]


async def test_a_storm_has_the_same_source_and_subject_from_its_opening_to_its_end() -> None:
    """As CloudEvents: though one was told of alone before, and who named the opening is forgotten by the end."""
    sink, (alone, *rest) = Sink(), keys(6)
    async with running(sink) as fleet:
        fleet.break_all([alone], "source-controller")
        await passing(60)
        fleet.break_all(rest, "source-controller")
        await passing(60)
        opening = sink.sent[-1]
        fleet.delete((opening.namespace, opening.contract))
        fleet.mend([key for key in fleet.known if key != alone])
        await passing(60)

    told_alone, detected, resolved = map(cloudevents.incident, sink.sent)
    assert told_alone["source"] == f"/namespaces/{alone[0]}/reconciliationcontracts/{alone[1]}"
    assert opening.contract != alone[1]
    assert {event["source"] for event in (detected, resolved)} == {"/reconciliationcontracts"}
    assert detected["subject"] == resolved["subject"]
    assert {event["data"]["subject"]["source"] for event in (detected, resolved)} == {"/reconciliationcontracts"}
    assert detected["data"]["subject"]["content"]["service"] != resolved["data"]["subject"]["content"]["service"]
    assert detected["id"] != resolved["id"]


async def test_the_queue_of_a_dead_sink_is_bounded() -> None:
    """The oldest are dropped and counted; the sink is tried ever more rarely."""
    sink = Sink(down=True)
    async with running(sink) as fleet:
        fleet.break_all(keys(MOST + 500), "")
        await passing(3600)
        assert fleet.result("dropped") == 500
        assert fleet.result("failed") == sink.tries
        assert 10 <= sink.tries <= 40
        assert fleet.failing() == pytest.approx(3600 - SETTLING)
        sink.down = False
        fleet.again()
        await passing(900)
        fleet.again()
        await passing(900)

    assert fleet.failing() == 0
    assert sorted(sink.kinds) == ["Opened"] * (MOST + 500)
    assert len({notice.id for notice in sink.sent}) == MOST + 500


async def test_a_sink_that_has_nothing_to_take_does_not_fail() -> None:
    """What waited for it is gone with its contract: nobody knows whether it would be taken now."""
    sink = Sink(down=True)
    async with running(sink) as fleet:
        assert [fleet.result(result) for result in ("taken", "failed", "refused", "dropped")] == [0, 0, 0, 0]
        fleet.break_all(keys(1), "")
        await passing(600)
        assert fleet.failing() == pytest.approx(600 - SETTLING)
        fleet.notifier.forget(keys(1)[0])

        assert fleet.failing() == 0


async def test_a_sink_that_forgets_does_not_fail_when_nothing_is_open() -> None:
    """There is nothing to repeat, so nothing is tried and nobody knows; with the next incident it is tried again."""
    sink = Sink(gathers=False, repeats=60.0, down=True)
    async with running(sink) as fleet:
        fleet.break_all(keys(1), "")
        await passing(120)
        assert fleet.failing() == pytest.approx(120 - SETTLING)
        fleet.delete(keys(1)[0])
        assert fleet.failing() == 0

        sink.down = False
        fleet.break_all(keys(1), "")
        await passing(120)
        sink.down = True
        await passing(600)

        assert fleet.failing() == pytest.approx(600, abs=60)


async def test_what_a_sink_refuses_of_deliveries_keeps_no_incident_waiting() -> None:
    """A receiver that knows no deliveries answers 404 to each; the pauses after that are theirs alone."""

    class Record(Sink):
        async def announce(self, _: Milestone) -> None:
            raise SinkError("answers 404")

    sink = Record()
    async with running(sink) as fleet:
        arrived = Memory(delivery=delivery(failures=None, stages=replace(delivery().stages, healthy=moment(0))))
        fleet.notifier.announce(CONTRACT, Memory(), arrived, None, now())
        await passing(600)
        assert fleet.failing() == pytest.approx(600, abs=30)
        fleet.break_all(keys(1), "")
        await passing(10)

    assert sink.kinds == ["Opened"]


async def test_a_sink_that_groups_by_itself_gets_everything_again_and_again() -> None:
    """What is open is repeated, so that it does not resolve; what is over is sent once and then no more."""
    sink = Sink(gathers=False, repeats=60.0)
    async with running(sink) as fleet:
        fleet.break_all(keys(10), "source-controller")
        await passing(330)
        assert sink.kinds == ["Opened"] * 60
        fleet.mend(keys(10))
        await passing(10)
        sent = len(sink.sent)
        await passing(600)

    assert sink.kinds[60:] == ["Recovered"] * 10
    assert len(sink.sent) == sent


async def test_a_sink_that_forgets_is_told_soon_after_an_outage() -> None:
    """Alertmanager takes an alert for resolved after five minutes without it, so no pause may be that long."""
    sink = Sink(gathers=False, repeats=60.0)
    async with running(sink) as fleet:
        fleet.break_all(keys(1), "")
        await passing(30)
        sink.down = True
        await passing(250)
        sink.down, sent = False, len(sink.sent)
        await passing(30)

    assert len(sink.sent) > sent


async def test_a_sink_is_left_alone_for_as_long_as_it_asks() -> None:
    """But not for hours, and not so long that it forgets."""
    tries = {}
    for repeats in (0.0, 60.0):
        sink = Sink(down=True, retry_after=86_400, gathers=not repeats, repeats=repeats)
        async with running(sink) as fleet:
            fleet.break_all(keys(1), "")
            await passing(650)
        tries[repeats] = sink.tries

    assert tries[0.0] == 3
    assert 20 <= tries[60.0] <= 23


async def test_an_adapter_that_fails_in_a_new_way_ends_nothing() -> None:
    """A bug in a sink is tried again like an outage; the others go on."""

    class Buggy(Sink):
        async def send(self, notices: Sequence[Notice]) -> None:
            if not self.tries:
                self.tries += 1
                raise ZeroDivisionError
            await super().send(notices)

    sink = Buggy()
    async with running(sink) as fleet:
        fleet.break_all(keys(1), "")
        await passing(60)

    assert sink.kinds == ["Opened"]


async def test_reminders_of_a_storm_are_one_message() -> None:
    """Four hours later there is one reminder, not a thousand."""
    sink = Sink()
    async with running(sink) as fleet:
        fleet.break_all(keys(100), "source-controller")
        await passing(60)
        for key, incident in list(fleet.known.items()):
            fleet.note(key, replace(incident, count=2, told_at=now()))
        await passing(60)

    assert sink.kinds == [Kind.OPENED, Kind.REMINDED]
