"""What a status says twice is said once where room is short, and is read back as if it had been said twice.

Nothing is lost by that, so it is tried before anything else is made shorter.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from reconciliation_contract.core.memory.memory import Memory, Rollback
from reconciliation_contract.core.memory.timeline import Delivery

Wire = dict[str, Any]

_IN_COLUMNS: Final = ("detected", "applied", "healthy")
"""Stages whose time ``kubectl get`` shows; that of the others follows from when they were reached."""


def without(part: Wire, *names: str) -> Wire:
    """Leave out some fields."""
    return {name: value for name, value in part.items() if name not in names}


def said_once(wire: Wire) -> Wire:
    """Leave out what other places of the status say as well: the failure, two times, the generation."""
    known: Wire = {}
    if conditions := wire.get("conditions"):
        seen = wire.get("observedGeneration")
        aged = [
            each if each.get("observedGeneration") != seen else without(each, "observedGeneration")
            for each in conditions
        ]
        known["conditions"] = aged
    if delivery := dict(wire.get("delivery", {})):
        if stages := delivery.get("stages"):
            delivery["stages"] = {
                name: stage if name in _IN_COLUMNS else without(stage, "elapsed") for name, stage in stages.items()
            }
        known["delivery"] = delivery
    if undo := wire.get("rollback"):
        known["rollback"] = without(undo, "duration", *(("message",) if is_explained(wire) else ()))
    return wire | known


def is_explained(wire: Wire) -> bool:
    """Whether the failures of the delivery say why it was rolled back."""
    undo, delivery = wire.get("rollback", {}), wire.get("delivery", {})
    failures = delivery.get("failures", {})
    told = (undo.get("from"), undo.get("reason"), undo.get("message"))
    return bool(failures) and told == (delivery.get("revision"), failures.get("reason"), failures.get("message"))


def said_again(memory: Memory) -> Memory:
    """Put the message of a rollback back where it was left out."""
    undo, delivery = memory.rollback, memory.delivery
    return replace(memory, rollback=_explained(undo, delivery)) if undo and delivery else memory


def _explained(undo: Rollback, delivery: Delivery) -> Rollback:
    failures = delivery.failures
    if undo.message or failures is None or (undo.bad.name, undo.reason) != (delivery.revision, failures.reason):
        return undo
    return replace(undo, message=failures.message)
