"""What happens next with a contract, and what a person can do about it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reconciliation_contract.cli.view.contract_view import View, clock, date, healthy_revisions, short
from reconciliation_contract.core.memory.memory import Rollback, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.rollback.guards import GUARDS, persistent_from
from reconciliation_contract.core.spec.contract import Contract, InvalidContract, RollbackMode
from reconciliation_contract.core.spec.requests import names
from reconciliation_contract.core.values import reasons


@dataclass(frozen=True, slots=True)
class Option:
    """Something that a person can do."""

    what: str
    command: str = ""
    """Arguments of this program that do it; empty where it is done elsewhere."""


@dataclass(frozen=True, slots=True)
class Advice:
    """What happens by itself, and what else can be done."""

    next: str
    options: tuple[Option, ...] = ()


FIX: Final = Option("push a fix")


def advise(view: View, now: datetime) -> Advice:
    """Say what happens next; the first that applies of all that can be the matter."""
    contract = view.contract
    if contract.deleting:
        return Advice("The contract is being deleted; a rollback is released first.")
    if not view.seen:
        what = "see that it runs: kubectl get deployments -A -l app.kubernetes.io/name=reconciliation-contract"
        return Advice("The operator has not looked at this version of the contract yet.", (Option(what),))
    if isinstance(contract, InvalidContract):
        return Advice("Nothing is judged or done until the contract is mended.", (Option(contract.problem),))
    if contract.suspended:
        return Advice("Nothing is judged or done while spec.suspend is true.", (Option("set spec.suspend to false"),))
    undo, delivery = view.memory.rollback, view.memory.delivery
    if undo is not None:
        return _in_force(view, contract, undo)
    if delivery is not None and delivery.failures:
        return _failing(view, contract, delivery, now)
    return _calm(view)


# A rollback is in force --------------------------------------------------------------------------------------------


def _in_force(view: View, contract: Contract, undo: Rollback) -> Advice:
    release = Option(_released(view, undo), f"release {view.name}")
    match undo.state:
        case RollbackState.PROPOSED:
            approve = Option(f"go back to {short(undo.good.name)}", f"approve {view.name}")
            decline = Option("decline that", f"release {view.name}")
            told = "It waits for a person's approval; a new commit withdraws the proposal."
            return Advice(told, (approve, FIX, decline))
        case RollbackState.INTENDED | RollbackState.SWITCHING:
            due = clock(undo.started_at + contract.rollback.within)
            watch = Option("watch it", f"get {view.name} --watch")
            return Advice(f"It goes back to {short(undo.good.name)}, by {due} as promised.", (watch,))
        case RollbackState.ACTIVE if contract.requests.hold:
            unhold = Option("let a new commit end the rollback again", f"unhold {view.name}")
            return Advice(f"It stays at {short(undo.good.name)}, whatever is pushed.", (unhold, release))
        case RollbackState.ACTIVE:
            hold = Option("stay here even when a new commit arrives", f"hold {view.name} --why TEXT")
            return Advice("The next commit that is not known to be bad ends the rollback.", (FIX, hold, release))
        case RollbackState.RELEASING:
            return Advice("The Kustomization goes back to its own source.")
        case RollbackState.FAILED:
            look = Option(f"look at it: kubectl -n {view.namespace} describe kustomization {contract.kustomization}")
            return Advice("Nothing more is done until a new commit arrives.", (FIX, look, release))


def _released(view: View, undo: Rollback) -> str:
    head = view.memory.delivery
    if head is not None and head.hash != undo.bad.hash:
        return f"let {short(head.revision)} through now"
    return f"follow the source again, to {short(undo.bad.name)}, bad as it is"


# A failure without a rollback --------------------------------------------------------------------------------------

_OBJECTIONS: Final = frozenset({reason for reason, _ in GUARDS} | {reasons.ACT_REFUSED})


def _failing(view: View, contract: Contract, delivery: Delivery, now: datetime) -> Advice:
    said, due = view.condition("RolledBack"), persistent_from(delivery.failures, contract.rollback)
    back = tuple(_back(view))
    if said.reason == reasons.CANCELLED and names(contract.requests.rollback_from, delivery.hash):
        return Advice(_sentence(said.message), (FIX,))
    until = contract.requests.paused_until
    if until is not None and now < until:
        resume = Option("end the pause", f"resume {view.name}")
        return Advice(f"Rollbacks are paused until {date(until, now)}.", (FIX, resume, *back))
    if due is None or now < due:
        return _due(view, contract, delivery, now)
    if said.reason == reasons.ALREADY_ROLLED_BACK:
        forget = Option("let it be rolled back once more", f"forget {view.name} {delivery.hash[:12]}")
        return Advice(_sentence(f"It is not rolled back: {said.message}"), (FIX, forget))
    if said.reason in _OBJECTIONS:
        return Advice(_sentence(f"It is not rolled back: {said.message}"), (FIX, *back))
    return Advice("The operator is about to decide on a rollback.", (FIX,))


def _due(view: View, contract: Contract, delivery: Delivery, now: datetime) -> Advice:
    """The failure does not count as persistent yet."""
    policy, good, back = contract.rollback, view.memory.good, tuple(_back(view))
    due, failures = persistent_from(delivery.failures, policy), delivery.failures
    if failures is None or due is None or policy.mode is RollbackMode.DISABLED:
        return Advice("Flux tries again. Rollbacks are disabled (spec.rollback.mode).", (FIX, *back))
    if good is None or good.hash == delivery.hash:
        return Advice("Flux tries again. No other revision has been healthy, so there is none to go back to.", (FIX,))
    left = max(1, policy.failures - failures.count)
    attempts = "1 more failed attempt" if left == 1 else f"{left} more failed attempts"
    what = "a rollback is proposed" if policy.mode is RollbackMode.MANUAL else "it is rolled back"
    pause = Option("keep it from being rolled back", f"pause {view.name} --for 1h --why TEXT")
    told = f"Flux tries again. After {attempts}, or at {date(due, now)}, {what} to {short(good.revision)}."
    return Advice(told, (FIX, *back, pause))


def _back(view: View) -> Iterator[Option]:
    """Go back by hand, where there is somewhere to go."""
    delivery = view.memory.delivery
    target = next((good for good in healthy_revisions(view.memory) if delivery and good.hash != delivery.hash), None)
    if target and delivery and delivery.hash not in view.memory.bad:
        yield Option(f"go back to {short(target.name)} now", f"rollback {view.name} --why TEXT")


# No failure --------------------------------------------------------------------------------------------------------


def _calm(view: View) -> Advice:
    ready = view.condition("Ready")
    awaited = next((one for one in view.memory.judgements if one.deadline and not one.concluded), None)
    if awaited is not None:
        return Advice(f"It is {awaited.message}; later than that, the promise is broken.")
    if ready.status == "True" or ready.reason in (reasons.PROMISE_BROKEN, reasons.WAITING):
        return Advice("The next commit is awaited." if view.memory.delivery else "The first delivery is awaited.")
    return Advice(_sentence(f"It goes on by itself as soon as this is mended: {ready.message}"))


def _sentence(text: str) -> str:
    return f"{text.rstrip('.')}."
