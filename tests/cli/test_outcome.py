"""When waiting ends, and how."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciliation_contract.cli.client.errors import Exit
from reconciliation_contract.cli.commands import wait_goals
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Result, RollbackState
from tests.cli.objects import (
    BAD,
    FIX,
    GOOD,
    KEPT,
    OLD,
    condition,
    delivery,
    failing,
    healthy,
    judgement,
    past,
    rolled,
    view,
)

BROKEN = judgement(PromiseName.DETECTION, Verdict.BROKEN, "detected by Flux after 9m of 5m", 540)
UNKNOWN = judgement(PromiseName.DETECTION, Verdict.UNKNOWN, "nobody looked")
HANDLED = "mark"

HEALTHY: dict[str, tuple[Memory, str, Exit | None, str]] = {
    "kept": (healthy(), GOOD, Exit.DONE, "main@sha1:aa11aa11 is healthy"),
    "kept, by an abbreviation": (healthy(), GOOD[:7], Exit.DONE, "main@sha1:aa11aa11 is healthy"),
    "a promise that nobody could measure": (
        replace(healthy(), judgements=(UNKNOWN, KEPT[1])),
        GOOD,
        Exit.DONE,
        "main@sha1:aa11aa11 is healthy; Detection is not known: nobody looked",
    ),
    "healthy, but too late": (
        replace(healthy(), judgements=(BROKEN, KEPT[1])),
        GOOD,
        Exit.FAILED,
        "Detection of main@sha1:aa11aa11 is broken: detected by Flux after 9m of 5m",
    ),
    "under way": (failing(0), BAD, None, ""),
    "failing": (failing(2), BAD, None, ""),
    "applied, with a verdict to come": (replace(failing(), delivery=delivery(BAD)), BAD, None, ""),
    "a proposal": (
        rolled(RollbackState.PROPOSED),
        BAD,
        Exit.FAILED,
        "Reconciliation of main@sha1:bb22bb22 is broken",
    ),
    "a rollback on its way": (
        rolled(RollbackState.INTENDED),
        BAD,
        Exit.FAILED,
        "main@sha1:bb22bb22 is rolled back: HealthCheckFailed",
    ),
    "a rollback in force": (
        rolled(RollbackState.ACTIVE),
        BAD,
        Exit.FAILED,
        "main@sha1:bb22bb22 is rolled back: HealthCheckFailed",
    ),
    "a revision that has not come yet": (healthy(), FIX, None, ""),
    "a revision that was healthy": (healthy(), OLD, Exit.DONE, "main@sha1:dd44dd44 was healthy"),
    "a revision that was there before": (
        replace(healthy(), history=(past(OLD, Result.ADOPTED),)),
        OLD,
        Exit.DONE,
        "main@sha1:dd44dd44 was healthy",
    ),
    "a revision that broke a promise": (
        replace(healthy(), history=(past(OLD, Result.HEALTHY, broken=(PromiseName.DETECTION,)),)),
        OLD,
        Exit.FAILED,
        "main@sha1:dd44dd44 broke Detection",
    ),
    "a revision that was rolled back": (
        replace(healthy(), history=(past(OLD, Result.ROLLED_BACK),)),
        OLD,
        Exit.FAILED,
        "main@sha1:dd44dd44 was rolled back",
    ),
    "a revision that was overtaken": (
        replace(healthy(), history=(past(OLD, Result.SUPERSEDED),)),
        OLD,
        Exit.FAILED,
        "main@sha1:dd44dd44 was overtaken by a newer revision before it was healthy",
    ),
    "the newer of two deliveries of one revision": (
        replace(healthy(), history=(past(OLD, Result.HEALTHY), past(OLD, Result.ROLLED_BACK))),
        OLD,
        Exit.DONE,
        "main@sha1:dd44dd44 was healthy",
    ),
}


@pytest.mark.parametrize("case", HEALTHY)
def test_waiting_for_a_revision(case: str) -> None:
    """A commit is waited for until every promise about it is concluded: 0 kept, 1 broken or rolled back."""
    memory, hash_, code, message = HEALTHY[case]

    ended = wait_goals.healthy(hash_)(view(memory))

    assert (ended.code if ended else None) == code
    assert (ended.message if ended else "").startswith(message)


READY: dict[str, tuple[Memory, dict[str, Any], Exit | None]] = {
    "ready": (healthy(), {}, Exit.DONE),
    "a delivery is under way": (failing(0), {}, None),
    "not looked at yet": (Memory(), {}, None),
    "a spec that was changed just now": (healthy(), {"meta": {"generation": 2}}, None),
    "rolled back": (rolled(RollbackState.ACTIVE), {}, Exit.FAILED),
    "broken": (
        replace(healthy(), conditions={"Ready": condition("False", "PromiseBroken", "too late")}),
        {},
        Exit.FAILED,
    ),
    "held": (replace(healthy(), conditions={"Ready": condition("False", "Held", "audit")}), {}, Exit.FAILED),
    "something is missing": (
        replace(healthy(), conditions={"Ready": condition("False", "KustomizationNotFound", "create it")}),
        {},
        None,
    ),
    "a first delivery": (replace(healthy(), conditions={"Ready": condition("Unknown", "Waiting", "")}), {}, None),
}


@pytest.mark.parametrize("case", READY)
def test_waiting_for_readiness(case: str) -> None:
    """Ready ends it well, a broken promise or a rollback badly; what can still come is waited for."""
    memory, changes, code = READY[case]

    ended = wait_goals.ready(view(memory, **changes))

    assert (ended.code if ended else None) == code


ROLLED: dict[str, tuple[Memory, Exit | None, str]] = {
    "in force": (
        rolled(RollbackState.ACTIVE),
        Exit.DONE,
        "main@sha1:aa11aa11 runs instead of main@sha1:bb22bb22 after 2.5s",
    ),
    "on its way": (rolled(RollbackState.SWITCHING), None, ""),
    "intended": (rolled(RollbackState.INTENDED), None, ""),
    "failed": (rolled(RollbackState.FAILED), Exit.FAILED, "the rollback failed: timeout waiting for"),
    "ended by somebody": (rolled(RollbackState.RELEASING), Exit.FAILED, "the rollback ended: timeout waiting for"),
    "not begun": (failing(), None, ""),
}


@pytest.mark.parametrize("case", ROLLED)
def test_waiting_for_a_rollback(case: str) -> None:
    """A rollback is followed until it is in force or over."""
    memory, code, message = ROLLED[case]

    ended = wait_goals.rolled_back(BAD, HANDLED)(view(memory))

    assert (ended.code if ended else None) == code
    assert (ended.message if ended else "").startswith(message)


@pytest.mark.parametrize(
    ("memory", "said"), [(failing(), "no rollback is in force"), (rolled(RollbackState.PROPOSED), "runs")]
)
def test_a_request_that_is_not_taken_up_is_noticed(memory: Memory, said: str) -> None:
    """The operator has looked at the request, and no rollback has begun: it will not."""
    seen = view(replace(memory, handled_request=HANDLED))

    ended = wait_goals.rolled_back(BAD, HANDLED)(seen)

    assert ended
    assert ended.code is Exit.FAILED
    assert ended.message.startswith(f"it does not begin: {said}")


def test_the_rollback_of_another_revision_is_not_ours() -> None:
    """What happens to another revision says nothing about the one that was asked about."""
    assert wait_goals.rolled_back(OLD, HANDLED)(view(rolled(RollbackState.ACTIVE))) is None


@pytest.mark.parametrize(
    ("memory", "over"),
    [(rolled(RollbackState.ACTIVE), False), (rolled(RollbackState.RELEASING), False), (healthy(), True)],
)
def test_waiting_for_a_release(memory: Memory, over: bool) -> None:
    """A release is over when the rollback is."""
    assert bool(wait_goals.released(BAD)(view(memory))) is over


@pytest.mark.parametrize(("mark", "taken_up"), [(HANDLED, True), ("another", False)])
def test_waiting_for_the_operator(mark: str, taken_up: bool) -> None:
    """Only the mark of this very request tells that it was seen."""
    seen = view(replace(healthy(), handled_request=HANDLED))

    assert bool(wait_goals.handled(mark)(seen)) is taken_up


@pytest.mark.parametrize(
    ("memory", "line"),
    [
        (healthy(), "main@sha1:aa11aa11 is healthy"),
        (failing(2), "main@sha1:bb22bb22 fails (2): HealthCheckFailed: timeout waiting for"),
        (failing(0), "main@sha1:bb22bb22 is applied"),
        (rolled(RollbackState.SWITCHING), "Switching: runs main@sha1:"),
        (Memory(), "nothing is known yet"),
    ],
)
def test_the_way_there_is_told_in_a_line(memory: Memory, line: str) -> None:
    """Who waits sees what is going on."""
    assert wait_goals.progress(view(memory)).startswith(line)
