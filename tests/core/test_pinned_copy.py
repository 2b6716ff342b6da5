"""The pinned copy: its name cannot be guessed, and what differs from what was decided is never taken for it."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.facts.observation import Artifact, Since
from reconciliation_contract.core.memory.effects import DeletePin, SwitchSource
from reconciliation_contract.core.memory.memory import Copy, RollbackState
from reconciliation_contract.core.rollback.pinned_copy import pin_of
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.values import reasons
from tests.support.builders import CONTRACT_UID, NAME, at, revision, sha
from tests.support.builders_core import CONTRACT, OWN, PIN, PIN_UID, TOKEN, Case, failing, pin, rolling_back, source

INTENDED, SWITCHING, ACTIVE = RollbackState.INTENDED, RollbackState.SWITCHING, RollbackState.ACTIVE
GOOD = f"sha256:{'0' * 64}"
DECIDED = Copy("same", PIN_UID, GOOD)
_LABEL = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?")


def served(digest: str, commit: str = "A") -> Since[Artifact]:
    """What a copy serves."""
    return Since(Artifact(revision(commit), sha(commit), at(95), digest), at(95), exact=True)


def exactly(state: RollbackState) -> Case:
    """A rollback whose copy is in everything as it was decided."""
    there = pin(content="same", generation=1, artifact=served(GOOD))
    case = rolling_back(state, seen__flux__pin=there, source__content="same", rollback__copy=DECIDED)
    return case.but(rollback__copy=Copy("same")) if state is INTENDED else case


BEFORE: dict[str, dict[str, Any]] = {
    "it says that it belongs to another contract": {"pin__contract_uid": "another"},
    "it says that it belongs to nobody": {"pin__contract_uid": ""},
    "it is the copy of another source": {"pin__original": "other"},
    "it names no source": {"pin__original": ""},
    "its spec has an include": {"pin__content": "with an include"},
    "its source has an include by now": {"source__content": "with an include", "pin__content": "with an include"},
    "its spec was changed and changed back": {"pin__generation": 3},
    "it is pinned to another commit": {"pin__ref": {"commit": sha("C")}},
    "it is pinned to nothing": {"pin__ref": {"branch": "main"}},
    "it has a tag beside the commit": {"pin__ref": {"commit": sha("A"), "tag": "v1"}},
    "another object has its name": {"seen__flux__pin": None, "seen__flux__claimed": True},
}
"""How what bears the copy's name can differ when it was just made."""
SINCE: dict[str, dict[str, Any]] = {
    "another object of the same name": {"pin__uid": "another"},
    "other bytes of the same revision": {"pin__artifact": served("sha256:evil")},
}
"""How it can differ from what was noted about it."""
IN_FORCE: dict[str, dict[str, Any]] = SINCE | {
    "its spec was changed": {"pin__content": "with an include"},
    "its ref was changed": {"pin__ref": {"commit": sha("C")}},
    "it serves another commit": {"pin__artifact": served(GOOD, "C")},
    "it is gone and another object has its name": {"seen__flux__pin": None, "seen__flux__claimed": True},
    "Flux has tried another revision": {"kustomization__attempted": Since(sha("C"), at(98), exact=True)},
    "Flux has applied another revision": {"kustomization__applied": Since(sha("C"), at(98), exact=True)},
    "the Kustomization's own spec was changed": {"rollback__spec": "then", "kustomization__spec": "now"},
}
"""How what Flux runs can differ while a rollback is in force."""


@pytest.mark.parametrize("state", [INTENDED, SWITCHING])
def test_a_copy_as_it_was_decided_leads_on(state: RollbackState) -> None:
    """The cases below differ from this in one thing each."""
    decision = exactly(state).decide()

    undo = decision.memory.rollback
    assert undo is not None
    assert undo.state is SWITCHING
    assert undo.copy == DECIDED
    switches = [effect for effect in decision.effects if isinstance(effect, SwitchSource)]
    assert [(act.source, act.hash, act.copy) for act in switches] == [(PIN, sha("A"), DECIDED)] * (state is SWITCHING)


@pytest.mark.parametrize("name", BEFORE)
def test_a_copy_that_differs_when_it_is_found_leads_nowhere(name: str) -> None:
    """Made beforehand, or by somebody who says that he is the operator: it is none."""
    assert_refused(exactly(INTENDED).but(**BEFORE[name]), name)


@pytest.mark.parametrize("name", BEFORE | SINCE)
def test_a_copy_that_differs_is_never_switched_to(name: str) -> None:
    """Whatever differs: no switch, and the contract says so, or decides anew where its source is another by now."""
    assert_refused(exactly(SWITCHING).but(**(BEFORE | SINCE)[name]), name)


def assert_refused(case: Case, name: str) -> None:
    """Nothing is switched, and the reason is told."""
    decision = case.decide()

    told, undo = decision.conditions["RolledBack"], decision.memory.rollback
    assert not any(isinstance(effect, SwitchSource) for effect in decision.effects)
    assert told.reason == (reasons.CANCELLED if name.startswith("its source") else reasons.COPY_DIFFERS)
    if told.reason == reasons.COPY_DIFFERS:
        assert undo is not None
        assert undo.state is RollbackState.FAILED
        assert f"GitRepository apps/{PIN.name} is not the pinned copy" in told.message
        assert decision.conditions["Ready"].reason == reasons.COPY_DIFFERS


@pytest.mark.parametrize("name", IN_FORCE)
def test_a_rollback_in_force_says_where_flux_runs_something_else(name: str) -> None:
    """It does not say that the good revision runs, and people are told by an incident that only they can end."""
    case = exactly(ACTIVE).but(**IN_FORCE[name])

    decision = case.decide()
    memory = decision.memory
    later = case.but(memory=memory, now=at(500)).decide().memory

    told = decision.conditions["RolledBack"]
    assert (told.status, told.reason) == ("True", reasons.COPY_DIFFERS)
    assert "runs main@" not in told.message
    assert memory.rollback == case.memory.rollback
    (incident,) = [found for found in later.incidents if found.key == "Rollback"]
    assert (incident.reason, incident.severity) == (reasons.COPY_DIFFERS, Severity.CRITICAL)
    assert incident.count > 0


def test_a_rollback_in_force_that_is_right_says_so() -> None:
    """What the cases above differ from."""
    decision = exactly(ACTIVE).decide()

    assert decision.conditions["RolledBack"].reason == reasons.PERSISTENT_FAILURE
    assert not [found for found in decision.memory.incidents if found.key == "Rollback"]


def test_a_copy_that_was_put_right_ends_its_incident() -> None:
    """Nothing needs to be released where only the copy had been touched."""
    wrong = exactly(ACTIVE).but(pin__content="with an include")
    memory = wrong.decide().memory

    right = exactly(ACTIVE).but(memory=memory, now=at(200)).decide()

    assert right.conditions["RolledBack"].reason == reasons.PERSISTENT_FAILURE


@pytest.mark.parametrize("state", [SWITCHING, ACTIVE])
def test_a_copy_that_was_lost_is_made_anew_and_looked_at_anew(state: RollbackState) -> None:
    """From the decision to switch on it keeps its name, which the Kustomization may have already."""
    lost = exactly(state).but(seen__flux__pin=None, seen__operator__token="f" * 16)

    undo = lost.decide().memory.rollback

    assert undo is not None
    assert undo.state is state
    assert (undo.copy.uid, undo.copy.content) == ("", "same")
    assert undo.pin == PIN


def test_a_copy_made_anew_in_force_is_noted_only_if_it_is_right() -> None:
    """Whoever removed it may have put another in its place."""
    case = exactly(ACTIVE).but(rollback__copy=Copy("same", "", GOOD))

    right, wrong = case.decide(), case.but(pin__content="with an include").decide()

    assert right.memory.rollback is not None
    assert wrong.memory.rollback is not None
    assert right.memory.rollback.copy == DECIDED
    assert wrong.memory.rollback.copy.uid == ""
    assert wrong.conditions["RolledBack"].reason == reasons.COPY_DIFFERS


def test_a_rollback_of_an_earlier_version_is_noted_as_it_is_found() -> None:
    """Its status names neither the object nor what it serves, and its name is of another form."""
    old = replace(PIN, name="shop-1a2b3c-0000000")
    case = exactly(ACTIVE).but(
        rollback__copy=Copy(), rollback__pin=old, kustomization__source=old, pin__name=old.name
    )

    memory = case.decide().memory
    ending = case.but(memory=memory, contract__deleting=True).decide().memory
    back = case.but(memory=ending, contract__deleting=True).but(kustomization__source=OWN, kustomization__hold={})

    assert memory.rollback is not None
    assert memory.rollback.copy == DECIDED
    assert DeletePin(old, CONTRACT_UID) in back.decide().effects


def test_a_person_who_removes_what_was_not_ours_lets_the_rollback_go_on() -> None:
    """Under another name."""
    claimed = exactly(INTENDED).but(seen__flux__pin=None, seen__flux__claimed=True)
    failed = claimed.decide().memory

    undo = (
        claimed.but(memory=failed, seen__flux__claimed=False, seen__operator__token="f" * 16).decide().memory.rollback
    )

    assert undo is not None
    assert undo.state is INTENDED
    assert undo.pin.name == f"shop-{sha('A')[:7]}-{'f' * 16}"


def test_what_was_noted_of_it_is_read_back_whole() -> None:
    """A digest that is cut short would be another."""
    digest = f"sha512:{'0' * 128}"
    memory = exactly(ACTIVE).but(rollback__copy=Copy("f" * 32, "12345678-" * 4, digest)).memory

    read = parse_memory(render_status(memory, None, {}))

    assert read.rollback is not None
    assert memory.rollback is not None
    assert read.rollback.copy == memory.rollback.copy


# Its name --------------------------------------------------------------------------------------------------------


def test_the_name_is_drawn_once_and_kept() -> None:
    """Each intent has a name that no other has; the passes after it do not draw again."""
    first = failing().but(seen__operator__token="a" * 16)
    decided = first.decide().memory
    other = failing().but(seen__operator__token="b" * 16).decide().memory

    again = first.but(memory=decided, seen__operator__token="c" * 16).decide()

    assert decided.rollback is not None
    assert other.rollback is not None
    assert again.memory.rollback == decided.rollback
    assert decided.rollback.pin.name == f"{NAME}-{sha('A')[:7]}-{'a' * 16}"
    assert decided.rollback.pin != other.rollback.pin


@given(st.from_regex(r"[a-z0-9]([a-z0-9.-]{0,250}[a-z0-9])?", fullmatch=True), st.integers(0, 2**64 - 1))
def test_the_name_is_valid_for_every_contract(name: str, token: int) -> None:
    """A DNS subdomain that also fits into a label, however long and dotted the contract's own name is."""
    pinned = pin_of(replace(CONTRACT, name=name), OWN, sha("A"), f"{token:016x}").name

    assert len(pinned) <= 63
    assert pinned.endswith(f"-{sha('A')[:7]}-{token:016x}")


def test_the_builder_of_these_tests_is_named_alike() -> None:
    """What stands for the copy elsewhere is named by the same rule."""
    assert PIN.name.endswith(TOKEN)
    assert _LABEL.fullmatch(PIN.name)
    assert source().content == ""
