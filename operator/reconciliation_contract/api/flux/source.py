"""The few fields of Flux's sources that we read, projected to the core's slim record; see `flux` for the manner."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Final

from reconciliation_contract.api.flux.kustomization import (
    ORIGINAL_ANNOTATION,
    OWNER_ANNOTATION,
    condition,
    duration_of,
    revision_hash,
    shard_of,
)
from reconciliation_contract.api.kubernetes.raw import Raw, moment, read_map, read_number, read_strings, read_text
from reconciliation_contract.core.facts.observation import Artifact, Since, Source
from reconciliation_contract.core.facts.source_kind import GIT_REPOSITORY, SourceKind

_OWN: Final = frozenset({"ref", "interval", "suspend"})
"""What a pinned copy does not have from its source: which commit, and how often it is looked at."""
_DIGEST: Final = 160
"""Longest digest of an artifact: its algorithm and 128 hex digits."""


def content_spec(spec: Raw) -> dict[str, Any]:
    """All of a source's spec that decides what its artifact holds and how it is fetched."""
    return {key: value for key, value in spec.items() if key not in _OWN}


def content_of(spec: Raw) -> str:
    """Digest of the same."""
    return hashlib.sha256(json.dumps(content_spec(spec), sort_keys=True, default=str).encode()).hexdigest()[:32]


def source(
    raw: Raw, received_at: datetime, *, live: bool, before: Source | None, kind: SourceKind = GIT_REPOSITORY
) -> Source:
    """Project a source; arguments as for `kustomization`."""
    meta, spec, status = read_map(raw, "metadata"), read_map(raw, "spec"), read_map(raw, "status")
    if before is not None and before.uid != read_text(meta, "uid"):
        before = None
    artifact = _artifact(read_map(status, "artifact"), received_at)
    ref = read_strings(read_map(spec, "ref"))
    return Source(
        namespace=read_text(meta, "namespace"),
        name=read_text(meta, "name"),
        uid=read_text(meta, "uid"),
        resource_version=read_text(meta, "resourceVersion"),
        url=read_text(spec, "url") or "/".join(read_text(spec, key) for key in ("endpoint", "bucketName")).strip("/"),
        kind=kind,
        ref={key: ref[key] for key in kind.reference_fields if key in ref},
        secret=read_text(read_map(spec, "secretRef"), "name"),
        hidden=_hidden(spec) if kind.commits else "",
        shard=shard_of(meta),
        interval=duration_of(spec, "interval"),
        suspended=spec.get("suspend") is True,
        deleting="deletionTimestamp" in meta,
        ready=condition(status, "Ready"),
        artifact=_artifact_since(before.artifact if before else None, artifact, received_at, live=live, known=before),
        original=read_text(read_map(meta, "annotations"), ORIGINAL_ANNOTATION),
        contract_uid=read_text(read_map(meta, "annotations"), OWNER_ANNOTATION),
        created_at=moment(meta.get("creationTimestamp")),
        content=content_of(spec) if kind.pin_field else "",
        generation=read_number(meta, "generation"),
    )


def _hidden(spec: Raw) -> str:
    if read_map(spec, "proxySecretRef"):
        return "Flux reads it through the proxy of spec.proxySecretRef, which the operator does not do"
    provider = read_text(spec, "provider")
    if provider not in ("", "generic"):
        return f"Flux reads it with the identity of spec.provider {provider}, which the operator does not have"
    return ""


def _artifact(status: Raw, received_at: datetime) -> Artifact | None:
    revision = read_text(status, "revision")
    hash_ = revision_hash(revision)
    if not hash_:
        return None
    at = moment(status.get("lastUpdateTime")) or received_at
    return Artifact(revision, hash_, at, read_text(status, "digest")[:_DIGEST])


def _artifact_since(
    before: Since[Artifact] | None, artifact: Artifact | None, at: datetime, *, live: bool, known: Source | None
) -> Since[Artifact] | None:
    if artifact is None:
        return None
    if before is not None and before.value == artifact:
        return before
    return Since(artifact, at, exact=live and known is not None)
