"""The rollback, state by state: what each situation leads to, and which acts belong to it.

An act belongs to the state with which a pass begins, so that it has always been written down before it is done.
"""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.memory.effects import Effect, EmitEvent, TellLeft
from reconciliation_contract.core.memory.memory import BAD_REVISIONS, Result, RollbackState
from reconciliation_contract.core.values import reasons
from tests.core.rollback_situations import (
    A_FAILS,
    ACTIVE,
    INTENDED,
    LET_GO,
    RELEASING,
    SITUATIONS,
    SWITCHING,
    arriving,
)
from tests.support.builders import at, brief, sha
from tests.support.builders_core import (
    MARK,
    PIN,
    Case,
    good,
    pin,
    rolling_back,
    since,
    source,
    standing,
)


@pytest.mark.parametrize("name", SITUATIONS)
def test_what_each_situation_leads_to(name: str) -> None:
    """Each state, in each situation it can meet, goes to the right state with the right acts."""
    situation = SITUATIONS[name]
    case = rolling_back(situation.state).but(**situation.changes)

    decision = case.decide()

    undo = decision.memory.rollback
    assert (undo.state if undo else None) == situation.to
    assert tuple(e for e in decision.effects if not isinstance(e, EmitEvent)) == situation.acts
    if situation.says:
        assert decision.conditions["RolledBack"].reason == situation.says


@pytest.mark.parametrize("state", RollbackState)
def test_a_deletion_releases_from_every_state(state: RollbackState) -> None:
    """Whatever a rollback is about, the contract's deletion leads to its release."""
    case = rolling_back(state, contract__deleting=True)

    undo = case.decide().memory.rollback

    assert undo is not None
    assert undo.state is RELEASING


@pytest.mark.parametrize("state", RollbackState)
def test_a_deletion_releases_a_suspended_contract(state: RollbackState) -> None:
    """Suspending a contract does not make it undeletable."""
    case = rolling_back(state, contract__deleting=True, contract__suspended=True)

    undo = case.decide().memory.rollback

    assert undo is not None
    assert undo.state is RELEASING


@pytest.mark.parametrize("state", RollbackState)
def test_nothing_is_done_while_suspended(state: RollbackState) -> None:
    """A suspended contract keeps its rollback as it is."""
    case = rolling_back(state, contract__suspended=True)

    decision = case.decide()

    assert decision.memory.rollback == case.memory.rollback
    assert acts(case) == ()


@pytest.mark.parametrize("state", RollbackState)
def test_nothing_is_done_on_stale_facts(state: RollbackState) -> None:
    """Without living watches no state moves, not even towards a deletion."""
    case = rolling_back(state, seen__operator__fresh=False, contract__deleting=True)

    decision = case.decide()

    assert decision.memory.rollback == case.memory.rollback
    assert acts(case) == ()


@pytest.mark.parametrize("state", RollbackState)
def test_an_observing_operator_does_nothing_but_let_go(state: RollbackState) -> None:
    """Without the rights to act nothing can be given back; the deletion does not wait for it."""
    case = rolling_back(state, seen__operator__acts=False)

    leaving = case.but(contract__deleting=True)

    assert acts(case) == ()
    assert [act for act in acts(leaving) if not isinstance(act, TellLeft)] == [LET_GO]


@pytest.mark.parametrize("state", [INTENDED, SWITCHING, ACTIVE, RELEASING])
def test_a_refusal_is_told(state: RollbackState) -> None:
    """While the API server refuses an act the condition says so, and does not claim that nothing is rolled back."""
    case = rolling_back(state, seen__operator__refused="cannot change Kustomization: forbidden")

    told = case.decide().conditions["RolledBack"]

    assert (told.reason, told.message) == (reasons.ACT_REFUSED, "cannot change Kustomization: forbidden")
    assert told.status == ("True" if state is ACTIVE else "False")


def test_an_act_never_comes_with_the_entry_into_its_state() -> None:
    """A pass that changes the state performs no act of the new one: it is written first."""
    entering = {name: s for name, s in SITUATIONS.items() if s.to is not None and s.to is not s.state}

    acting = [name for name, s in entering.items() if acts(rolling_back(s.state).but(**s.changes))]

    assert acting == []


def test_the_revision_is_remembered_as_bad_before_the_switch() -> None:
    """The state that switches is entered together with the memory that there is no second act."""
    case = rolling_back(INTENDED, seen__flux__pin=pin())

    entered = case.decide().memory

    assert entered.bad == (sha("B"),)


def test_giving_up_forgets_that_the_revision_was_bad() -> None:
    """A revision that was not rolled back from may be rolled back later, when it still fails."""
    case = rolling_back(SWITCHING, kustomization__suspended=True, seen__flux__pin=None)

    memory = case.decide().memory

    assert memory.bad == ()


def test_while_the_pin_is_being_removed_the_revision_stays_bad() -> None:
    """If the world changes back meanwhile, the switch must still be the only one."""
    case = rolling_back(SWITCHING, kustomization__suspended=True)

    memory = case.decide().memory

    assert memory.bad == (sha("B"),)
    assert memory.rollback is not None


def test_the_bad_revisions_are_bounded() -> None:
    """The oldest of too many bad revisions is forgotten, never the newest."""
    many = tuple(sha(f"old-{n}") for n in range(20))

    bad = rolling_back(INTENDED, seen__flux__pin=pin(), memory__bad=many).decide().memory.bad

    assert len(bad) == BAD_REVISIONS
    assert bad[-1] == sha("B")
    assert many[0] not in bad


def test_the_way_back_is_measured_from_the_decision() -> None:
    """The rollback's own promise counts from the intent to Ready at the good revision."""
    ready = standing("A", 97, source=PIN, hold={MARK: sha("B")})
    case = rolling_back(SWITCHING, seen__flux__kustomization=ready)

    told = case.decide().memory.judgement("Rollback")

    assert told is not None
    assert told.verdict == "Kept"
    assert told.measured == at(97) - at(90)


@pytest.mark.parametrize(("seconds", "note"), [(97, ""), (140, " (Flux took it up after 50s)")])
def test_the_way_back_says_how_long_flux_let_it_wait(seconds: float, note: str) -> None:
    """As when it was checking the health of the bad revision; a few seconds are not worth a word."""
    ready = standing("A", 145, source=PIN, hold={MARK: sha("B")}, attempted=since("A", seconds))

    told = rolling_back(SWITCHING, seen__flux__kustomization=ready, now=at(150)).decide().memory.judgement("Rollback")

    assert told is not None
    assert told.message.partition("of 2m")[2] == note


@pytest.mark.parametrize(
    ("changes", "waits"),
    [
        ({"ready": Condition("Unknown", "Progressing", "Running health checks")}, True),
        ({"ready": Condition("False", "HealthCheckFailed", "timeout")}, False),
        ({"ready": Condition("Unknown", "Progressing", "Building"), "attempted": since("A", 96)}, False),
        ({"ready": Condition("Unknown", "Progressing", "Building"), "checks_health": False}, False),
    ],
)
def test_a_health_check_that_holds_up_the_way_back_is_told(changes: dict[str, Any], waits: bool) -> None:
    """With its longest time, while Flux is at work on the bad revision and nothing else."""
    case = rolling_back(SWITCHING, **arriving(**changes))

    message = case.decide().conditions["RolledBack"].message

    assert ("Flux first ends its health check of main@sha1:" in message) is waits


def test_what_was_given_up_is_not_judged() -> None:
    """A rollback that was cancelled leaves neither a broken promise nor an open one."""
    waiting = rolling_back(SWITCHING)
    begun = waiting.decide().memory

    memory = waiting.but(memory=begun, kustomization__suspended=True, seen__flux__pin=None).decide().memory

    assert begun.judgement("Rollback") is not None
    assert memory.judgement("Rollback") is None
    assert all(j.reason != reasons.ROLLED_BACK for j in memory.judgements)


def test_the_promises_break_with_the_switch_and_not_before() -> None:
    """Until the Kustomization is switched, the delivery goes on as if there had never been an intent."""
    before = rolling_back(SWITCHING)
    after = before.but(kustomization__source=PIN, kustomization__hold={MARK: sha("B")})

    verdicts = [case.decide().memory.judgement("Reconciliation") for case in (before, after)]

    assert [v and (v.verdict, v.reason) for v in verdicts] == [("Pending", "InProgress"), ("Broken", "RolledBack")]


def test_the_way_back_is_not_judged_in_the_dark() -> None:
    """A deadline that passes while nothing can be seen breaks no promise."""
    case = rolling_back(SWITCHING, seen__operator__fresh=False, now=at(5000))

    told = case.decide().memory.judgement("Rollback")

    assert told is None


def test_a_failed_rollback_names_the_good_revision() -> None:
    """A person must know which revision to look at."""
    case = rolling_back(SWITCHING, **arriving(attempted=since("A", 96), failures=A_FAILS * 3))

    told = case.decide().conditions["Ready"]

    assert told.reason == reasons.TARGET_FAILED
    assert told.message == f"{brief('A')} fails too: still not healthy"


def test_the_target_must_still_be_the_known_good_one() -> None:
    """If the memory of the good revision is lost, there is nothing to prove that the target is one."""
    case = rolling_back(INTENDED, memory__good=None)

    decision = case.decide()

    assert decision.memory.rollback is None
    assert rolling_back(INTENDED, memory__good=good(path="./elsewhere")).decide().memory.rollback is None


def acts(case: Case) -> tuple[Effect, ...]:
    """What a pass does to the cluster."""
    return tuple(effect for effect in case.decide().effects if not isinstance(effect, EmitEvent))


@pytest.mark.parametrize(
    ("asked_by", "because"), [("", "HealthCheckFailed"), ("ann: wrong prices", "ann: wrong prices")]
)
def test_the_history_says_where_a_rollback_went_and_why(asked_by: str, because: str) -> None:
    """After the fix is there nothing else in the status tells of it."""
    case = rolling_back(ACTIVE, seen__flux__source=source("C", 99), rollback__asked_by=asked_by)

    (past, *_) = case.decide().memory.history

    assert (past.hash, past.result) == (sha("B"), Result.ROLLED_BACK)
    assert (past.left_for, past.because) == (good().revision, because)


def test_what_was_not_rolled_back_went_nowhere() -> None:
    """A proposal that the next commit overtook leaves no trace in the history."""
    case = rolling_back(RollbackState.PROPOSED, seen__flux__source=source("C", 99))

    (past, *_) = case.decide().memory.history

    assert (past.hash, past.left_for, past.because) == (sha("B"), "", "")
