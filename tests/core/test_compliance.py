"""Time in contract: what counts now, not what was."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciliation_contract.core import reasons
from reconciliation_contract.core.compliance import is_held
from reconciliation_contract.core.memory import Memory, Past, Result
from reconciliation_contract.core.observation import Condition
from reconciliation_contract.core.promises import Judgement, PromiseName, Verdict
from tests.support.builders import at, revision, sha

MINUTE = timedelta(minutes=1)
LATE = Judgement(PromiseName.DETECTION, Verdict.BROKEN, MINUTE, reasons.BUDGET_EXCEEDED, measured=2 * MINUTE)
MISSING = Judgement(PromiseName.RECONCILIATION, Verdict.BROKEN, MINUTE, reasons.BUDGET_EXCEEDED)
PENDING = Judgement(PromiseName.DETECTION, Verdict.PENDING, MINUTE, reasons.IN_PROGRESS)


def memory(status: str, reason: str, *judgements: Judgement, last: Result | None = None) -> Memory:
    """A contract whose Ready says this, with a last finished delivery that broke a promise."""
    history = (Past(revision("A"), sha("A"), last, at(0), broken=("Detection",)),) if last else ()
    return Memory(conditions={"Ready": Condition(status, reason)}, judgements=judgements, history=history)


@pytest.mark.parametrize(
    ("found", "held"),
    [
        pytest.param(Memory(), None, id="not looked at yet"),
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
def test_a_contract_is_held_while_nothing_is_amiss(found: Memory, *, held: bool | None) -> None:
    """A broken promise counts until its goal is reached."""
    assert is_held(found) is held
