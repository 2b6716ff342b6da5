"""Whether what a command waits for has come: pure predicates over one contract."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from reconciliation_contract.cli.client.errors import Exit
from reconciliation_contract.cli.view.contract_view import View, short
from reconciliation_contract.core.memory.budget import Verdict
from reconciliation_contract.core.memory.memory import Past, Result, Rollback, RollbackState
from reconciliation_contract.core.memory.timeline import STAGES, Delivery
from reconciliation_contract.core.spec.requests import names
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken


@dataclass(frozen=True, slots=True)
class Outcome:
    """How waiting ended."""

    code: Exit
    message: str


Goal = Callable[[View], Outcome | None]
"""Says how it ended; None while it has not."""

_UNDER_WAY: frozenset[str] = frozenset({reasons.ROLLING_BACK, reasons.PERSISTENT_FAILURE, reasons.REQUESTED})


# Waiting for a delivery --------------------------------------------------------------------------------------------


def ready(view: View) -> Outcome | None:
    """Wait until Ready says True and nothing is under way; a broken promise or a rollback ends it too."""
    said = view.condition("Ready")
    if not view.seen or (said.status == "True" and not all(one.concluded for one in view.memory.judgements)):
        return None
    if said.status == "True":
        return Outcome(Exit.DONE, f"ready: {said.message}")
    undone = said.reason in (
        reasons.PROMISE_BROKEN,
        reasons.TARGET_FAILED,
        reasons.TARGET_UNREACHABLE,
        reasons.HELD,
        *_UNDER_WAY,
    )
    return Outcome(Exit.FAILED, f"{said.reason}: {said.message}") if said.status == "False" and undone else None


def healthy(hash_: str) -> Goal:
    """Wait for one revision, named by its (abbreviated) hash: its promises kept or broken, or it rolled back."""

    def ended(view: View) -> Outcome | None:
        delivery, undo = view.memory.delivery, view.memory.rollback
        if delivery is not None and names(hash_, delivery.hash):
            if undo is not None and undo.bad.hash == delivery.hash and undo.state is not RollbackState.PROPOSED:
                return Outcome(Exit.FAILED, f"{short(delivery.revision)} is rolled back: {undo.reason}")
            return _judged(view, delivery)
        past = next((past for past in view.memory.history if names(hash_, past.hash)), None)
        return _finished(past) if past else None

    return ended


def _judged(view: View, delivery: Delivery) -> Outcome | None:
    judgements, name = view.memory.judgements, short(delivery.revision)
    broken = next((one for one in judgements if one.verdict is Verdict.BROKEN), None)
    if broken is not None:
        return Outcome(Exit.FAILED, f"{broken.promise} of {name} is broken: {broken.message}")
    if delivery.stages.healthy is None or not all(one.concluded for one in judgements):
        return None
    unknown = next((one for one in judgements if one.verdict is Verdict.UNKNOWN and not one.left_out), None)
    note = f"; {unknown.promise} is not known: {unknown.message}" if unknown else ""
    return Outcome(Exit.DONE, f"{name} is healthy{note}")


def _finished(past: Past) -> Outcome:
    name = short(past.revision)
    if past.broken:
        return Outcome(Exit.FAILED, f"{name} broke {', '.join(past.broken)}")
    match past.result:
        case Result.HEALTHY | Result.ADOPTED:
            return Outcome(Exit.DONE, f"{name} was healthy")
        case Result.ROLLED_BACK:
            return Outcome(Exit.FAILED, f"{name} was rolled back")
        case Result.SUPERSEDED:
            return Outcome(Exit.FAILED, f"{name} was overtaken by a newer revision before it was healthy")


# Waiting for what was asked ----------------------------------------------------------------------------------------


def handled(mark: str) -> Goal:
    """Wait until the operator has looked at the contract with everything that was written with this mark."""

    def ended(view: View) -> Outcome | None:
        return Outcome(Exit.DONE, "") if view.handled == mark else None

    return ended


def rolled_back(bad: str, mark: str) -> Goal:
    """Wait until the rollback from this revision is in force, has failed, or turns out not to begin."""

    def ended(view: View) -> Outcome | None:
        undo = view.memory.rollback
        if undo is None or undo.bad.hash != bad:
            said = view.condition("RolledBack")
            refused = Outcome(Exit.FAILED, f"it does not begin: {said.message or said.reason or 'no reason given'}")
            return refused if view.handled == mark else None
        match undo.state:
            case RollbackState.ACTIVE:
                return Outcome(Exit.DONE, _arrived(undo))
            case RollbackState.FAILED:
                return Outcome(Exit.FAILED, f"the rollback failed: {undo.message}")
            case RollbackState.RELEASING:
                return Outcome(Exit.FAILED, f"the rollback ended: {undo.message}")
            case RollbackState.PROPOSED if view.handled == mark:
                return Outcome(Exit.FAILED, f"it does not begin: {view.condition('RolledBack').message}")
            case RollbackState.PROPOSED | RollbackState.INTENDED | RollbackState.SWITCHING:
                return None

    return ended


def _arrived(undo: Rollback) -> str:
    after = f" after {spoken(undo.completed_at - undo.started_at)}" if undo.completed_at else ""
    return f"{short(undo.good.name)} runs instead of {short(undo.bad.name)}{after}"


def released(bad: str) -> Goal:
    """Wait until the Kustomization follows its own source again."""

    def ended(view: View) -> Outcome | None:
        undo = view.memory.rollback
        over = undo is None or undo.bad.hash != bad
        return (
            Outcome(Exit.DONE, "no rollback is in force; the Kustomization follows its own source") if over else None
        )

    return ended


# On the way --------------------------------------------------------------------------------------------------------


def progress(view: View) -> str:
    """Say in one line how it stands."""
    undo, said, delivery = view.memory.rollback, view.condition("RolledBack"), view.memory.delivery
    if undo is not None:
        return f"{undo.state}: {said.message or undo.message}"
    if delivery is None:
        return view.condition("Ready").message or "nothing is known yet"
    if delivery.failures:
        failures = delivery.failures
        return f"{short(delivery.revision)} fails ({failures.count}): {failures.reason}: {failures.message}"
    stages = delivery.stages
    reached = next(
        (name for name in reversed(STAGES) if getattr(stages, name)),
        "expected",
    )
    return f"{short(delivery.revision)} is {reached}"
