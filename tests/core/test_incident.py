"""One opening, spaced reminders, one recovery: for each cause, whatever happens in between."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.facts.attention import attention
from reconciliation_contract.core.facts.comparison import Drift, Finding
from reconciliation_contract.core.facts.comparison import Kind as Difference
from reconciliation_contract.core.facts.inventory import Entry
from reconciliation_contract.core.facts.observation import Dependency, FluxFacts, NotificationFacts, Observation
from reconciliation_contract.core.facts.pruning import Departure, Departures
from reconciliation_contract.core.incidents import lifecycle
from reconciliation_contract.core.incidents.message import Kind, identity, notice, owed
from reconciliation_contract.core.incidents.recovery import is_well
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import INCIDENTS, Incident, Memory, RollbackState, Standing
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.spec.contract import AlertPolicy, AlertRule, AlertTerms, Contract, Severity, Topic
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.object_key import ObjectKey
from tests.support.builders import at, revision, sha
from tests.support.builders_core import (
    CONTRACT,
    Case,
    delivery,
    failing,
    good,
    kustomization,
    moment,
    rolling_back,
    source,
)

MINUTE = timedelta(minutes=1)
HEALTHY = delivery(failures=None, stages=replace(delivery().stages, healthy=moment(9)))
BROKEN = Judgement(
    PromiseName.RECONCILIATION, Verdict.BROKEN, 5 * MINUTE, reasons.BUDGET_EXCEEDED, "not healthy within 5m"
)
BAD = Memory(delivery=delivery(), judgements=(BROKEN,))
WELL = Memory(delivery=HEALTHY)
WAITING = delivery(failures=None, stages=replace(delivery().stages, detected=None, attempted=None, applied=None))
STUCK = Memory(delivery=WAITING, judgements=(replace(BROKEN, promise=PromiseName.DETECTION),))
SEEN = Observation(
    flux=FluxFacts(kustomization=kustomization(), source=source()),
    notifications=NotificationFacts(sinks=("one", "two")),
)
ALIVE = Dependency("source-controller", ready=True, message="")
DEAD = Dependency("source-controller", ready=False, message="source-controller is scaled to zero; scale it up")


def alerting(**policy: object) -> Contract:
    """The contract with other terms for its alerts."""
    return replace(CONTRACT, alerts=replace(AlertPolicy(), **policy))


def follow(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Take every incident one step further, as far as the pass looks."""
    return lifecycle.follow(contract, memory, seen, attention(contract, seen), now)


def live(*steps: tuple[float, Memory], contract: Contract = CONTRACT, seen: Observation = SEEN) -> list[Incident]:
    """What is known of incidents after passes at these seconds, each with another memory."""
    known = Memory()
    for seconds, memory in steps:
        known = follow(contract, carried(known, memory), seen, at(seconds))
    return list(known.incidents)


def carried(known: Memory, memory: Memory) -> Memory:
    """A memory with what incidents have left in an earlier one."""
    delivery, before = memory.delivery, known.delivery
    if delivery and before and delivery.hash == before.hash:
        delivery = replace(delivery, reported=before.reported)
    return replace(memory, incidents=known.incidents, delivery=delivery)


def counts(found: list[Incident]) -> list[tuple[str, int, bool]]:
    """Key, messages due, and whether it is over."""
    return [(i.key, i.count, i.closed_at is not None) for i in found]


# The life of one ----------------------------------------------------------------------------------------------------


def test_a_broken_promise_is_told_at_once() -> None:
    """The first pass that finds it makes the first message due."""
    (found,) = live((0, BAD))

    assert (found.key, found.promise, found.reason) == ("Delivery", "Reconciliation", "HealthCheckFailed")
    assert (found.count, found.opened_at, found.told_at) == (1, at(0), at(0))
    assert found.severity is Severity.WARNING


def test_nothing_changes_while_nothing_changes() -> None:
    """Passes between the opening and the first reminder leave the incident as it is."""
    (first,), (later,) = live((0, BAD)), live((0, BAD), (10, BAD), (3600, BAD), (14_399, BAD))

    assert later == first


def test_trouble_shorter_than_the_threshold_is_never_told() -> None:
    """With `after: 2m` what lasts a minute leaves no trace."""
    contract = alerting(after=2 * MINUTE)

    assert counts(live((0, BAD), (60, BAD), contract=contract)) == [("Delivery", 0, False)]
    assert live((0, BAD), (60, WELL), contract=contract) == []


def test_trouble_that_lasts_is_told_at_the_threshold() -> None:
    """With `after: 2m` the first message comes two minutes after the beginning, and says when that was."""
    (found,) = live((0, BAD), (119, BAD), (120, BAD), contract=alerting(after=2 * MINUTE))

    assert (found.count, found.opened_at, found.told_at) == (1, at(0), at(120))


def test_reminders_are_spaced() -> None:
    """One every `remindEvery`, counted from the message before."""
    contract = alerting(remind_every=timedelta(hours=1))
    steps = [(60 * minute, BAD) for minute in range(150)]

    (found,) = live(*steps, contract=contract)

    assert (found.count, found.told_at) == (3, at(7200))


def test_reminders_can_be_switched_off() -> None:
    """With `remindEvery: 0s` a year of trouble is one message."""
    (found,) = live((0, BAD), (31_536_000, BAD), contract=alerting(remind_every=timedelta(0)))

    assert found.count == 1


def test_recovery_is_told_once_it_lasts() -> None:
    """After a minute of all being well; the end is where that minute began."""
    (held,), (over,) = live((0, BAD), (100, WELL), (159, WELL)), live((0, BAD), (100, WELL), (160, WELL))

    assert (held.closed_at, held.well_since, held.count) == (None, at(100), 1)
    assert (over.closed_at, over.count, over.told_at) == (at(100), 2, at(160))


def test_what_is_over_is_forgotten_when_every_sink_has_it() -> None:
    """It stays for an hour, to tell a relapse, and as long as a sink lacks a message, though no longer than a day."""
    over = [(0, BAD), (100, WELL), (160, WELL)]
    name = identity(CONTRACT.uid, live((0, BAD))[0])
    told = replace(SEEN, notifications=replace(SEEN.notifications, told={name: {"one": 2, "two": 2}}))

    assert len(live(*over, (3600, WELL))) == 1
    assert len(live(*over, (3699, WELL), seen=told)) == 1
    assert live(*over, (3700, WELL), seen=told) == []
    assert len(live(*over, (80_000, WELL))) == 1
    assert live(*over, (90_000, WELL)) == []


def test_flapping_makes_no_storm() -> None:
    """A day of breaking and healing every second is one message and the reminders."""
    steps = [(n, BAD if n % 2 else WELL) for n in range(7200)]

    (found,) = live(*steps)

    assert (found.count, found.closed_at) == (1, None)


@pytest.mark.parametrize("period", [61, 130, 300, 1000, 3000])
def test_slow_flapping_is_told_ever_less(period: int) -> None:
    """What comes back within the hour is held longer each time, so that a day is a handful of messages."""
    known: tuple[Incident, ...] = ()
    due: dict[datetime, int] = {}
    for n in range(0, 86_400, 30):
        memory = BAD if n // period % 2 == 0 else WELL
        known = follow(alerting(remind_every=timedelta(0)), replace(memory, incidents=known), SEEN, at(n)).incidents
        known = tuple(replace(i, told={"one": i.count, "two": i.count}) for i in known)
        due.update({i.opened_at: i.count for i in known})

    assert 1 <= sum(due.values()) <= 14


def test_it_gets_louder_at_once() -> None:
    """A rollback that fails is told without waiting for the next reminder, and as critical."""
    failed = rolling_back(RollbackState.FAILED, rollback__completed_at=None).memory

    (found,) = live((0, BAD), (10, failed), (20, failed))

    assert (found.count, found.severity) == (2, Severity.CRITICAL)
    assert "The rollback failed" in found.message


def test_suspended_alerts_forget() -> None:
    """With `suspend: true` nothing is told, not even the end of what was open."""
    known = tuple(live((0, BAD)))

    assert follow(alerting(suspended=True), replace(BAD, incidents=known), SEEN, at(10)).incidents == ()


@pytest.mark.parametrize(
    ("contract", "seen"),
    [
        pytest.param(replace(CONTRACT, suspended=True), SEEN, id="the contract is suspended"),
        pytest.param(
            CONTRACT, replace(SEEN, operator=replace(SEEN.operator, fresh=False)), id="the watches are lost"
        ),
        pytest.param(replace(CONTRACT, deleting=True), SEEN, id="the contract is being deleted"),
    ],
)
def test_what_cannot_be_judged_is_neither_opened_nor_closed(contract: Contract, seen: Observation) -> None:
    """Without sight nothing is over, and nothing new begins."""
    known = tuple(live((0, BAD)))

    assert follow(contract, replace(WELL, incidents=known), seen, at(9999)).incidents == known
    assert follow(contract, BAD, seen, at(0)).incidents == ()


UNREADABLE = replace(DEAD, ready=None, message="the operator may not read Leases")
KUBE_DEAD = Dependency("kustomize-controller", ready=False, message="kustomize-controller is scaled to zero")
OUT_OF_STEP = Judgement(PromiseName.DRIFT, Verdict.BROKEN, 10 * MINUTE, reasons.DRIFTED, "3 objects differ")
DRIFTED = replace(
    WELL,
    judgements=(OUT_OF_STEP,),
    drift=Drift(HEALTHY.hash, 9, 3, (Finding("ConfigMap/apps/x", Difference.CHANGED),)),
)
STUCK_OBJECT = Departure(Entry(ObjectKey("", "ConfigMap", "apps", "old"), "v1"), at(-600), account="waits for x")
UNDELETED = replace(WELL, departures=Departures(overdue=(STUCK_OBJECT,)))
NEXT = Memory(delivery=delivery("C", failures=None))


def dependent(*found: Dependency, since: float = -300) -> Memory:
    """All is well but for these dependencies, which have stood so for long."""
    failing = any(each.ready is False for each in found)
    return replace(WELL, dependencies=found, failing_since=at(since) if failing else None)


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        pytest.param(DRIFTED, replace(DRIFTED, judgements=(), drift=None), SEEN, id="drift is not compared any more"),
        pytest.param(
            DRIFTED, replace(WELL, drift=Drift(HEALTHY.hash, paused="suspended")), SEEN, id="it is suspended"
        ),
        pytest.param(DRIFTED, replace(WELL, drift=Drift(HEALTHY.hash, problem="no right")), SEEN, id="it cannot be"),
        pytest.param(DRIFTED, replace(NEXT, drift=DRIFTED.drift), SEEN, id="a new commit is not compared yet"),
        pytest.param(UNDELETED, replace(NEXT, departures=UNDELETED.departures.kept()), SEEN, id="it is still there"),
        pytest.param(dependent(DEAD), dependent(UNREADABLE), SEEN, id="a controller cannot be looked at any more"),
        pytest.param(
            dependent(DEAD),
            dependent(),
            replace(SEEN, git=replace(SEEN.git, looked=False)),
            id="nothing was looked at yet",
        ),
        pytest.param(dependent(KUBE_DEAD), dependent(DEAD, KUBE_DEAD), SEEN, id="another controller dies, too"),
        pytest.param(
            BAD, BAD, replace(SEEN, flux=replace(SEEN.flux, kustomization=None)), id="the Kustomization is gone"
        ),
        pytest.param(
            BAD,
            BAD,
            replace(SEEN, flux=replace(SEEN.flux, kustomization=kustomization(suspended=True))),
            id="it was suspended",
        ),
        pytest.param(
            BAD, WELL, replace(SEEN, flux=replace(SEEN.flux, kustomization=None)), id="it had arrived, and is gone"
        ),
        pytest.param(BAD, replace(BAD, delivery=None), SEEN, id="nothing is known of a delivery"),
    ],
)
def test_what_cannot_be_seen_is_not_well(before: Memory, after: Memory, seen: Observation) -> None:
    """Nobody is told that it recovered: not to find trouble is not to see that all is well."""
    contract = alerting(remind_every=timedelta(0))
    known = follow(contract, before, SEEN, at(0))
    (key,) = [found.key for found in known.incidents]

    for seconds in (10, 70, 4000):
        known = follow(contract, carried(known, after), seen, at(seconds))

    (found,) = [found for found in known.incidents if found.key == key]
    assert (found.count, found.closed_at, found.well_since) == (1, None, None)


@pytest.mark.parametrize(
    ("bad", "hidden", "seen"),
    [
        pytest.param(DRIFTED, replace(WELL, drift=Drift(HEALTHY.hash, paused="suspended")), SEEN, id="drift"),
        pytest.param(
            BAD,
            BAD,
            replace(SEEN, flux=replace(SEEN.flux, kustomization=kustomization(suspended=True))),
            id="a failing revision",
        ),
        pytest.param(BAD, BAD, replace(SEEN, flux=replace(SEEN.flux, source=None)), id="a source that is gone"),
    ],
)
def test_what_is_unclear_is_not_reminded_of(bad: Memory, hidden: Memory, seen: Observation) -> None:
    """Nobody is told again that it is broken, either, until it is seen to be."""
    known = follow(CONTRACT, bad, SEEN, at(0))
    for seconds in (10, 80_000):
        known = follow(CONTRACT, carried(known, hidden), seen, at(seconds))
    back = follow(CONTRACT, carried(known, bad), SEEN, at(80_010))

    assert (known.incidents[0].count, known.incidents[0].unclear_since) == (1, at(10))
    assert (back.incidents[0].count, back.incidents[0].unclear_since) == (2, None)


def test_a_second_outage_does_not_end_the_reminders_of_the_first() -> None:
    """Both are told, whichever a delivery meets first."""
    found = live((0, dependent(KUBE_DEAD)), (10, dependent(DEAD, KUBE_DEAD)), (14_400, dependent(DEAD, KUBE_DEAD)))

    assert counts(found) == [
        ("Dependency/kustomize-controller", 2, False),
        ("Dependency/source-controller", 1, False),
    ]


def test_what_stays_unclear_is_given_up_and_not_called_well() -> None:
    """After a day the last message says that nothing tells any more; that is no recovery."""
    suspended = replace(DRIFTED, judgements=(), drift=Drift(HEALTHY.hash, paused="suspended"))

    (found,) = live((0, DRIFTED), (10, suspended), (86_410, suspended))
    said = notice(CONTRACT, "", found, 2)

    assert (found.count, found.closed_at) == (2, at(10))
    assert (said.kind, said.over) == (Kind.ENDED, True)
    assert said.text.startswith("Given up: Drift was broken (Drifted) for 10s")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(DRIFTED, replace(WELL, drift=Drift(HEALTHY.hash, 9)), id="the cluster was compared again"),
        pytest.param(UNDELETED, NEXT, id="the object is gone"),
        pytest.param(dependent(DEAD), dependent(ALIVE), id="the controller works"),
        pytest.param(dependent(replace(DEAD, name="Rights")), dependent(), id="the right is lacking no more"),
        pytest.param(BAD, WELL, id="the revision stands"),
    ],
)
def test_what_is_seen_to_be_well_is_over(before: Memory, after: Memory) -> None:
    """A minute after the first sight of it."""
    assert [i.closed_at for i in live((0, before), (100, after), (160, after))] == [at(100)]


@pytest.mark.parametrize(
    ("seen", "key", "severity"),
    [
        pytest.param(
            replace(SEEN, flux=replace(SEEN.flux, kustomization=None)),
            "Dependency/Kustomization",
            Severity.CRITICAL,
            id="no target",
        ),
        pytest.param(
            replace(SEEN, flux=replace(SEEN.flux, source=None)), "Dependency/Source", Severity.WARNING, id="no source"
        ),
        pytest.param(
            replace(SEEN, flux=replace(SEEN.flux, installed=False)), "Dependency/Flux", Severity.WARNING, id="no Flux"
        ),
    ],
)
def test_what_is_to_be_followed_and_is_gone_is_told(seen: Observation, key: str, severity: Severity) -> None:
    """After a minute, for objects are created in any order; loudest where something good ran and may be pruned."""
    ran = replace(WELL, good=good())
    (told,) = live((0, ran), (10, ran), (70, ran), seen=seen)
    known = Memory(delivery=HEALTHY, incidents=(told,), good=good())

    assert live((0, ran), (59, ran), seen=seen)[0].count == 0
    assert (told.key, told.count, told.severity) == (key, 1, severity)
    for seconds in (100, 160):
        known = follow(CONTRACT, known, SEEN, at(seconds))
    assert counts(list(known.incidents)) == [(key, 2, True)]


@pytest.mark.parametrize("promise", [PromiseName.DETECTION, PromiseName.RECONCILIATION])
def test_an_open_incident_of_another_kind_hides_no_delivery(promise: PromiseName) -> None:
    """Drift, replicas or a deletion do not explain why a revision is late."""
    late = replace(STUCK, judgements=(replace(BROKEN, promise=promise),))

    assert ("Delivery", 1, False) in counts(live((0, DRIFTED), (10, replace(late, drift=DRIFTED.drift))))


def test_a_clock_set_back_silences_nothing() -> None:
    """Times from the future count as now: a reminder and a recovery come at most one span late."""
    contract = alerting(remind_every=timedelta(hours=1))
    day = 86_400

    (reminded,) = live((day, BAD), (0, BAD), (3600, BAD), contract=contract)
    (over,) = live((day, BAD), (day + 1, WELL), (0, WELL), (60, WELL))

    assert reminded.count == 2
    assert over.closed_at is not None
    assert over.closed_at >= over.opened_at


def test_what_ended_while_the_clock_was_ahead_makes_relapses_for_an_hour() -> None:
    """From when the clock was set back, not until it catches up."""
    day = 86_400
    over = [(day, BAD), (day + 10, WELL), (day + 70, WELL), (0, WELL)]

    (closed,) = live(*over)
    (again,) = (i for i in live(*over, (3601, BAD)) if not i.closed_at)

    assert closed.closed_at == at(0)
    assert again.relapses == 0


def test_what_is_too_much_is_forgotten_oldest_first() -> None:
    """The list stays short whatever a status was filled with; what is open outlives what is over."""
    stale = tuple(
        replace(live((0, BAD))[0], key=f"Other/{n}", opened_at=at(n), closed_at=at(n + 1), count=2) for n in range(9)
    )

    found = follow(CONTRACT, replace(BAD, incidents=stale), SEEN, at(100)).incidents

    assert len(found) == INCIDENTS
    assert found[-1].key == "Delivery"


# Terms --------------------------------------------------------------------------------------------------------------

INFO, WARNING, CRITICAL = Severity
HOUR = timedelta(hours=1)
LOUD_DRIFT = AlertRule((Topic.DRIFT,), CRITICAL, HOUR, timedelta(0))
NO_DRIFT = AlertRule((Topic.DRIFT, Topic.DELETION), suspended=True)


@pytest.mark.parametrize(
    ("policy", "key", "terms"),
    [
        ({}, "Delivery", AlertTerms(WARNING, timedelta(0), 4 * HOUR, suspended=False)),
        ({}, "Dependency/source-controller", AlertTerms(WARNING, timedelta(0), 4 * HOUR, suspended=False)),
        ({}, "Availability", AlertTerms(WARNING, timedelta(0), 4 * HOUR, suspended=False)),
        ({}, "Drift", AlertTerms(INFO, timedelta(0), 4 * HOUR, suspended=False)),
        ({"severity": CRITICAL}, "Reconciliation", AlertTerms(WARNING, timedelta(0), 4 * HOUR, suspended=False)),
        ({"severity": INFO}, "Detection", AlertTerms(INFO, timedelta(0), 4 * HOUR, suspended=False)),
        ({"rules": (LOUD_DRIFT,)}, "Drift", AlertTerms(CRITICAL, HOUR, timedelta(0), suspended=False)),
        ({"rules": (LOUD_DRIFT, NO_DRIFT)}, "Drift", AlertTerms(CRITICAL, HOUR, timedelta(0), suspended=False)),
        ({"rules": (LOUD_DRIFT, NO_DRIFT)}, "Deletion", AlertTerms(WARNING, timedelta(0), 4 * HOUR, suspended=True)),
        ({"rules": (LOUD_DRIFT,), "after": HOUR}, "Delivery", AlertTerms(WARNING, HOUR, 4 * HOUR, suspended=False)),
        (
            {"rules": (LOUD_DRIFT,), "suspended": True},
            "Drift",
            AlertTerms(CRITICAL, HOUR, timedelta(0), suspended=True),
        ),
    ],
)
def test_terms_are_those_of_the_first_rule_and_of_the_rest_of_the_policy(
    policy: dict[str, object], key: str, terms: AlertTerms
) -> None:
    """By default late arrivals and drift are a step below the rest; a rule says otherwise, and only of its topics."""
    assert alerting(**policy).alerts.terms(key) == terms


def test_a_rule_holds_for_its_topic_alone() -> None:
    """With drift after an hour and critical, a failing revision is still told at once and as a warning."""
    contract = alerting(rules=(LOUD_DRIFT,))
    both = replace(BAD, judgements=(BROKEN, OUT_OF_STEP), drift=DRIFTED.drift)

    early, late = (live(*steps, contract=contract) for steps in ([(0, both)], [(0, both), (3600, both)]))

    assert {i.key: (i.count, i.severity) for i in early} == {"Delivery": (1, WARNING), "Drift": (0, CRITICAL)}
    assert {i.key: (i.count, i.severity) for i in late} == {"Delivery": (1, WARNING), "Drift": (1, CRITICAL)}


def test_a_suspended_topic_is_not_told_and_what_is_over_of_it_never_will_be() -> None:
    """Not even when the rule is taken away: that was long ago."""
    lost = replace(BROKEN, promise=PromiseName.AVAILABILITY, reason=reasons.DOWNTIME, measured=6 * MINUTE)
    quiet = alerting(rules=(AlertRule((Topic.AVAILABILITY,), suspended=True),))

    known = follow(quiet, replace(WELL, judgements=(lost,)), SEEN, at(0))

    assert known.incidents == ()
    assert follow(CONTRACT, known, SEEN, at(10)).incidents == ()


def test_failed_attempts_are_told_by_their_own_number() -> None:
    """`alerts.failures: 1` tells of the first, `5` not of the third; the rollback has its own threshold."""
    pending = replace(BROKEN, verdict=Verdict.PENDING, message="to be healthy by then")
    third = replace(BAD, judgements=(pending,))
    first = replace(third, delivery=delivery(failures=replace(delivery().failures, count=1, last_at=at(10))))  # type: ignore[type-var]

    assert counts(live((20, first), contract=alerting(failures=1))) == [("Delivery", 1, False)]
    assert live((20, first)) == []
    assert live((100, third), contract=alerting(failures=5)) == []
    assert counts(live((100, third))) == [("Delivery", 1, False)]


# Causes -------------------------------------------------------------------------------------------------------------


def failing_dependency(memory: Memory, since: float = 0) -> Memory:
    """The same memory with a dead source-controller."""
    return replace(memory, dependencies=(DEAD,), failing_since=at(since))


def test_an_outage_is_one_incident_with_what_it_breaks() -> None:
    """The dead controller is the cause; the promises it breaks open nothing of their own."""
    (found,) = live((0, failing_dependency(STUCK)))

    assert (found.key, found.cause) == ("Dependency/source-controller", "source-controller")
    assert "scale it up" in found.message


def test_an_outage_that_breaks_nothing_is_told_after_a_while() -> None:
    """Five minutes of a dead controller are told even if nobody pushed anything."""
    assert live((299, failing_dependency(WELL))) == []
    assert counts(live((300, failing_dependency(WELL)))) == [("Dependency/source-controller", 1, False)]


def test_what_an_outage_broke_belongs_to_it_until_something_arrives() -> None:
    """The controller is back, the late revision still on its way: no second incident, and no recovery yet."""
    found = live((0, failing_dependency(STUCK)), (100, STUCK), (400, STUCK))
    well = replace(WELL, dependencies=(ALIVE,))
    over = live((0, failing_dependency(STUCK)), (100, STUCK), (200, well), (260, well))

    assert counts(found) == [("Dependency/source-controller", 1, False)]
    assert counts(over) == [("Dependency/source-controller", 2, True)]


LACKING = Dependency(
    "Rights", ready=False, message="the operator may not patch kustomizations, so no rollback is possible"
)


def test_a_right_of_ours_is_nobodys_excuse() -> None:
    """Flux is not late for want of it: the late revision is told by itself, and the right after a while."""
    lacking = replace(dependent(LACKING, since=0), delivery=WAITING, judgements=STUCK.judgements)

    (late,) = live((0, lacking))
    found = live((0, lacking), (300, lacking), (400, lacking))

    assert (late.key, late.cause) == ("Delivery", f"commit {WAITING.hash[:12]}")
    assert counts(found) == [("Delivery", 1, False), ("Dependency/Rights", 1, False)]
    assert found[1].message == f"{LACKING.message}. See: flux contract get shop -n apps"


def test_a_rollback_is_part_of_the_incident_until_a_fix_arrives() -> None:
    """From the intent over the good revision running to the fix: one opening, one recovery."""
    intended = rolling_back(RollbackState.INTENDED).memory
    active = rolling_back(RollbackState.ACTIVE).memory
    fixing = Memory(delivery=delivery("C", failures=None))

    (during,) = live((0, intended), (10, active), (500, active), (600, fixing), (700, fixing))
    (after,) = live((0, intended), (10, active), (600, fixing), (700, WELL), (760, WELL))

    assert (during.count, during.closed_at) == (1, None)
    assert (after.count, after.closed_at) == (2, at(700))


def test_what_a_person_asked_for_is_no_incident() -> None:
    """A rollback from a revision that nothing speaks against is a person's own doing."""
    asked = rolling_back(
        RollbackState.ACTIVE,
        rollback__asked_by="ann: demo",
        rollback__reason=reasons.REQUESTED,
        delivery__failures=None,
    )

    assert live((0, asked.memory)) == []


def test_other_promises_have_incidents_of_their_own() -> None:
    """Drift is not the delivery's fault, and is over when it is measured to be."""
    drift = replace(BROKEN, promise=PromiseName.DRIFT, message="3 objects differ")

    (found,) = live((0, replace(WELL, judgements=(drift,))))

    assert (found.key, found.promise, found.cause) == ("Drift", "Drift", "")
    assert "3 objects differ" in found.message


@pytest.mark.parametrize("promise", [PromiseName.DETECTION, PromiseName.RECONCILIATION, PromiseName.AVAILABILITY])
def test_a_break_that_is_over_when_it_is_measured_is_told_once(promise: PromiseName) -> None:
    """One opening, one recovery with the time beyond the limit as its duration, and never again for this delivery."""
    late = replace(WELL, judgements=(replace(BROKEN, promise=promise, measured=6 * MINUTE),))

    (begun,) = live((0, late))
    (over,) = live((0, late), (60, late))

    assert (begun.key, begun.count, begun.well_since) == (promise.value, 1, at(0))
    assert begun.cause == f"{promise} of commit {HEALTHY.hash[:12]}"
    assert (over.count, over.opened_at, over.closed_at) == (2, at(-60), at(0))
    assert live((0, late), (60, late), (3700, late), (90_000, late), (90_060, late)) == []


def test_a_break_is_measured_and_told_in_the_same_delivery_only_once() -> None:
    """What lasted until it was told, and is measured when it ends, has had its opening; its end is the recovery."""
    lost = replace(BROKEN, promise=PromiseName.AVAILABILITY, reason=reasons.DOWNTIME)
    during, after = (replace(WELL, judgements=(replace(lost, measured=end),)) for end in (None, 6 * MINUTE))

    (found,) = live((0, during), (100, after), (160, after), (170, after))

    assert (found.key, found.count, found.closed_at) == ("Availability", 2, at(100))


def test_a_late_arrival_ends_the_incident_that_spoke_of_it() -> None:
    """Late detection and health are part of the delivery's incident, and open none of their own."""
    late = replace(BROKEN, measured=7 * MINUTE)
    arrived = replace(WELL, delivery=replace(HEALTHY, hash=BAD.delivery.hash), judgements=(late,))  # type: ignore[union-attr]

    assert counts(live((0, BAD), (100, arrived), (160, arrived), (170, arrived))) == [("Delivery", 2, True)]


def test_a_break_shorter_than_the_threshold_is_never_told() -> None:
    """With `after: 2m` a minute too late is nothing to tell, not even when the threshold is lowered later."""
    late = replace(WELL, judgements=(replace(BROKEN, measured=6 * MINUTE),))
    known = follow(alerting(after=2 * MINUTE), late, SEEN, at(0))

    assert known.incidents == ()
    assert follow(CONTRACT, known, SEEN, at(10)).incidents == ()


def test_refused_manifests_are_broken_until_the_revision_arrives() -> None:
    """A dry-run is measured as soon as it is refused, which says nothing of the end."""
    refused = Judgement(
        PromiseName.VALIDATION,
        Verdict.BROKEN,
        MINUTE / 2,
        reasons.REFUSED,
        "1 of 2 refused: Deployment/apps/web",
        MINUTE,
    )
    waits = Memory(delivery=delivery(failures=None), judgements=(refused,))
    arrived = replace(WELL, judgements=(refused,))

    (found,) = live((0, waits), (9999, waits))
    (over,) = live(
        (0, waits), (100, arrived), (160, arrived), (9999, arrived), contract=alerting(remind_every=timedelta(0))
    )

    assert (found.key, found.promise, found.closed_at) == ("Delivery", "Validation", None)
    assert "Deployment/apps/web" in found.message
    assert (over.count, over.closed_at) == (2, at(100))


def test_a_failure_that_persists_is_told_before_the_budget_is_used_up() -> None:
    """`rollback.after` is the threshold in failures, whether or not a rollback follows."""
    once = delivery(failures=replace(delivery().failures, count=2, last_at=at(50)))  # type: ignore[type-var]

    assert live((100, Memory(delivery=once))) == []
    assert len(live((100, Memory(delivery=delivery())))) == 1


@pytest.mark.parametrize("severity", list(Severity))
def test_a_failed_rollback_is_told_at_once_whatever_the_severity(severity: Severity) -> None:
    """Even where every message is critical already: only a person can help."""
    failed = rolling_back(RollbackState.FAILED, rollback__completed_at=None).memory

    (found,) = live((0, BAD), (10, failed), (20, failed), contract=alerting(severity=severity))

    assert (found.count, found.severity) == (2, Severity.CRITICAL)


def test_a_rollback_that_waits_for_approval_is_told_at_once() -> None:
    """A person is asked for something, so the next reminder would be too late; once for each revision."""
    proposed = rolling_back(RollbackState.PROPOSED).memory

    (found,) = live((0, BAD), (10, proposed), (20, proposed))

    assert found.count == 2
    assert "waits for approval" in found.message


# Messages -----------------------------------------------------------------------------------------------------------


def test_a_message_says_all_that_a_person_needs() -> None:
    """Promise, limit, failing object and its reason, revision with subject, what happens next, what can be done."""
    memory = replace(
        rolling_back(RollbackState.INTENDED).but(delivery__subject="Make the banner blue").memory,
        judgements=(BROKEN,),
    )

    (found,) = live((0, memory))

    assert (
        found.message
        == (
            "Reconciliation broken: not healthy within 5m. HealthCheckFailed: timeout waiting for: [Deployment/apps/shop "
            f"status: 'InProgress']. Revision main@{memory.delivery.hash[:12]} \"Make the banner blue\". "  # type: ignore[union-attr]
            f"Rolling back to {rolling_back(RollbackState.INTENDED).memory.rollback.good.hash[:12]}. "  # type: ignore[union-attr]
            "See: flux contract get shop -n apps"
        )
    )


@pytest.mark.parametrize(
    ("case", "words"),
    [
        (rolling_back(RollbackState.PROPOSED), "waits for approval. See: flux contract approve shop -n apps"),
        (rolling_back(RollbackState.ACTIVE), "runs instead until a fix is pushed"),
        (failing(), "It is rolled back if it keeps failing"),
        (failing().but(memory__good=None), "Nothing to roll back to yet"),
        (
            failing().but(memory__standing=Standing(False, reasons.TOO_OLD, "too old")),
            "No rollback: too old",
        ),
    ],
)
def test_a_message_says_what_happens_next(case: Case, words: str) -> None:
    """What the operator does now, or why it does nothing."""
    (found,) = live((100, case.memory))

    assert words in found.message


def test_a_hostile_commit_stays_one_line_of_text() -> None:
    """Subject and messages from outside are bounded, and without control characters."""
    loud = delivery(subject="\x1b[31m" + "A" * 9999 + "\n\n", revision="x" * 400 + revision("B"))

    (found,) = live((0, replace(BAD, delivery=loud)))

    assert len(found.message) <= 500
    assert found.message.isprintable()


def test_a_failure_within_the_budget_is_not_called_broken() -> None:
    """Title and text say that attempts fail, how many, since when, and what is still promised."""
    pending = replace(BROKEN, verdict=Verdict.PENDING, message="to be healthy by 00:05:00 UTC")
    (found,) = live((100, replace(BAD, judgements=(pending,))))

    said = notice(CONTRACT, "", found, 1)

    assert said.title == "apps/shop: Reconciliation failing (HealthCheckFailed)"
    assert said.text.startswith(
        f"Reconciliation failing: 3 attempts failed since {at(10):%H:%M:%S} UTC, to be healthy by 00:05:00 UTC (5m). "
    )


def test_a_revision_that_fails_after_it_was_healthy_is_not_called_late() -> None:
    """The promise was kept; what is told is that it does not stand any more."""
    kept = replace(BROKEN, verdict=Verdict.KEPT, message="healthy after 1m of 5m", measured=MINUTE)
    regress = Memory(delivery=replace(HEALTHY, failures=delivery().failures), judgements=(kept,))
    (found,) = live((100, regress))

    assert notice(CONTRACT, "", found, 1).title == "apps/shop: Reconciliation failing (HealthCheckFailed)"
    assert "it was healthy after 1m of 5m" in found.message


def test_a_recovery_names_the_revision_that_mended_it() -> None:
    """With its subject: who reads it need not look it up."""
    fix = replace(WELL, delivery=replace(HEALTHY, revision=revision("C"), hash=sha("C"), subject="Mend the banner"))
    (found,) = live((0, BAD), (100, fix), (160, fix))

    said = notice(CONTRACT, "", found, 2)

    assert said.title == "apps/shop: Reconciliation recovered after 1m40s"
    assert said.text == (
        "It is well again: Reconciliation was broken (HealthCheckFailed) for 1m40s. "
        f'Mended by Revision main@{sha("C")[:12]} "Mend the banner"'
    )


def test_what_is_told_stays_as_it_was_told_and_goes_on_beside_it() -> None:
    """The message is the same for whoever sends it again; how the rollback stands now is said besides."""
    steps = [rolling_back(state).memory for state in (RollbackState.INTENDED, RollbackState.ACTIVE)]
    (first,), (later,) = live((0, steps[0])), live((0, steps[0]), (10, steps[1]), (3000, steps[1]))

    assert (later.message, later.count) == (first.message, 1)
    assert notice(CONTRACT, "", later, 1).text == first.message
    assert "Now: " in notice(CONTRACT, "", later, 1).stand
    assert "runs instead until a fix is pushed" in notice(CONTRACT, "", later, 1).stand


# The model ----------------------------------------------------------------------------------------------------------

OFF = Drift(HEALTHY.hash, 9, 3, (Finding("ConfigMap/apps/x", Difference.CHANGED),))
IN_STEP = Drift(HEALTHY.hash, 9)
SUSPENDED = Drift(HEALTHY.hash, paused="suspended")
SCENES = {
    "break": lambda n: Memory(delivery=delivery(chr(65 + n)), judgements=(BROKEN,), drift=IN_STEP),
    "heal": lambda n: Memory(delivery=arrived(n), drift=IN_STEP),
    "late": lambda n: Memory(delivery=arrived(n), judgements=(replace(BROKEN, measured=6 * MINUTE),), drift=IN_STEP),
    "drift": lambda n: Memory(delivery=arrived(n), judgements=(OUT_OF_STEP,), drift=OFF),
    "unknown": lambda n: Memory(delivery=arrived(n), drift=SUSPENDED),
    "commit": lambda n: Memory(delivery=delivery(chr(65 + n), failures=None), drift=OFF),
}
"""How the world can stand, by the number of the newest commit."""
ACTIONS = st.lists(
    st.sampled_from(
        [*SCENES, "pass", "pass", "pass", "tick", "minute", "hour", "send one", "send two", "crash", "gone"]
    ),
    max_size=80,
)


def arrived(number: int) -> Delivery:
    """The delivery of a commit that got healthy."""
    return replace(delivery(chr(65 + number)), failures=None, stages=HEALTHY.stages)


class World:
    """One status, two replicas that pass over it in turn, two sinks that take messages in any order."""

    def __init__(self) -> None:
        self.now = at(0)
        self.status: dict[str, object] = {}
        self.commit = 0
        self.memory = SCENES["heal"](0)
        self.seen = SEEN
        self.taken: list[tuple[str, str, int]] = []
        self.acks: dict[str, dict[str, int]] = {}
        self.late: Counter[tuple[int, str]] = Counter()

    def step(self, action: str) -> None:
        match action.split():
            case ["pass"]:
                self.look()
            case ["send", sink]:
                self.send(sink)
            case ["crash"]:
                self.acks = {}
            case ["gone"]:
                self.seen = replace(SEEN, flux=replace(SEEN.flux, kustomization=None))
            case [scene] if scene in SCENES:
                self.seen = SEEN
                self.commit = (self.commit + (scene == "commit")) % 26
                self.memory = SCENES[scene](self.commit)
            case [span]:
                self.now += {"tick": MINUTE / 60, "minute": MINUTE, "hour": 60 * MINUTE}[span]

    def look(self) -> None:
        known = parse_memory(self.status)
        before = {found.key: found for found in known.incidents}
        memory = follow(
            CONTRACT,
            carried(known, self.memory),
            replace(self.seen, notifications=replace(self.seen.notifications, told=self.acks)),
            self.now,
        )
        for found in memory.incidents:
            self.judge(found, before.get(found.key))
        self.status = render_status(memory, None)

    def judge(self, found: Incident, before: Incident | None) -> None:
        """Hold what this pass did of one incident against what it saw."""
        if before is None or before.closed_at:
            if found.well_since:
                self.late[self.commit, found.key] += 1
                assert self.late[self.commit, found.key] == 1
            return
        positive = found.key == "Reconciliation" or is_well(found.key, self.memory, self.seen)
        if found.well_since and not before.well_since:
            assert positive
        if found.closed_at and not before.closed_at and not before.well_since:
            assert found.unclear_since

    def send(self, sink: str) -> None:
        """Deliver what the status says is due; the acknowledgement may get lost."""
        for found in parse_memory(self.status).incidents:
            name = identity(CONTRACT.uid, found)
            have = max(found.told.get(sink, 0), self.acks.get(name, {}).get(sink, 0))
            if found.count > have:
                self.taken.extend((name, sink, n) for n in owed(found, have))
                self.acks.setdefault(name, {})[sink] = found.count

    def readers(self) -> dict[tuple[str, str], list[int]]:
        """What reaches people when each sink drops what it has had."""
        seen: dict[tuple[str, str], list[int]] = {}
        for name, sink, number in dict.fromkeys(self.taken):
            seen.setdefault((name, sink), []).append(number)
        return seen


@given(ACTIONS)
def test_every_incident_is_opened_once_and_closed_once(actions: list[str]) -> None:
    """Whatever breaks, heals, hides, crashes or is late: in the end each reader has one opening and one recovery.

    A recovery follows on sight of it alone, and a break that is over is told once for each delivery.
    """
    world = World()

    for action in actions:
        world.step(action)
    for action in ["heal", "pass", *["hour", "pass"] * 3, "send one", "send two", "pass", "hour", "hour", "pass"]:
        world.step(action)

    assert parse_memory(world.status).incidents == ()
    for numbers in world.readers().values():
        assert numbers[0] == 1
        assert numbers == sorted(set(numbers))
        assert len(numbers) >= 2
    told = {(name, sink) for name, sink in world.readers()}
    assert {name for name, _ in told} == {name for name, sink in told if sink == "one"}
    assert {name for name, _ in told} == {name for name, sink in told if sink == "two"}
