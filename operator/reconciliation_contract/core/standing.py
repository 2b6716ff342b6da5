"""What a step of a rollback comes to, and what the condition ``RolledBack`` says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from reconciliation_contract.core import reasons
from reconciliation_contract.core.effects import Effect
from reconciliation_contract.core.memory import Memory, Rollback, RollbackState


@dataclass(frozen=True, slots=True)
class Standing:
    """What the condition ``RolledBack`` says."""

    rolled_back: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one step: the new memory, the acts of the state with which it began, and what to say."""

    memory: Memory
    effects: tuple[Effect, ...] = ()
    standing: Standing | None = None
    """None leaves what was said before."""
    recheck_at: datetime | None = None


def standing_of(rollback: Rollback) -> Standing:
    """What is said of a rollback in its state."""
    bad, good = rollback.bad.name, rollback.good.name
    asked = f", asked by {rollback.asked_by}" if rollback.asked else ""
    match rollback.state:
        case RollbackState.PROPOSED:
            how = f"annotate reconciliation.dev/approve={rollback.bad.hash} to go back to {good}"
            return Standing(False, reasons.AWAITING_APPROVAL, f"{bad} keeps failing; {how}")
        case RollbackState.INTENDED | RollbackState.SWITCHING:
            return Standing(False, reasons.ROLLING_BACK, f"going back from {bad} to {good}: {rollback.reason}{asked}")
        case RollbackState.ACTIVE:
            message = f"runs {good} instead of {bad} ({rollback.reason}{asked}); push a fix"
            return Standing(True, reasons.REQUESTED if rollback.asked else reasons.PERSISTENT_FAILURE, message)
        case RollbackState.RELEASING:
            return Standing(False, reasons.RELEASING, rollback.message)
        case RollbackState.FAILED:
            return Standing(False, reasons.TARGET_FAILED, rollback.message)


def enter(memory: Memory, rollback: Rollback, state: RollbackState, message: str = "", reason: str = "") -> Step:
    """Move to a state; its acts follow in the next pass, when the state has been written."""
    entered = replace(rollback, state=state, message=message or rollback.message)
    standing = standing_of(entered)
    if reason:
        standing = replace(standing, reason=reason)
    return Step(replace(memory, rollback=entered), (), standing)
