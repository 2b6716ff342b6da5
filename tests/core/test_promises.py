"""How a promise stands: interval arithmetic with both ends, deadlines with one."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.core.memory.budget import (
    Course,
    Judgement,
    PromiseName,
    Verdict,
    assess_course,
    conclude,
    courses,
    settle,
)
from reconciliation_contract.core.memory.timeline import Moment, Span, Stages
from reconciliation_contract.core.spec.contract import Promises
from reconciliation_contract.core.values import reasons
from tests.support.builders import at
from tests.support.builders_core import delivery, moment

MINUTE = timedelta(minutes=1)
START, WINDOW = moment(0), moment(0, earliest=-30)
CASES: dict[str, tuple[Moment | None, Moment | None, float, Verdict, str]] = {
    "exactly within the budget is kept": (START, moment(60), 70, Verdict.KEPT, reasons.WITHIN_BUDGET),
    "a microsecond over the budget is broken": (
        START,
        moment(60.000001),
        70,
        Verdict.BROKEN,
        reasons.BUDGET_EXCEEDED,
    ),
    "a window that fits as a whole is kept": (WINDOW, moment(30), 70, Verdict.KEPT, reasons.WITHIN_BUDGET),
    "a window that misses as a whole is broken": (WINDOW, moment(61), 70, Verdict.BROKEN, reasons.BUDGET_EXCEEDED),
    "a window across the limit is unknown": (WINDOW, moment(45), 70, Verdict.UNKNOWN, reasons.UNOBSERVED),
    "an end that nobody saw is unknown": (START, moment(100, earliest=10), 110, Verdict.UNKNOWN, reasons.UNOBSERVED),
    "an end seen late but surely in time is kept": (
        START,
        moment(50, earliest=10),
        110,
        Verdict.KEPT,
        reasons.WITHIN_BUDGET,
    ),
    "an end surely too late is broken": (
        START,
        moment(99, earliest=61),
        110,
        Verdict.BROKEN,
        reasons.BUDGET_EXCEEDED,
    ),
    "an end before the start took no time": (START, moment(-5), 70, Verdict.KEPT, reasons.WITHIN_BUDGET),
    "under way it is pending": (START, None, 30, Verdict.PENDING, reasons.IN_PROGRESS),
    "exactly on the deadline it is pending": (START, None, 60, Verdict.PENDING, reasons.IN_PROGRESS),
    "just after the deadline it is broken": (START, None, 60.000001, Verdict.BROKEN, reasons.BUDGET_EXCEEDED),
    "the deadline counts from the latest start": (WINDOW, None, 45, Verdict.PENDING, reasons.IN_PROGRESS),
    "without a start it waits": (None, None, 5000, Verdict.PENDING, reasons.IN_PROGRESS),
}


@pytest.mark.parametrize("name", CASES)
def test_how_a_promise_stands(name: str) -> None:
    """Kept if even the longest time fits, broken if even the shortest does not, unknown between."""
    start, end, now, verdict, reason = CASES[name]
    course = Course(PromiseName.DETECTION, MINUTE, start, end, "detected by Flux")

    judgement = assess_course(course, at(now))

    assert (judgement.verdict, judgement.reason) == (verdict, reason)


AWAITED: dict[str, tuple[Moment, Moment | None, float, Verdict, str]] = {
    "nothing more is known, and time is left": (START, None, 30, Verdict.PENDING, reasons.IN_PROGRESS),
    "nothing more is known at the deadline": (START, None, 61, Verdict.BROKEN, reasons.BUDGET_EXCEEDED),
    "it has ended, and Git may still tell": (START, moment(5), 59, Verdict.PENDING, reasons.IN_PROGRESS),
    "it has ended, and Git has not told in time": (START, moment(5), 61, Verdict.UNKNOWN, reasons.UNMEASURED),
    "it has ended, and a look before it tells enough": (WINDOW, moment(5), 61, Verdict.KEPT, reasons.WITHIN_BUDGET),
}


@pytest.mark.parametrize("name", AWAITED)
def test_a_commit_that_git_does_not_tell_of_has_its_deadline(name: str) -> None:
    """Reading the commit may take for ever; the promise does not wait for that."""
    start, end, now, verdict, reason = AWAITED[name]

    judgement = assess_course(Course(PromiseName.DETECTION, MINUTE, start, end, "detected", awaited=True), at(now))

    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert judgement.concluded or judgement.deadline == at(60)


BEHIND: dict[str, tuple[Moment | None, float, Verdict, float | None]] = {
    "time is left for the earlier one": (None, 59, Verdict.PENDING, None),
    "the budget since the earlier one is used up": (None, 61, Verdict.BROKEN, None),
    "in time since the earlier one": (moment(55), 70, Verdict.KEPT, 10),
    "in time for itself, late for the earlier one": (moment(70), 80, Verdict.BROKEN, 70),
    "late for itself as well": (moment(110), 120, Verdict.BROKEN, 65),
}


@pytest.mark.parametrize("name", BEHIND)
def test_an_overtaken_commit_leaves_its_deadline(name: str) -> None:
    """The earlier commit came at 0, this one at 45."""
    end, now, verdict, measured = BEHIND[name]
    course = Course(PromiseName.DETECTION, MINUTE, moment(45), end, "detected by Flux", behind=at(0))

    judgement = assess_course(course, at(now))

    assert judgement.verdict is verdict
    assert judgement.measured == (None if measured is None else timedelta(seconds=measured))
    assert judgement.deadline == (at(60) if verdict is Verdict.PENDING else None)


def test_a_pending_verdict_tells_its_deadline() -> None:
    """Somebody must look again then, for no event will come."""
    judgement = assess_course(Course(PromiseName.DETECTION, MINUTE, WINDOW, None, "detected by Flux"), at(10))

    assert judgement.deadline == at(60)
    assert judgement.message == "to be detected by Flux by 12:01:00 UTC"
    assert not judgement.concluded


def test_what_cannot_be_measured_is_unknown_and_says_why() -> None:
    """Without the time of the commit there is no latency, however long one waits."""
    course = Course(PromiseName.DETECTION, MINUTE, None, moment(5), "detected by Flux", "access denied")

    judgement = assess_course(course, at(5000))

    assert (judgement.verdict, judgement.reason) == (Verdict.UNKNOWN, reasons.UNMEASURED)
    assert "access denied" in judgement.message
    assert judgement.measured is None


def test_a_broken_promise_names_the_dependency_that_fails() -> None:
    """An outage is not the application's fault, and the message says whose it is."""
    course = Course(PromiseName.DETECTION, MINUTE, START, None, "detected by Flux", blame="source-controller is down")

    message = assess_course(course, at(61)).message

    assert message == "not detected by Flux within 1m; source-controller is down"


MEASURES: dict[str, tuple[Moment, Moment, float, float]] = {
    "two points": (moment(0), moment(10), 10, 10),
    "a window at the start": (moment(5, earliest=0), moment(10), 5, 10),
    "a window at the end": (moment(0), moment(10, earliest=4), 4, 10),
    "two windows": (moment(5, earliest=0), moment(10, earliest=4), 0, 10),
    "an end before the start": (moment(5), moment(3), 0, 0),
}


@pytest.mark.parametrize("name", MEASURES)
def test_measures_are_intervals(name: str) -> None:
    """At least the shortest, at most the longest, never negative."""
    start, end, shortest, longest = MEASURES[name]

    span = Span.between(start, end)

    assert span == Span(timedelta(seconds=shortest), timedelta(seconds=longest))


SECONDS = st.floats(-100, 100).map(lambda s: round(s, 3))


WINDOWS = st.tuples(SECONDS, SECONDS).map(lambda ends: moment(max(ends), min(ends)))


@given(WINDOWS, WINDOWS, st.floats(0, 1), st.floats(0, 1))
def test_a_verdict_agrees_with_every_possible_truth(start: Moment, end: Moment, where: float, when: float) -> None:
    """Wherever in the windows the truth lies: a kept promise was kept, a broken one was broken."""
    begun = start.first + (start.at - start.first) * where
    ended = end.first + (end.at - end.first) * when

    judgement = assess_course(Course(PromiseName.DETECTION, MINUTE, start, end, "done"), at(500))

    took = max(timedelta(0), ended - begun)
    if judgement.verdict is Verdict.KEPT:
        assert took <= MINUTE
    if judgement.verdict is Verdict.BROKEN:
        assert took > MINUTE


# What is promised of a delivery ---------------------------------------------------------------------------------------


def test_both_promises_count_from_the_push() -> None:
    """The courses share their beginning, and each has its own end."""
    found = courses(Promises(), delivery())

    assert [(c.promise, c.start, c.end) for c in found] == [
        (PromiseName.DETECTION, moment(0, witness=found[0].start.witness) if found[0].start else None, moment(0)),
        (PromiseName.RECONCILIATION, found[0].start, None),
    ]


def test_without_the_commit_time_reconciliation_counts_from_the_artifact() -> None:
    """What can be measured is measured, with a note on what is left out."""
    stages = Stages(detected=moment(7))

    detection, reconciliation = courses(Promises(), delivery(stages=stages, commit_problem="access denied"))

    assert detection.start is None
    assert detection.lacking == "access denied"
    assert reconciliation.start == moment(7)
    assert "from the artifact on" in reconciliation.note


def test_before_the_artifact_reconciliation_waits() -> None:
    """That the commit's time cannot be had must not end what the artifact will begin."""
    _, reconciliation = courses(Promises(), delivery(stages=Stages(seen=moment(1)), commit_problem="forged"))

    assert assess_course(reconciliation, at(2)).verdict is Verdict.PENDING


# A concluded verdict --------------------------------------------------------------------------------------------------

PENDING = Judgement(PromiseName.DETECTION, Verdict.PENDING, MINUTE, reasons.IN_PROGRESS)
LATE = Judgement(PromiseName.DETECTION, Verdict.BROKEN, MINUTE, reasons.BUDGET_EXCEEDED)
MEASURED = replace(LATE, measured=timedelta(seconds=90))
KEPT = Judgement(PromiseName.DETECTION, Verdict.KEPT, MINUTE, reasons.WITHIN_BUDGET, measured=timedelta(seconds=1))
UNDONE = replace(LATE, reason=reasons.ROLLED_BACK)
SETTLED: dict[str, tuple[Judgement | None, Judgement, Judgement]] = {
    "the first verdict counts": (None, KEPT, KEPT),
    "a pending verdict gives way": (PENDING, KEPT, KEPT),
    "a kept one stays": (KEPT, MEASURED, KEPT),
    "a broken one stays": (LATE, KEPT, LATE),
    "a broken one gains its measure": (LATE, MEASURED, MEASURED),
    "a measured one keeps its measure": (MEASURED, replace(MEASURED, measured=MINUTE * 9), MEASURED),
    "a broken one is not measured twice without measure": (LATE, replace(LATE, message="other"), LATE),
    "one broken by the rollback gains none": (UNDONE, MEASURED, UNDONE),
}


@pytest.mark.parametrize("name", SETTLED)
def test_a_concluded_verdict_is_not_reopened(name: str) -> None:
    """Only a measure that was still missing is added to a broken promise."""
    known, fresh, expected = SETTLED[name]

    assert settle(known, fresh) is expected


def test_only_a_pending_promise_is_ended_from_outside() -> None:
    """Suspending or rolling back ends what is open and leaves what is decided."""
    ended = conclude(PENDING, Verdict.UNKNOWN, reasons.SUSPENDED, "suspended")

    assert (ended.verdict, ended.reason, ended.within) == (Verdict.UNKNOWN, reasons.SUSPENDED, MINUTE)
    assert conclude(KEPT, Verdict.UNKNOWN, reasons.SUSPENDED, "suspended") is KEPT
