"""What a status says twice is said once where room is short, and is read back as if it had been said twice.

Nothing is lost by that, so it is tried before anything else is made shorter.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Rollback
from reconciliation_contract.core.memory.timeline import Delivery

Wire = dict[str, Any]

SPOKEN_FOR: Final[Mapping[str, str]] = {PromiseName.VALIDATION: "Validated", PromiseName.DRIFT: "InSync"}
"""Promises of which a condition says the same."""

_IN_COLUMNS: Final = ("detected", "applied", "healthy")
"""Stages whose time ``kubectl get`` shows; that of the others follows from when they were reached."""


def without(part: Wire, *names: str) -> Wire:
    """Leave out some fields."""
    return {name: value for name, value in part.items() if name not in names}


def said_once(wire: Wire) -> Wire:
    """Leave out what other places of the status say as well: a condition, the failure, two times, the generation."""
    known: Wire = {}
    if conditions := wire.get("conditions"):
        seen = wire.get("observedGeneration")
        aged = [
            each if each.get("observedGeneration") != seen else without(each, "observedGeneration")
            for each in conditions
        ]
        known["conditions"] = aged
    if delivery := dict(wire.get("delivery", {})):
        said = {each["type"]: each for each in wire.get("conditions", [])}
        if promises := delivery.get("promises"):
            delivery["promises"] = [_silent(each, said) for each in promises]
        if stages := delivery.get("stages"):
            delivery["stages"] = {
                name: stage if name in _IN_COLUMNS else without(stage, "elapsed") for name, stage in stages.items()
            }
        known["delivery"] = delivery
    if undo := wire.get("rollback"):
        known["rollback"] = without(undo, "duration", *(("message",) if is_explained(wire) else ()))
    return wire | known


def _silent(promise: Wire, conditions: Mapping[str, Wire]) -> Wire:
    said = conditions.get(SPOKEN_FOR.get(promise["name"], ""), {})
    told = bool(said) and _speaks(said["status"], said["reason"], promise["verdict"], promise.get("reason", ""))
    return without(promise, "message") if told and said["message"] == promise.get("message") else promise


def _speaks(status: str, reason: str, verdict: str, why: str) -> bool:
    """Whether a condition is about how a promise stands now."""
    return status == "True" if verdict == Verdict.KEPT else reason == why


def is_explained(wire: Wire) -> bool:
    """Whether the failures of the delivery say why it was rolled back."""
    undo, delivery = wire.get("rollback", {}), wire.get("delivery", {})
    failures = delivery.get("failures", {})
    told = (undo.get("from"), undo.get("reason"), undo.get("message"))
    return bool(failures) and told == (delivery.get("revision"), failures.get("reason"), failures.get("message"))


def said_again(memory: Memory, conditions: Mapping[str, Condition]) -> Memory:
    """Put each message back where it was left out."""
    undo, delivery = memory.rollback, memory.delivery
    return replace(
        memory,
        judgements=tuple(_spoken(judgement, conditions) for judgement in memory.judgements),
        rollback=_explained(undo, delivery) if undo and delivery else undo,
    )


def _spoken(judgement: Judgement, conditions: Mapping[str, Condition]) -> Judgement:
    said = conditions.get(SPOKEN_FOR.get(judgement.promise, ""))
    if judgement.message or said is None:
        return judgement
    told = _speaks(said.status, said.reason, judgement.verdict, judgement.reason)
    return replace(judgement, message=said.message) if told else judgement


def _explained(undo: Rollback, delivery: Delivery) -> Rollback:
    failures = delivery.failures
    if undo.message or failures is None or (undo.bad.name, undo.reason) != (delivery.revision, failures.reason):
        return undo
    return replace(undo, message=failures.message)
