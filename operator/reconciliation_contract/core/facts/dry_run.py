"""What the dry-run of a revision's manifests comes to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from reconciliation_contract.core.values.object_key import Manifest, ObjectKey

NAMED: Final = 10
"""Refused manifests that are kept by name; more are only counted."""


@dataclass(frozen=True, slots=True)
class Check:
    """The dry-run of one manifest."""

    key: ObjectKey
    file: str = ""
    took: timedelta = timedelta(0)
    refused: str = ""
    """Why the API server does not take it."""
    unchecked: str = ""
    """Why the dry-run says nothing of it."""
    unanswered: bool = False
    """It was not checked because the API server, or a webhook that it asked, did not answer."""
    late: bool = False
    """It was given up at the end of its time."""
    dropped: tuple[str, ...] = ()
    """Fields that nobody knows and Flux drops silently, as JSON pointers."""

    @property
    def passed(self) -> bool:
        """Whether the API server takes it."""
        return not (self.refused or self.unchecked or self.late)


@dataclass(frozen=True, slots=True)
class Refusal:
    """A manifest that the API server does not take, in words."""

    object: str
    file: str
    message: str


@dataclass(frozen=True, slots=True)
class Refusals:
    """What is remembered of a revision that has any."""

    hash: str
    total: int
    """All manifests of the revision."""
    refused: int
    named: tuple[Refusal, ...]


@dataclass(frozen=True, slots=True)
class Validation:
    """What the dry-run of a revision's manifests came to."""

    hash: str
    ended_at: datetime | None = None
    """None while it is under way."""
    total: int = 0
    slowest: Check | None = None
    refused: tuple[Check, ...] = ()
    """The first refused ones, in Flux's order."""
    refusals: int = 0
    unchecked: int = 0
    why_unchecked: str = ""
    """Why the first of them was not checked."""
    unanswered: int = 0
    """Those of them that may well be refused another time."""
    problem: str = ""
    """Why nothing could be checked, with what to do."""
    invalid: str = ""
    """Why no manifests can be built from the revision."""
    remark: str = ""
    """What is accepted and hardly meant so: fields that Flux drops."""
    ours: bool = False
    """The problem is with the operator's rights or knowledge, and tells nothing of the source."""

    @property
    def tells_nothing(self) -> bool:
        """Whether not one manifest could be checked."""
        return bool(self.problem) or (self.unchecked > 0 and self.unchecked == self.total)

    @property
    def passed_at(self) -> datetime | None:
        """When all manifests had passed; None where they have not (yet)."""
        late = self.slowest is not None and self.slowest.late
        failed = self.tells_nothing or self.invalid or self.refusals or self.unanswered or late
        return None if failed else self.ended_at


def summary(hash_: str, checks: Sequence[Check], ended_at: datetime) -> Validation:
    """Sum up the checks of a revision."""
    refused = [check for check in checks if check.refused]
    unchecked = sorted((check for check in checks if check.unchecked), key=lambda check: not check.unanswered)
    return Validation(
        hash=hash_,
        ended_at=ended_at,
        total=len(checks),
        slowest=max(checks, key=lambda check: (check.late, check.took), default=None),
        refused=tuple(refused[:NAMED]),
        refusals=len(refused),
        unchecked=len(unchecked),
        why_unchecked=f"{unchecked[0].key}: {unchecked[0].unchecked}" if unchecked else "",
        unanswered=sum(check.unanswered for check in unchecked),
        remark=_remark([check for check in checks if check.dropped]),
    )


def told_of_dropped(check: Check) -> str:
    """What to know of the fields that Flux drops; empty where there are none."""
    if not check.dropped:
        return ""
    more = f" and {len(check.dropped) - 1} more" if len(check.dropped) > 1 else ""
    return f"unknown field {check.dropped[0]}{more}, which Flux drops silently"


def _remark(checks: Sequence[Check]) -> str:
    if not checks:
        return ""
    more = f"; {len(checks) - 1} more with such fields" if len(checks) > 1 else ""
    return f"{checks[0].key}: {told_of_dropped(checks[0])}{more}"


@dataclass(frozen=True, slots=True)
class Forthcoming:
    """What a revision itself makes, and which a dry-run of its other objects may need."""

    namespaces: frozenset[str] = field(default_factory=frozenset)
    kinds: Mapping[tuple[str, str], Manifest] = field(default_factory=dict)
    """Group and kind of each custom resource, with its definition."""
    classes: frozenset[str] = field(default_factory=frozenset)
    """Names of its PriorityClasses, RuntimeClasses and the like, which come before the rest."""
    roles: bool = False
    """It has ClusterRoles, which Flux applies before it checks the rest."""


def forthcoming(manifests: Sequence[Manifest]) -> Forthcoming:
    """Find what the first stages of Flux's apply makes."""
    return Forthcoming(
        namespaces=frozenset(m.name for m in manifests if (m.api_version, m.kind) == ("v1", "Namespace")),
        kinds={kind: m for m in manifests if m.kind == "CustomResourceDefinition" for kind in _defined(m.body)},
        classes=frozenset(m.name for m in manifests if m.kind.endswith("Class")),
        roles=any(m.kind == "ClusterRole" and m.key.group == "rbac.authorization.k8s.io" for m in manifests),
    )


def _defined(body: Any) -> tuple[tuple[str, str], ...]:
    spec = body.get("spec")
    names = spec.get("names") if isinstance(spec, dict) else None
    return ((str(spec.get("group")), str(names.get("kind"))),) if isinstance(names, dict) else ()
