"""What happens next, and what a person can do: said for every way in which a contract can stand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciliation_contract.cli.commands.arguments import parser
from reconciliation_contract.cli.view.next_steps import advise
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from reconciliation_contract.core.rollback.guards import GUARDS
from reconciliation_contract.core.values import reasons
from tests.cli.objects import BAD, FIX, GOOD, NOW, OLD, condition, delivery, failing, healthy, objected, rolled, view
from tests.support.builders_status import Told

HOLD = {"reconciliation.dev/hold": "audit"}
PAUSED = {"reconciliation.dev/pause-until": "2026-11-23T14:10:00Z"}
ASKED = {"reconciliation.dev/rollback": f"{BAD}..{GOOD}"}

CASES: dict[str, tuple[Memory, dict[str, Any], str, list[str]]] = {
    "all is well": (healthy(), {}, "The next commit is awaited.", []),
    "nothing is delivered yet": (
        Told(observed_generation=1, conditions={"Ready": condition("Unknown", "Waiting", "waiting")}),
        {},
        "The first delivery is awaited.",
        [],
    ),
    "a delivery is under way": (
        replace(failing(), delivery=delivery(FIX, healthy=False)),
        {},
        "It is to be healthy by 12:15:00 UTC; later than that, the promise is broken.",
        [],
    ),
    "the Kustomization is missing": (
        Told(
            observed_generation=1,
            conditions={"Ready": condition("False", "KustomizationNotFound", "apps/shop does not exist; create it")},
        ),
        {},
        "It goes on by itself as soon as this is mended: apps/shop does not exist; create it.",
        [],
    ),
    "a first failure": (
        failing(1),
        {},
        "Flux tries again. After 2 more failed attempts, or at 2026-11-23 12:11:40 UTC (in 100s), it is rolled back to main@sha1:aa11aa11.",
        ["rollback shop --why TEXT", "pause shop --for 1h --why TEXT"],
    ),
    "a failure that would be proposed": (
        failing(2),
        {"spec": {"rollback": {"mode": "Manual"}}},
        "Flux tries again. After 1 more failed attempt, or at 2026-11-23 12:11:40 UTC (in 100s), a rollback is proposed to main@sha1:aa11aa11.",
        ["rollback shop --why TEXT", "pause shop --for 1h --why TEXT"],
    ),
    "a failure without a good revision": (
        replace(failing(1), good=None, history=()),
        {},
        "Flux tries again. No other revision has been healthy, so there is none to go back to.",
        [],
    ),
    "a failure with rollbacks disabled": (
        failing(1),
        {"spec": {"rollback": {"mode": "Disabled"}}},
        "Flux tries again. Rollbacks are disabled (spec.rollback.mode).",
        ["rollback shop --why TEXT"],
    ),
    "a failure during a pause": (
        failing(1),
        {"annotations": PAUSED},
        "Rollbacks are paused until 2026-11-23 14:10:00 UTC (in 2h).",
        ["resume shop", "rollback shop --why TEXT"],
    ),
    "a failure that was rolled back once": (
        replace(objected(reasons.ALREADY_ROLLED_BACK, "it was rolled back once already"), bad=(BAD,)),
        {},
        "It is not rolled back: it was rolled back once already.",
        [f"forget shop {BAD[:12]}"],
    ),
    "a failure that is about to be judged": (failing(3), {}, "The operator is about to decide on a rollback.", []),
    "a request that cannot begin": (
        objected(reasons.CANCELLED, "the rollback asked for cannot begin: the source is suspended"),
        {"annotations": ASKED},
        "the rollback asked for cannot begin: the source is suspended.",
        [],
    ),
    "a proposal": (
        rolled(RollbackState.PROPOSED),
        {},
        "It waits for a person's approval; a new commit withdraws the proposal.",
        ["approve shop", "release shop"],
    ),
    "a rollback on its way": (
        rolled(RollbackState.SWITCHING),
        {},
        "It goes back to main@sha1:aa11aa11, by 12:11:00 UTC as promised.",
        ["get shop --watch"],
    ),
    "a rollback in force": (
        rolled(RollbackState.ACTIVE),
        {},
        "The next commit that is not known to be bad ends the rollback.",
        ["hold shop --why TEXT", "release shop"],
    ),
    "a rollback that is held": (
        rolled(RollbackState.ACTIVE),
        {"annotations": HOLD},
        "It stays at main@sha1:aa11aa11, whatever is pushed.",
        ["unhold shop", "release shop"],
    ),
    "a rollback that ends": (
        rolled(RollbackState.RELEASING),
        {},
        "The Kustomization goes back to its own source.",
        [],
    ),
    "a rollback that failed": (
        rolled(RollbackState.FAILED),
        {},
        "Nothing more is done until a new commit arrives.",
        ["release shop"],
    ),
    "a suspended contract": (
        healthy(),
        {"spec": {"suspend": True}},
        "Nothing is judged or done while spec.suspend is true.",
        [],
    ),
    "a contract that is deleted": (
        healthy(),
        {"meta": {"deletionTimestamp": "2026-11-23T12:00:00Z"}},
        "The contract is being deleted; a rollback is released first.",
        [],
    ),
    "a spec that was changed just now": (
        healthy(),
        {"meta": {"generation": 2}},
        "The operator has not looked at this version of the contract yet.",
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_what_happens_next_is_said(case: str) -> None:
    """Each state has its sentence and the commands that change its course."""
    memory, changes, expected, commands = CASES[case]

    advice = advise(view(memory, **changes), NOW)

    assert advice.next == expected
    assert [option.command for option in advice.options if option.command] == commands


@pytest.mark.parametrize("case", CASES)
def test_what_is_advised_can_be_typed(case: str) -> None:
    """Every command is one that this program understands."""
    memory, changes, _, _ = CASES[case]

    for option in advise(view(memory, **changes), NOW).options:
        if option.command:
            parser("flux-contract").parse_args([*option.command.split(), "-n", "apps"])


@pytest.mark.parametrize("reason", sorted({reason for reason, _ in GUARDS} - {reasons.PAUSED}))
def test_every_objection_to_a_rollback_is_told(reason: str) -> None:
    """Whatever guard spoke against the rollback, its words are what a person reads."""
    advice = advise(view(objected(reason, "because of this")), NOW)

    assert advice.next == "It is not rolled back: because of this."
    assert advice.options[0].what == "push a fix"


def test_letting_a_held_commit_through_is_named_so() -> None:
    """With a newer commit waiting, a release does not go back to the bad one."""
    memory = replace(rolled(RollbackState.ACTIVE), delivery=delivery(FIX, healthy=False))

    options = advise(view(memory, annotations=HOLD), NOW).options

    assert options[-1].what == "let main@sha1:cc33cc33 through now"


def test_going_back_needs_somewhere_to_go() -> None:
    """Where every healthy revision is the present one, no rollback is advised."""
    memory = replace(objected(reasons.NOT_CURABLE, "no"), good=None, history=())

    commands = [option.command for option in advise(view(memory), NOW).options]

    assert commands == [""]
    assert OLD not in str(commands)
