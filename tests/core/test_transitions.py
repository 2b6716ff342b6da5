"""The table of a rollback's states: it is what is drawn, what is done, and all that is done."""

from __future__ import annotations

from itertools import product

import pytest

from reconciliation_contract.core.memory.memory import RollbackState
from reconciliation_contract.core.rollback import state_machine
from reconciliation_contract.core.rollback.report import Step, enter, leave
from reconciliation_contract.core.rollback.transitions import TRANSITIONS, Event, drawn
from tests.core.rollback_situations import SITUATIONS
from tests.support.builders_core import rolling_back

EVERY = list(product(RollbackState, Event))


def test_the_drawing_is_that_of_the_table() -> None:
    """A change of the table is drawn anew, as ``drawn`` says."""
    text = state_machine.__doc__ or ""

    assert [line for line in text.splitlines() if "──▶" in line or "  or  " in line] == [
        f"    {line}" for line in drawn()
    ]


@pytest.mark.parametrize(("state", "event"), EVERY)
def test_an_event_leads_where_the_table_says(state: RollbackState, event: Event) -> None:
    """And one without a transition changes nothing: neither memory nor what is told."""
    case = rolling_back(state)
    undo, then = case.memory.rollback, TRANSITIONS[state].get(event)
    assert undo is not None

    entered, left = enter(case.memory, undo, event, "why"), leave(case.memory, event)

    if event not in TRANSITIONS[state]:
        assert entered == Step(case.memory)
        assert left == case.memory
    elif then is None:
        assert entered == Step(case.memory)
        assert left.rollback is None
    else:
        assert entered.memory.rollback is not None
        assert entered.memory.rollback.state is then
        assert left == case.memory


def test_no_state_is_a_dead_end() -> None:
    """From each a rollback can end, and each can be reached."""
    reached: set[RollbackState | None] = {None}
    for _ in RollbackState:
        reached |= {then for state in reached for then in TRANSITIONS[state].values()}

    assert reached == {None, *RollbackState}
    assert all(
        RollbackState.RELEASING in events.values() or None in events.values()
        for events in TRANSITIONS.values()
        if events is not TRANSITIONS[None]
    )


@pytest.mark.parametrize("name", SITUATIONS)
def test_every_situation_walks_the_table(name: str) -> None:
    """What a pass does is a transition of the table, or none."""
    situation = SITUATIONS[name]

    assert situation.to in {*TRANSITIONS[situation.state].values(), situation.state}
