"""What a rollback leaves behind where it cannot be taken back: told with the mend, and the contract goes."""

from __future__ import annotations

import json
import shlex
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.core.memory.effects import AllowDeletion, Effect, EmitEvent, TellLeft
from reconciliation_contract.core.memory.memory import RollbackState
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.timing import TIMING
from tests.support.builders import sha
from tests.support.builders_core import HOLD, MARK, OWN, PIN, Case, pin, rolling_back

LATE: dict[str, Any] = {
    "contract__deleting": True,
    "seen__operator__failed_for": TIMING.deletion_patience,
    "seen__operator__refused": "forbidden",
}


def leaving(state: RollbackState = RollbackState.RELEASING, **changes: Any) -> Case:
    """A contract that is being deleted during its rollback, whose acts have failed for too long."""
    return rolling_back(state, **(LATE | changes))


def acts(case: Case) -> list[Effect]:
    """What a pass does, but for events."""
    return [effect for effect in case.decide().effects if not isinstance(effect, EmitEvent)]


def told(case: Case) -> str:
    """What is said to be left behind."""
    return next(act.message for act in acts(case) if isinstance(act, TellLeft))


@pytest.mark.parametrize("state", RollbackState)
def test_a_contract_goes_although_its_rollback_cannot_be_taken_back(state: RollbackState) -> None:
    """In every state a deletion ends, and what is left is told before."""
    case = leaving(state)

    decision = case.decide()

    assert decision.memory.rollback is None
    assert acts(case)[-1] == AllowDeletion()
    left = any(isinstance(act, TellLeft) for act in acts(case))
    assert (decision.conditions["RolledBack"].reason == reasons.LEFT_BEHIND) == left
    assert left == (case.seen.flux.pin is not None)


def test_what_is_left_is_told_with_the_commands_that_remove_it() -> None:
    """Both the Kustomization and the copy are named, with what was there before."""
    case = leaving(rollback__kept_annotations={HOLD: "Merge"})

    patch = f'{{"metadata":{{"annotations":{{"{MARK}":null,"{HOLD}":"Merge"}}}},"spec":{{"sourceRef":{{"name":"{OWN.name}"}}}}}}'
    assert f"kubectl -n apps patch kustomization shop --type=merge -p '{patch}'" in told(case)
    assert f"kubectl -n apps delete gitrepository {PIN.name}" in told(case)
    assert "(forbidden)" in told(case)


def test_a_command_to_copy_is_one_command() -> None:
    """What was remembered of others stays an argument, whatever stands in it."""
    evil = "x'; touch /tmp/owned; '"
    case = leaving(rollback__kept_annotations={HOLD: evil})

    command = told(case).partition("run: ")[2].partition("; kubectl -n apps delete")[0]
    words = shlex.split(command)

    assert words[:7] == ["kubectl", "-n", "apps", "patch", "kustomization", "shop", "--type=merge"]
    assert json.loads(words[8])["metadata"]["annotations"][HOLD] == evil
    assert len(words) == 9


def test_only_what_is_left_is_told() -> None:
    """A Kustomization that was given back already is not named."""
    case = leaving(kustomization__source=OWN, kustomization__hold={})

    assert "patch kustomization" not in told(case)
    assert PIN.name in told(case)


def test_nothing_left_is_nothing_told() -> None:
    """A contract without anything to give back just goes."""
    case = leaving(kustomization__source=OWN, kustomization__hold={}, seen__flux__pin=None)

    assert acts(case) == [AllowDeletion()]


def test_a_stray_copy_that_cannot_be_removed_is_told() -> None:
    """Without a rollback in force a copy can be left over as well."""
    case = leaving(
        memory__rollback=None, seen__flux__pin=None, seen__flux__strays=(pin(),), kustomization__source=OWN
    )

    assert PIN.name in told(case)


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param(
            {"seen__operator__failed_for": TIMING.deletion_patience / 2}, id="it has failed for a short time"
        ),
        pytest.param({"seen__operator__failed_for": timedelta(0)}, id="it has not failed, or not just now"),
        pytest.param({"contract__deleting": False}, id="nobody waits for the end"),
        pytest.param({"seen__operator__fresh": False}, id="nothing is seen"),
    ],
)
def test_it_is_not_given_up_lightly(changes: dict[str, Any]) -> None:
    """Only acts that fail again and again while somebody waits are given up."""
    assert AllowDeletion() not in acts(leaving(**changes))


def test_the_revision_stays_bad() -> None:
    """A failed release forgets nothing."""
    assert leaving().decide().memory.bad == (sha("B"),)
