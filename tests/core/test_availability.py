"""The promise that a delivery takes no replicas away: broken by what was seen, kept only where all was seen."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Since
from reconciliation_contract.core.facts.replicas import Drop, Rollout
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import RollbackState
from reconciliation_contract.core.memory.timeline import Stages
from reconciliation_contract.core.promises import availability
from reconciliation_contract.core.values import reasons
from tests.core.test_rollout import WEB
from tests.support.builders import at
from tests.support.builders_core import Case, delivery, failing, moment, rollback, standing

HEALTHY = Stages(detected=moment(0), attempted=moment(5), applied=moment(6), healthy=moment(9))
CHECKING = replace(HEALTHY, healthy=None)
SEEN = Rollout(at(0), began_at=at(1), steady=True, settled=True, followed=2)
ENDED, LASTS = Drop(WEB, 1, 3, at(6), at(8)), Drop(WEB, 1, 3, at(6))
GONE = replace(ENDED, available=0, absent=True)
WANTED = Since(Inventory.of([("apps_web_apps_Deployment", "v1")]), at(6), exact=True)
EMPTY = Since(Inventory.of([]), at(6), exact=True)


def case(rollout: Rollout | None, stages: Stages = HEALTHY, **changes: Any) -> Case:
    """A delivery that began at 0, with what was found of its workloads."""
    known = failing().but(memory__delivery=delivery(stages=stages, failures=None, started_at=at(0)))
    return known.but(seen__live__rollout=rollout, kustomization=standing("B", 9), **changes)


def judged(known: Case) -> Judgement | None:
    """The clause's word."""
    return availability.assess_availability(known.contract, known.memory, known.seen, known.now)


Expected = tuple[Verdict, str, str]
KEPT = (Verdict.KEPT, reasons.WITHIN_BUDGET, "of 2 followed")
PENDING = (Verdict.PENDING, reasons.IN_PROGRESS, "watched")
BROKEN = (Verdict.BROKEN, reasons.DOWNTIME, "Deployment/apps/web had 1 of 3 available for 2s")
UNSEEN = (Verdict.UNKNOWN, reasons.UNOBSERVED, "from the beginning")
CASES: dict[str, tuple[Case, Expected]] = {
    "watched from before the attempt": (case(SEEN), KEPT),
    "nothing was there before": (
        case(replace(SEEN, followed=0)),
        (Verdict.KEPT, reasons.WITHIN_BUDGET, "no workload was there before"),
    ),
    "still in flight": (case(SEEN, CHECKING), PENDING),
    "healthy, but still on the move": (case(replace(SEEN, settled=False), now=at(300)), PENDING),
    "healthy, and on the move for ever": (case(replace(SEEN, settled=False), now=at(309)), KEPT),
    "not looked at yet": (case(replace(SEEN, began_at=None)), PENDING),
    "looked at after the attempt began, before anything moved": (case(replace(SEEN, began_at=at(5.5))), KEPT),
    "looked at while something moved": (case(replace(SEEN, began_at=at(5.5), steady=False)), UNSEEN),
    "looked at before the attempt, while something moved": (case(replace(SEEN, steady=False)), KEPT),
    "looked at after it was applied": (case(replace(SEEN, began_at=at(7))), UNSEEN),
    "looked at before an attempt failed": (
        case(replace(SEEN, began_at=at(5.5)), delivery__failures=delivery().failures),
        KEPT,
    ),
    "looked at after an attempt had failed": (
        case(replace(SEEN, began_at=at(11)), replace(HEALTHY, applied=None), delivery__failures=delivery().failures),
        UNSEEN,
    ),
    "interrupted": (
        case(replace(SEEN, gap="the API server forgot")),
        (Verdict.UNKNOWN, reasons.UNOBSERVED, "the API server forgot"),
    ),
    "without the right": (
        case(replace(SEEN, lacking="the operator may not watch"), CHECKING),
        (Verdict.UNKNOWN, reasons.NOT_PERMITTED, "may not watch"),
    ),
    "a drop": (case(replace(SEEN, drops=(ENDED,))), BROKEN),
    "a drop that lasts": (
        case(replace(SEEN, drops=(LASTS,)), CHECKING),
        (Verdict.BROKEN, reasons.DOWNTIME, "1 of 3 available since 12:00:06"),
    ),
    "a drop, seen late": (case(replace(SEEN, began_at=at(7), drops=(ENDED,))), BROKEN),
    "a drop, and a gap": (case(replace(SEEN, gap="gap", drops=(ENDED,))), BROKEN),
    "gone, and it may be meant": (
        case(replace(SEEN, drops=(GONE,)), CHECKING, kustomization__inventory=WANTED),
        PENDING,
    ),
    "gone, and it was meant": (case(replace(SEEN, drops=(GONE,)), kustomization__inventory=EMPTY), KEPT),
    "gone and back": (
        case(replace(SEEN, drops=(GONE,)), kustomization__inventory=WANTED),
        (Verdict.BROKEN, reasons.DOWNTIME, "had 0 of 3"),
    ),
    "suspended under way": (
        case(SEEN, CHECKING).but(kustomization__suspended=True),
        (Verdict.UNKNOWN, reasons.SUSPENDED, "suspended"),
    ),
    "in flight for as long as a rollback would have taken": (case(SEEN, CHECKING, now=at(719)), PENDING),
    "in flight for ever": (
        case(SEEN, CHECKING, now=at(720)),
        (Verdict.UNKNOWN, reasons.UNOBSERVED, "has not ended since"),
    ),
    "rolled back late": (
        case(SEEN, CHECKING, memory__rollback=rollback(RollbackState.SWITCHING, started_at=at(700)), now=at(900)),
        PENDING,
    ),
    "on the way back": (
        case(SEEN, CHECKING, memory__rollback=rollback(RollbackState.SWITCHING)),
        PENDING,
    ),
    "rolled back": (
        case(SEEN, CHECKING, memory__rollback=rollback(RollbackState.ACTIVE, completed_at=at(97))),
        KEPT,
    ),
    "rolled back in vain": (case(SEEN, CHECKING, memory__rollback=rollback(RollbackState.FAILED)), KEPT),
}


@pytest.mark.parametrize(("known", "expected"), CASES.values(), ids=CASES)
def test_the_verdict_follows_what_was_seen(known: Case, expected: Expected) -> None:
    """Each way the delivery can go has its verdict, reason and message."""
    found = judged(known)

    assert found is not None
    assert (found.verdict, found.reason) == expected[:2]
    assert expected[2] in found.message


@pytest.mark.parametrize("rollout", [None, replace(SEEN, delivery=at(-60))])
def test_what_nobody_follows_is_not_judged(rollout: Rollout | None) -> None:
    """Nor is what was found of another delivery."""
    assert judged(case(rollout)) is None


def test_the_duration_is_measured_once_all_is_over() -> None:
    """Broken at once; the longest drop is the measure when there can be no further one."""
    lasting = judged(case(replace(SEEN, drops=(LASTS,))))
    early = judged(case(replace(SEEN, drops=(ENDED,)), CHECKING))
    late = judged(case(replace(SEEN, drops=(ENDED, replace(ENDED, ended=at(7))))))

    measures = [found.measured for found in (lasting, early, late) if found]
    assert measures == [None, None, timedelta(seconds=2)]


FLIGHT: dict[str, tuple[Case, bool]] = {
    "before the attempt": (case(None, Stages(detected=moment(0))), True),
    "until it is judged": (case(None), True),
    "not when adopted": (case(None, delivery__adopted=True), False),
    "not while suspended": (case(None, kustomization__suspended=True), False),
    "not while the contract is": (case(None, contract__suspended=True), False),
    "not for a contract that goes": (case(None, contract__deleting=True), False),
    "not without a Kustomization": (case(None).but(kustomization=None), False),
    "not without a delivery": (case(None).but(delivery=None), False),
}


@pytest.mark.parametrize(("known", "expected"), FLIGHT.values(), ids=FLIGHT)
def test_workloads_are_followed_while_a_delivery_is_in_flight(known: Case, expected: bool) -> None:
    """And at no other time."""
    assert availability.in_flight(known.contract, known.memory, known.seen, known.now) is expected


@pytest.mark.parametrize(
    ("verdict", "measured", "stages", "expected"),
    [
        (Verdict.KEPT, 0, CHECKING, False),
        (Verdict.UNKNOWN, None, CHECKING, False),
        (Verdict.BROKEN, None, CHECKING, True),
        (Verdict.BROKEN, None, HEALTHY, False),
        (Verdict.BROKEN, 2, CHECKING, False),
    ],
)
def test_a_drop_is_followed_to_its_end(
    verdict: Verdict, measured: float | None, stages: Stages, expected: bool
) -> None:
    """What is concluded needs no further look, but for the duration of a drop."""
    took = None if measured is None else timedelta(seconds=measured)
    said = Judgement(PromiseName.AVAILABILITY, verdict, timedelta(0), "R", measured=took)
    known = case(None, stages, memory__judgements=(said,))

    assert availability.in_flight(known.contract, known.memory, known.seen, known.now) is expected


@pytest.mark.parametrize(("seconds", "expected"), [(719, True), (720, False)])
def test_a_drop_that_lasts_is_not_followed_for_ever(seconds: float, expected: bool) -> None:
    """Whether or not the delivery is over: its duration is told if it ends in time."""
    said = Judgement(PromiseName.AVAILABILITY, Verdict.BROKEN, timedelta(0), "R")
    known = case(replace(SEEN, drops=(LASTS,)), memory__judgements=(said,), now=at(seconds))

    assert availability.in_flight(known.contract, known.memory, known.seen, known.now) is expected


def test_a_drop_is_measured_by_the_pass_after_the_rollback_ended() -> None:
    """The pass that notes the end of a rollback has judged already; the next one must still see the drop."""
    said = Judgement(PromiseName.AVAILABILITY, Verdict.BROKEN, timedelta(0), "R")
    back = rollback(RollbackState.ACTIVE, completed_at=at(97))
    known = case(replace(SEEN, drops=(ENDED,)), CHECKING, memory__judgements=(said,), memory__rollback=back)

    assert availability.in_flight(known.contract, known.memory, known.seen, known.now)
