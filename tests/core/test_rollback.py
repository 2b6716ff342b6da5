"""The rollback, state by state: what each situation leads to, and which acts belong to it.

An act belongs to the state with which a pass begins, so that it has always been written down before it is done.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from reconciliation_contract.core import reasons
from reconciliation_contract.core.effects import (
    AllowDeletion,
    DeletePin,
    Effect,
    EmitEvent,
    EnsurePin,
    HoldDeletion,
    SwitchSource,
)
from reconciliation_contract.core.memory import RollbackState
from reconciliation_contract.core.observation import Failure
from reconciliation_contract.core.request import Requests
from tests.support.builders import KUSTOMIZATION_UID, at, revision, sha
from tests.support.builders_core import (
    HOLD,
    MARK,
    OWN,
    PIN,
    Case,
    good,
    pin,
    rolling_back,
    since,
    source,
    standing,
)

PROPOSED, INTENDED, SWITCHING = RollbackState.PROPOSED, RollbackState.INTENDED, RollbackState.SWITCHING
ACTIVE, RELEASING, FAILED = RollbackState.ACTIVE, RollbackState.RELEASING, RollbackState.FAILED
NONE = None
MAKE, DROP = EnsurePin(PIN, OWN, sha("A")), DeletePin(PIN)
HELD, LET_GO = HoldDeletion(), AllowDeletion()
THERE = SwitchSource(KUSTOMIZATION_UID, "7", PIN, {MARK: sha("B")})
HELD_THERE = SwitchSource(KUSTOMIZATION_UID, "7", PIN, {MARK: sha("B"), HOLD: "Ignore"})
BACK = SwitchSource(KUSTOMIZATION_UID, "7", OWN, {MARK: None})
OTHER = OWN.__class__("GitRepository", "apps", "other")
A_FAILS = (Failure(at(98), "HealthCheckFailed", "still not healthy", sha("A")),)


@dataclass(frozen=True)
class Situation:
    """A state, what differs from what it expects, and what comes of it."""

    state: RollbackState
    changes: dict[str, Any] = field(default_factory=dict)
    to: RollbackState | None = None
    acts: tuple[Effect, ...] = ()
    says: str = ""
    """Reason of the condition RolledBack; empty where it does not matter."""


def arriving(**changes: Any) -> dict[str, Any]:
    """The Kustomization is switched and not Ready yet."""
    record = {"source": PIN, "hold": {MARK: sha("B")}} | changes
    return {f"kustomization__{name}": value for name, value in record.items()}


SITUATIONS: dict[str, Situation] = {
    # Proposed
    "a proposal waits": Situation(PROPOSED, to=PROPOSED),
    "a proposal is approved by the whole hash": Situation(
        PROPOSED, {"contract__requests": Requests(approve=sha("B"))}, INTENDED, says=reasons.ROLLING_BACK
    ),
    "a proposal is approved by a short hash": Situation(
        PROPOSED, {"contract__requests": Requests(approve=sha("B")[:7])}, INTENDED
    ),
    "approving another revision approves nothing": Situation(
        PROPOSED, {"contract__requests": Requests(approve=sha("A"))}, PROPOSED
    ),
    "a proposal ends when the revision becomes healthy": Situation(
        PROPOSED, {"kustomization__delivered": since("B", 95)}, NONE, says=reasons.CANCELLED
    ),
    "a proposal ends when a new commit arrives": Situation(
        PROPOSED, {"seen__source": source("C", 95)}, NONE, says=reasons.CANCELLED
    ),
    "a proposal ends when the Kustomization has another source": Situation(
        PROPOSED, {"kustomization__source": OTHER}, NONE, says=reasons.CANCELLED
    ),
    # Intended
    "the intent makes the pin": Situation(INTENDED, to=INTENDED, acts=(MAKE,)),
    "the intent holds the deletion first": Situation(
        INTENDED, {"contract__finalized": False}, INTENDED, (HELD, MAKE)
    ),
    "a pin that serves nothing yet is waited for": Situation(INTENDED, {"seen__pin": pin(artifact=None)}, INTENDED),
    "a pin that serves another commit is waited for": Situation(INTENDED, {"seen__pin": pin("C")}, INTENDED),
    "a pin that is being deleted is waited for": Situation(INTENDED, {"seen__pin": pin(deleting=True)}, INTENDED),
    "a pin that serves leads on, without an act": Situation(
        INTENDED, {"seen__pin": pin()}, SWITCHING, says=reasons.ROLLING_BACK
    ),
    "without the finalizer nothing leads on": Situation(
        INTENDED, {"seen__pin": pin(), "contract__finalized": False}, INTENDED, (HELD,)
    ),
    "exactly on the deadline the pin is still waited for": Situation(
        INTENDED, {"seen__pin": pin(artifact=None), "now": at(210)}, INTENDED
    ),
    "a pin that never serves fails after the promised time": Situation(
        INTENDED, {"seen__pin": pin(artifact=None), "now": at(210.1)}, FAILED, says=reasons.TARGET_FAILED
    ),
    "a pin that cannot be made fails after the promised time": Situation(
        INTENDED, {"now": at(210.1)}, FAILED, says=reasons.TARGET_FAILED
    ),
    "an intent is given up when a person suspends": Situation(
        INTENDED, {"kustomization__suspended": True}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when a new commit arrives": Situation(
        INTENDED, {"seen__source": source("C", 95)}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the source is suspended": Situation(
        INTENDED, {"source__suspended": True}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the source is gone": Situation(
        INTENDED, {"seen__source": None}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the revision becomes healthy": Situation(
        INTENDED, {"kustomization__delivered": since("B", 95)}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when Flux is at another revision": Situation(
        INTENDED, {"kustomization__attempted": since("C", 95)}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the Kustomization is gone": Situation(
        INTENDED, {"seen__kustomization": None}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the Kustomization is being deleted": Situation(
        INTENDED, {"kustomization__deleting": True}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the Kustomization is another": Situation(
        INTENDED, {"kustomization__uid": "another"}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the path changes": Situation(
        INTENDED, {"kustomization__path": "./elsewhere"}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the source changes": Situation(
        INTENDED, {"kustomization__source": OTHER}, NONE, says=reasons.CANCELLED
    ),
    "giving up removes the pin before forgetting": Situation(
        INTENDED, {"kustomization__suspended": True, "seen__pin": pin()}, INTENDED, (DROP,), reasons.CANCELLED
    ),
    "what a person asked for may leave a healthy revision": Situation(
        INTENDED,
        {"rollback__reason": reasons.REQUESTED, "kustomization__delivered": since("B", 95), "seen__pin": pin()},
        SWITCHING,
    ),
    # Switching
    "the switch carries its precondition and the mark": Situation(SWITCHING, to=SWITCHING, acts=(THERE,)),
    "with a parent the annotation to be replaced is written down first": Situation(
        SWITCHING, {"kustomization__parent": "flux-system/flux-system"}, SWITCHING
    ),
    "with a parent the switch comes with the hold": Situation(
        SWITCHING,
        {"kustomization__parent": "flux-system/flux-system", "rollback__kept_annotations": {HOLD: ""}},
        SWITCHING,
        (HELD_THERE,),
    ),
    "an annotation changed since is written down anew": Situation(
        SWITCHING,
        {
            "kustomization__parent": "flux-system/flux-system",
            "kustomization__hold": {HOLD: "Merge"},
            "rollback__kept_annotations": {HOLD: ""},
        },
        SWITCHING,
    ),
    "a pin that is lost before the switch is made again": Situation(
        SWITCHING, {"seen__pin": None}, SWITCHING, (MAKE,)
    ),
    "before the switch a suspension cancels it": Situation(
        SWITCHING, {"kustomization__suspended": True, "seen__pin": None}, NONE, says=reasons.CANCELLED
    ),
    "before the switch a healthy revision cancels it": Situation(
        SWITCHING, {"kustomization__delivered": since("B", 95), "seen__pin": None}, NONE, says=reasons.CANCELLED
    ),
    "before the switch another path cancels it": Situation(
        SWITCHING, {"kustomization__path": "./elsewhere"}, SWITCHING, (DROP,), reasons.CANCELLED
    ),
    "a mark without the pin is a person's undo": Situation(
        SWITCHING, {"kustomization__hold": {MARK: sha("B")}}, RELEASING, says=reasons.UNDONE
    ),
    "another's mark is no undo": Situation(SWITCHING, {"kustomization__hold": {MARK: sha("C")}}, SWITCHING, (THERE,)),
    "a third source is respected": Situation(
        SWITCHING, {"kustomization__source": OTHER}, RELEASING, says=reasons.UNDONE
    ),
    "a Kustomization that is gone ends it": Situation(SWITCHING, {"seen__kustomization": None}, RELEASING),
    "another Kustomization of the same name ends it": Situation(
        SWITCHING, {"kustomization__uid": "another"}, RELEASING
    ),
    "switched and at work it waits": Situation(SWITCHING, arriving(), SWITCHING),
    "switched and Ready at the good one it is done": Situation(
        SWITCHING,
        {"seen__kustomization": standing("A", 97, source=PIN, hold={MARK: sha("B")})},
        ACTIVE,
        says=reasons.PERSISTENT_FAILURE,
    ),
    "switched and still Ready at the bad one it waits": Situation(
        SWITCHING, arriving(delivered=since("B", 80), failures=()), SWITCHING
    ),
    "one failure of the good revision is borne": Situation(
        SWITCHING, arriving(attempted=since("A", 96), failures=A_FAILS), SWITCHING
    ),
    "a good revision that fails often ends it": Situation(
        SWITCHING,
        arriving(attempted=since("A", 96), failures=A_FAILS * 3),
        FAILED,
        says=reasons.TARGET_FAILED,
    ),
    "a good revision that fails long ends it": Situation(
        SWITCHING,
        arriving(attempted=since("A", 96), failures=A_FAILS) | {"now": at(398)},
        FAILED,
        says=reasons.TARGET_FAILED,
    ),
    "failures of the bad revision do not count against the good one": Situation(
        SWITCHING, arriving() | {"now": at(5000)}, SWITCHING
    ),
    "a fix that arrives during the switch releases": Situation(
        SWITCHING, arriving() | {"seen__source": source("C", 99)}, RELEASING
    ),
    # Active
    "an active rollback does nothing": Situation(ACTIVE, to=ACTIVE, says=reasons.PERSISTENT_FAILURE),
    "a lost pin is made again": Situation(ACTIVE, {"seen__pin": None}, ACTIVE, (MAKE,)),
    "a new commit releases": Situation(ACTIVE, {"seen__source": source("C", 99)}, RELEASING, says=reasons.RELEASING),
    "a known bad commit does not release": Situation(
        ACTIVE, {"seen__source": source("C", 99), "memory__bad": (sha("B"), sha("C"))}, ACTIVE
    ),
    "the good commit as head releases": Situation(ACTIVE, {"seen__source": source("A", 99)}, RELEASING),
    "a new commit is held back by a person": Situation(
        ACTIVE,
        {"seen__source": source("C", 99), "contract__requests": Requests(hold="freeze", by="ann")},
        ACTIVE,
        says=reasons.HELD,
    ),
    "a source without artifact does not release": Situation(
        ACTIVE, {"seen__source": source("B", artifact=None)}, ACTIVE
    ),
    "a person's undo is respected": Situation(ACTIVE, {"kustomization__source": OWN}, RELEASING, says=reasons.UNDONE),
    "another source is respected": Situation(
        ACTIVE, {"kustomization__source": OTHER}, RELEASING, says=reasons.UNDONE
    ),
    "an active rollback of a Kustomization that is gone ends": Situation(
        ACTIVE, {"seen__kustomization": None}, RELEASING
    ),
    "an active rollback of another Kustomization ends": Situation(
        ACTIVE, {"kustomization__uid": "another"}, RELEASING
    ),
    "a person releases": Situation(
        ACTIVE, {"contract__requests": Requests(release=sha("B"), by="ann")}, RELEASING, says=reasons.RELEASING
    ),
    "a release of another revision releases nothing": Situation(
        ACTIVE, {"contract__requests": Requests(release=sha("A"))}, ACTIVE
    ),
    # Releasing
    "releasing switches back and removes the mark": Situation(RELEASING, to=RELEASING, acts=(BACK,)),
    "releasing gives back the annotation that was there": Situation(
        RELEASING,
        {"rollback__kept_annotations": {HOLD: "Merge"}},
        RELEASING,
        (SwitchSource(KUSTOMIZATION_UID, "7", OWN, {MARK: None, HOLD: "Merge"}),),
    ),
    "releasing removes the hold where there was none": Situation(
        RELEASING,
        {"rollback__kept_annotations": {HOLD: ""}},
        RELEASING,
        (SwitchSource(KUSTOMIZATION_UID, "7", OWN, {MARK: None, HOLD: None}),),
    ),
    "releasing keeps a source that a person chose": Situation(
        RELEASING,
        {"kustomization__source": OTHER},
        RELEASING,
        (SwitchSource(KUSTOMIZATION_UID, "7", OTHER, {MARK: None}),),
    ),
    "releasing then removes the pin": Situation(
        RELEASING, {"kustomization__source": OWN, "kustomization__hold": {}}, RELEASING, (DROP,)
    ),
    "releasing ends when nothing is left": Situation(
        RELEASING,
        {"kustomization__source": OWN, "kustomization__hold": {}, "seen__pin": None},
        NONE,
        (LET_GO,),
        reasons.RELEASED,
    ),
    "releasing without finalizer ends all the same": Situation(
        RELEASING,
        {"kustomization__source": OWN, "kustomization__hold": {}, "seen__pin": None, "contract__finalized": False},
        NONE,
    ),
    "releasing leaves a Kustomization that is being deleted": Situation(
        RELEASING, {"kustomization__deleting": True}, RELEASING, (DROP,)
    ),
    "releasing leaves another Kustomization of the same name": Situation(
        RELEASING, {"kustomization__uid": "another"}, RELEASING, (DROP,)
    ),
    "releasing needs no Kustomization": Situation(
        RELEASING, {"seen__kustomization": None, "seen__pin": None}, NONE, (LET_GO,)
    ),
    # Failed
    "a failed rollback waits for a person": Situation(FAILED, to=FAILED),
    "a failed rollback is released by a new commit": Situation(FAILED, {"seen__source": source("C", 99)}, RELEASING),
    "a failed rollback ends with its Kustomization": Situation(FAILED, {"seen__kustomization": None}, RELEASING),
    "a failed rollback of another Kustomization ends": Situation(
        FAILED, {"kustomization__uid": "another"}, RELEASING
    ),
    "an undo of a failed rollback is respected": Situation(
        FAILED, {"kustomization__source": OWN}, RELEASING, says=reasons.UNDONE
    ),
    "a rollback that failed before its act ends when the revision heals": Situation(
        FAILED,
        {"seen__kustomization": standing("B", 98), "seen__pin": None},
        NONE,
        says=reasons.CANCELLED,
    ),
}


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
        assert decision.memory.conditions["RolledBack"].reason == situation.says


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
    case = rolling_back(state, seen__fresh=False, contract__deleting=True)

    decision = case.decide()

    assert decision.memory.rollback == case.memory.rollback
    assert acts(case) == ()


@pytest.mark.parametrize("state", RollbackState)
def test_an_observing_operator_does_nothing_but_let_go(state: RollbackState) -> None:
    """Without the rights to act nothing can be given back; the deletion does not wait for it."""
    case = rolling_back(state, seen__acts=False)

    leaving = case.but(contract__deleting=True)

    assert acts(case) == ()
    assert acts(leaving) == (LET_GO,)


@pytest.mark.parametrize("state", [INTENDED, SWITCHING, ACTIVE, RELEASING])
def test_a_refusal_is_told(state: RollbackState) -> None:
    """While the API server refuses an act the condition says so, and does not claim that nothing is rolled back."""
    case = rolling_back(state, seen__refused="cannot change Kustomization: forbidden")

    told = case.decide().memory.conditions["RolledBack"]

    assert (told.reason, told.message) == (reasons.ACT_REFUSED, "cannot change Kustomization: forbidden")
    assert told.status == ("True" if state is ACTIVE else "False")


def test_an_act_never_comes_with_the_entry_into_its_state() -> None:
    """A pass that changes the state performs no act of the new one: it is written first."""
    entering = {name: s for name, s in SITUATIONS.items() if s.to is not None and s.to is not s.state}

    acting = [name for name, s in entering.items() if acts(rolling_back(s.state).but(**s.changes))]

    assert acting == []


def test_the_revision_is_remembered_as_bad_before_the_switch() -> None:
    """The state that switches is entered together with the memory that there is no second act."""
    case = rolling_back(INTENDED, seen__pin=pin())

    entered = case.decide().memory

    assert entered.bad == (sha("B"),)


def test_giving_up_forgets_that_the_revision_was_bad() -> None:
    """A revision that was not rolled back from may be rolled back later, when it still fails."""
    case = rolling_back(SWITCHING, kustomization__suspended=True, seen__pin=None)

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

    bad = rolling_back(INTENDED, seen__pin=pin(), memory__bad=many).decide().memory.bad

    assert len(bad) == 20
    assert bad[-1] == sha("B")
    assert many[0] not in bad


def test_the_way_back_is_measured_from_the_decision() -> None:
    """The rollback's own promise counts from the intent to Ready at the good revision."""
    ready = standing("A", 97, source=PIN, hold={MARK: sha("B")})
    case = rolling_back(SWITCHING, seen__kustomization=ready)

    told = case.decide().memory.judgement("Rollback")

    assert told is not None
    assert told.verdict == "Kept"
    assert told.measured == at(97) - at(90)


def test_what_was_given_up_is_not_judged() -> None:
    """A rollback that was cancelled leaves neither a broken promise nor an open one."""
    waiting = rolling_back(SWITCHING)
    begun = waiting.decide().memory

    memory = waiting.but(memory=begun, kustomization__suspended=True, seen__pin=None).decide().memory

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
    case = rolling_back(SWITCHING, seen__fresh=False, now=at(5000))

    told = case.decide().memory.judgement("Rollback")

    assert told is None


def test_a_failed_rollback_names_the_good_revision() -> None:
    """A person must know which revision to look at."""
    case = rolling_back(SWITCHING, **arriving(attempted=since("A", 96), failures=A_FAILS * 3))

    told = case.decide().memory.conditions["Ready"]

    assert told.reason == reasons.TARGET_FAILED
    assert told.message == f"{revision('A')} fails too: still not healthy"


def test_the_target_must_still_be_the_known_good_one() -> None:
    """If the memory of the good revision is lost, there is nothing to prove that the target is one."""
    case = rolling_back(INTENDED, memory__good=None)

    decision = case.decide()

    assert decision.memory.rollback is None
    assert rolling_back(INTENDED, memory__good=good(path="./elsewhere")).decide().memory.rollback is None


def acts(case: Case) -> tuple[Effect, ...]:
    """What a pass does to the cluster."""
    return tuple(effect for effect in case.decide().effects if not isinstance(effect, EmitEvent))
