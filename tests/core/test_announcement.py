"""Which changes of memory are told as events."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciliation_contract.core.incidents.kubernetes_events import announcements
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.memory.memory import Memory, RollbackState, Standing
from reconciliation_contract.core.values import reasons
from tests.support.builders import sha
from tests.support.builders_core import (
    Case,
    delivery,
    failing,
    moment,
    rolling_back,
)

MINUTE = timedelta(minutes=1)
DELIVERY = delivery(failures=None)
KEPT = Judgement(PromiseName.RECONCILIATION, Verdict.KEPT, MINUTE, reasons.WITHIN_BUDGET, "healthy after 9s of 1m")
BROKEN = replace(KEPT, verdict=Verdict.BROKEN, reason=reasons.BUDGET_EXCEEDED, message="not healthy within 1m")
WAITING = replace(KEPT, verdict=Verdict.PENDING, reason=reasons.IN_PROGRESS, message="waiting to learn when")
SUSPENDED = replace(KEPT, verdict=Verdict.UNKNOWN, reason=reasons.SUSPENDED, message="it was suspended")
BEFORE = Memory(delivery=DELIVERY, judgements=(KEPT,))


def step(reason: str, status: str = "False") -> Memory:
    return Memory(standing=Standing(status == "True", reason, f"about {reason}"))


HEALED = Memory(
    delivery=delivery(failures=None, stages=replace(DELIVERY.stages, healthy=moment(9))), judgements=(KEPT,)
)
UNDOING = replace(step(reasons.ROLLING_BACK), rollback=rolling_back(RollbackState.ACTIVE).memory.rollback)
EVENTS: dict[str, tuple[Memory, Memory, list[tuple[bool, str]]]] = {
    "nothing happened": (HEALED, HEALED, []),
    "a delivery": (BEFORE, HEALED, [(False, "Delivered")]),
    "a delivery whose push is still asked for": (BEFORE, replace(HEALED, judgements=(WAITING,)), []),
    "the push is known at last": (replace(HEALED, judgements=(WAITING,)), HEALED, [(False, "Delivered")]),
    "an adopted delivery": (
        Memory(),
        replace(HEALED, delivery=replace(HEALED.delivery or DELIVERY, adopted=True)),
        [],
    ),
    "a delivery of another revision": (
        replace(HEALED, delivery=replace(HEALED.delivery or DELIVERY, hash=sha("A"))),
        HEALED,
        [(False, "Delivered")],
    ),
    "a broken promise": (BEFORE, replace(BEFORE, judgements=(BROKEN,)), [(True, reasons.PROMISE_BROKEN)]),
    "a broken promise that gains its measure": (
        replace(BEFORE, judgements=(BROKEN,)),
        replace(BEFORE, judgements=(replace(BROKEN, measured=MINUTE),)),
        [],
    ),
    "a broken promise of the next delivery": (
        replace(BEFORE, judgements=(BROKEN,), delivery=delivery("A")),
        replace(BEFORE, judgements=(BROKEN,)),
        [(True, reasons.PROMISE_BROKEN)],
    ),
    "a rollback begins": (step(reasons.RECOVERED), step(reasons.ROLLING_BACK), [(True, reasons.ROLLING_BACK)]),
    "the first look finds all well": (Memory(), step(reasons.RECOVERED), []),
    "a rollback ends": (UNDOING, step(reasons.RELEASED), [(False, reasons.RELEASED)]),
    "an objection that nothing came of": (step(reasons.RECOVERED), step(reasons.CANCELLED), []),
    "the same again": (step(reasons.NOT_CURABLE), step(reasons.NOT_CURABLE), []),
}


@pytest.mark.parametrize("name", EVENTS)
def test_each_transition_is_told_once(name: str) -> None:
    """Warnings for what a person must hear, nothing where nothing of note changed."""
    before, after, expected = EVENTS[name]

    events = announcements(before, after)

    assert [(e.warning, e.reason) for e in events] == expected


def test_a_delivery_that_was_not_measured_says_so() -> None:
    """It is good news all the same."""
    (event,) = announcements(BEFORE, replace(HEALED, judgements=(SUSPENDED,)))

    assert event.message.endswith("is healthy; Reconciliation not measured: it was suspended")


def test_a_pass_tells_what_it_did() -> None:
    """The events of a pass are those of its change of memory."""
    case: Case = failing()

    told_ = [e for e in case.decide().effects if isinstance(e, EmitEvent)]

    assert [e.reason for e in told_] == [reasons.ROLLING_BACK, *[reasons.INCIDENT_OPENED] * 2]
