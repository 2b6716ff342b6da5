"""For how long an act has been refused, as a deletion counts it, and what is told of one that fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from reconciliation_contract.core.memory.effects import Disown, SwitchSource
from reconciliation_contract.errors import Refused, Unavailable
from reconciliation_contract.runtime.refused_acts import Refusal, refusal
from tests.support.builders import at

REFUSED = Refusal(SwitchSource, failing_since=at(0), refused_since=at(0), at=at(20), refused="forbidden", ending=True)
FORBIDDEN = Refused("change", "Kustomization apps/shop", "forbidden", 403)
BROKEN_WEBHOOK = Unavailable("change", "Kustomization apps/shop", "failed calling webhook", 500)
AWAY = Unavailable("change", "Kustomization apps/shop", "connection refused")


def test_only_a_try_just_now_counts() -> None:
    """What was refused a while ago may be done by now: it is tried again before it is given up."""
    assert REFUSED.refused_for(at(25)) == timedelta(seconds=20)
    assert REFUSED.refused_for(at(25.1)) == timedelta(0)


def test_only_a_try_after_the_deletion_counts() -> None:
    """However long it was refused before, the deletion brings a try of its own."""
    assert replace(REFUSED, ending=False).refused_for(at(20)) == timedelta(0)


def test_what_is_refused_is_told_at_once() -> None:
    """A right does not come back by itself."""
    assert refusal(None, SwitchSource, FORBIDDEN, at(0), at(1), ending=False).refused == str(FORBIDDEN)


def test_what_may_pass_is_told_once_it_has_failed_for_long() -> None:
    """One that fails for a moment is nobody's business; 8 s after the first try began, the last error is told."""
    first = refusal(None, SwitchSource, AWAY, at(0), at(1), ending=False)
    second = refusal(first, SwitchSource, BROKEN_WEBHOOK, at(2), at(8), ending=False)

    assert first.refused == ""
    assert second.refused == str(BROKEN_WEBHOOK)


def test_an_act_that_hangs_is_told_after_one_try() -> None:
    """What counts is when the try began, not when it failed."""
    assert refusal(None, SwitchSource, AWAY, at(0), at(20), ending=False).refused == str(AWAY)


def test_what_was_told_stays_while_it_fails() -> None:
    """A moment without an answer does not take back what a refusal said."""
    known = refusal(None, SwitchSource, FORBIDDEN, at(0), at(1), ending=False)

    assert refusal(known, SwitchSource, AWAY, at(2), at(3), ending=False).refused == str(FORBIDDEN)


def test_another_act_begins_anew() -> None:
    """What one act met says nothing of the next."""
    known = refusal(None, SwitchSource, FORBIDDEN, at(0), at(20), ending=True)
    other = refusal(known, Disown, AWAY, at(21), at(22), ending=True)

    assert (other.failing_since, other.refused_since, other.refused) == (at(21), None, "")


def test_an_answer_that_is_none_counts_as_no_refusal() -> None:
    """A deletion waits for an API server that is away; it does not wait for a webhook that is broken."""
    refused = refusal(None, SwitchSource, BROKEN_WEBHOOK, at(0), at(5), ending=True)
    away = refusal(refused, SwitchSource, AWAY, at(6), at(7), ending=True)
    again = refusal(refused, SwitchSource, FORBIDDEN, at(6), at(20), ending=True)

    assert refused.refused_since == at(5)
    assert away.refused_for(at(7)) == timedelta(0)
    assert again.refused_for(at(20)) == timedelta(seconds=15)
