"""One contract as a page for people: how it stands, what happens next, what can be done."""

from __future__ import annotations

import math
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from reconciliation_contract.cli.view.contract_view import View, ago, brief, date, short, took
from reconciliation_contract.cli.view.next_steps import advise
from reconciliation_contract.cli.view.objects import departing, drifted, refused
from reconciliation_contract.cli.view.tables import TONES
from reconciliation_contract.cli.view.terminal import ABSENT, Cell, Screen, Tone, clean, paragraph, table
from reconciliation_contract.core.memory.budget import Judgement, Verdict
from reconciliation_contract.core.memory.memory import Good, Memory, Rollback, RollbackState
from reconciliation_contract.core.memory.timeline import STAGES, Delivery, Moment
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken

_LABEL: Final = 15
"""Columns of the labels at the left."""
_INDENT: Final = " " * _LABEL
_UNWISHED: Final = {"RolledBack": "True", "Stalled": "True"}
"""Conditions that are not wished to be so; all others are wished to be True."""
_QUIET: Final = frozenset(
    {reasons.RECOVERED, reasons.RELEASED, reasons.RELEASING, reasons.ROLLING_BACK, reasons.ROLLBACK_DISABLED}
)
"""Reasons for which no rollback is in force that need no attention."""
_STAGES: Final = tuple(stage for stage in STAGES if stage != "validated")
"""Those on the way of a commit; the dry-run beside it has its verdict."""
_VERDICTS: Final = {Verdict.KEPT: Tone.GOOD, Verdict.BROKEN: Tone.BAD, Verdict.PENDING: Tone.WARNING}


def page(screen: Screen, view: View, program: str, now: datetime) -> list[str]:
    """Write the page of one contract; ``program`` is how this command line is called."""
    memory = view.memory
    blocks = [
        _head(screen, view),
        _delivery(screen, view, memory.delivery, now) if memory.delivery else [],
        _promises(screen, memory.judgements),
        _labelled(screen, "Refused", refused(screen, memory.refusals, _INDENT)) if memory.refusals else [],
        _labelled(screen, "Drift", drifted(screen, memory.drift, now, _INDENT)) if memory.drift else [],
        _labelled(screen, "Not gone yet", departing(screen, memory.departures, now, _INDENT)),
        _rollback(screen, view, memory.rollback, now) if memory.rollback else [],
        _good(screen, memory.good, now) if memory.good else [],
        _requests(screen, memory, now),
        _conditions(screen, view),
        _advice(screen, view, program, now),
    ]
    return [line for block in blocks if block for line in (*block, "")][:-1]


def _field(screen: Screen, label: str, text: str) -> list[str]:
    """Write a labelled text; its further lines stand below its first."""
    lines = paragraph(screen, brief(text) or ABSENT, _INDENT, f"{label:<{_LABEL}}")
    return [screen.paint(label, Tone.STRONG) + lines[0][len(label) :], *lines[1:]]


def _head(screen: Screen, view: View) -> list[str]:
    contract, ready = view.contract, view.condition("Ready")
    bound = f", bound to Kustomization {contract.kustomization}" if isinstance(contract, Contract) else ""
    state = screen.paint(clean(ready.status), TONES.get(ready.status, Tone.PLAIN))
    lines = _field(screen, "Contract", f"{view.namespace}/{view.name}{bound}")
    lines.append(f"{screen.paint('Ready', Tone.STRONG)}{' ' * (_LABEL - 5)}{state}  {clean(ready.reason)}".rstrip())
    if ready.message:
        lines += paragraph(screen, brief(ready.message), _INDENT)
    return lines


# Delivery ----------------------------------------------------------------------------------------------------------


def _delivery(screen: Screen, view: View, delivery: Delivery, now: datetime) -> list[str]:
    subject = f' "{delivery.subject}"' if delivery.subject else ""
    lines = _field(screen, "Delivery", f"{short(delivery.revision)}{subject}")
    if delivery.adopted:
        lines += paragraph(screen, "It was there before the contract, so it is not judged.", _INDENT)
    if delivery.commit_problem:
        lines += paragraph(screen, clean(f"Time of the commit not known: {delivery.commit_problem}"), _INDENT)
    lines += _timeline(screen, view, delivery)
    failures = delivery.failures
    if failures:
        count = "once" if failures.count == 1 else f"{failures.count} times"
        when = f"first {ago(failures.first_at, now)}, last {ago(failures.last_at, now)}"
        lines += _field(screen, "Failed", f"{count}, {when}: {failures.reason}: {failures.message}")
    return lines


def _timeline(screen: Screen, view: View, delivery: Delivery) -> list[str]:
    """Draw the stages: a dot for each, when it was reached, and how long after the push; folded where too wide."""
    moments: list[Moment | None] = [getattr(delivery.stages, stage) for stage in _STAGES]
    done, open_, line = ("●", "○", "─") if screen.drawing else ("*", "o", "-")
    times = [f"{moment.at:%H:%M:%S}" if moment else ABSENT for moment in moments]
    spans = [f"+{spoken(span)}" if (span := view.elapsed(stage)) is not None else "" for stage in _STAGES]
    width = max(map(len, (*_STAGES, *times, *spans))) + 2
    dots = [done if moment else open_ for moment in moments]
    dots = [dot + line * (width - 1) for dot in dots[:-1]] + dots[-1:]
    length = len(_STAGES)
    if screen.width is not None:
        fitting = max(1, (screen.width - _LABEL) // width)
        length = math.ceil(length / math.ceil(length / fitting))
    rows = [
        "".join(f"{text:<{width}}" for text in texts[start : start + length])
        for start in range(0, len(_STAGES), length)
        for texts in (dots, _STAGES, times, spans)
    ]
    return [_INDENT + row.rstrip() for row in rows if row.strip()]


def _promises(screen: Screen, judgements: Iterable[Judgement]) -> list[str]:
    rows = [
        [
            Cell(judgement.promise),
            Cell(judgement.verdict, _VERDICTS.get(judgement.verdict, Tone.PLAIN)),
            Cell(f"{took(judgement.measured)} of {spoken(judgement.within)}"),
            Cell(brief(judgement.message)),
        ]
        for judgement in judgements
    ]
    lines = table(screen, rows, _INDENT)
    return _labelled(screen, "Promises", lines)


def _labelled(screen: Screen, label: str, lines: list[str]) -> list[str]:
    if not lines:
        return []
    return [screen.paint(label, Tone.STRONG) + lines[0][len(label) :], *lines[1:]]


# Rollback ----------------------------------------------------------------------------------------------------------


def _rollback(screen: Screen, view: View, undo: Rollback, now: datetime) -> list[str]:
    lines = _field(screen, "Rollback", f"{undo.state}, from {short(undo.bad.name)} to {short(undo.good.name)}")
    because = f"{undo.reason}: {undo.message}" if undo.message else undo.reason
    lines += _field(screen, "  because", because)
    if undo.asked_by:
        lines += _field(screen, "  asked by", undo.asked_by)
    lines += _field(screen, "  since", _course(view, undo, now))
    for remaining in undo.remains:
        lines += _field(screen, "  not undone", remaining)
    return lines


def _course(view: View, undo: Rollback, now: datetime) -> str:
    within = f" of {spoken(view.contract.rollback.within)}" if isinstance(view.contract, Contract) else ""
    if undo.completed_at:
        return f"{date(undo.started_at, now)}, done after {spoken(undo.completed_at - undo.started_at)}{within}"
    proposed = ", waits for approval" if undo.state is RollbackState.PROPOSED else ""
    return f"{date(undo.started_at, now)}{proposed}"


def _good(screen: Screen, good: Good, now: datetime) -> list[str]:
    checked = "its health was checked" if good.checked else "applied; its health was not checked"
    return _field(screen, "Last good", f"{short(good.revision)}, since {date(good.since, now)}, {checked}")


def _requests(screen: Screen, memory: Memory, now: datetime) -> list[str]:
    lines: list[str] = []
    for taken in sorted(memory.taken, key=lambda taken: taken.at, reverse=True):
        told = f"{taken.name} {taken.text} {taken.problem}".strip()
        standing = "" if taken.name in memory.handled else ", withdrawn since"
        lines += _field(screen, "" if lines else "Requests", f"{told} ({date(taken.at, now)}{standing})")
    return lines


# Conditions and advice ---------------------------------------------------------------------------------------------


def _conditions(screen: Screen, view: View) -> list[str]:
    """Show what is not as it should be; Ready stands at the top of the page."""
    lines: list[str] = []
    told = {view.condition("Ready").message}
    for name, condition in sorted(view.conditions.items()):
        bad = condition.status == _UNWISHED[name] if name in _UNWISHED else condition.status != "True"
        explains = name == "RolledBack" and condition.reason not in _QUIET
        if (bad or explains) and condition.message not in told:
            told.add(condition.message)
            label = "" if lines else "Conditions"
            lines += _field(screen, label, f"{name} is {condition.status}, {condition.reason}: {condition.message}")
    return lines


def _advice(screen: Screen, view: View, program: str, now: datetime) -> list[str]:
    advice = advise(view, now)
    lines = _field(screen, "Next", advice.next)
    for number, option in enumerate(advice.options):
        label = "" if number else "You can"
        lines += _field(screen, label, option.what)
        if option.command:
            command = f"{program} {option.command} -n {view.namespace}"
            lines.append(_INDENT + "  " + screen.paint(command, Tone.FAINT))
    return lines
