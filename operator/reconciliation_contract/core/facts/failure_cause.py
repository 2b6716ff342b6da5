"""Why Flux failed, and whether going back to an older revision can cure it.

Flux gives a reason for the stage that failed and a message for people. The reason decides first; the message is
matched only for causes that no revision can cure, so an unknown text counts as the commit's own fault. Messages are
no API: they are matched without regard to case, quotes and line breaks, and pinned to what the controllers really
say by ``tests/core/flux_messages.yaml``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from reconciliation_contract.core.values.text import LIMIT, bounded

CURABLE_REASONS: Final = frozenset({"BuildFailed", "ReconciliationFailed", "HealthCheckFailed"})
"""The stages of kustomize-controller at which a commit can be at fault."""

_STAGES: Final = {
    "ArtifactFailed": "the source has no artifact, or not the path; look at the source and at spec.path",
    "DependencyNotReady": "another Kustomization must be Ready first; look at that one",
    "PruneFailed": "what Git deleted cannot be removed; look at the rights and the finalizers",
}
"""What to do where the stage alone tells that no manifest is at fault."""

_TROUBLE: Final = (
    r"connection (?:refused|reset|lost|timed out)|i/o timeout|tls handshake|broken pipe|no route to host"
    r"|network is unreachable|no such host|unexpected eof|\beof$|http2:|client\.timeout|context canceled|x509:"
    r"|etcdserver:|apiserver (?:not ready|is shutting down)|not yet ready to handle request|serviceunavailable"
    r"|too many requests|server is currently unable|unable to return a response in the time allotted"
    r"|request did not complete within|unable to retrieve the complete list of server apis"
    r"|asked for the client to provide credentials|: unauthorized"
    r"|client rate limiter wait|would exceed context deadline|apply your changes to the latest version"
)
_AWAY: Final = "the API server or a service that Flux needs does not answer; repair it"
_CAUSES: Final = tuple(
    (re.compile(pattern), remedy)
    for pattern, remedy in (
        (r"fail(?:ed|ing) (?:calling|to call) webhook|conversion webhook for .* failed",
         "an admission webhook does not answer; repair it"),
        (_TROUBLE, _AWAY),
        # The policy's verdict is on the manifests, whatever words its author chose.
        (r"denied (?:the )?request", ""),
        (r"is forbidden: user\b|user \S+ cannot \w+ resource|is attempting to grant rbac",
         "the Kustomization's service account lacks a right; grant it"),
        (r"exceeded quota|insufficient quota|status unknown for quota|quota evaluation timed out",
         "a resource quota is used up; raise it or free some"),
        (r"kubeconfig secret", "the cluster that spec.kubeConfig names cannot be used; look at its Secret"),
        (r"because it is being terminated", "the namespace is being deleted; let it go and create it anew"),
        # Encrypted with a key that is there, and changed since: that is the commit's.
        (r"mac mismatch", ""),
        (r"failed to decrypt|decryption failed|sops data key", "a secret cannot be decrypted; provide the key"),
    )
)  # fmt: skip
"""Asked in this order; the first that matches decides. Without a remedy the manifests are at fault."""
_OF_STAGE: Final = {
    # What the Kustomization's spec refers to, not what is in Git; said of an apply, it is.
    "BuildFailed": (
        re.compile(r"(?:secrets?|configmaps?) \S+ not found"),
        "a Secret or ConfigMap that the Kustomization refers to is missing; create it",
    ),
    # Of a request to the API server; a health check quotes those of the applications.
    "ReconciliationFailed": (re.compile(r"context deadline exceeded"), _AWAY),
}
"""Words that tell of no fault of the manifests at one stage only."""


@dataclass(frozen=True, slots=True)
class Cause:
    """What a failed attempt comes down to."""

    curable: bool
    remedy: str = ""
    """What would cure it, where a rollback would not."""


def classify(reason: str, message: str) -> Cause:
    """Tell whether a rollback can cure a failure with this reason and message of Flux's."""
    if reason not in CURABLE_REASONS:
        stage = f"{reason or 'the failure'} does not come from the manifests"
        return Cause(curable=False, remedy=_STAGES.get(reason, stage))
    text = _plain(message)
    remedy = next((remedy for pattern, remedy in _CAUSES if pattern.search(text)), "")
    pattern, otherwise = _OF_STAGE.get(reason, (None, ""))
    if not remedy and pattern and pattern.search(text):
        remedy = otherwise
    return Cause(curable=not remedy, remedy=remedy)


def unreachable(message: str) -> bool:
    """Whether a message tells of something that does not answer, whoever asked it."""
    return re.search(_TROUBLE, _plain(message)) is not None


def _plain(message: str) -> str:
    """Without what differs between versions: case, line breaks, quotes."""
    return " ".join(re.sub(r"[\"'`]", "", message.lower()).split())


def excerpt(reason: str, message: str, limit: int = LIMIT) -> str:
    """Shorten a message for the status without losing the words that tell its cause.

    Long names push them far to the right (``Patch "https://…": connection refused``), and what is decided later is
    decided from what the status keeps.
    """
    short, cause = bounded(message, limit), classify(reason, message)
    if classify(reason, short) == cause:
        return short
    whole = bounded(message, len(message) + 1)
    found = (pattern.search(whole.lower()) for pattern, remedy in _CAUSES if remedy == cause.remedy)
    end = next((match.end() for match in found if match), len(whole))
    head = limit // 3
    return bounded(f"{whole[: head - 2]} … {whole[max(0, end - (limit - head - 1)) : end]}", limit)
