"""The conditions: each row of the ladder of Ready, and what the others say."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.core import conditions
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.facts.attention import attention
from reconciliation_contract.core.facts.observation import (
    Condition,
    FluxFacts,
    Kustomization,
    Observation,
    OperatorFacts,
)
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.effects import AllowDeletion
from reconciliation_contract.core.memory.memory import Memory, Past, Result, RollbackState, Standing, Transition
from reconciliation_contract.core.memory.timeline import Stages
from reconciliation_contract.core.rollback.report import Step, remembered
from reconciliation_contract.core.spec.contract import InvalidContract
from reconciliation_contract.core.values import reasons
from tests.support.builders import at, brief, revision, sha
from tests.support.builders_core import (
    CONTRACT,
    OWN,
    delivery,
    kustomization,
    moment,
    rolling_back,
    source,
    standing,
)

MINUTE = timedelta(minutes=1)
KEPT = Judgement(PromiseName.RECONCILIATION, Verdict.KEPT, MINUTE, reasons.WITHIN_BUDGET, "healthy after 9s of 1m")
BROKEN = replace(KEPT, verdict=Verdict.BROKEN, reason=reasons.BUDGET_EXCEEDED, message="not healthy within 1m")
OPEN = replace(KEPT, verdict=Verdict.PENDING, reason=reasons.IN_PROGRESS, message="to be healthy by noon")
UNSEEN = replace(KEPT, verdict=Verdict.UNKNOWN, reason=reasons.UNOBSERVED, message="nobody looked")
BLIND = Judgement(PromiseName.DETECTION, Verdict.UNKNOWN, MINUTE, reasons.UNMEASURED, "access denied")
FINISHED = delivery(failures=None)


def past(result: Result, *broken: str, commit: str = "A") -> Past:
    return Past(revision(commit), sha(commit), result, at(-60), broken=broken)


def told(
    memory: Memory, seen: Observation | None = None, standing_: Standing | None = None, **contract: Any
) -> dict[str, Condition]:
    """Derive the conditions from a memory and facts."""
    facts = seen or Observation(flux=FluxFacts(kustomization=standing("B"), source=source("B")))
    declared = replace(CONTRACT, **contract)
    memory = replace(memory, standing=remembered(Step(memory, standing=standing_)))
    return dict(conditions.derive(declared, memory, facts, attention(declared, facts), at(100)))


def under_way(*history: Past) -> Memory:
    return Memory(delivery=FINISHED, judgements=(OPEN,), history=history)


HERE = Observation(flux=FluxFacts(kustomization=standing("B"), source=source("B")))
DONE = Memory(delivery=FINISHED, judgements=(KEPT,))
OTHER = replace(OWN, kind="ExternalArtifact")
ACTIVE = Standing(True, reasons.PERSISTENT_FAILURE, "runs A instead of B")
LADDER: dict[str, tuple[Memory, Observation, Standing | None, str, str]] = {
    "the watches are dead": (
        DONE,
        replace(HERE, operator=replace(HERE.operator, fresh=False)),
        None,
        "Unknown",
        reasons.STALE,
    ),
    "Flux is not installed": (
        DONE,
        replace(HERE, flux=replace(HERE.flux, installed=False)),
        None,
        "False",
        reasons.FLUX_MISSING,
    ),
    "there is no Kustomization": (DONE, Observation(), None, "False", reasons.KUSTOMIZATION_MISSING),
    "the source is of another kind": (
        DONE,
        replace(HERE, flux=replace(HERE.flux, kustomization=standing("B", source=OTHER))),
        None,
        "False",
        reasons.SOURCE_UNSUPPORTED,
    ),
    "there is no source": (
        DONE,
        replace(HERE, flux=replace(HERE.flux, source=None)),
        None,
        "False",
        reasons.SOURCE_MISSING,
    ),
    "a rollback is in force": (DONE, HERE, ACTIVE, "False", reasons.PERSISTENT_FAILURE),
    "a rollback is under way": (DONE, HERE, Standing(False, reasons.ROLLING_BACK, ""), "False", reasons.ROLLING_BACK),
    "a rollback failed": (DONE, HERE, Standing(False, reasons.TARGET_FAILED, ""), "False", reasons.TARGET_FAILED),
    "a proposal leaves it to the promises": (
        DONE,
        HERE,
        Standing(False, reasons.AWAITING_APPROVAL, ""),
        "True",
        reasons.PROMISES_KEPT,
    ),
    "nothing is delivered, and the source fails": (
        Memory(),
        replace(
            HERE,
            flux=replace(
                HERE.flux, source=source("B", artifact=None, ready=Condition("False", "GitOperationFailed", "denied"))
            ),
        ),
        None,
        "False",
        reasons.SOURCE_WITHOUT_ARTIFACT,
    ),
    "nothing is delivered yet": (
        Memory(),
        replace(HERE, flux=replace(HERE.flux, source=source("B", artifact=None))),
        None,
        "Unknown",
        reasons.SOURCE_WITHOUT_ARTIFACT,
    ),
    "a promise was broken": (
        replace(DONE, judgements=(KEPT, BROKEN)),
        HERE,
        None,
        "False",
        reasons.PROMISE_BROKEN,
    ),
    "a broken promise outweighs an open one": (
        replace(DONE, judgements=(OPEN, BROKEN)),
        HERE,
        None,
        "False",
        reasons.PROMISE_BROKEN,
    ),
    "the first delivery is under way": (under_way(), HERE, None, "Unknown", reasons.WAITING),
    "under way, the last one kept": (under_way(past(Result.HEALTHY)), HERE, None, "True", reasons.PROMISES_KEPT),
    "under way, the last one adopted": (under_way(past(Result.ADOPTED)), HERE, None, "True", reasons.PROMISES_KEPT),
    "under way, the last one broken": (
        under_way(past(Result.HEALTHY, "Detection")),
        HERE,
        None,
        "False",
        reasons.PROMISE_BROKEN,
    ),
    "under way, the last one rolled back": (
        under_way(past(Result.ROLLED_BACK)),
        HERE,
        None,
        "False",
        reasons.PROMISE_BROKEN,
    ),
    "under way, the last one superseded, the one before kept": (
        under_way(past(Result.SUPERSEDED), past(Result.HEALTHY)),
        HERE,
        None,
        "True",
        reasons.PROMISES_KEPT,
    ),
    "under way, the last one superseded, the one before broken": (
        under_way(past(Result.SUPERSEDED), past(Result.ROLLED_BACK)),
        HERE,
        None,
        "False",
        reasons.PROMISE_BROKEN,
    ),
    "under way, the last one superseded after it broke": (
        under_way(past(Result.SUPERSEDED, "Detection"), past(Result.HEALTHY)),
        HERE,
        None,
        "False",
        reasons.PROMISE_BROKEN,
    ),
    "under way, only superseded ones before": (
        under_way(past(Result.SUPERSEDED)),
        HERE,
        None,
        "Unknown",
        reasons.WAITING,
    ),
    "adopted": (
        Memory(delivery=replace(FINISHED, adopted=True), judgements=(UNSEEN,)),
        HERE,
        None,
        "True",
        reasons.ADOPTED,
    ),
    "all kept": (DONE, HERE, None, "True", reasons.PROMISES_KEPT),
    "kept, but detection not measured": (
        replace(DONE, judgements=(BLIND, KEPT)),
        HERE,
        None,
        "True",
        reasons.PARTLY_MEASURED,
    ),
    "reconciliation not measured": (replace(DONE, judgements=(UNSEEN,)), HERE, None, "Unknown", reasons.UNOBSERVED),
    "nothing measured, and not healthy": (
        replace(DONE, judgements=(BLIND, UNSEEN)),
        HERE,
        None,
        "Unknown",
        reasons.UNOBSERVED,
    ),
    "reconciliation not measured, but healthy": (
        replace(DONE, judgements=(UNSEEN,), delivery=replace(FINISHED, stages=Stages(healthy=moment(9)))),
        HERE,
        None,
        "True",
        reasons.PARTLY_MEASURED,
    ),
}


@pytest.mark.parametrize("row", LADDER)
def test_the_ladder_of_ready(row: str) -> None:
    """Each row decides where the ones above it do not."""
    memory, seen, said, status, reason = LADDER[row]

    ready = told(memory, seen, said)["Ready"]

    assert (ready.status, ready.reason) == (status, reason)


def test_a_suspended_contract_says_nothing_else() -> None:
    """Suspended comes before everything."""
    ready = told(
        replace(DONE, judgements=(BROKEN,)), Observation(operator=OperatorFacts(fresh=False)), suspended=True
    )["Ready"]

    assert (ready.status, ready.reason) == ("Unknown", reasons.SUSPENDED)


# Detected, Healthy and RolledBack -------------------------------------------------------------------------------------


def test_a_commit_that_flux_has_not_is_told() -> None:
    """What Git has and the source has not is the first thing that can go wrong."""
    waiting = delivery(stages=replace(FINISHED.stages, detected=None), failures=None)

    found = told(Memory(delivery=waiting, judgements=(OPEN,)))["Detected"]

    assert (found.status, found.reason) == ("False", reasons.NOT_DETECTED)
    assert brief("B") in found.message


HEALTH: dict[str, tuple[Memory, Kustomization | None, str, str]] = {
    "nothing is delivered": (Memory(), standing("B"), "Unknown", reasons.WAITING),
    "no Kustomization": (DONE, None, "Unknown", reasons.KUSTOMIZATION_MISSING),
    "suspended": (DONE, standing("B", suspended=True), "Unknown", reasons.SUSPENDED),
    "healthy": (DONE, standing("B"), "True", reasons.HEALTHY),
    "merely applied": (DONE, standing("B", checks_health=False), "True", reasons.APPLIED),
    "healthy at another revision": (DONE, standing("A"), "Unknown", reasons.PROGRESSING),
    "failing": (Memory(delivery=delivery()), kustomization(), "False", reasons.FAILING),
    "failing, at work on the next attempt": (
        Memory(delivery=delivery()),
        kustomization(ready=Condition("Unknown", "Progressing", "")),
        "False",
        reasons.FAILING,
    ),
    "failing before any attempt": (
        DONE,
        standing("A", delivered=None, ready=Condition("False", "DependencyNotReady", "apps/db")),
        "False",
        reasons.FAILING,
    ),
    "at work": (DONE, standing("A", delivered=None, ready=Condition()), "Unknown", reasons.PROGRESSING),
}


@pytest.mark.parametrize("name", HEALTH)
def test_how_the_cluster_stands(name: str) -> None:
    """Healthy is about now, whatever was promised."""
    memory, found, status, reason = HEALTH[name]

    healthy = told(memory, Observation(flux=FluxFacts(kustomization=found, source=source("B"))))["Healthy"]

    assert (healthy.status, healthy.reason) == (status, reason)


def test_while_rolled_back_healthy_names_the_bad_revision() -> None:
    """Flux says Ready for the old revision; we do not, and not of a fix that is still on its way."""
    case = rolling_back(RollbackState.ACTIVE, memory__delivery=delivery("C", failures=None))

    healthy = told(case.memory, case.seen)["Healthy"]

    assert (healthy.status, healthy.reason) == ("False", reasons.ROLLED_BACK)
    assert healthy.message == f"{brief('B')} never became healthy"


STANDINGS: dict[str, tuple[Memory, Standing | None, str]] = {
    "the first time": (Memory(), None, reasons.RECOVERED),
    "something to say": (Memory(), Standing(False, reasons.NOT_CURABLE, "grant it"), reasons.NOT_CURABLE),
    "nothing new, still failing": (Memory(delivery=delivery()), None, reasons.NOT_CURABLE),
    "nothing new, no longer failing": (DONE, None, reasons.RECOVERED),
}


@pytest.mark.parametrize("name", STANDINGS)
def test_what_is_said_of_the_rollback(name: str) -> None:
    """An objection is dropped when its failure is over, and kept until then."""
    memory, said, reason = STANDINGS[name]
    known = Standing(False, reasons.NOT_CURABLE, "grant it") if name.startswith("nothing") else None

    found = told(replace(memory, standing=known), standing_=said)["RolledBack"]

    assert found.reason == reason


@pytest.mark.parametrize("ended", [reasons.RELEASED, reasons.UNDONE, reasons.CANCELLED])
def test_how_a_rollback_ended_stays_told(ended: str) -> None:
    """Who looks later still sees how it came out."""
    memory = replace(DONE, standing=Standing(False, ended, "so it ended"))

    assert told(memory)["RolledBack"].message == "so it ended"


# Form -----------------------------------------------------------------------------------------------------------------


def test_a_transition_time_moves_only_with_its_status() -> None:
    """Another reason or message is no transition."""
    same, other = Transition("True", at(1)), Transition("False", at(1))

    times = [told(replace(DONE, transitions={"Ready": known}))["Ready"].transitioned_at for known in (same, other)]

    assert times == [at(1), at(100)]


def test_a_condition_without_a_time_gets_one() -> None:
    """A status that somebody tampered with is mended."""
    assert told(DONE)["Ready"].transitioned_at == at(100)


@pytest.mark.parametrize("text", ["x" * 5000, "line\n" * 200, "https://ann:s3cret@example.com/" * 50])
def test_messages_are_bounded_and_hold_no_secret(text: str) -> None:
    """Whatever Flux or Git say, a message is one line of at most 300 characters without passwords."""
    failures = replace(delivery().failures or FINISHED.failures, message=text)  # type: ignore[type-var]

    found = told(
        Memory(delivery=delivery(failures=failures)),
        Observation(flux=FluxFacts(kustomization=kustomization(), source=source())),
    )

    assert all(len(c.message) <= 300 and "\n" not in c.message for c in found.values())
    assert all("s3cret" not in c.message for c in found.values())


INVALID = InvalidContract("apps", "shop", "uid", 7, "spec.promises.detection is not a duration")


def test_a_contract_that_makes_no_sense_is_stalled() -> None:
    """Its author is told, and only he can help: Stalled stays until a new generation."""
    decision = evaluate(INVALID, Memory(delivery=delivery()), Observation(), at(0))

    found = decision.conditions
    assert {name: c.status for name, c in found.items()} == {"Ready": "False", "Stalled": "True"}
    assert found["Stalled"].message == INVALID.problem
    assert decision.memory.observed_generation == 7
    assert decision.memory.delivery == delivery()


def test_an_invalid_contract_can_be_deleted() -> None:
    """Our finalizer never keeps what cannot be understood."""
    leaving = replace(INVALID, deleting=True, finalized=True)

    effects = [
        evaluate(c, Memory(), Observation(), at(0)).effects for c in (leaving, replace(leaving, finalized=False))
    ]

    assert effects == [(AllowDeletion(),), ()]


def test_a_mended_contract_is_no_longer_stalled() -> None:
    """The condition goes away altogether."""
    memory = evaluate(INVALID, Memory(), Observation(), at(0)).memory

    assert "Stalled" not in told(memory)
