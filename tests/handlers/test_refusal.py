"""For how long an act has been refused, as a deletion counts it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciliation_contract.core.memory.effects import SwitchSource
from reconciliation_contract.runtime.refused_acts import Refusal
from tests.support.builders import at

REFUSED = Refusal(SwitchSource, since=at(0), at=at(20), refused="forbidden", ending=True)


def test_only_a_try_just_now_counts() -> None:
    """What was refused a while ago may be done by now: it is tried again before it is given up."""
    assert REFUSED.refused_for(at(25)) == timedelta(seconds=20)
    assert REFUSED.refused_for(at(25.1)) == timedelta(0)


def test_only_a_try_after_the_deletion_counts() -> None:
    """However long it was refused before, the deletion brings a try of its own."""
    assert replace(REFUSED, ending=False).refused_for(at(20)) == timedelta(0)
