"""What a dry-run came to, and what the API server's words for not taking a manifest mean."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import timedelta
from http import HTTPStatus
from typing import Final

from reconciliation_contract.api.kubernetes.raw import Raw, read_map
from reconciliation_contract.core.facts.dry_run import Forthcoming
from reconciliation_contract.core.facts.unknown_fields import drops, undeclared
from reconciliation_contract.core.values.diff import Path
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.core.values.text import bounded
from reconciliation_contract.errors import ClusterError, Conflict, Missing, Powerless, Unavailable

_DETAIL: Final = 300
_UNTYPED: Final = ("failed to create typed patch object", "failed to convert new ")
"""How the API server begins what it says of a manifest of the wrong type. It comes as HTTP 500, without a reason."""
_RIGHT: Final = re.compile(r'User "[^"]*" cannot (\w+) resource "([^"]*)"')
_ESCALATION: Final = re.compile(r'user "[^"]*" .*is attempting to grant RBAC permissions not currently held')
_CLASS: Final = re.compile(r'(?i)no \w+class with name "?([\w.-]+)|\w+class(?:\.\S+)? "([\w.-]+)" not found')
_LEAD: Final = re.compile(
    r'^(?:\S+ "[^"]*" is invalid: |failed to create typed patch object \([^)]*\): (?:errors:)?)'
)
"""What only says again which object it is about."""
_PLACES: Final = re.compile(r"\.[\w.-]+: expected \w+|\b(?:data|stringData)\[[\w.-]+\]|\bimmutable\b")
"""What can be shown of a complaint about a Secret: places and types, never values."""


@dataclass(frozen=True, slots=True)
class Applier:
    """Who applies, and how: what one Kustomization's dry-runs have in common."""

    user: str
    """The account; empty for the operator's own."""
    named: bool = True
    """The Kustomization names the account itself, so what it may not do is what Flux may not."""
    force: bool = False
    """Flux makes objects anew where they cannot be changed."""
    limit: timedelta = timedelta(seconds=30)
    """Time for one manifest."""
    coming: Forthcoming = field(default_factory=Forthcoming)
    """What the same revision makes before the rest."""
    overrides: tuple[str, ...] = ()
    """Field managers that Flux was told to take over, besides those that it always does."""
    namespace: str = ""
    """Where objects go that name no namespace; empty where they must name one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dry-run came to."""

    took: timedelta = timedelta(0)
    result: Raw | None = None
    """The object as it would be."""
    refused: str = ""
    unchecked: str = ""
    unanswered: bool = False
    """The API server, or a webhook that it asked, did not answer."""
    skipped: bool = False
    """Flux leaves the object alone."""
    late: bool = False
    """It was given up at the end of its time."""
    anew: bool = False
    """It cannot be changed into what is wanted, so Flux makes it anew."""
    undeclared: tuple[Path, ...] = ()
    """Fields for which it is refused, and which Flux drops before it applies."""
    dropped: tuple[str, ...] = ()
    """Fields that were left out for that, as JSON pointers."""

    @property
    def exists(self) -> bool:
        """Whether there is such an object now."""
        return self.result is not None and bool(read_map(self.result, "metadata").get("resourceVersion"))


def unserved(manifest: Manifest, applier: Applier) -> Outcome:
    """What it means that the API server does not know a kind."""
    if (manifest.key.group, manifest.kind) in applier.coming.kinds:
        return Outcome(unchecked="not checkable before its CustomResourceDefinition exists")
    return Outcome(refused=f"the cluster knows no {manifest.kind} in {manifest.api_version}; install its CRD first")


def refusal(manifest: Manifest, applier: Applier, error: ClusterError) -> Outcome:
    """What it means that the API server did not take a manifest. Raises `Powerless` where it is not about it."""
    said = error.detail
    if isinstance(error, Unavailable):
        return _failure(manifest, error)
    if isinstance(error, Powerless):
        raise error
    if isinstance(error, Missing):
        return _missing(manifest, applier, error)
    if unknown := _unsettled(applier, said):
        return Outcome(unchecked=unknown)
    if isinstance(error, Conflict):
        return Outcome(unchecked=plain(manifest, error))
    return Outcome(refused=plain(manifest, error))


def _failure(manifest: Manifest, error: Unavailable) -> Outcome:
    """A failure of the API server, unless it only looks like one."""
    if error.code == HTTPStatus.INTERNAL_SERVER_ERROR and not error.reason and error.detail.startswith(_UNTYPED):
        fields = undeclared(error.detail, manifest.body) if drops(manifest.key) else ()
        return Outcome(refused=plain(manifest, error), undeclared=fields)
    return Outcome(unchecked=plain(manifest, error), unanswered=True)


def _unsettled(applier: Applier, said: str) -> str:
    """Why a refusal may not be one by the time that Flux applies; empty where it is one."""
    coming = applier.coming
    if (lacks := _RIGHT.search(said)) and not (applier.named and not coming.roles):
        return f"{applier.user or 'this account'} may not {lacks[1]} {lacks[2]}; {_doubt(applier)}"
    if coming.roles and _ESCALATION.search(said):
        return "it grants rights that the revision's own ClusterRoles may give"
    if (lacks := _CLASS.search(said)) and (lacks[1] or lacks[2]) in coming.classes:
        return f"not checkable before {lacks[1] or lacks[2]} exists"
    return ""


def _doubt(applier: Applier) -> str:
    """Why a right that is lacking now may be there when Flux applies."""
    if applier.coming.roles:
        return "which the revision's own ClusterRoles may change"
    return "if that is Flux's account" if applier.user else "which says nothing of Flux's"


def _missing(manifest: Manifest, applier: Applier, error: ClusterError) -> Outcome:
    if 'namespaces "' not in error.detail:
        return Outcome(unchecked=plain(manifest, error))
    if manifest.namespace in applier.coming.namespaces:
        return Outcome(unchecked="not checkable before its namespace exists")
    return Outcome(
        refused=f"namespace {manifest.namespace} does not exist; create it, in the same revision if you like"
    )


def plain(manifest: Manifest, error: ClusterError) -> str:
    """The API server's words for people; of what holds a Secret's values only what cannot be one of them."""
    said = _LEAD.sub("", error.detail.removesuffix(f" (HTTP {error.code})"))
    if manifest.is_private:
        hidden = f"HTTP {error.code}, not shown as it holds a Secret's values"
        said = ", ".join(dict.fromkeys(_PLACES.findall(said)[:3])) or hidden
    reason = error.reason or ("" if error.code else "no answer")
    return bounded(f"{reason}: {said}" if reason else said, _DETAIL)
