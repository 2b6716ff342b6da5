"""Bytes made into what parsers are given: JSON as it stands, or a tree that grows out of any bytes."""

from __future__ import annotations

import json
from typing import Any, Final

from tests.support.builders import sha

_DEEPEST: Final = 24
_MOST: Final = 400
"""Nodes of a tree."""
_SHORT: Final = 48
"""Bytes of a text."""

WORDS: Final = (
    # New ones go to the end: what is kept in the corpus counts places in this list.
    *(
        "metadata",
        "spec",
        "status",
        "name",
        "namespace",
        "uid",
        "generation",
        "resourceVersion",
        "labels",
        "annotations",
    ),
    *(
        "finalizers",
        "deletionTimestamp",
        "creationTimestamp",
        "managedFields",
        "manager",
        "time",
        "operation",
        "fieldsV1",
    ),
    *(
        "kustomizationRef",
        "sourceRef",
        "kind",
        "path",
        "interval",
        "timeout",
        "suspend",
        "prune",
        "wait",
        "dependsOn",
    ),
    *("postBuild", "substituteFrom", "ignore", "target", "paths", "conditions", "type", "reason", "message", "Ready"),
    *(
        "lastTransitionTime",
        "observedGeneration",
        "lastAttemptedRevision",
        "lastAppliedRevision",
        "inventory",
        "entries",
    ),
    *(
        "id",
        "v",
        "history",
        "artifact",
        "revision",
        "digest",
        "lastUpdateTime",
        "url",
        "ref",
        "branch",
        "tag",
        "semver",
    ),
    *("promises", "detection", "reconciliation", "validation", "drift", "deletion", "availability", "within", "mode"),
    *("rollback", "after", "failures", "duration", "settle", "budget", "alerts", "rules", "severity", "delivery"),
    *(
        "stages",
        "committed",
        "seen",
        "detected",
        "attempted",
        "built",
        "validated",
        "applied",
        "healthy",
        "at",
        "source",
    ),
    *("verdict", "Kept", "Broken", "measured", "deadline", "startedAt", "from", "to", "state", "Active", "Intended"),
    *(
        "pinRef",
        "restore",
        "badRevisions",
        "begun",
        "requests",
        "incidents",
        "key",
        "openedAt",
        "closedAt",
        "told",
        "count",
    ),
    *(
        "objects",
        "fields",
        "want",
        "have",
        "correction",
        "places",
        "requestedAt",
        "times",
        "lastGood",
        "since",
        "dependencies",
    ),
    *(
        "pending",
        "overdue",
        "leftAt",
        "shortest",
        "longest",
        "left",
        "spared",
        "more",
        "firstAt",
        "lastAt",
        "specDigest",
    ),
    *(
        "True",
        "False",
        "Unknown",
        "apps",
        "shop",
        "GitRepository",
        "OCIRepository",
        "Kustomization",
        "HealthCheckFailed",
    ),
    *(
        "f:spec",
        "f:metadata",
        "f:annotations",
        'k:{"name":"web"}',
        'v:"x"',
        "i:0",
        ".",
        "Apply",
        "Update",
        "kustomize-controller",
    ),
    *(
        "2026-03-01T12:00:00Z",
        "9999-12-31T23:59:59-23:59",
        "0001-01-01T00:00:00+14:00",
        "1h",
        "30s",
        "0s",
        "99999999999h",
    ),
    *(f"main@sha1:{sha('A')}", f"main@sha1:{sha('B')}", f"latest@sha256:{'0' * 64}", "apps_web_apps_Deployment"),
    *(
        "reconciliation.dev/approve",
        "reconciliation.dev/rollback",
        "reconciliation.dev/hold",
        "reconciliation.dev/pause-until",
    ),
    *(
        "reconciliation.dev/source",
        "reconciliation.dev/contract-uid",
        "reconcile.fluxcd.io/requestedAt",
        "aaaaaaa..bbbbbbb by x",
    ),
    *(
        "template",
        "containers",
        "replicas",
        "availableReplicas",
        "updateStrategy",
        "rollingUpdate",
        "partition",
        "args",
        "image",
    ),
    *(
        "kustomize.toolkit.fluxcd.io/name",
        "kustomize.toolkit.fluxcd.io/namespace",
        "kustomize.toolkit.fluxcd.io/ssa",
        "Ignore",
    ),
)


class Bytes:
    """Bytes that are used up from the front."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def left(self) -> int:
        """How many are left."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """Take some, or what is left."""
        taken = self._data[self._at : self._at + size]
        self._at += len(taken)
        return taken

    def number(self) -> int:
        """Take one as a number; 0 at the end."""
        return int.from_bytes(self.take(1))

    def text(self) -> str:
        """Take a short text, which may hold anything that JSON can."""
        taken = self.take(self.number() % _SHORT)
        try:
            return taken.decode("utf-8", "surrogatepass")
        except UnicodeDecodeError:
            return taken.decode("utf-8", "replace")

    def rest(self) -> bytes:
        """Take all that is left."""
        return self.take(self.left)


def tree(data: bytes) -> dict[str, Any]:
    """Make a mapping as the API server might send it."""
    if data[:1] == b"{":
        try:
            found = json.loads(data)
        except (ValueError, RecursionError):
            return {}
        return found if isinstance(found, dict) else {}
    source = Bytes(data)
    return _mapping(source, 0, [_MOST])


def _value(source: Bytes, depth: int, room: list[int]) -> Any:
    room[0] -= 1
    kind = source.number() % 9 if source.left and room[0] > 0 and depth < _DEEPEST else 0
    match kind:
        case 0:
            return None
        case 1:
            return bool(source.number() % 2)
        case 2:
            return int.from_bytes(source.take(source.number() % 12), signed=True)
        case 3:
            return float(int.from_bytes(source.take(3), signed=True)) * 1e300
        case 4:
            return _text(source)
        case 5 | 6:
            return [_value(source, depth + 1, room) for _ in range(source.number() % 6)]
        case _:
            return _mapping(source, depth + 1, room)


def _mapping(source: Bytes, depth: int, room: list[int]) -> dict[str, Any]:
    return {_word(source): _value(source, depth, room) for _ in range(source.number() % 12) if source.left}


def _word(source: Bytes) -> str:
    return WORDS[source.number() % len(WORDS)]


def _text(source: Bytes) -> str:
    return source.text() if source.number() % 3 == 0 else _word(source)
