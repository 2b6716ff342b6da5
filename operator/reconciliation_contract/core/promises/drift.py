"""Whether the cluster is in sync with Git: what is remembered, judged and asked of Flux after a comparison.

A correction is a request to Flux to reconcile, by the annotation that people use. It is written down first and made
in the next pass, so a crash between the two repeats it with the same value, which Flux takes up once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from reconciliation_contract.core.facts.comparison import Drift, Finding, Kind
from reconciliation_contract.core.facts.correction import Correction, Spacing, following, place
from reconciliation_contract.core.facts.observation import Condition, Kustomization, Observation
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.effects import RequestReconcile
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Contract, DriftMode
from reconciliation_contract.core.values import reasons

_SUSPENDED: Final = "the Kustomization is suspended, so its drift is not looked at; resume it when ready"


def remember(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Memory:
    """Take in the last comparison, and decide whether Flux is to be asked to put its findings right."""
    if contract.promises.drift_mode is DriftMode.IGNORE:
        return replace(memory, drift=None)
    known, kustomization = memory.drift, seen.flux.kustomization
    if kustomization is not None and kustomization.suspended:
        paused = Drift(known.hash, paused=_SUSPENDED, correction=known.correction) if known else None
        return replace(memory, drift=paused)
    if seen.manifests.drift is None:
        return memory
    last = known.correction if known and known.hash == seen.manifests.drift.hash else None
    drift = replace(
        seen.manifests.drift, correction=last if contract.promises.drift_mode is DriftMode.CORRECT else None
    )
    held = known is not None and not known.drifted
    return replace(memory, drift=_corrected(contract, drift, seen, now, held=held))


def _corrected(contract: Contract, drift: Drift, seen: Observation, now: datetime, *, held: bool) -> Drift:
    """Write down the request that is due for what was found, if any."""
    found = _places(drift)
    if contract.promises.drift_mode is not DriftMode.CORRECT or contract.deleting or not found:
        return drift
    if not _may_act(drift, seen):
        return drift
    interval, longest = contract.promises.drift_interval, contract.timing.correction_spacing_longest
    due = following(drift.correction, found, Spacing(interval, longest), now, held=held)
    return replace(drift, correction=due or drift.correction)


def _places(drift: Drift) -> tuple[str, ...]:
    """Digests of the objects and fields that Flux can put right, whatever their values; orphans it does not know."""
    curable = [finding for finding in drift.findings if finding.kind is not Kind.ORPHANED]
    return tuple(place(f"{each.object} {each.kind} {path}") for each in curable for path in _paths(each))


def _paths(finding: Finding) -> tuple[str, ...]:
    return tuple(field.path for field in finding.fields) or ("",)


def _may_act(drift: Drift, seen: Observation) -> bool:
    """Whether the world is still as it was compared, and the operator may do something about it."""
    kustomization = seen.flux.kustomization
    if seen.operator.corrector or not seen.operator.acts:
        return False
    if kustomization is None or kustomization.suspended or kustomization.deleting:
        return False
    return kustomization.delivered is not None and kustomization.delivered.value == drift.hash


def is_written(before: Memory, after: Memory) -> bool:
    """Whether no correction was decided just now."""
    known, asked = (memory.drift.correction if memory.drift else None for memory in (before, after))
    return known == asked


def requests(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> tuple[RequestReconcile, ...]:
    """The request for the correction that is written down; none where none is due or Flux knows it already."""
    drift, kustomization = memory.drift, seen.flux.kustomization
    asked = drift.correction if drift else None
    if drift is None or asked is None or kustomization is None or not _places(drift):
        return ()
    if (
        now > asked.requested_at + contract.timing.correction_wanted
        or not _may_act(drift, seen)
        or _is_told(kustomization, asked)
    ):
        return ()
    return (RequestReconcile(kustomization.uid, kustomization.resource_version, mark(asked)),)


def mark(correction: Correction) -> str:
    """The value of the annotation for a correction: its time."""
    return correction.requested_at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _is_told(kustomization: Kustomization, asked: Correction) -> bool:
    value = mark(asked)
    return value in (kustomization.requested_at, kustomization.handled_request)


# Judging ---------------------------------------------------------------------------------------------------------


def assess_drift(contract: Contract, memory: Memory) -> Judgement | None:
    """How the promise stands for the current delivery; None where it was not compared."""
    drift, delivery = memory.drift, memory.delivery
    if drift is None or delivery is None or drift.hash != delivery.hash:
        return None
    stands, reason, message = standing(drift)
    return Judgement(PromiseName.DRIFT, stands, contract.promises.drift_interval, reason, message)


def standing(drift: Drift) -> tuple[Verdict, str, str]:
    """What the last comparison comes to, with the reason and the message for people."""
    if drift.paused:
        return Verdict.UNKNOWN, reasons.SUSPENDED, drift.paused
    if drift.problem:
        return Verdict.UNKNOWN, reasons.NOT_CHECKED, drift.problem
    if drift.drifted:
        return Verdict.BROKEN, reasons.DRIFTED, _told(drift)
    if drift.uncompared and not drift.compared:
        return Verdict.UNKNOWN, reasons.NOT_CHECKED, drift.uncompared
    remark = f"; {drift.uncompared}" if drift.uncompared else ""
    remark += f"; orphans are not looked for everywhere: {drift.unlisted}; grant it" if drift.unlisted else ""
    return Verdict.KEPT, reasons.IN_SYNC, f"{drift.compared} objects are as Git wants them{remark}"


def _told(drift: Drift) -> str:
    first = drift.findings[0]
    more = drift.drifted - 1
    return _finding(first) + (f"; {more} more" if more else "") + _resisting(drift)


def _resisting(drift: Drift) -> str:
    asked = drift.correction
    if asked is None or asked.times == 1 or not _places(drift):
        return ""
    end = ", as Flux is not asked again" if asked.given_up else ""
    return (
        f"; Flux was asked {asked.times} times and it comes back: take it out of Git or name it in drift.ignore{end}"
    )


def _finding(finding: Finding) -> str:
    if finding.kind is Kind.MISSING:
        return f"{finding.object} is missing"
    if finding.kind is Kind.ORPHANED:
        return f"{finding.object} is labelled as the Kustomization's but is not in its inventory"
    who = f", by {finding.by}" if finding.by else ""
    when = f" at {finding.at:%H:%M:%S} UTC" if finding.at and finding.by else ""
    if not finding.fields:
        return f"{finding.object} differs{who}{when}"
    field, others = finding.fields[0], len(finding.fields) - 1 + finding.more
    values = f" is {field.have}, Git wants {field.want}" if field.have or field.want else " differs"
    rest = f" and {others} more" if others else ""
    return f"{finding.object} {field.path}{values}{rest}{who}{when}"


_STATUS: Final = {Verdict.KEPT: "True", Verdict.BROKEN: "False"}


def condition(memory: Memory) -> Condition | None:
    """The condition ``InSync``; None where nothing was ever compared."""
    if memory.drift is None:
        return None
    stands, reason, message = standing(memory.drift)
    return Condition(_STATUS.get(stands, "Unknown"), reason, message)
