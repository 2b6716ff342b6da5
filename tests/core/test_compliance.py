"""Time in contract: what counts now, not what was."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.incidents.in_contract import is_held
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Incident, Past, Result
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.values import reasons
from tests.support.builders import at, revision, sha
from tests.support.builders_core import delivery, moment
from tests.support.builders_status import Told

MINUTE = timedelta(minutes=1)
HEALTHY = delivery(failures=None, stages=replace(delivery().stages, healthy=moment(9)))
LATE = Judgement(PromiseName.DETECTION, Verdict.BROKEN, MINUTE, reasons.BUDGET_EXCEEDED, measured=2 * MINUTE)
MISSING = Judgement(PromiseName.RECONCILIATION, Verdict.BROKEN, MINUTE, reasons.BUDGET_EXCEEDED)
PENDING = Judgement(PromiseName.DETECTION, Verdict.PENDING, MINUTE, reasons.IN_PROGRESS)


def memory(status: str, reason: str, *judgements: Judgement, last: Result | None = None) -> Told:
    """A contract whose Ready says this, with a last finished delivery that broke a promise."""
    history = (Past(revision("A"), sha("A"), last, at(0), broken=("Detection",)),) if last else ()
    return Told(conditions={"Ready": Condition(status, reason)}, judgements=judgements, history=history)


@pytest.mark.parametrize(
    ("found", "held"),
    [
        pytest.param(Told(), None, id="not looked at yet"),
        pytest.param(memory("Unknown", reasons.SUSPENDED), None, id="suspended"),
        pytest.param(memory("True", reasons.PROMISES_KEPT), True, id="all kept"),
        pytest.param(memory("False", reasons.KUSTOMIZATION_MISSING), False, id="nothing to follow"),
        pytest.param(memory("False", reasons.ROLLED_BACK, LATE), False, id="rolled back"),
        pytest.param(memory("False", reasons.PROMISE_BROKEN, LATE), True, id="late, and there now"),
        pytest.param(memory("False", reasons.PROMISE_BROKEN, LATE, MISSING), False, id="not there yet"),
        pytest.param(
            memory("False", reasons.PROMISE_BROKEN, PENDING, last=Result.HEALTHY), True, id="the last one was late"
        ),
        pytest.param(
            memory("False", reasons.PROMISE_BROKEN, PENDING, last=Result.SUPERSEDED), False, id="the last never came"
        ),
        pytest.param(memory("False", reasons.PROMISE_BROKEN), False, id="broken, and nothing known"),
    ],
)
def test_a_contract_is_held_while_nothing_is_amiss(found: Told, *, held: bool | None) -> None:
    """A broken promise counts until its goal is reached."""
    assert is_held(found, found.conditions.get("Ready")) is held


REFUSED = Judgement(PromiseName.VALIDATION, Verdict.BROKEN, MINUTE, reasons.REFUSED, measured=MINUTE / 60)
OPEN = Incident("Delivery", "Reconciliation", "HealthCheckFailed", Severity.WARNING, at(0), "it fails")


@pytest.mark.parametrize(
    ("found", "held"),
    [
        pytest.param(memory("False", reasons.PROMISE_BROKEN, REFUSED), False, id="manifests are refused"),
        pytest.param(
            replace(memory("False", reasons.PROMISE_BROKEN, REFUSED), delivery=HEALTHY),
            True,
            id="it arrived all the same",
        ),
        pytest.param(
            replace(memory("True", reasons.PROMISES_KEPT), incidents=(OPEN,)), False, id="what was healthy fails"
        ),
        pytest.param(
            replace(memory("True", reasons.PROMISES_KEPT), incidents=(replace(OPEN, well_since=at(1)),)),
            True,
            id="it is well again, and held",
        ),
        pytest.param(
            replace(memory("True", reasons.PROMISES_KEPT), incidents=(replace(OPEN, closed_at=at(1)),)),
            True,
            id="it is over",
        ),
        pytest.param(
            replace(memory("True", reasons.PROMISES_KEPT), incidents=(replace(OPEN, unclear_since=at(1)),)),
            None,
            id="nothing tells whether it is",
        ),
        pytest.param(
            replace(memory("True", reasons.PROMISES_KEPT), incidents=(replace(OPEN, unclear_since=at(1)), OPEN)),
            False,
            id="another is seen to last",
        ),
    ],
)
def test_incidents_and_time_in_contract_agree(found: Told, *, held: bool | None) -> None:
    """What people are told is broken is not counted as held, and the other way round."""
    assert is_held(found, found.conditions.get("Ready")) is held
