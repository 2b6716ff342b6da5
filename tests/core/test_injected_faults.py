"""A thousand faults and more against the rollback, in a simulated world whose rules are checked at every write.

The fast tests run a slice of the same histories. Which guards they hold is told in ``docs/guards.md``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.core.test_rollback_model import FAULTS, RollbackModel
from tests.support.builders_rules import ROLLBACKS

pytestmark = pytest.mark.slow

LEAST = 1000
NOT_BY_PEOPLE = ("crash at a write", "restart", "write answered with", "lost or reordered events")
"""How the names of faults begin that no person causes: what people do all day must not make up the number."""
LEAST_OF_EACH = 10
HISTORIES = settings(
    max_examples=300,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    phases=(Phase.generate,),
    suppress_health_check=tuple(HealthCheck),
)


def injected(kind: str) -> int:
    """How many faults there were whose names begin so."""
    return sum(count for name, count in FAULTS.items() if name.startswith(kind))


def test_no_rollback_is_repeated_misled_or_false(
    measured: Callable[[str], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever happens: one act for a bad revision, towards a revision that was good here, for a failure of its own."""
    caplog.set_level(logging.ERROR, "reconciliation_contract")  # what the faults come to fills pages
    FAULTS.clear()
    ROLLBACKS.clear()

    run_state_machine_as_test(RollbackModel, settings=HISTORIES)

    measured(f"{FAULTS.total()} injected faults, {ROLLBACKS.total()} rollbacks: 0 duplicate, wrong-target or false")
    measured(", ".join(f"{count}x {name}" for name, count in (+FAULTS).most_common()))
    assert FAULTS.total() >= LEAST
    assert [kind for kind in NOT_BY_PEOPLE if injected(kind) < LEAST_OF_EACH] == []
    assert ROLLBACKS.total() >= LEAST / 10
