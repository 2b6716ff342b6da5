"""Tables of contracts and of deliveries: one object a line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.api.status.render import timestamp
from reconciliation_contract.cli.view.contract_view import View, abbreviated, ago, brief, short, took
from reconciliation_contract.cli.view.terminal import ABSENT, Cell, Screen, Tone, columns, table
from reconciliation_contract.core.delivery.outcome import undone
from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.memory.budget import Verdict
from reconciliation_contract.core.memory.memory import Memory, Past, Result, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery, Span, origin

TONES: Final = {"True": Tone.GOOD, "False": Tone.BAD, "Unknown": Tone.WARNING}
"""How a condition looks that is wished to be True."""
_RESULTS: Final[dict[str, Tone]] = {Result.HEALTHY: Tone.GOOD, Result.ROLLED_BACK: Tone.BAD, "Failing": Tone.BAD}
_WIDE: Final = 100
"""Columns from which on a revision is shown with its branch."""
_COLUMNS: Final = ("NAMESPACE", "NAME", "READY", "REVISION", "DETECT", "APPLY", "HEALTHY", "LAST GOOD", "STATUS")
_DROPPED: Final = ((), ("DETECT", "APPLY"), ("DETECT", "APPLY", "LAST GOOD"))
"""Columns that a narrow terminal does not show."""
_STATUS: Final = 6
"""Columns that the status needs beside its heading to be worth its place."""


def contracts(screen: Screen, views: Sequence[View], *, namespaces: bool) -> list[str]:
    """Show contracts as a table; ``namespaces`` names the namespace of each.

    On a terminal too narrow for all columns the less important ones are left out.
    """
    cells = [_contract(screen, view) for view in views]
    wanted = [name for name in _COLUMNS if namespaces or name != "NAMESPACE"]
    lines: list[str] = []
    for dropped in _DROPPED:
        names = [name for name in wanted if name not in dropped]
        lines = table(screen, [[Cell(name) for name in names], *([row[name] for name in names] for row in cells)])
        if screen.width is None or columns(lines[0]) <= screen.width - _STATUS:
            break
    return lines


def _contract(screen: Screen, view: View) -> dict[str, Cell]:
    ready, memory = view.condition("Ready"), view.memory
    named = short if screen.width is None or screen.width >= _WIDE else abbreviated
    return {
        "NAMESPACE": Cell(view.namespace),
        "NAME": Cell(view.name),
        "READY": Cell(ready.status, TONES.get(ready.status, Tone.PLAIN)),
        "REVISION": Cell(named(memory.delivery.revision) if memory.delivery else ABSENT),
        "DETECT": Cell(took(view.elapsed("detected"))),
        "APPLY": Cell(took(view.elapsed("applied"))),
        "HEALTHY": Cell(took(view.elapsed("healthy"))),
        "LAST GOOD": Cell(abbreviated(memory.good.revision) if memory.good else ABSENT),
        "STATUS": Cell(_status(ready)),
    }


def _status(ready: Condition) -> str:
    if not ready.reason:
        return "not looked at yet; is the operator running?"
    return brief(f"{ready.reason}: {ready.message}")


# Deliveries --------------------------------------------------------------------------------------------------------


_DELIVERY: Final = ("REVISION", "SUBJECT", "RESULT", "LATENCY", "BROKEN", "ENDED", "ROLLED BACK TO")


@dataclass(frozen=True, slots=True)
class _Line:
    """The present delivery, finished or not, in the terms of those that the history has."""

    revision: str
    subject: str
    result: str
    latency: timedelta | None
    broken: tuple[str, ...]
    ended_at: datetime | None
    left_for: str
    because: str


def deliveries(screen: Screen, memory: Memory, now: datetime) -> list[str]:
    """Show the present delivery and the finished ones as a table, newest first; empty where there are none."""
    rows = [_delivery(screen, line, now) for line in _lines(memory)]
    heading = [Cell(name) for name in _DELIVERY]
    return table(screen, [heading, *rows], flexible=1) if rows else []


def _delivery(screen: Screen, line: _Line | Past, now: datetime) -> list[Cell]:
    ended = ABSENT
    if line.ended_at:
        # A person reads ages, a script reads times.
        ended = timestamp(line.ended_at) if screen.width is None else ago(line.ended_at, now)
    return [
        Cell(abbreviated(line.revision)),
        Cell(line.subject or ABSENT),
        Cell(line.result, _RESULTS.get(line.result, Tone.PLAIN)),
        Cell(took(line.latency)),
        Cell(",".join(line.broken) or ABSENT),
        Cell(ended),
        Cell(f"{abbreviated(line.left_for)} ({line.because})" if line.left_for else ABSENT),
    ]


def _lines(memory: Memory) -> Iterator[_Line | Past]:
    delivery = memory.delivery
    if delivery:
        pushed, healthy = origin(delivery), delivery.stages.healthy
        known = pushed and delivery.reached(healthy)
        undo = undone(memory)
        yield _Line(
            revision=delivery.revision,
            subject=delivery.subject,
            result=_result(memory, delivery),
            latency=Span.between(pushed, healthy).longest if known and pushed and healthy else None,
            broken=tuple(j.promise for j in memory.judgements if j.verdict is Verdict.BROKEN),
            ended_at=healthy.at if healthy else None,
            left_for=undo.good.name if undo else "",
            because=undo.because if undo else "",
        )
    yield from memory.history


def _result(memory: Memory, delivery: Delivery) -> str:
    """How the present delivery stands, in the words of the finished ones where they fit."""
    undo = memory.rollback
    if undo and undo.bad.hash == delivery.hash and undo.state is not RollbackState.PROPOSED:
        return Result.ROLLED_BACK
    if delivery.failures:
        return "Failing"
    if delivery.adopted:
        return Result.ADOPTED
    return Result.HEALTHY if delivery.stages.healthy else "InProgress"
