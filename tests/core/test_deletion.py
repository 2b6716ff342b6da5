"""The promise on deletions: kept, broken at the deadline, or honestly unknown."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.core.facts.pruning import Departure, Departures, Fate, Took
from reconciliation_contract.core.memory.budget import Judgement, Verdict
from reconciliation_contract.core.memory.timeline import Stages
from reconciliation_contract.core.promises import deletion
from reconciliation_contract.core.values import reasons
from tests.support.builders import at
from tests.support.builders_core import Case, delivery, failing, moment
from tests.support.stories_live import config_map

HEALTHY = Stages(detected=moment(0), attempted=moment(5), applied=moment(6), healthy=moment(9))
CHECKING = replace(HEALTHY, healthy=None)
MINUTE = timedelta(minutes=1)
WAITS = Departure(config_map("settings"), at(6), account="waits for finalizer x/y", looked_at=at(20))
BLIND = replace(WAITS, fate=Fate.UNREADABLE, account="the operator may not get it")


def case(departures: Departures | None, stages: Stages = HEALTHY, **changes: Any) -> Case:
    """A delivery that began at 0, with what has left."""
    known = failing().but(memory__delivery=delivery(stages=stages, failures=None, started_at=at(0)))
    known = known.but(contract__promises__deletion=MINUTE, **changes)
    return known.but(seen__live__departures=departures and replace(departures, delivery=at(0)))


def judged(known: Case) -> Judgement | None:
    """The clause's word."""
    return deletion.assess_deletion(known.contract, known.memory, known.seen, known.now)


CASES: dict[str, tuple[Departures, Stages, Verdict, str, str]] = {
    "nothing left": (Departures(), HEALTHY, Verdict.KEPT, reasons.WITHIN_BUDGET, "nothing to delete"),
    "only what is protected left": (
        Departures(left=2, spared=2),
        HEALTHY,
        Verdict.KEPT,
        reasons.WITHIN_BUDGET,
        "2 left alone",
    ),
    "all gone in time": (
        Departures(left=3, spared=1, slowest=Took(MINUTE / 2, MINUTE)),
        HEALTHY,
        Verdict.KEPT,
        reasons.WITHIN_BUDGET,
        "2 deleted, all gone after 1m of 1m (1 left alone",
    ),
    "all gone too late": (
        Departures(left=1, slowest=Took(MINUTE * 1.5, MINUTE * 2)),
        HEALTHY,
        Verdict.BROKEN,
        reasons.BUDGET_EXCEEDED,
        "gone after 1m30s of 1m",
    ),
    "gone, but nobody looked closely": (
        Departures(left=1, slowest=Took(MINUTE / 2, MINUTE * 2)),
        HEALTHY,
        Verdict.UNKNOWN,
        reasons.UNOBSERVED,
        "nobody looked closely enough",
    ),
    "one is still there": (
        Departures(left=2, pending=(WAITS,)),
        HEALTHY,
        Verdict.PENDING,
        reasons.IN_PROGRESS,
        "by 12:01:06 UTC: ConfigMap/apps/settings waits for finalizer x/y",
    ),
    "one was there at the deadline": (
        Departures(left=2, pending=(replace(WAITS, looked_at=at(66)),)),
        HEALTHY,
        Verdict.PENDING,
        reasons.IN_PROGRESS,
        "",
    ),
    "one was there after the deadline": (
        Departures(left=9, pending=(replace(WAITS, looked_at=at(67)), WAITS), more=7),
        HEALTHY,
        Verdict.BROKEN,
        reasons.BUDGET_EXCEEDED,
        "still there after 1m: ConfigMap/apps/settings waits for finalizer x/y; 7 more",
    ),
    "one may not be looked at": (
        Departures(left=1, pending=(BLIND,)),
        HEALTHY,
        Verdict.UNKNOWN,
        reasons.NOT_PERMITTED,
        "may not get",
    ),
    "one may not be looked at, another is awaited": (
        Departures(left=2, pending=(BLIND, WAITS)),
        HEALTHY,
        Verdict.PENDING,
        reasons.IN_PROGRESS,
        "",
    ),
    "it changed while nobody looked": (
        Departures(unseen_at=at(1)),
        HEALTHY,
        Verdict.UNKNOWN,
        reasons.UNOBSERVED,
        "the inventory changed while the operator did not run",
    ),
    "more than was remembered": (
        Departures(left=9, more=4, slowest=Took(MINUTE / 2, MINUTE / 2)),
        HEALTHY,
        Verdict.UNKNOWN,
        reasons.UNOBSERVED,
        "4 objects left while",
    ),
    "not even applied": (Departures(), CHECKING, Verdict.PENDING, reasons.IN_PROGRESS, "waiting for Flux"),
}


@pytest.mark.parametrize(("departures", "stages", "verdict", "reason", "part"), CASES.values(), ids=CASES)
def test_the_verdict_follows_what_is_found(
    departures: Departures, stages: Stages, verdict: Verdict, reason: str, part: str
) -> None:
    """Each way the world can look has its verdict, reason and message."""
    found = judged(case(departures, stages))

    assert found is not None
    assert (found.verdict, found.reason) == (verdict, reason)
    assert part in found.message


def test_an_attempt_that_failed_its_health_check_is_judged() -> None:
    """The inventory is the revision's own once its attempt has ended, however it did."""
    known = case(Departures(), CHECKING).but(delivery__failures=delivery().failures)

    found = judged(known)

    assert found is not None
    assert found.verdict is Verdict.KEPT


def test_a_suspended_kustomization_deletes_nothing() -> None:
    """What nobody does is not awaited."""
    found = judged(case(Departures(), CHECKING, kustomization__suspended=True))

    assert found is not None
    assert (found.verdict, found.reason) == (Verdict.UNKNOWN, reasons.SUSPENDED)


def test_without_a_follower_there_is_no_verdict() -> None:
    """What nobody follows is not judged at all."""
    assert judged(case(None)) is None


def test_a_concluded_verdict_takes_only_the_measure_that_was_missing() -> None:
    """Broken at the deadline stays broken; once the object is gone its time is added."""
    late = replace(WAITS, looked_at=at(67))
    broken = case(Departures(left=1, pending=(late,)), now=at(67)).decide().memory

    after = case(Departures(left=1, slowest=Took(MINUTE * 2, MINUTE * 2)), memory=broken, now=at(200))
    found = after.but(memory=broken).decide().memory.judgement("Deletion")

    assert found is not None
    assert (found.verdict, found.measured) == (Verdict.BROKEN, MINUTE * 2)
