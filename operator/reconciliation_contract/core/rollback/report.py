"""What a step of a rollback comes to, and what the condition ``RolledBack`` says of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

from reconciliation_contract.core.facts.health_timeout import effective_timeout
from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.memory.effects import Effect
from reconciliation_contract.core.memory.memory import Memory, Rollback, RollbackState, Standing
from reconciliation_contract.core.rollback.handled_requests import taken_at
from reconciliation_contract.core.rollback.transitions import Event, after, has
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.text import bounded

_ENDS = (reasons.RELEASED, reasons.UNDONE, reasons.CANCELLED)
"""Ends of a rollback, which stay told when nothing fails any more."""


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one step: the new memory, the acts of the state with which it began, and what to say."""

    memory: Memory
    effects: tuple[Effect, ...] = ()
    standing: Standing | None = None
    """None leaves what was said before."""
    recheck_at: datetime | None = None


def remembered(step: Step) -> Standing | None:
    """What is said of rollbacks from now on: the news, or what was said before until its grounds are gone."""
    known, memory = step.memory.standing, step.memory
    if step.standing is not None:
        return replace(step.standing, message=bounded(step.standing.message))
    if known is None or memory.rollback is not None or known.reason in _ENDS:
        return known
    return None if memory.delivery is not None and memory.delivery.failures is None else known


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


def proposal(memory: Memory, rollback: Rollback, *, used: bool) -> Standing:
    """What is said of a proposal, with how to approve of it where the approval that stands was used before."""
    if not used:
        return standing_of(rollback)
    at = taken_at(memory, "approve")
    when = f" at {at:%Y-%m-%d %H:%M} UTC" if at else " before"
    how = f"the approval that stands was used{when}: remove the annotation reconciliation.dev/approve and set it anew"
    return Standing(False, reasons.AWAITING_APPROVAL, f"{rollback.bad.name} keeps failing; {how}")


def waiting(rollback: Rollback, kustomization: Kustomization) -> Standing | None:
    """What is said while Flux, already switched, still checks the health of the bad revision; else None.

    Without its gate `CancelHealthCheckOnNewRevision`, kustomize-controller ends a health check before it looks up.
    """
    attempted = kustomization.attempted
    busy = kustomization.checks_health and kustomization.ready.status == "Unknown"
    if attempted is None or attempted.value != rollback.bad.hash or not busy:
        return None
    limit, since = effective_timeout(kustomization), kustomization.ready.transitioned_at
    until = f", from {since:%H:%M:%S} to {since + limit:%H:%M:%S} UTC" if since else ""
    check = f"its health check of {rollback.bad.name}, which may take {spoken(limit)}{until}"
    message = f"switched to {rollback.good.name}; Flux first ends {check}"
    return Standing(False, reasons.ROLLING_BACK, message)


def leave(memory: Memory, event: Event) -> Memory:
    """Forget the rollback, if the event ends it in its state."""
    undo = memory.rollback
    ends = undo is not None and has(undo.state, event) and after(undo.state, event) is None
    return replace(memory, rollback=None) if ends else memory


def enter(memory: Memory, rollback: Rollback, event: Event, message: str = "", reason: str = "") -> Step:
    """Move to the state to which an event leads; its acts follow in the next pass, when the state has been written.

    An event that leads nowhere from here changes nothing.
    """
    state = after(rollback.state, event)
    if state is None or not has(rollback.state, event):
        return Step(memory)
    entered = replace(rollback, state=state, message=message or rollback.message)
    standing = standing_of(entered)
    if reason:
        standing = replace(standing, reason=reason)
    return Step(replace(memory, rollback=entered), (), standing)
