"""Raw objects as the API server delivers them, and the core's own values, each with defaults.

A commit is named by a letter or a word; `sha` gives its hash. Times are seconds after `T0`. The phases of a
Kustomization are those of kustomize-controller's status, patch by patch; `advance` takes an object from one to the
next and moves what Flux moves, and nothing else.
"""

from __future__ import annotations

import copy
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]

T0 = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)
NAMESPACE = "apps"
NAME = "shop"
CONTRACT_UID = "c0000000-0000-4000-8000-000000000001"
KUSTOMIZATION_UID = "k0000000-0000-4000-8000-000000000001"
SOURCE_UID = "50000000-0000-4000-8000-000000000001"
URL = "https://git.example.com/shop.git"


def at(seconds: float) -> datetime:
    """A time, in seconds after the story began."""
    return T0 + timedelta(seconds=seconds)


def sha(commit: str) -> str:
    """The hash of a named commit; a full hash is left as it is."""
    return commit if len(commit) == 40 else hashlib.sha1(commit.encode()).hexdigest()


def revision(commit: str, ref: str = "main") -> str:
    """How Flux names a commit."""
    return f"{ref}@sha1:{sha(commit)}" if ref else f"sha1:{sha(commit)}"


def brief(commit: str) -> str:
    """How a message names a commit."""
    return f"main@sha1:{sha(commit)[:8]}"


def digest(content: str) -> str:
    """The digest of what a registry or bucket holds."""
    return hashlib.sha256(content.encode()).hexdigest()


def named(commit: str, kind: str, ref: str = "main") -> str:
    """How Flux names what a source of a kind serves."""
    match kind:
        case "OCIRepository":
            return f"latest@sha256:{digest(commit)}"
        case "Bucket":
            return f"sha256:{digest(commit)}"
        case _:
            return revision(commit, ref)


def ref_name(ref: Mapping[str, str]) -> str:
    """What Flux puts before the hash: nothing for a commit, else the name that it was found by."""
    if "commit" in ref:
        return ref.get("branch", "")
    return ref.get("name") or ref.get("semver", "").strip(">=<~^ ") or ref.get("tag") or ref.get("branch") or "main"


def stamp(moment: datetime) -> str:
    """A time stamp of the API server: whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def metadata(name: str, uid: str, **more: Any) -> Object:
    """What every object has, noise included."""
    return {
        "name": name,
        "namespace": NAMESPACE,
        "uid": uid,
        "resourceVersion": "1",
        "generation": 1,
        "creationTimestamp": stamp(at(-3600)),
        "managedFields": [{"manager": "kubectl", "operation": "Apply", "fieldsV1": {}}],
        **more,
    }


def contract(*, created: datetime = T0, uid: str = CONTRACT_UID, **spec: Any) -> Object:
    """A contract as its author wrote it."""
    return {
        "apiVersion": "reconciliation.dev/v1alpha1",
        "kind": "ReconciliationContract",
        "metadata": metadata(NAME, uid, creationTimestamp=stamp(created)),
        "spec": {"kustomizationRef": {"name": NAME}, **spec},
    }


# Sources -----------------------------------------------------------------------------------------------------------


def git_repository(commit: str = "", *, updated: datetime = T0, name: str = NAME, **spec: Any) -> Object:
    """A GitRepository, serving a commit where one is named."""
    raw: Object = {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": metadata(name, SOURCE_UID if name == NAME else f"uid-of-{name}"),
        "spec": {"interval": "1m0s", "timeout": "60s", "url": URL, "ref": {"branch": "main"}, **spec},
    }
    return serve(raw, commit, updated) if commit else raw


def oci_repository() -> Object:
    """An OCIRepository, as source-controller 1.9.3 takes it."""
    spec = {"interval": "1m0s", "url": "oci://registry.example.com/shop", "ref": {"tag": "latest"}}
    return _source("OCIRepository", spec)


def bucket() -> Object:
    """A Bucket of any S3 server."""
    spec = {"interval": "1m0s", "provider": "generic", "endpoint": "minio.example.com", "bucketName": "shop"}
    return _source("Bucket", spec)


def _source(kind: str, spec: Object) -> Object:
    version = "source.toolkit.fluxcd.io/v1"
    return {"apiVersion": version, "kind": kind, "metadata": metadata(NAME, SOURCE_UID), "spec": spec}


def serve(raw: Object, commit: str, when: datetime, *, torn: bool = False) -> Object:
    """The source after it fetched a commit; ``torn``: the condition has arrived, the artifact not yet."""
    after = changed(raw)
    status = after.setdefault("status", {})
    name = named(commit, raw["kind"], ref_name(raw["spec"].get("ref", {})))
    _set_condition(status, "Ready", "True", "Succeeded", f"stored artifact for revision '{name}'", when, 1)
    _set_condition(
        status, "ArtifactInStorage", "True", "Succeeded", f"stored artifact for revision '{name}'", when, 1
    )
    if not torn:
        status["artifact"] = {
            "digest": f"sha256:{hashlib.sha256(commit.encode()).hexdigest()}",
            "lastUpdateTime": stamp(when),
            "path": f"gitrepository/{NAMESPACE}/{NAME}/{sha(commit)}.tar.gz",
            "revision": name,
            "size": 1024,
            "url": f"http://source-controller.flux-system.svc.cluster.local./{sha(commit)}.tar.gz",
        }
        status["observedGeneration"] = after["metadata"]["generation"]
    return after


def source_failed(raw: Object, message: str, when: datetime) -> Object:
    """The source after a fetch that failed: it keeps its old artifact."""
    after = changed(raw)
    status = after.setdefault("status", {})
    _set_condition(status, "Ready", "False", "GitOperationFailed", message, when, 1)
    _set_condition(status, "FetchFailed", "True", "GitOperationFailed", message, when, 1)
    return after


# Kustomizations ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Phase:
    """What one status patch of kustomize-controller says; ``{rev}`` is the revision."""

    ready: str
    reason: str
    message: str
    step: str = ""
    """Message of the condition Reconciling; empty leaves it as it is."""
    attempts: bool = True
    """``lastAttemptedRevision`` is the new one."""
    applies: bool = False
    """``lastAppliedRevision`` is the new one."""
    healthy: str = ""
    """Status of the condition Healthy, where health is checked; empty leaves it as it is."""
    stalls: bool = False


_PROGRESS = "Reconciliation in progress"
_DRY_RUN = "Deployment/apps/shop dry-run failed"
_FAILED = "ReconciliationFailed"
_CHECKING = "Running health checks for revision {rev} with a timeout of 4m30s"

PHASES: Mapping[str, Phase] = {
    "fetching": Phase(
        "Unknown",
        "Progressing",
        _PROGRESS,
        "Fetching manifests for revision {rev} with a timeout of 4m30s",
        attempts=False,
    ),
    "building": Phase(
        "Unknown", "Progressing", _PROGRESS, "Building manifests for revision {rev} with a timeout of 4m30s"
    ),
    "applying": Phase("Unknown", "Progressing", _PROGRESS, "Detecting drift for revision {rev} with a timeout of 4m30s"),
    "checking": Phase("Unknown", "Progressing", _PROGRESS, _CHECKING, healthy="Unknown"),
    "ready": Phase("True", "ReconciliationSucceeded", "Applied revision: {rev}", applies=True, healthy="True"),
    "torn": Phase("True", "ReconciliationSucceeded", "Applied revision: {rev}", healthy="True"),
    "unbuildable": Phase(
        "False", "BuildFailed", "kustomize build failed: accumulating resources: missing resource 'web.yaml'"
    ),
    "invalid": Phase(
        "False", _FAILED, f'{_DRY_RUN} (Invalid): Deployment.apps "shop" is invalid: spec.selector: field is immutable'
    ),
    "forbidden": Phase(
        "False",
        _FAILED,
        f'{_DRY_RUN} (Forbidden): deployments.apps "shop" is forbidden: User "system:serviceaccount:apps:shop" '
        'cannot patch resource "deployments" in API group "apps" in the namespace "apps"',
    ),
    "webhookless": Phase(
        "False",
        _FAILED,
        f'{_DRY_RUN} (InternalError): Internal error occurred: failed calling webhook "policy.example.com": '
        'failed to call webhook: Post "https://policy.svc:443/validate": no endpoints available',
    ),
    "unpruned": Phase("False", "PruneFailed", "prune failed: ConfigMap/apps/old delete failed: still in use"),
    "unhealthy": Phase(
        "False",
        "HealthCheckFailed",
        "timeout waiting for: [Deployment/apps/shop status: 'InProgress']",
        healthy="False",
    ),
    "interrupted": Phase(
        "False", "HealthCheckCanceled", "New reconciliation triggered by GitRepository/apps/shop", healthy="False"
    ),
    "pathless": Phase(
        "False",
        "ArtifactFailed",
        "kustomization path not found: stat /tmp/kustomization-1/deploy: no such file or directory",
        attempts=False,
    ),
    "sourceless": Phase(
        "False", "ArtifactFailed", "Source artifact not found, retrying in 30s", attempts=False
    ),
    "dependent": Phase("False", "DependencyNotReady", "dependency 'apps/database' is not ready", attempts=False),
    "denied": Phase(
        "False",
        "AccessDenied",
        "can't access 'GitRepository/infra/shop', cross-namespace references have been blocked",
        attempts=False,
        stalls=True,
    ),
}  # fmt: skip
"""Every phase by its name; the failed ones are adjectives."""

FAILED = frozenset(name for name, phase in PHASES.items() if phase.ready == "False")
ATTEMPT_FAILED = frozenset(name for name in FAILED if PHASES[name].attempts) - {"interrupted"}


def kustomization(
    phase: str = "", commit: str = "A", *, when: datetime = T0, source: str = NAME, parent: bool = False, **spec: Any
) -> Object:
    """A Kustomization that checks health, in a phase of delivering a commit; new where none is named."""
    raw: Object = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "metadata": metadata(NAME, KUSTOMIZATION_UID, finalizers=["finalizers.fluxcd.io"]),
        "spec": {
            "interval": "10m0s",
            "retryInterval": "30s",
            "timeout": "4m30s",
            "path": "./deploy",
            "prune": True,
            "wait": True,
            "sourceRef": {"kind": "GitRepository", "name": source},
            **spec,
        },
    }
    if parent:
        raw["metadata"]["labels"] = {
            "kustomize.toolkit.fluxcd.io/name": "flux-system",
            "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
        }
    return advance(raw, phase, commit, when) if phase else raw


def neighbour(raw: Object) -> Object:
    """Another Kustomization on the same source, with a path of its own."""
    other = changed(raw, path="./other")
    other["metadata"] |= {"name": "other", "uid": "uid-of-other"}
    return other


def advance(raw: Object, phase: str, commit: str, when: datetime, *, message: str = "", ref: str = "main") -> Object:
    """The Kustomization after the next status patch."""
    known, after = PHASES[phase], changed(raw)
    status, meta = after.setdefault("status", {}), after["metadata"]
    name = named(commit, raw["spec"]["sourceRef"]["kind"], ref)
    said = message or known.message.format(rev=name)
    _set_condition(status, "Ready", known.ready, known.reason, said, when, meta["generation"])
    _reconciling(status, known, name, when, meta["generation"])
    if known.healthy and _checks_health(after):
        reason = {"True": "Succeeded", "False": "HealthCheckFailed", "Unknown": "Progressing"}[known.healthy]
        _set_condition(status, "Healthy", known.healthy, reason, said, when, meta["generation"])
    if known.stalls:
        _set_condition(status, "Stalled", "True", known.reason, said, when, meta["generation"])
    if known.attempts:
        status["lastAttemptedRevision"] = name
    if known.applies:
        status["lastAppliedRevision"] = name
        status["inventory"] = {"entries": [{"id": "apps_shop_apps_Deployment", "v": "v1"}]}
        status["observedGeneration"] = meta["generation"]
    return after


def _reconciling(status: Object, phase: Phase, name: str, when: datetime, generation: int) -> None:
    if phase.ready == "True":
        status["conditions"] = [c for c in status["conditions"] if c["type"] not in ("Reconciling", "Stalled")]
    elif phase.step:
        _set_condition(status, "Reconciling", "True", "Progressing", phase.step.format(rev=name), when, generation)
    elif any(c["type"] == "Reconciling" for c in status["conditions"]):
        said = next(c["message"] for c in status["conditions"] if c["type"] == "Reconciling")
        _set_condition(status, "Reconciling", "True", "ProgressingWithRetry", said, when, generation)


def _checks_health(raw: Object) -> bool:
    return raw["spec"].get("wait") is True or bool(raw["spec"].get("healthChecks"))


def changed(raw: Object, **spec: Any) -> Object:
    """The object in its next version; a change of spec is a new generation."""
    after: Object = copy.deepcopy(raw)
    meta = after["metadata"]
    meta["resourceVersion"] = str(int(meta["resourceVersion"]) + 1)
    if spec:
        meta["generation"] += 1
        after["spec"] |= spec
    return after


def _set_condition(  # noqa: PLR0917 - a condition has as many parts
    status: Object, kind: str, value: str, reason: str, message: str, when: datetime, generation: int
) -> None:
    """Set a condition; its transition time moves only with its status."""
    conditions = status.setdefault("conditions", [])
    known = next((c for c in conditions if c["type"] == kind), None)
    moved = known is None or known["status"] != value
    fresh = {
        "type": kind,
        "status": value,
        "reason": reason,
        "message": message,
        "observedGeneration": generation,
        "lastTransitionTime": stamp(when) if known is None or moved else known["lastTransitionTime"],
    }
    status["conditions"] = [*(c for c in conditions if c["type"] != kind), fresh]
