"""The objects that a page names: those that are not as Git wants them, and those that are not gone yet."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from reconciliation_contract.cli.view.contract_view import ago, brief
from reconciliation_contract.cli.view.terminal import Cell, Screen, Tone, table
from reconciliation_contract.core.facts.comparison import Drift, Finding
from reconciliation_contract.core.facts.dry_run import Refusals
from reconciliation_contract.core.facts.pruning import Departures


def drifted(screen: Screen, drift: Drift, now: datetime, indent: str) -> list[str]:
    """A line for each field that differs, with both values and who changed it, where that is known."""
    lines = table(screen, [row for finding in drift.findings for row in _fields(finding, now)], indent)
    more = drift.drifted - len(drift.findings)
    return [*lines, f"{indent}{more} more"] if lines and more > 0 else lines


def _fields(finding: Finding, now: datetime) -> Iterator[list[Cell]]:
    who = f"by {finding.by}" if finding.by else ""
    when = ago(finding.at, now) if finding.at else ""
    first = [Cell(finding.object), Cell(finding.kind, Tone.BAD)]
    last = Cell(" ".join(part for part in (who, when) if part))
    if not finding.fields:
        yield [*first, Cell(""), last]
    for field in finding.fields:
        known = field.have or field.want
        values = f"{field.path} is {field.have}, Git wants {field.want}" if known else f"{field.path} differs"
        yield [*first, Cell(values), last]
        first, last = [Cell(""), Cell("")], Cell("")
    if finding.more:
        yield [*first, Cell(f"{finding.more} more fields"), last]


def refused(screen: Screen, found: Refusals, indent: str) -> list[str]:
    """A line for each manifest that the API server does not take, with its file and the reason."""
    rows = [[Cell(each.object, Tone.BAD), Cell(each.file), Cell(brief(each.message))] for each in found.named]
    lines = table(screen, rows, indent)
    more = found.refused - len(found.named)
    return [*lines, f"{indent}{more} more"] if more > 0 else lines


def departing(screen: Screen, departures: Departures, now: datetime, indent: str) -> list[str]:
    """A line for each object that Git has no more and the cluster still has, with what it waits for."""
    rows = [
        [Cell(each.name), Cell(f"left Git {ago(each.left_at, now)}", tone), Cell(brief(each.account))]
        for those, tone in ((departures.overdue, Tone.BAD), (departures.pending, Tone.WARNING))
        for each in those
    ]
    lines = table(screen, rows, indent)
    return [*lines, f"{indent}{departures.more} more"] if departures.more else lines
