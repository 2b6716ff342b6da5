"""The contract's status: the core's memory on the wire. `recall` reads it back.

Every pass begins with the memory read back from the status, so nothing can live in the process alone. Times are
RFC 3339 with milliseconds, durations Go strings.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Final

from reconciliation_contract.api.duration import format_duration
from reconciliation_contract.api.status import validation
from reconciliation_contract.api.status.apart import split
from reconciliation_contract.api.status.size import Wire, clip, fit, lean
from reconciliation_contract.core.delivery.statistics import statistics
from reconciliation_contract.core.facts.comparison import Drift, Field, Finding
from reconciliation_contract.core.facts.correction import Correction
from reconciliation_contract.core.facts.failure_cause import classify
from reconciliation_contract.core.facts.observation import Condition, Dependency, Kustomization, SourceRef
from reconciliation_contract.core.facts.pruning import Departure, Departures
from reconciliation_contract.core.incidents.sentences import LONGEST
from reconciliation_contract.core.memory.budget import Judgement
from reconciliation_contract.core.memory.memory import Copy, Good, Incident, Memory, Past, Standing, Taken, Transition
from reconciliation_contract.core.memory.timeline import STAGES, Delivery, Failures, Moment, elapsed
from reconciliation_contract.core.values.text import LIMIT, bounded, cleaned

_REVISION: Final = 80
_LONGEST_REVISION: Final = 4096
_PATH: Final = 253
_IDENTITY: Final = 512
_SHA1: Final = 40
"""Digits of a commit's hash; other sources have a longer digest."""
_WORD: Final = 64
"""Longest texts in characters; `fields` allows more, so that what older versions wrote is still read."""
_REASON: Final = 40
"""Longest reason of Flux's; its own are far shorter."""
_NEXT: Final = 160
_DEPENDENCIES: Final = 8
"""Dependencies told of."""
_NONE: Final[Mapping[str, Condition]] = MappingProxyType({})


def render_status(
    memory: Memory, kustomization: Kustomization | None, conditions: Mapping[str, Condition] = _NONE
) -> Wire:
    """Write the status within its bounds. Absent values are left out, so that equal memories give equal statuses."""
    wire = fit(whole(memory, kustomization, conditions))
    kept = memory.history[: len(wire.get("history", []))]
    # The figures are those of the deliveries that are kept, now and when they are read back.
    if kept == memory.history:
        return split(wire)
    return render_status(replace(memory, history=kept), kustomization, conditions)


def whole(memory: Memory, kustomization: Kustomization | None, conditions: Mapping[str, Condition] = _NONE) -> Wire:
    """Write everything, however large it gets, and what is for people together with what is not."""
    return lean(
        {
            "observedGeneration": memory.observed_generation,
            "lastHandledReconcileAt": memory.handled_request or None,
            "conditions": [_condition(name, c, memory) for name, c in sorted(conditions.items())],
            "lastAttemptedRevision": _revision(kustomization.attempted_revision) if kustomization else None,
            "lastAppliedRevision": _revision(kustomization.applied_revision) if kustomization else None,
            "lastGoodRevision": _revision(memory.good.revision) if memory.good else None,
            "lastGood": _good(memory.good) if memory.good else None,
            "delivery": _delivery(memory.delivery, memory.judgements) if memory.delivery else None,
            "history": [_past(past) for past in memory.history],
            "rollback": _rollback(memory),
            "handledRequests": dict(sorted(memory.handled.items())),
            "requests": [_taken(taken) for taken in memory.taken],
            "deletion": _deletion(memory.departures),
            "suspended": memory.suspended or None,
            "drift": _drift(memory.drift) if memory.drift else None,
            "validation": validation.render(memory.refusals) if memory.refusals else None,
            "statistics": _statistics(memory),
            "dependencies": [_dependency(found) for found in memory.dependencies[:_DEPENDENCIES]],
            "incidents": [_incident(incident) for incident in memory.incidents],
            "standing": _standing(memory.standing) if memory.standing else None,
            "transitions": {name: _transition(each) for name, each in sorted(memory.transitions.items())},
            "failingSince": timestamp(memory.failing_since) if memory.failing_since else None,
        }
    )


def _standing(standing: Standing) -> Wire:
    said = {"reason": cleaned(standing.reason, _REASON), "message": bounded(standing.message)}
    return lean({"rolledBack": standing.rolled_back or None, **said})


def _transition(transition: Transition) -> Wire:
    return {"status": transition.status, "at": timestamp(transition.at)}


def timestamp(at: datetime) -> str:
    """Write a time stamp: RFC 3339, UTC, milliseconds."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _revision(name: str) -> str:
    """Write a revision. Too long a name of a branch loses its beginning, for what counts is the hash at the end."""
    return cleaned(name, _LONGEST_REVISION)[-_REVISION:].strip()


def _condition(name: str, condition: Condition, memory: Memory) -> Wire:
    at = condition.transitioned_at
    return {
        "type": name,
        "status": condition.status,
        "reason": condition.reason,
        "message": condition.message,
        "observedGeneration": memory.observed_generation,
        "lastTransitionTime": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ") if at else "1970-01-01T00:00:00Z",
    }


def _ref(ref: SourceRef) -> Wire:
    return {"kind": ref.kind, "namespace": ref.namespace, "name": ref.name}


def _good(good: Good) -> Wire:
    wire = {
        "revision": _revision(good.revision),
        "since": timestamp(good.since),
        "kustomizationUID": good.kustomization_uid,
        "sourceRef": _ref(good.source),
        "path": good.path[:_PATH],
        "healthChecked": good.checked,
        "manifests": good.manifests[:80],
        "specDigest": good.spec,
    }
    return lean(wire) | {"healthChecked": good.checked}


def _delivery(delivery: Delivery, judgements: Sequence[Judgement]) -> Wire:
    stages = {name: getattr(delivery.stages, name) for name in STAGES}
    return lean(
        {
            "revision": _revision(delivery.revision),
            "subject": bounded(delivery.subject, 200),
            "startedAt": timestamp(delivery.started_at),
            "adopted": delivery.adopted or None,
            "resumed": delivery.resumed or None,
            "binding": delivery.binding,
            "undetectedSince": timestamp(delivery.undetected_since) if delivery.undetected_since else None,
            "unhealthySince": timestamp(delivery.unhealthy_since) if delivery.unhealthy_since else None,
            "commitProblem": bounded(delivery.commit_problem),
            "countedFrom": timestamp(delivery.counted_from) if delivery.counted_from else None,
            "stages": {name: _stage(stage, elapsed(delivery, name)) for name, stage in stages.items() if stage},
            "failures": _failures(delivery.failures) if delivery.failures else None,
            "promises": [_judgement(judgement) for judgement in judgements],
            "reported": list(delivery.reported),
            "announced": delivery.announced or None,
        }
    )


def _stage(stage: Moment, took: timedelta | None) -> Wire:
    return lean(
        {
            "at": timestamp(stage.at),
            "source": stage.witness.value,
            "earliest": timestamp(stage.earliest) if stage.earliest else None,
            "elapsed": format_duration(took) if took is not None else None,
        }
    )


def _failures(failures: Failures) -> Wire:
    message = bounded(failures.message)
    fewer = clip(message, LIMIT)  # another script has up to four bytes a character
    same = classify(failures.reason, fewer) == classify(failures.reason, message)
    wire = {
        "count": failures.count,
        "firstAt": timestamp(failures.first_at),
        "lastAt": timestamp(failures.last_at),
        "reason": cleaned(failures.reason, _REASON),
        "message": fewer if same else message,
    }
    return wire | ({"specDigest": failures.spec} if failures.spec else {})


def _judgement(judgement: Judgement) -> Wire:
    return lean(
        {
            "name": judgement.promise.value,
            "verdict": judgement.verdict.value,
            "within": format_duration(judgement.within),
            "measured": format_duration(judgement.measured) if judgement.measured is not None else None,
            "reason": cleaned(judgement.reason, _REASON),
            "message": bounded(judgement.message),
            "deadline": timestamp(judgement.deadline) if judgement.deadline else None,
        }
    )


def _past(past: Past) -> Wire:
    return lean(
        {
            "revision": _revision(past.revision),
            "subject": bounded(past.subject, 72),
            "result": past.result.value,
            "endedAt": timestamp(past.ended_at),
            "latency": format_duration(past.latency) if past.latency is not None else None,
            "broken": list(past.broken),
            "failedAt": timestamp(past.failed_at) if past.failed_at else None,
            "recoveredAt": timestamp(past.recovered_at) if past.recovered_at else None,
            "footing": past.footing,
            "rolledBackTo": _revision(past.left_for),
            "because": bounded(past.because, 72),
        }
    )


def _rollback(memory: Memory) -> Wire:
    bad = {
        "badRevisions": [f"sha1:{hash_}" for hash_ in memory.bad],
        "begun": [timestamp(at) for at in memory.begun],
    }
    undo = memory.rollback
    if undo is None:
        return lean(bad)
    end = undo.completed_at
    return lean(
        {
            "state": undo.state.value,
            "from": _revision(undo.bad.name),
            "to": _revision(undo.good.name),
            "reason": cleaned(undo.reason, _REASON),
            "message": bounded(undo.message),
            "startedAt": timestamp(undo.started_at),
            "completedAt": timestamp(end) if end else None,
            "duration": format_duration(max(end - undo.started_at, timedelta(0))) if end else None,
            "kustomizationUID": undo.kustomization_uid,
            "sourceRef": _ref(undo.source),
            "pinRef": _ref(undo.pin),
            "pin": _copy(undo.copy),
            "restore": {key: value[:_WORD] for key, value in undo.kept_annotations.items()},
            "requestedBy": bounded(undo.asked_by),
            "notUndone": [bounded(each) for each in undo.remains],
            "specDigest": undo.spec,
            "generation": undo.generation or None,
            "announced": undo.announced or None,
            **bad,
        }
    )


def _copy(copy: Copy) -> Wire:
    return lean({"content": copy.content[:_PATH], "uid": copy.uid[:_PATH], "artifact": copy.artifact[:_PATH]})


def _taken(taken: Taken) -> Wire:
    return lean(
        {
            "name": taken.name,
            "asked": bounded(taken.text),
            "at": timestamp(taken.at),
            "message": bounded(taken.problem),
        }
    )


def _deletion(found: Departures) -> Wire:
    took = found.slowest
    return lean(
        {
            "inventory": found.inventory,
            "left": found.left or None,
            "spared": found.spared or None,
            "shortest": format_duration(took.shortest) if took else None,
            "longest": format_duration(took.longest) if took else None,
            "pending": [_departure(each) for each in found.pending],
            "more": found.more or None,
            "overdue": [_departure(each) for each in found.overdue],
            "unseenAt": timestamp(found.unseen_at) if found.unseen_at else None,
        }
    )


def _departure(found: Departure) -> Wire:
    return lean(
        {
            "id": found.entry.id[:_IDENTITY],
            "v": found.entry.version[:_WORD],
            "leftAt": timestamp(found.left_at),
            "message": bounded(found.account),
        }
    )


def _drift(drift: Drift) -> Wire:
    wire = {
        "revision": f"{'sha1' if len(drift.hash) == _SHA1 else 'sha256'}:{drift.hash}",
        "objects": [_finding(finding) for finding in drift.findings],
        "problem": bounded(drift.problem or drift.paused),
        "paused": bool(drift.paused) or None,
        "uncompared": bounded(drift.uncompared),
        "unlisted": bounded(drift.unlisted),
        "correction": _correction(drift.correction) if drift.correction else None,
    }
    return lean(wire) | {"compared": drift.compared, "drifted": drift.drifted}


def _correction(asked: Correction) -> Wire:
    return {"places": "".join(asked.places), "requestedAt": timestamp(asked.requested_at), "times": asked.times}


def _finding(finding: Finding) -> Wire:
    return lean(
        {
            "object": bounded(finding.object, _PATH),
            "kind": finding.kind.value,
            "fields": [_field(each) for each in finding.fields],
            "more": finding.more or None,
            "by": bounded(finding.by, 128),
            "at": timestamp(finding.at) if finding.at else None,
        }
    )


def _field(found: Field) -> Wire:
    return lean({"path": bounded(found.path), "want": bounded(found.want), "have": bounded(found.have)})


def _statistics(memory: Memory) -> Wire | None:
    found = statistics(memory.history)
    if found is None:
        return None
    figures = {
        "leadTimeMedian": found.lead_time_median,
        "leadTimeP95": found.lead_time_p95,
        "recoveryTimeMedian": found.recovery_median,
    }
    counts = {"deliveries": found.deliveries, "kept": found.kept, "failures": found.failures}
    return counts | {name: format_duration(value) for name, value in figures.items() if value is not None}


def _dependency(found: Dependency) -> Wire:
    ready = "Unknown" if found.ready is None else str(found.ready)
    return lean({"name": bounded(found.name), "ready": ready, "message": bounded(found.message)})


def _incident(incident: Incident) -> Wire:
    times = {
        "closedAt": incident.closed_at,
        "wellSince": incident.well_since,
        "unclearSince": incident.unclear_since,
        "toldAt": incident.told_at,
    }
    return lean(
        {
            "key": cleaned(incident.key, _PATH),
            "promise": cleaned(incident.promise, _WORD),
            "reason": cleaned(incident.reason, _WORD),
            "severity": incident.severity.value,
            "openedAt": timestamp(incident.opened_at),
            **{name: timestamp(at) for name, at in times.items() if at},
            "message": bounded(incident.message, LONGEST),
            "nextStep": bounded(incident.next_step, _NEXT),
            "outcome": bounded(incident.outcome, _NEXT),
            "failing": incident.failing or None,
            "plea": cleaned(incident.plea, _WORD),
            "revision": _revision(incident.revision),
            "cause": bounded(incident.cause, 120),
            "count": incident.count or None,
            "relapses": incident.relapses or None,
            "told": dict(sorted(incident.told.items())),
            "storms": dict(sorted(incident.storms.items())),
        }
    )
