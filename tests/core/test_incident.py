"""One opening, spaced reminders, one recovery: for each cause, whatever happens in between."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api import recall
from reconciliation_contract.api.status import render
from reconciliation_contract.core import incident, reasons
from reconciliation_contract.core.contract import AlertPolicy, Contract, Severity
from reconciliation_contract.core.memory import INCIDENTS, Incident, Memory, RollbackState
from reconciliation_contract.core.observation import Condition, Dependency, Observation
from reconciliation_contract.core.promises import Judgement, PromiseName, Verdict
from tests.support.builders import at, revision
from tests.support.builders_core import CONTRACT, Case, delivery, failing, moment, rolling_back

MINUTE = timedelta(minutes=1)
HEALTHY = delivery(failures=None, stages=replace(delivery().stages, healthy=moment(9)))
BROKEN = Judgement(
    PromiseName.RECONCILIATION, Verdict.BROKEN, 5 * MINUTE, reasons.BUDGET_EXCEEDED, "not healthy within 5m"
)
BAD = Memory(delivery=delivery(), judgements=(BROKEN,))
WELL = Memory(delivery=HEALTHY)
SEEN = Observation(sinks=("one", "two"))
DEAD = Dependency("source-controller", ready=False, message="source-controller is scaled to zero; scale it up")


def alerting(**policy: object) -> Contract:
    """The contract with other terms for its alerts."""
    return replace(CONTRACT, alerts=replace(AlertPolicy(), **policy))


def live(*steps: tuple[float, Memory], contract: Contract = CONTRACT, seen: Observation = SEEN) -> list[Incident]:
    """What is known of incidents after passes at these seconds, each with another memory."""
    known: tuple[Incident, ...] = ()
    for seconds, memory in steps:
        known = incident.follow(contract, replace(memory, incidents=known), seen, at(seconds))
    return list(known)


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
    name = incident.identity(CONTRACT.uid, live((0, BAD))[0])
    told = replace(SEEN, told={name: {"one": 2, "two": 2}})

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
        known = incident.follow(alerting(remind_every=timedelta(0)), replace(memory, incidents=known), SEEN, at(n))
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

    assert incident.follow(alerting(suspended=True), replace(BAD, incidents=known), SEEN, at(10)) == ()


@pytest.mark.parametrize(
    ("contract", "seen"),
    [
        pytest.param(replace(CONTRACT, suspended=True), SEEN, id="the contract is suspended"),
        pytest.param(CONTRACT, replace(SEEN, fresh=False), id="the watches are lost"),
        pytest.param(replace(CONTRACT, deleting=True), SEEN, id="the contract is being deleted"),
    ],
)
def test_what_cannot_be_judged_is_neither_opened_nor_closed(contract: Contract, seen: Observation) -> None:
    """Without sight nothing is over, and nothing new begins."""
    known = tuple(live((0, BAD)))

    assert incident.follow(contract, replace(WELL, incidents=known), seen, at(9999)) == known
    assert incident.follow(contract, BAD, seen, at(0)) == ()


def test_a_clock_set_back_silences_nothing() -> None:
    """Times from the future count as now: a reminder and a recovery come at most one span late."""
    contract = alerting(remind_every=timedelta(hours=1))
    day = 86_400

    (reminded,) = live((day, BAD), (0, BAD), (3600, BAD), contract=contract)
    (over,) = live((day, BAD), (day + 1, WELL), (0, WELL), (60, WELL))

    assert reminded.count == 2
    assert over.closed_at is not None
    assert over.closed_at >= over.opened_at


def test_what_is_too_much_is_forgotten_oldest_first() -> None:
    """The list stays short whatever a status was filled with; what is open outlives what is over."""
    stale = tuple(
        replace(live((0, BAD))[0], key=f"Other/{n}", opened_at=at(n), closed_at=at(n + 1), count=2) for n in range(9)
    )

    found = incident.follow(CONTRACT, replace(BAD, incidents=stale), SEEN, at(100))

    assert len(found) == INCIDENTS
    assert found[-1].key == "Delivery"


# Causes -------------------------------------------------------------------------------------------------------------


def failing_dependency(memory: Memory, since: float = 0) -> Memory:
    """The same memory with a dead source-controller."""
    condition = Condition("False", reasons.DEPENDENCY_FAILS, DEAD.message, at(since))
    return replace(memory, dependencies=(DEAD,), conditions={"DependenciesReady": condition})


WAITING = delivery(failures=None, stages=replace(delivery().stages, detected=None, attempted=None, applied=None))
STUCK = Memory(delivery=WAITING, judgements=(replace(BROKEN, promise=PromiseName.DETECTION),))


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
    over = live((0, failing_dependency(STUCK)), (100, STUCK), (200, WELL), (260, WELL))

    assert counts(found) == [("Dependency/source-controller", 1, False)]
    assert counts(over) == [("Dependency/source-controller", 2, True)]


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

    assert (found.key, found.promise) == ("Drift", "Drift")
    assert "3 objects differ" in found.message


def test_a_promise_that_was_kept_late_is_history() -> None:
    """A revision that got healthy after its time is in the metrics; nobody needs to get up for it."""
    late = replace(BROKEN, measured=6 * MINUTE)

    assert live((0, replace(WELL, judgements=(late,)))) == []


def test_a_failure_that_persists_is_told_before_the_budget_is_used_up() -> None:
    """`rollback.after` is the threshold in failures, whether or not a rollback follows."""
    once = delivery(failures=replace(delivery().failures, count=2, last_at=at(50)))  # type: ignore[type-var]

    assert live((100, Memory(delivery=once))) == []
    assert len(live((100, Memory(delivery=delivery())))) == 1


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
            failing().but(memory__conditions={"RolledBack": Condition("False", reasons.TOO_OLD, "too old")}),
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


# The model ----------------------------------------------------------------------------------------------------------

ACTIONS = st.lists(
    st.sampled_from(["break", "heal", "pass", "pass", "tick", "minute", "hour", "send one", "send two", "crash"]),
    max_size=80,
)


class World:
    """One status, two replicas that pass over it in turn, two sinks that take messages in any order."""

    def __init__(self) -> None:
        self.now = at(0)
        self.status: dict[str, object] = {}
        self.memory = WELL
        self.taken: list[tuple[str, str, int]] = []
        self.acks: dict[str, dict[str, int]] = {}

    def step(self, action: str) -> None:
        match action.split():
            case ["break"]:
                self.memory = BAD
            case ["heal"]:
                self.memory = WELL
            case ["pass"]:
                self.look()
            case ["send", sink]:
                self.send(sink)
            case ["crash"]:
                self.acks = {}
            case [span]:
                self.now += {"tick": MINUTE / 60, "minute": MINUTE, "hour": 60 * MINUTE}[span]

    def look(self) -> None:
        known = recall.parse(self.status).incidents
        seen = replace(SEEN, told=self.acks)
        found = incident.follow(CONTRACT, replace(self.memory, incidents=known), seen, self.now)
        self.status = render(Memory(incidents=found), None)

    def send(self, sink: str) -> None:
        """Deliver what the status says is due; the acknowledgement may get lost."""
        for found in recall.parse(self.status).incidents:
            name = incident.identity(CONTRACT.uid, found)
            have = max(found.told.get(sink, 0), self.acks.get(name, {}).get(sink, 0))
            if found.count > have:
                self.taken.extend((name, sink, n) for n in incident.owed(found, have))
                self.acks.setdefault(name, {})[sink] = found.count

    def readers(self) -> dict[tuple[str, str], list[int]]:
        """What reaches people when each sink drops what it has had."""
        seen: dict[tuple[str, str], list[int]] = {}
        for name, sink, number in dict.fromkeys(self.taken):
            seen.setdefault((name, sink), []).append(number)
        return seen


@given(ACTIONS)
def test_every_incident_is_opened_once_and_closed_once(actions: list[str]) -> None:
    """Whatever breaks, heals, crashes or is late: in the end each reader has one opening and one recovery."""
    world = World()

    for action in actions:
        world.step(action)
    for action in ["heal", "pass", *["hour", "pass"] * 3, "send one", "send two", "pass", "hour", "hour", "pass"]:
        world.step(action)

    assert recall.parse(world.status).incidents == ()
    for numbers in world.readers().values():
        assert numbers[0] == 1
        assert numbers == sorted(set(numbers))
        assert len(numbers) >= 2
    told = {(name, sink) for name, sink in world.readers()}
    assert {name for name, _ in told} == {name for name, sink in told if sink == "one"}
    assert {name for name, _ in told} == {name for name, sink in told if sink == "two"}
