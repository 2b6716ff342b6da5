"""Read the contract's status back into the core's memory.

Reading is tolerant: a part that makes no sense is forgotten, never a reason to fail.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar

from reconciliation_contract.api.duration import InvalidDuration, parse_duration
from reconciliation_contract.api.flux.kustomization import revision_hash
from reconciliation_contract.api.kubernetes.raw import (
    LONGEST_LIST,
    Raw,
    moment,
    read_list,
    read_map,
    read_number,
    read_text,
    read_words,
)
from reconciliation_contract.api.status import validation
from reconciliation_contract.api.status.apart import is_apart, join
from reconciliation_contract.api.status.migration import migrated
from reconciliation_contract.api.status.repetition import said_again
from reconciliation_contract.core.facts.comparison import Drift, Field, Finding, Kind
from reconciliation_contract.core.facts.correction import PLACE, Correction
from reconciliation_contract.core.facts.inventory import entry
from reconciliation_contract.core.facts.observation import Condition, Dependency, SourceRef
from reconciliation_contract.core.facts.pruning import Departure, Departures, Took
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import (
    BAD_REVISIONS,
    INCIDENTS,
    Copy,
    Good,
    Incident,
    Memory,
    Past,
    Result,
    Revision,
    Rollback,
    RollbackState,
    Standing,
    Taken,
    Transition,
)
from reconciliation_contract.core.memory.timeline import STAGES, Delivery, Failures, Moment, Stages, Witness
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.spec.requests import NAMES

E = TypeVar("E", bound=StrEnum)


def parse_memory(status: object) -> Memory:
    """Read a status back. Anything but a mapping, or a part that makes no sense, reads as nothing known."""
    given = status if isinstance(status, Mapping) else {}
    raw = join(given)
    rollback, bad = _read_rollback(read_map(raw, "rollback"))
    delivery = _read_delivery(read_map(raw, "delivery"))
    memory = Memory(
        delivery=delivery,
        judgements=_read_judgements(read_map(raw, "delivery")) if delivery else (),
        history=tuple(past for item in read_list(raw, "history") if (past := _read_past(item))),
        good=_read_good(read_map(raw, "lastGood")),
        rollback=rollback,
        bad=bad,
        begun=tuple(at for item in _plain(read_map(raw, "rollback"), "begun") if (at := moment(item))),
        taken=tuple(taken for item in read_list(raw, "requests")[: len(NAMES)] if (taken := _read_taken(item))),
        handled={name: found for name in NAMES if (found := read_text(read_map(raw, "handledRequests"), name))},
        standing=_read_standing(read_map(raw, "standing")),
        transitions=_read_transitions(read_map(raw, "transitions")),
        failing_since=moment(raw.get("failingSince")),
        dependencies=tuple(_read_dependency(item) for item in read_list(raw, "dependencies")),
        incidents=tuple(i for item in read_list(raw, "incidents")[:INCIDENTS] if (i := _read_incident(item))),
        departures=_read_departures(read_map(raw, "deletion")),
        suspended=raw.get("suspended") is True,
        drift=_read_drift(read_map(raw, "drift")),
        refusals=validation.parse(read_map(raw, "validation"), delivery),
        observed_generation=read_number(raw, "observedGeneration"),
        handled_request=read_text(raw, "lastHandledReconcileAt"),
    )
    memory = said_again(memory)
    return memory if is_apart(given) else migrated(memory, parse_conditions(given))


def parse_conditions(status: object) -> Mapping[str, Condition]:
    """Read back what people were told; those without a name read as absent."""
    raw = status if isinstance(status, Mapping) else {}
    return {read_text(c, "type"): _read_condition(c) for c in read_list(raw, "conditions") if read_text(c, "type")}


def _read_standing(raw: Raw) -> Standing | None:
    reason = read_words(raw, "reason")
    return Standing(raw.get("rolledBack") is True, reason, read_words(raw, "message")) if reason else None


def _read_transitions(raw: Raw) -> Mapping[str, Transition]:
    found = {name: read_map(raw, name) for name in list(raw)[:LONGEST_LIST]}
    times = {name: moment(each.get("at")) for name, each in found.items()}
    return {name: Transition(read_text(found[name], "status"), at) for name, at in times.items() if at}


def _member(kind: type[E], text: str) -> E | None:
    return next((member for member in kind if member.value == text), None)


def _span(raw: Raw, key: str) -> timedelta | None:
    try:
        return parse_duration(read_text(raw, key), timedelta(0), timedelta.max)
    except InvalidDuration:
        return None


def _plain(raw: Raw, key: str) -> tuple[str, ...]:
    """Read a list of strings."""
    value = raw.get(key)
    return tuple(item for item in value[:LONGEST_LIST] if isinstance(item, str)) if isinstance(value, list) else ()


def _read_condition(raw: Raw) -> Condition:
    at = moment(raw.get("lastTransitionTime"))
    return Condition(read_text(raw, "status") or "Unknown", read_words(raw, "reason"), read_words(raw, "message"), at)


def _read_dependency(raw: Raw) -> Dependency:
    ready = {"True": True, "False": False}.get(read_text(raw, "ready"))
    return Dependency(read_text(raw, "name"), ready, read_words(raw, "message"))


def _read_departures(raw: Raw) -> Departures:
    shortest, longest = _span(raw, "shortest"), _span(raw, "longest")
    return Departures(
        inventory=read_text(raw, "inventory"),
        left=read_number(raw, "left"),
        spared=read_number(raw, "spared"),
        slowest=Took(shortest, longest) if shortest is not None and longest is not None else None,
        pending=tuple(found for item in read_list(raw, "pending") if (found := _read_departure(item))),
        more=read_number(raw, "more"),
        overdue=tuple(found for item in read_list(raw, "overdue") if (found := _read_departure(item))),
        unseen_at=moment(raw.get("unseenAt")),
    )


def _read_departure(raw: Raw) -> Departure | None:
    found, left_at = entry(read_text(raw, "id"), read_text(raw, "v")), moment(raw.get("leftAt"))
    return Departure(found, left_at, account=read_words(raw, "message")) if found and left_at else None


def _read_ref(raw: Raw) -> SourceRef:
    return SourceRef(read_text(raw, "kind"), read_text(raw, "namespace"), read_text(raw, "name"))


def _read_good(raw: Raw) -> Good | None:
    revision, since = read_text(raw, "revision"), moment(raw.get("since"))
    if not revision_hash(revision) or since is None:
        return None
    return Good(
        revision=revision,
        hash=revision_hash(revision),
        since=since,
        kustomization_uid=read_text(raw, "kustomizationUID"),
        source=_read_ref(read_map(raw, "sourceRef")),
        path=read_text(raw, "path"),
        checked=raw.get("healthChecked") is True,
        manifests=read_text(raw, "manifests"),
        spec=read_text(raw, "specDigest"),
    )


def _read_moment(raw: Raw) -> Moment | None:
    at, source = moment(raw.get("at")), read_text(raw, "source")
    if at is None or (witness := _member(Witness, source)) is None:
        return None
    return Moment(at, witness, moment(raw.get("earliest")))


def _read_delivery(raw: Raw) -> Delivery | None:
    revision, started = read_text(raw, "revision"), moment(raw.get("startedAt"))
    if not revision_hash(revision) or started is None:
        return None
    stages = {name: _read_moment(read_map(read_map(raw, "stages"), name)) for name in STAGES}
    return Delivery(
        revision=revision,
        hash=revision_hash(revision),
        started_at=started,
        adopted=raw.get("adopted") is True,
        subject=read_words(raw, "subject"),
        stages=Stages(**stages),
        failures=_read_failures(read_map(raw, "failures")),
        commit_problem=read_words(raw, "commitProblem"),
        counted_from=moment(raw.get("countedFrom")),
        reported=_plain(raw, "reported"),
        announced=raw.get("announced") is True,
        resumed=raw.get("resumed") is True,
        binding=read_text(raw, "binding"),
        undetected_since=moment(raw.get("undetectedSince")),
        unhealthy_since=moment(raw.get("unhealthySince")),
    )


def _read_failures(raw: Raw) -> Failures | None:
    first, last, count = moment(raw.get("firstAt")), moment(raw.get("lastAt")), raw.get("count")
    if first is None or last is None or not isinstance(count, int):
        return None
    spec = read_text(raw, "specDigest")
    return Failures(count, first, last, read_words(raw, "reason"), read_words(raw, "message"), spec)


def _read_judgements(raw: Raw) -> tuple[Judgement, ...]:
    return tuple(
        Judgement(
            promise=promise,
            verdict=verdict,
            within=_span(item, "within") or timedelta(0),
            reason=read_words(item, "reason"),
            message=read_words(item, "message"),
            measured=_span(item, "measured"),
            deadline=moment(item.get("deadline")),
        )
        for item in read_list(raw, "promises")
        if (promise := _member(PromiseName, read_text(item, "name")))
        and (verdict := _member(Verdict, read_text(item, "verdict")))
    )


def _read_drift(raw: Raw) -> Drift | None:
    hash_ = revision_hash(read_text(raw, "revision"))
    if not hash_:
        return None
    asked, problem, paused = read_map(raw, "correction"), read_words(raw, "problem"), raw.get("paused") is True
    at = moment(asked.get("requestedAt"))
    return Drift(
        hash=hash_,
        compared=read_number(raw, "compared"),
        drifted=read_number(raw, "drifted"),
        findings=tuple(found for item in read_list(raw, "objects") if (found := _read_finding(item))),
        problem="" if paused else problem,
        paused=problem if paused else "",
        correction=Correction(_places(asked), at, max(1, read_number(asked, "times"))) if at else None,
        unlisted=read_words(raw, "unlisted"),
        uncompared=read_words(raw, "uncompared"),
    )


def _places(raw: Raw) -> tuple[str, ...]:
    text = read_text(raw, "places")
    return tuple(text[start : start + PLACE] for start in range(0, len(text), PLACE))


def _read_finding(raw: Raw) -> Finding | None:
    kind = _member(Kind, read_text(raw, "kind"))
    if kind is None:
        return None
    fields = (
        Field(*(read_words(item, key) for key in ("path", "want", "have"))) for item in read_list(raw, "fields")
    )
    at = moment(raw.get("at"))
    return Finding(
        read_words(raw, "object"), kind, tuple(fields), read_number(raw, "more"), read_words(raw, "by"), at
    )


def _read_past(raw: Raw) -> Past | None:
    revision, ended, result = read_text(raw, "revision"), moment(raw.get("endedAt")), read_text(raw, "result")
    if not revision or ended is None or (ended_as := _member(Result, result)) is None:
        return None
    names = _plain(raw, "broken")
    subject, latency = read_words(raw, "subject"), _span(raw, "latency")
    return Past(
        revision=revision,
        hash=revision_hash(revision),
        result=ended_as,
        ended_at=ended,
        subject=subject,
        latency=latency,
        broken=names,
        failed_at=moment(raw.get("failedAt")),
        recovered_at=moment(raw.get("recoveredAt")),
        footing=read_text(raw, "footing"),
        left_for=read_text(raw, "rolledBackTo"),
        because=read_words(raw, "because"),
    )


def _read_rollback(raw: Raw) -> tuple[Rollback | None, tuple[str, ...]]:
    bad = tuple(hash_ for item in _plain(raw, "badRevisions") if (hash_ := revision_hash(item)))[-BAD_REVISIONS:]
    state, started = read_text(raw, "state"), moment(raw.get("startedAt"))
    stands = _member(RollbackState, state)
    if stands is None or started is None:
        return None, bad
    restore = {key: value for key, value in read_map(raw, "restore").items() if isinstance(value, str)}
    undo = Rollback(
        state=stands,
        bad=_read_revision(raw, "from"),
        good=_read_revision(raw, "to"),
        reason=read_words(raw, "reason"),
        kustomization_uid=read_text(raw, "kustomizationUID"),
        source=_read_ref(read_map(raw, "sourceRef")),
        pin=_read_ref(read_map(raw, "pinRef")),
        copy=Copy(*(read_text(read_map(raw, "pin"), key) for key in ("content", "uid", "artifact"))),
        started_at=started,
        completed_at=moment(raw.get("completedAt")),
        kept_annotations=restore,
        message=read_words(raw, "message"),
        asked_by=read_words(raw, "requestedBy"),
        remains=tuple(item for item in _plain(raw, "notUndone")),
        spec=read_text(raw, "specDigest"),
        generation=read_number(raw, "generation"),
        announced=raw.get("announced") is True,
    )
    return undo, bad


def _read_taken(raw: Raw) -> Taken | None:
    name, at = read_text(raw, "name"), moment(raw.get("at"))
    if name not in NAMES or at is None:
        return None
    return Taken(name, read_words(raw, "asked"), at, read_words(raw, "message"))


def _read_revision(raw: Raw, key: str) -> Revision:
    return Revision(read_text(raw, key), revision_hash(read_text(raw, key)))


def _read_incident(raw: Raw) -> Incident | None:
    key, opened = read_text(raw, "key"), moment(raw.get("openedAt"))
    if not key or opened is None:
        return None
    told, storms = read_map(raw, "told"), read_map(raw, "storms")
    return Incident(
        key=key,
        promise=read_words(raw, "promise"),
        reason=read_words(raw, "reason"),
        severity=_member(Severity, read_text(raw, "severity")) or Severity.WARNING,
        opened_at=opened,
        message=read_words(raw, "message"),
        revision=read_text(raw, "revision"),
        cause=read_words(raw, "cause"),
        count=max(0, read_number(raw, "count")),
        told_at=moment(raw.get("toldAt")),
        well_since=moment(raw.get("wellSince")),
        unclear_since=moment(raw.get("unclearSince")),
        outcome=read_words(raw, "outcome"),
        plea=read_words(raw, "plea"),
        failing=raw.get("failing") is True,
        next_step=read_words(raw, "nextStep"),
        closed_at=moment(raw.get("closedAt")),
        relapses=max(0, read_number(raw, "relapses")),
        told={sink: read_number(told, sink) for sink in list(told)[:16] if read_number(told, sink) > 0},
        storms={sink: read_text(storms, sink) for sink in list(storms)[:16] if read_text(storms, sink)},
    )
