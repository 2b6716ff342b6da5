"""Refuse objects that Flux never writes, so that no test rests on a world that cannot be.

The rules are rows of the table of how Flux behaves: which fields move in which situation.
"""

from __future__ import annotations

from typing import Any

from tests.support.builders import Object


class Impossible(AssertionError):
    """A fixture shows what Flux never shows; the message says which rule it breaks."""


_KEEPS_ATTEMPTED = ("ArtifactFailed", "DependencyNotReady", "AccessDenied")


def check_kustomization(raw: Object, before: Object | None = None) -> Object:
    """Return the object if Flux could have written it (after ``before``, where given), else raise `Impossible`."""
    _check_alone(raw)
    if before is not None and before["metadata"]["uid"] == raw["metadata"]["uid"]:
        _check_step(raw, before)
    return raw


def _check_alone(raw: Object) -> None:
    spec, status, ready = raw["spec"], raw.get("status", {}), ready_of(raw)
    attempted, applied = status.get("lastAttemptedRevision"), status.get("lastAppliedRevision")
    waits = spec.get("wait") is True or bool(spec.get("healthChecks"))
    if applied and not attempted:
        raise Impossible("a revision is applied that was never attempted")
    if ready.get("reason") == "HealthCheckFailed" and not waits:
        raise Impossible("a health check failed, but the Kustomization checks no health (spec.wait is false)")
    if ready.get("status") == "True" and attempted and attempted not in ready["message"]:
        raise Impossible("Ready is True for another revision than the one attempted last")
    if ready.get("status") == "True" and _condition(raw, "Stalled"):
        raise Impossible("Ready and Stalled are both True")


def _check_step(raw: Object, before: Object) -> None:
    old, new = before.get("status", {}), raw.get("status", {})
    if int(raw["metadata"]["resourceVersion"]) <= int(before["metadata"]["resourceVersion"]):
        raise Impossible("the resourceVersion does not grow")
    if before["spec"].get("suspend") is True and raw["spec"].get("suspend") is True and old != new:
        raise Impossible("the status of a suspended Kustomization moves")
    ready = ready_of(raw)
    moved = old.get("lastAppliedRevision") != new.get("lastAppliedRevision")
    if moved and ready.get("status") != "True":
        raise Impossible(
            f"lastAppliedRevision moves while Ready is {ready.get('status')} ({ready.get('reason')}); "
            "it moves only when everything succeeded"
        )
    attempted = old.get("lastAttemptedRevision") != new.get("lastAttemptedRevision")
    if attempted and ready.get("reason") in _KEEPS_ATTEMPTED:
        raise Impossible(f"lastAttemptedRevision moves with {ready.get('reason')}, which comes before any attempt")
    _check_transitions(raw, before)


def _check_transitions(raw: Object, before: Object) -> None:
    for condition in raw.get("status", {}).get("conditions", []):
        known = _condition(before, condition["type"])
        if not known:
            continue
        same = known["status"] == condition["status"]
        if same and known["lastTransitionTime"] != condition["lastTransitionTime"]:
            raise Impossible(f"the transition time of {condition['type']} moves without its status")
        if condition["lastTransitionTime"] < known["lastTransitionTime"]:
            raise Impossible(f"the transition time of {condition['type']} goes backwards")


def check_source(raw: Object, before: Object | None = None) -> Object:
    """Return the source if Flux could have written it, else raise `Impossible`."""
    artifact = raw.get("status", {}).get("artifact")
    known = (before or {}).get("status", {}).get("artifact")
    if known and not artifact:
        raise Impossible("a source that had an artifact has none any more")
    if known and artifact and artifact["lastUpdateTime"] < known["lastUpdateTime"]:
        raise Impossible("the artifact's lastUpdateTime goes backwards")
    if known and artifact != known and artifact["revision"] == known["revision"]:
        raise Impossible("the artifact is stored again although the source has this revision already")
    if artifact != known and before is not None and before["spec"].get("suspend") and raw["spec"].get("suspend"):
        raise Impossible("a suspended source fetches")
    return raw


def ready_of(raw: Object) -> dict[str, Any]:
    """The condition Ready; empty where there is none."""
    return _condition(raw, "Ready")


def _condition(raw: Object, kind: str) -> dict[str, Any]:
    found = (c for c in raw.get("status", {}).get("conditions", []) if c["type"] == kind)
    return next(found, {})
