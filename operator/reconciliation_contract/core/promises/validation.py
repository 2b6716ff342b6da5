"""The promise that each manifest of a revision passes a server-side dry-run in time.

The dry-run is what Flux itself does before it applies: the same objects, order, field manager and account. What it
cannot tell (an object in a namespace that the same revision makes) is counted and never held against a revision.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.core.facts.dry_run import Check, Refusal, Refusals, Validation
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.text import bounded

_MESSAGE: Final = 130
"""Longest reason of one refused manifest in a message, in characters."""


def assess_validation(contract: Contract, memory: Memory, seen: Observation, _now: datetime) -> Judgement | None:
    """How the promise stands; None where nobody has begun to look at this revision."""
    found, delivery = seen.manifests.validation, memory.delivery
    if found is None or delivery is None or found.hash != delivery.hash:
        return None
    within = contract.promises.validation
    if found.tells_nothing:
        return _said(within, Verdict.UNKNOWN, reasons.NOT_CHECKED, found.problem or found.why_unchecked)
    if found.invalid:
        return _said(within, Verdict.BROKEN, reasons.BUILD_FAILED, found.invalid)
    if found.ended_at is None:
        return _said(within, Verdict.PENDING, reasons.IN_PROGRESS, "validated by a dry-run of each manifest")
    slowest = found.slowest
    measured = slowest.took if slowest else timedelta(0)
    if found.refusals:
        return _said(within, Verdict.BROKEN, reasons.REFUSED, _refusals(found), measured)
    if slowest and (slowest.late or measured > within):
        message = f"the dry-run of {slowest.key} took {'more than ' if slowest.late else ''}{spoken(measured)}"
        return _said(within, Verdict.BROKEN, reasons.BUDGET_EXCEEDED, f"{message} of {spoken(within)}", measured)
    if found.unanswered:
        message = f"{found.unanswered} of {found.total} could not be tried: {found.why_unchecked}"
        return _said(within, Verdict.UNKNOWN, reasons.NOT_CHECKED, message)
    return _said(within, Verdict.KEPT, reasons.WITHIN_BUDGET, _kept(found, within), measured)


def refusals(memory: Memory, seen: Observation) -> Refusals | None:
    """What to remember of the refused manifests of the current delivery."""
    found, delivery, known = seen.manifests.validation, memory.delivery, memory.refusals
    if delivery is None:
        return None
    if found is None or found.hash != delivery.hash or found.ended_at is None:
        return known if known and known.hash == delivery.hash else None
    named = tuple(Refusal(str(check.key), check.file, check.refused) for check in found.refused)
    return Refusals(found.hash, found.total, found.refusals, named) if named else None


def _said(
    within: timedelta, verdict: Verdict, reason: str, message: str, measured: timedelta | None = None
) -> Judgement:
    return Judgement(PromiseName.VALIDATION, verdict, within, reason, message, measured)


def _kept(found: Validation, within: timedelta) -> str:
    if found.slowest is None:
        return "no manifests to validate"
    count = found.total - found.unchecked
    told = f"{count} valid, the slowest {found.slowest.key} after {spoken(found.slowest.took)} of {spoken(within)}"
    told += f"; {found.remark}" if found.remark else ""
    return f"{told}; {found.unchecked} not checkable: {found.why_unchecked}" if found.unchecked else told


def _refusals(found: Validation) -> str:
    """Name the first refused manifest, with file and reason; the status has a list of them."""
    first, more = _refusal(found.refused[0]), found.refusals - 1
    return f"{found.refusals} of {found.total} refused: {first}" + (f"; {more} more" if more else "")


def _refusal(check: Check) -> str:
    where = f" ({check.file})" if check.file else ""
    return f"{check.key}{where}: {bounded(check.refused, _MESSAGE)}"
