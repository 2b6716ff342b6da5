"""Acts for the outside world, as data. The union is closed; one ``match`` performs them.

Every act may be performed twice without harm: it names what must be true afterwards, and the version of the
object on which it was decided. The status is not among them: it is written before any of them, whenever it
changed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciliation_contract.core.facts.observation import SourceRef
from reconciliation_contract.core.memory.memory import Copy


@dataclass(frozen=True, slots=True)
class HoldDeletion:
    """Put our finalizer on the contract: something must be undone before it may go."""


@dataclass(frozen=True, slots=True)
class AllowDeletion:
    """Take our finalizer off the contract."""


@dataclass(frozen=True, slots=True)
class EnsurePin:
    """Make the pinned copy of the source exist, at this commit."""

    pin: SourceRef
    source: SourceRef
    hash: str
    content: str = ""
    """What the source's spec was when this was decided, as `Source.content`; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class DeletePin:
    """Remove the pinned copy of the source."""

    pin: SourceRef
    owner: str
    """Uid of the contract that made it: this one, or one that is gone without having removed it."""


@dataclass(frozen=True, slots=True)
class SwitchSource:
    """Point the Kustomization at a source and set (or, with None, remove) the annotations that hold it there."""

    uid: str
    resource_version: str
    source: SourceRef
    annotations: Mapping[str, str | None]
    hash: str = ""
    """Commit that the source must be pinned to and serve; empty where it is no pinned copy."""
    copy: Copy = field(default_factory=Copy)
    """What else such a copy must be."""


@dataclass(frozen=True, slots=True)
class Disown:
    """Give up our field manager's claim on the Kustomization, so that its owners meet no conflict."""

    resource_version: str
    claim: int
    """Its place among the managed fields of that version."""


@dataclass(frozen=True, slots=True)
class TellLeft:
    """Tell what a rollback leaves behind, also where people will look when the contract is gone."""

    message: str


@dataclass(frozen=True, slots=True)
class RequestReconcile:
    """Ask Flux to reconcile the Kustomization now, by the annotation that people use."""

    uid: str
    resource_version: str
    requested_at: str


@dataclass(frozen=True, slots=True)
class EmitEvent:
    """Tell about a transition: a Kubernetes Event on the contract, or on its Kustomization."""

    warning: bool
    reason: str
    message: str
    series: str = ""
    """Names what is told again and again, which stays one Event; empty where it is told once."""
    count: int = 1
    """How often it was told in its series, this time included."""
    kustomization_uid: str = ""
    """Set where the Event is on the Kustomization."""


Effect = (
    HoldDeletion
    | AllowDeletion
    | EnsurePin
    | DeletePin
    | SwitchSource
    | Disown
    | TellLeft
    | RequestReconcile
    | EmitEvent
)
