"""The few fields of Flux's objects that we read, projected to the core's slim records.

Field meanings: Flux's API reference for ``kustomize.toolkit.fluxcd.io/v1`` and ``source.toolkit.fluxcd.io/v1``.
Every reader is tolerant: a field of a wrong type reads as absent, so a hostile object harms only its own contract.

Flux writes conditions and the other status fields in two patches, some milliseconds apart. A record that mixes
both therefore says nothing about delivery until the two agree; see `_delivered`.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.api.duration import InvalidDuration, parse_duration
from reconciliation_contract.api.kubernetes.metadata import parent_of
from reconciliation_contract.api.kubernetes.raw import (
    Raw,
    moment,
    read_list,
    read_map,
    read_number,
    read_strings,
    read_text,
    read_words,
)
from reconciliation_contract.core.facts.failure_cause import excerpt
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Condition, Failure, Kustomization, Since, SourceRef
from reconciliation_contract.core.rollback.start import HOLD, MARK
from reconciliation_contract.core.values import sharding
from reconciliation_contract.core.values.timing import TIMING

FIELD_MANAGER: Final = "reconciliation-contract"
"""Whose name the fields that we write carry."""
CONTRACT_LABEL: Final = "reconciliation.dev/contract"
"""On what we create: the name of the contract it belongs to."""
OWNER_ANNOTATION: Final = "reconciliation.dev/contract-uid"
"""On what we create: the uid of the contract it belongs to."""

ORIGINAL_ANNOTATION: Final = "reconciliation.dev/source"
"""On a pinned copy: the name of the source that it is a copy of."""

REQUESTED_AT: Final = "reconcile.fluxcd.io/requestedAt"
"""Asks for a reconciliation; each new value is one request."""

_DIGEST: Final = r"(?:sha1:(?=[0-9a-f]{40}(?![0-9a-f]))|sha256:(?=[0-9a-f]{64}))([0-9a-f]+)"
_HASH: Final = re.compile(_DIGEST)
_HEALTH_CHECKS: Final = re.compile(rf"(?i)health check.*{_DIGEST}")
_BEYOND_BUILD: Final = re.compile(rf"(?i)^(?:detect\w* drift|dry.?run|apply|(?:run\w* )?health.?check).*{_DIGEST}")
"""What Flux says it is at once the manifests are built. Its wording is no API: without it the stage lies between
those around it."""
_DENIED: Final = "AccessDenied"
"""Flux's reason where a reference to another namespace is not followed; it is looked at before anything else is."""
_PACE: Final = frozenset({"sourceRef", "suspend", "interval", "retryInterval", "timeout"})
_SECOND: Final = timedelta(seconds=1)
_INTERRUPTED: Final = "HealthCheckCanceled"
"""Flux's reason for an attempt that it gave up for another look: neither a success nor a failure."""
_FAILURES: Final = 16
"""Failed attempts of one revision that a record keeps."""


def revision_hash(revision: str) -> str:
    """Read the hash out of a revision (``main@sha1:X``, ``latest@sha256:X``); empty where there is none."""
    found = _HASH.search(revision)
    return found.group(1) if found else ""


def kustomization(raw: Raw, received_at: datetime, *, live: bool, before: Kustomization | None) -> Kustomization:
    """Project a Kustomization.

    ``live`` says that the object came as a watch event, so that a difference from ``before`` happened just now;
    otherwise it came from a list and happened at some time up to now.
    """
    meta, spec, status = read_map(raw, "metadata"), read_map(raw, "spec"), read_map(raw, "status")
    if before is not None and before.uid != read_text(meta, "uid"):
        before = None
    attempted, ready = revision_hash(read_text(status, "lastAttemptedRevision")), condition(status, "Ready")
    record = _declared(meta, spec, status, before)
    old = before or record
    at = _happened_at(meta, received_at)
    exact = live and before is not None and at == received_at
    stands = _delivered(meta, status, ready) or _rechecked(before, record, attempted)
    record = replace(
        record,
        inventory=_inventory(status, old.inventory, at, exact=exact),
        attempted=_since(old.attempted, attempted, at, exact=exact),
        built=_since(old.built, _built(status, old, attempted) or stands, at, exact=exact),
        applied=_since(old.applied, _applied(status), at, exact=exact),
        delivered=_stands(old.delivered, stands, ready, at, exact=exact),
    )
    record = replace(record, reached=record.source if has_reached(raw) else _still_reached(before, record))
    return replace(record, failures=_failures(record, old.failures if before else ()))


def is_denied(status: Raw) -> bool:
    """Whether Flux says that it may not read the source."""
    return _DENIED in (condition(status, "Ready").reason, condition(status, "Stalled").reason)


def has_reached(kustomization: Raw) -> bool:
    """Whether Flux has been allowed to read the source that the spec names now, as its last word on it tells."""
    meta, status = read_map(kustomization, "metadata"), read_map(kustomization, "status")
    ready = _raw_condition(status, "Ready")
    judged = read_text(ready, "status") in ("True", "False") and not is_denied(status)
    return judged and read_number(ready, "observedGeneration") == read_number(meta, "generation") > 0


def _still_reached(before: Kustomization | None, record: Kustomization) -> SourceRef | None:
    """What Flux was allowed to read before, while it is at work on the same again."""
    known = before.reached if before else None
    return known if known == record.source and not record.denied else None


def _declared(meta: Raw, spec: Raw, status: Raw, before: Kustomization | None) -> Kustomization:
    """What can be read off the object itself, without the time at which it came."""
    namespace = read_text(meta, "namespace")
    substitutes = bool(read_list(read_map(spec, "postBuild"), "substituteFrom"))
    private = substitutes or "decryption" in spec
    return Kustomization(
        namespace=namespace,
        name=read_text(meta, "name"),
        uid=read_text(meta, "uid"),
        resource_version=read_text(meta, "resourceVersion"),
        generation=read_number(meta, "generation"),
        source=source_of(meta, spec),
        observed_generation=read_number(status, "observedGeneration"),
        deleting="deletionTimestamp" in meta,
        suspended=spec.get("suspend") is True,
        shard=shard_of(meta),
        path=read_text(spec, "path"),
        interval=duration_of(spec, "interval"),
        retry_interval=duration_of(spec, "retryInterval") or duration_of(spec, "interval"),
        timeout=duration_of(spec, "timeout"),
        checks_health=spec.get("wait") is True or bool(spec.get("healthChecks")),
        prunes=spec.get("prune") is True,
        depends_on=_depends_on(spec, namespace),
        ready=condition(status, "Ready", private=private),
        stalled=condition(status, "Stalled", private=private),
        denied=is_denied(status),
        attempted_revision=read_text(status, "lastAttemptedRevision"),
        applied_revision=read_text(status, "lastAppliedRevision"),
        parent=parent_of(meta),
        manifests=_manifests(status),
        spec=_spec_digest(spec, read_number(meta, "generation"), before),
        substitutes=substitutes,
        requested_at=read_text(read_map(meta, "annotations"), REQUESTED_AT),
        handled_request=read_text(status, "lastHandledReconcileAt"),
        hold={
            key: value for key, value in read_strings(read_map(meta, "annotations")).items() if key in (HOLD, MARK)
        },
        claim=_claim(meta),
        created_at=moment(meta.get("creationTimestamp")),
    )


def _happened_at(meta: Raw, received_at: datetime) -> datetime:
    """When an object was written as it is: when it was received, unless the API server says that it came late.

    A watch that had lost its connection brings what it missed as if it had just happened. The API server notes the
    second of each manager's last change.
    """
    latest = max((read_text(entry, "time") for entry in read_list(meta, "managedFields")), default="")
    written = moment(latest)
    if written is None or received_at - written <= TIMING.watch_lag + _SECOND:
        return received_at
    return written + _SECOND


def _inventory(status: Raw, before: Since[Inventory] | None, at: datetime, *, exact: bool) -> Since[Inventory] | None:
    entries = read_map(status, "inventory").get("entries")
    if not isinstance(entries, list):
        return before  # a failed first attempt has none yet; Flux never takes one back
    lines = ((read_text(item, "id"), read_text(item, "v")) for item in entries if isinstance(item, Mapping))
    found = Inventory.of(lines, before.value if before else None)
    return before if before and before.value is found else Since(found, at, exact=exact)


def _built(status: Raw, before: Kustomization, attempted: str) -> str:
    """Hash of what is built, by what Flux says that it does now or did before at the same attempted revision."""
    beyond = _BEYOND_BUILD.search(condition(status, "Reconciling").message)
    if beyond:
        return beyond.group(1)
    known = before.built.value if before.built else ""
    return known if before.attempted and before.attempted.value == attempted == known else ""


def _applied(status: Raw) -> str:
    """Hash of what is applied: also while its health check is still running."""
    checking = _HEALTH_CHECKS.search(condition(status, "Reconciling").message)
    return checking.group(1) if checking else revision_hash(read_text(status, "lastAppliedRevision"))


def _delivered(meta: Raw, status: Raw, ready: Condition) -> str:
    """Hash at which it stands Ready, where all parts of the status agree; else empty."""
    applied = revision_hash(read_text(status, "lastAppliedRevision"))
    if ready.status != "True" or not applied or applied != revision_hash(read_text(status, "lastAttemptedRevision")):
        return ""
    told = _HASH.findall(ready.message)
    current = _raw_condition(status, "Ready").get("observedGeneration") in (None, meta.get("generation"))
    return applied if current and (not told or applied in told) else ""


def _rechecked(before: Kustomization | None, record: Kustomization, attempted: str) -> str:
    """Hash that stood Ready and is only looked at again, as Flux does at every interval; else empty."""
    if before is None or before.delivered is None or record.ready.status != "Unknown":
        return ""
    stood = before.delivered.value
    same = before.generation == record.generation and stood == attempted == revision_hash(record.applied_revision)
    return stood if same else ""


def _stands(
    before: Since[str] | None, hash_: str, ready: Condition, received_at: datetime, *, exact: bool
) -> Since[str] | None:
    fresh = _since(before, hash_, received_at, exact=exact)
    if fresh is None or fresh.exact or fresh is before or ready.transitioned_at is None:
        return fresh
    return replace(fresh, at=min(fresh.at, ready.transitioned_at))


def _failures(record: Kustomization, known: tuple[Failure, ...]) -> tuple[Failure, ...]:
    """Failed attempts at the attempted revision; each has its own transition of Ready to False."""
    attempted, ready = record.attempted, record.ready
    if attempted is None or record.delivered is not None:
        return ()
    known = tuple(failure for failure in known if failure.hash == attempted.value)
    at = ready.transitioned_at
    interrupted = ready.reason == _INTERRUPTED
    if ready.status != "False" or interrupted or at is None or any(failure.at == at for failure in known):
        return known
    failure = Failure(at, ready.reason, excerpt(ready.reason, ready.message), attempted.value)
    return (*known, failure)[-_FAILURES:]


def _since(before: Since[str] | None, value: str, at: datetime, *, exact: bool) -> Since[str] | None:
    if not value:
        return None
    return before if before is not None and before.value == value else Since(value, at, exact=exact)


def condition(status: Raw, name: str, *, private: bool = False) -> Condition:
    """Read one condition; an absent one is Unknown. ``private`` as for `cleaned`."""
    raw = _raw_condition(status, name)
    if not raw:
        return Condition()
    return Condition(
        status=read_text(raw, "status") or "Unknown",
        reason=read_words(raw, "reason"),
        message=read_words(raw, "message", private=private),
        transitioned_at=moment(raw.get("lastTransitionTime")),
    )


def shard_of(meta: Raw) -> str:
    """Shard of Flux's controllers that an object belongs to; empty where it has no such label."""
    return read_text(read_map(meta, "labels"), sharding.KEY)[:63]


def _raw_condition(status: Raw, name: str) -> Raw:
    return next((c for c in read_list(status, "conditions") if c.get("type") == name), {})


def source_of(meta: Raw, spec: Raw) -> SourceRef:
    """Read a Kustomization's reference to its source."""
    ref = read_map(spec, "sourceRef")
    namespace = read_text(ref, "namespace") or read_text(meta, "namespace")
    return SourceRef(read_text(ref, "kind"), namespace, read_text(ref, "name"))


def _depends_on(spec: Raw, namespace: str) -> tuple[str, ...]:
    items = read_list(spec, "dependsOn")
    return tuple(f"{read_text(item, 'namespace') or namespace}/{read_text(item, 'name')}" for item in items)


def _claim(meta: Raw) -> int | None:
    """Place of our own entry, unless it is the only one: an empty list would change nothing, by design."""
    managers = [read_text(entry, "manager") for entry in read_list(meta, "managedFields")]
    return managers.index(FIELD_MANAGER) if FIELD_MANAGER in managers and len(managers) > 1 else None


def _manifests(status: Raw) -> dict[str, str]:
    """Digest of what was built last from each revision in Flux's history, which has the newest first."""
    entries = (
        (read_text(read_map(e, "metadata"), "revision"), read_text(e, "digest"))
        for e in reversed(read_list(status, "history"))
    )
    return {hash_: digest for revision, digest in entries if (hash_ := revision_hash(revision)) and digest}


def _spec_digest(spec: Raw, generation: int, before: Kustomization | None) -> str:
    """Digest of the spec without what a rollback changes or what only sets the pace."""
    if before is not None and before.generation == generation and before.spec:
        return before.spec
    kept = {key: value for key, value in spec.items() if key not in _PACE}
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()[:16]


def duration_of(spec: Raw, key: str) -> timedelta:
    """Read a duration; zero where there is none."""
    try:
        return parse_duration(read_text(spec, key))
    except InvalidDuration:
        return timedelta(0)
