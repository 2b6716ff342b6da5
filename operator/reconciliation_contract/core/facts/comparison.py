"""The promise that the cluster matches Git.

Other promises are about one delivery and conclude; this one is a level. It stands as the last comparison found it,
and a comparison is made only while the Kustomization stands Ready at a revision: in between, Flux is at work.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from reconciliation_contract.core.facts.correction import Correction
from reconciliation_contract.core.facts.field_owners import Author
from reconciliation_contract.core.values.diff import Difference
from reconciliation_contract.core.values.object_key import ObjectKey
from reconciliation_contract.core.values.text import bounded

NAMED: Final = 5
"""Objects with drift that are kept by name; more are only counted."""
FIELDS: Final = 3
"""Fields of one object that are kept."""
_OBJECT: Final = 253
_PATH: Final = 160
_VALUE: Final = 40
_TELLABLE: Final = 1e15


class Kind(StrEnum):
    """How an object departs from Git."""

    CHANGED = "Changed"
    MISSING = "Missing"
    ORPHANED = "Orphaned"
    """It says that it belongs to the Kustomization, and is in no inventory."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field that is not as Git wants it; the values are fit to be shown, and empty where they must not be."""

    path: str
    want: str = ""
    have: str = ""


@dataclass(frozen=True, slots=True)
class Finding:
    """One object that is not as Git wants it."""

    object: str
    kind: Kind
    fields: tuple[Field, ...] = ()
    more: int = 0
    """Fields that are not among them."""
    by: str = ""
    """The field manager that changed it; empty where that cannot be told."""
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """How the cluster differed from Git when they were last compared."""

    hash: str
    """Commit of the revision that it was compared with."""
    compared: int = 0
    """Objects that were compared."""
    drifted: int = 0
    """Objects that are not as Git wants them."""
    findings: tuple[Finding, ...] = ()
    problem: str = ""
    """Why they could not be compared, with what to do."""
    paused: str = ""
    """Why they are not to be compared now."""
    correction: Correction | None = None
    unlisted: str = ""
    """The right for want of which orphans were not looked for everywhere; empty where none was lacking."""
    uncompared: str = ""
    """How many objects could not be compared, and why; empty where all were."""
    ours: bool = False
    """The problem is with the operator's rights or knowledge, and tells nothing of the source."""

    @property
    def digest(self) -> str:
        """What tells these findings from others."""
        told = repr((self.hash, self.drifted, [(f.object, f.kind, f.fields, f.more) for f in self.findings]))
        return hashlib.sha256(told.encode()).hexdigest()[:16]


def found_in(hash_: str, compared: int, findings: Sequence[Finding]) -> Drift:
    """Sum up a comparison: what is missing first, then by name."""
    kinds = (Kind.MISSING, Kind.CHANGED, Kind.ORPHANED)
    first = sorted(findings, key=lambda finding: (kinds.index(finding.kind), finding.object))
    return Drift(hash_, compared, len(first), tuple(first[:NAMED]))


def changed(
    key: ObjectKey, differences: Sequence[Difference], author: Author | None, *, private: bool = False
) -> Finding:
    """Write down how a live object differs from what Git wants; of a ``private`` one without any value."""
    hidden = private or key.is_secret
    fields = tuple(_field(difference, hidden=hidden) for difference in differences[:FIELDS])
    by, at = (bounded(author.manager, 128), author.at) if author else ("", None)
    return Finding(bounded(str(key), _OBJECT), Kind.CHANGED, fields, max(0, len(differences) - FIELDS), by, at)


def orphaned(key: ObjectKey) -> Finding:
    """Write down an object that is labelled as the Kustomization's and is in no inventory."""
    return Finding(bounded(str(key), _OBJECT), Kind.ORPHANED)


def _field(difference: Difference, *, hidden: bool) -> Field:
    path = bounded(difference.pointer, _PATH)
    if hidden or _is_private(difference):
        return Field(path)
    return Field(path, shown(difference.want), shown(difference.have))


_TELLING: Final = ("pass", "secret", "token", "key", "credential", "auth", "cert", "last-applied")
"""Parts of names of fields that often hold what must not be shown."""


def _is_private(difference: Difference) -> bool:
    """Whether the values may be somebody's secret: variables, and what has such a name."""
    path = [str(step).lower() for step in difference.path]
    if any(step in ("env", "args", "command") for step in path):
        return True
    return any(part in step for step in path for part in _TELLING)


def shown(value: Any) -> str:
    """Write a value for people, cut short; a list or mapping only by what it is."""
    match value:
        case None:
            return "absent"
        case str():
            return bounded(value, _VALUE) or "''"
        case bool():
            return str(value).lower()
        case int() | float() if abs(value) < _TELLABLE:
            return str(value)
        case dict():
            return "a mapping"
        case list():
            return f"a list of {len(value)}"
        case _:
            return "a number"
