"""A delivery as a trace: one span from the push to its end, and one for each stretch between two stages.

::

    delivery   ├───────────────────────────────────────────┤
    detect     ├───────┤
    start              ├──┤
    apply                 ├───────────┤
    check health                      ├────────────────────┤
    roll back                                    ├─────────┤      where it came to that

The identities follow from the contract's uid and the delivery, so whoever exports it, and however often, it is the
same trace. The times are those of the timeline; the push is at the earliest that it can have been, as in the status.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import pairwise
from typing import Final

from reconciliation_contract.core.delivery.outcome import is_same, undone
from reconciliation_contract.core.memory.budget import Verdict
from reconciliation_contract.core.memory.memory import Memory, Result, Rollback
from reconciliation_contract.core.memory.timeline import Delivery, Moment, is_commit_awaited, origin
from reconciliation_contract.core.spec.contract import Contract

_STRETCHES: Final = {"detected": "detect", "attempted": "start", "applied": "apply", "healthy": "check health"}
"""What ends at a stage."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time with an identity."""

    name: str
    identity: int
    """64 bits."""
    start: datetime
    end: datetime
    attributes: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    """Why it counts as failed; empty where it does not."""


@dataclass(frozen=True, slots=True)
class Trace:
    """What became of one delivery."""

    identity: int
    """128 bits."""
    root: Span
    children: tuple[Span, ...]


def identity(uid: str, delivery: Delivery) -> int:
    """128 bits for the delivery of a contract, whether or not its trace is sent."""
    return _bits(_seed(uid, delivery), 16)


def ended(contract: Contract, before: Memory, after: Memory) -> Trace | None:
    """The trace of the delivery that ended between two passes; None where none did.

    It ends when it is healthy, when a rollback from it is complete, or when it is overtaken before either.
    """
    now, last = after.delivery, before.delivery
    if now and _ending(after) and not (is_same(now, last) and _ending(before)):
        return _trace(contract, now, after)
    overtaken = last and not is_same(now, last) and not _ending(before)
    return (
        _trace(contract, last, before, cut=after.history[0].ended_at)
        if last and overtaken and after.history
        else None
    )


def _ending(memory: Memory) -> datetime | None:
    """When the current delivery ended; not before it is known whether Git tells when it began."""
    undo, delivery = undone(memory), memory.delivery
    if undo:
        return undo.completed_at
    if delivery is None or is_commit_awaited(delivery):
        return None
    return delivery.stages.healthy.at if delivery.stages.healthy else None


def _trace(contract: Contract, delivery: Delivery, memory: Memory, cut: datetime | None = None) -> Trace | None:
    stages = [moment for name in _STRETCHES if (moment := getattr(delivery.stages, name))]
    begin = origin(delivery) or (stages[0] if stages else None)
    end = cut or _ending(memory)
    if delivery.adopted or begin is None or end is None:
        return None
    begin = replace(begin, at=begin.first)
    seed = _seed(contract.uid, delivery)
    undo = undone(memory)
    result = Result.ROLLED_BACK if undo else Result.HEALTHY if delivery.stages.healthy else Result.SUPERSEDED
    root = Span(
        "delivery", _bits(f"{seed}/delivery", 8), begin.at, max(begin.at, end),
        _attributes(contract, delivery, memory, result), "" if result is Result.HEALTHY else result.value,
    )  # fmt: skip
    return Trace(identity(contract.uid, delivery), root, tuple(_children(seed, delivery, undo, begin)))


def _children(seed: str, delivery: Delivery, undo: Rollback | None, begin: Moment) -> Iterator[Span]:
    reached = [(name, moment) for name in _STRETCHES if (moment := getattr(delivery.stages, name))]
    for (_, start), (name, end) in pairwise([("", begin), *reached]):
        title = _STRETCHES[name]
        witness = {"reconciliation.witness": end.witness.value}
        yield Span(title, _bits(f"{seed}/{title}", 8), start.at, max(start.at, end.at), witness)
    if undo and undo.completed_at:
        facts = {"reconciliation.rollback.to": undo.good.name, "reconciliation.rollback.reason": undo.reason}
        yield Span("roll back", _bits(f"{seed}/roll back", 8), undo.started_at, undo.completed_at, facts)


def _attributes(contract: Contract, delivery: Delivery, memory: Memory, result: Result) -> dict[str, str]:
    """What is known of it; no message, which may quote anything."""
    verdicts = {
        f"reconciliation.promise.{judgement.promise.value.lower()}": judgement.verdict.value
        for judgement in memory.judgements
        if judgement.verdict is not Verdict.PENDING
    }
    return {
        "k8s.namespace.name": contract.namespace,
        "reconciliation.contract": contract.name,
        "reconciliation.kustomization": contract.kustomization,
        "reconciliation.result": result.value,
        "vcs.ref.head.revision": delivery.hash,
        **verdicts,
    }


def _seed(uid: str, delivery: Delivery) -> str:
    began = delivery.started_at.astimezone(UTC).isoformat(timespec="milliseconds")
    return f"{uid}/{delivery.hash}/{began}"


def _bits(text: str, size: int) -> int:
    """An identity of so many bytes; never 0, which is none."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:size]) or 1
