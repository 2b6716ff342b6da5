"""What is worth telling about a change of memory, as Kubernetes Events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC

from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.incidents.message import ending
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.values import reasons

LOUD = {
    reasons.NOT_PINNABLE,
    reasons.NOT_CURABLE,
    reasons.NO_GOOD_REVISION,
    reasons.ALREADY_ROLLED_BACK,
    reasons.NOTHING_REACHED,
    reasons.SAME_MANIFESTS,
    reasons.TOO_OLD,
    reasons.BUDGET_SPENT,
    reasons.FLEET_BRAKE,
    reasons.REQUESTED,
    reasons.ROLLING_BACK,
    reasons.AWAITING_APPROVAL,
    reasons.PERSISTENT_FAILURE,
    reasons.TARGET_FAILED,
    reasons.TARGET_UNREACHABLE,
    reasons.COPY_DIFFERS,
    reasons.UNDONE,
    reasons.ACT_REFUSED,
}
"""Standings of the rollback that a person should hear of."""
QUIET = {reasons.RELEASED, reasons.RELEASING, reasons.CANCELLED}
"""Standings that are good news."""


def announcements(before: Memory, after: Memory, kustomization: Kustomization | None = None) -> tuple[EmitEvent, ...]:
    """One event for each transition between the two memories; none where nothing of note changed.

    Incidents are told on the contract and, where it is known, on the Kustomization, where people look first.
    """
    incidents = tuple(_incidents(before, after))
    uid = kustomization.uid if kustomization else ""
    there = tuple(replace(event, kustomization_uid=uid) for event in incidents if uid)
    rest = (*_deliveries(before, after), *_promises(before, after), *_standing(before, after))
    return (*_requests(before, after), *rest, *incidents, *there)


def _requests(before: Memory, after: Memory) -> Iterator[EmitEvent]:
    known = {(taken.name, taken.at) for taken in before.taken}
    for taken in after.taken:
        if (taken.name, taken.at) in known:
            continue
        if taken.problem:
            yield EmitEvent(True, reasons.REQUEST_UNCLEAR, f"{taken.name}: {taken.text} {taken.problem}")
        else:
            yield EmitEvent(False, reasons.REQUEST_TAKEN, f"{taken.name}: {taken.text}")


def _incidents(before: Memory, after: Memory) -> Iterator[EmitEvent]:
    known = {(incident.key, incident.opened_at): incident.count for incident in before.incidents}
    for incident in after.incidents:
        if incident.count <= known.get((incident.key, incident.opened_at), 0):
            continue
        series = f"{incident.key}/{incident.opened_at.astimezone(UTC).isoformat(timespec='milliseconds')}"
        if incident.closed_at is None:
            yield EmitEvent(True, reasons.INCIDENT_OPENED, incident.message, series, incident.count)
        else:
            message = f"{incident.key}: {ending(incident)}"
            yield EmitEvent(False, reasons.INCIDENT_CLOSED, message, f"{series}/end")


def _deliveries(before: Memory, after: Memory) -> Iterator[EmitEvent]:
    new, old = after.delivery, before.delivery
    told = _conclusion(after)
    if new is None or told is None:
        return
    if old is not None and old.hash == new.hash and _conclusion(before) is not None:
        return
    yield EmitEvent(False, "Delivered", f"{new.revision} {told}")


def _conclusion(memory: Memory) -> str | None:
    """What is to be told of a delivery that is over and judged; None before: its push may still be asked for."""
    delivery, judgement = memory.delivery, memory.judgement(PromiseName.RECONCILIATION)
    if delivery is None or not delivery.reached(delivery.stages.healthy):
        return None
    if judgement is None or not judgement.concluded:
        return None
    if judgement.verdict is Verdict.UNKNOWN:
        return f"is healthy; {judgement.promise} not measured: {judgement.message}"
    return judgement.message


def _promises(before: Memory, after: Memory) -> Iterator[EmitEvent]:
    same = before.delivery is not None and after.delivery is not None and before.delivery.hash == after.delivery.hash
    for judgement in after.judgements:
        known = before.judgement(judgement.promise) if same else None
        was_broken = known is not None and known.verdict is Verdict.BROKEN
        if judgement.verdict is Verdict.BROKEN and not was_broken and after.delivery:
            message = f"{judgement.promise} of {after.delivery.revision}: {judgement.message}"
            yield EmitEvent(True, reasons.PROMISE_BROKEN, message)


def _standing(before: Memory, after: Memory) -> Iterator[EmitEvent]:
    old, new = before.standing, after.standing
    if new is None or (old is not None and (old.reason, old.message) == (new.reason, new.message)):
        return
    if new.reason in LOUD or (new.reason in QUIET and before.rollback is not None):
        yield EmitEvent(new.reason in LOUD, new.reason, new.message)
