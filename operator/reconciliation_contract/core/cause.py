"""Why Flux failed, and whether going back to an older revision can cure it.

Flux gives a reason for the stage that failed and a message for people. The reason decides first; the message is
matched only for causes that no revision can cure, so an unknown text counts as the commit's own fault.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

CURABLE_REASONS: Final = frozenset({"BuildFailed", "ReconciliationFailed", "HealthCheckFailed"})
"""The stages of kustomize-controller at which a commit can be at fault."""

_ELSEWHERE: Final = (
    (re.compile(r"is forbidden: User|cannot (?:get|list|create|patch|delete) resource|is attempting to grant RBAC"),
     "the Kustomization's service account lacks a right; grant it"),
    (re.compile(r"exceeded quota"), "a resource quota is used up; raise it or free some"),
    (re.compile(r"failed calling webhook|failed to call webhook"), "an admission webhook does not answer; repair it"),
    (re.compile(r"connection refused|i/o timeout|TLS handshake timeout|no route to host|etcdserver:"
                r"|context canceled|apiserver (?:not ready|is shutting down)|ServiceUnavailable|too many requests"),
     "the API server or a service behind it does not answer; repair it"),
    (re.compile(r"(?i)failed to decrypt|decryption failed|sops"), "a secret cannot be decrypted; provide the key"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cause:
    """What a failed attempt comes down to."""

    curable: bool
    remedy: str = ""
    """What would cure it, where a rollback would not."""


def classify(reason: str, message: str) -> Cause:
    """Tell whether a rollback can cure a failure with this reason and message of Flux's."""
    if reason not in CURABLE_REASONS:
        return Cause(curable=False, remedy=f"{reason or 'the failure'} does not come from the manifests")
    for pattern, remedy in _ELSEWHERE:
        if pattern.search(message):
            return Cause(curable=False, remedy=remedy)
    return Cause(curable=True)
