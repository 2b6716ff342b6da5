"""What has left an inventory, and how each of these objects stands in the cluster.

::

    left the inventory ──▶ awaited ──▶ terminating ──▶ gone
                              │            │
                              └────────────┴──────────▶ spared: protected, or somebody else's by now
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import NamedTuple

from reconciliation_contract.core.facts.inventory import Entry, Inventory
from reconciliation_contract.core.values.object_key import ObjectKey
from reconciliation_contract.core.values.text import bounded

NAMED = 5
"""Objects that are kept by name; more are only counted."""
LATE = 2
"""Overdue objects that are remembered."""
_DETAIL = 200
"""Longest account of one object, in characters."""


@dataclass(frozen=True, slots=True)
class Live:
    """The metadata of an object that is still there."""

    owner: str = ""
    """``namespace/name`` of the Kustomization that its labels name."""
    protection: str = ""
    """The label or annotation, with its value, that keeps Flux from deleting it; empty where none does."""
    deleted_at: datetime | None = None
    finalizers: Mapping[str, str] = field(default_factory=dict)
    """Name of the field manager that set each; empty where that is not known."""


class Took(NamedTuple):
    """A measured time: the last look that found it, and the first that did not, after it left."""

    shortest: timedelta
    longest: timedelta


class Fate(Enum):
    """How an object that left stands."""

    AWAITED = "awaited"
    """It is to go, and is still there or was not looked at yet."""
    UNREADABLE = "unreadable"
    """It may not be looked at."""
    GONE = "gone"
    SPARED = "spared"
    """Flux leaves it alone, or it is somebody else's by now."""


@dataclass(frozen=True, slots=True)
class Departure:
    """One object that left an inventory."""

    entry: Entry
    left_at: datetime
    fate: Fate = Fate.AWAITED
    account: str = ""
    """What it waits for and who should act, or which right is missing."""
    looked_at: datetime | None = None
    """The last look; None before the first."""

    @property
    def name(self) -> str:
        """Kind, namespace and name."""
        key = self.entry.key
        return "/".join(part for part in (key.kind, key.namespace, key.name) if part)


@dataclass(frozen=True, slots=True)
class Departures:
    """What has left the inventory with one delivery."""

    inventory: str = ""
    """Digest of the inventory that this is up to; empty before the first look."""
    delivery: datetime | None = None
    """When the delivery began that it is counted for; None where it is not known."""
    left: int = 0
    spared: int = 0
    slowest: Took | None = None
    """The longest time from leaving the inventory to being gone."""
    pending: tuple[Departure, ...] = ()
    more: int = 0
    """Pending ones that are not among them."""
    overdue: tuple[Departure, ...] = ()
    """What earlier deliveries should have been rid of in time, and is still there."""
    unseen_at: datetime | None = None
    """When it was found that the inventory had changed while nobody looked: something may have left unnoticed."""

    def kept(self) -> Departures:
        """What outlives a pass: the pending ones that left first, by name, and how many more there are."""
        first, late = _first(self.pending, NAMED), _first(self.overdue, LATE)
        return replace(self, pending=first, more=self.more + len(self.pending) - len(first), overdue=late)

    def leave(self, entries: tuple[Entry, ...], at: datetime, *, prunes: bool) -> Departures:
        """Take note of what has just left; without ``prunes`` Flux leaves all of it alone."""
        more, spared = len(entries), 0 if prunes else len(entries)
        fresh = tuple(Departure(each, at) for each in entries) if prunes else ()
        return replace(self, left=self.left + more, spared=self.spared + spared, pending=(*self.pending, *fresh))

    def come_back(self, there: Inventory) -> Departures:
        """Await no more what is in the inventory again."""
        keys = {each.key for each in there.entries()} if self.pending or self.overdue else frozenset()
        pending, late = (
            tuple(each for each in those if each.entry.key not in keys) for those in (self.pending, self.overdue)
        )
        return replace(self, left=self.left - len(self.pending) + len(pending), pending=pending, overdue=late)

    def look(self, looks: Mapping[ObjectKey, Departure]) -> Departures:
        """Take note of what a round of looks found, by the objects' keys."""
        after = self
        for before in self.pending:
            now = looks.get(before.entry.key, before)
            if now.fate is Fate.GONE and now.looked_at:
                start = before.left_at
                took = Took((before.looked_at or start) - start, max(now.looked_at - start, timedelta(0)))
                after = replace(after, slowest=max(after.slowest or took, took, key=lambda each: each.longest))
            elif now.fate is Fate.SPARED:
                after = replace(after, spared=after.spared + 1)
        return replace(after, pending=_still(self.pending, looks), overdue=_still(self.overdue, looks))

    def count_for(self, delivery: datetime, within: timedelta, now: datetime) -> Departures:
        """Count for a delivery, named by when it began; what is overdue is held against the one before."""
        if self.delivery == delivery:
            return self
        waiting = tuple(each for each in self.pending if now <= each.left_at + within)
        late = (*self.overdue, *(each for each in self.pending if now > each.left_at + within))
        unseen_at = self.unseen_at if self.unseen_at and self.unseen_at >= delivery else None
        return Departures(self.inventory, delivery, len(waiting), pending=waiting, unseen_at=unseen_at, overdue=late)


def _first(departed: tuple[Departure, ...], most: int) -> tuple[Departure, ...]:
    """Those that left first, by name, as they are remembered."""
    first = sorted(departed, key=lambda each: (each.left_at, each.entry))[:most]
    return tuple(replace(each, looked_at=None, account=bounded(each.account, _DETAIL)) for each in first)


def _still(departed: tuple[Departure, ...], looks: Mapping[ObjectKey, Departure]) -> tuple[Departure, ...]:
    """Those that are not known to be gone or left alone."""
    looked = (looks.get(each.entry.key, each) for each in departed)
    return tuple(each for each in looked if each.fate in (Fate.AWAITED, Fate.UNREADABLE))


# Reading ---------------------------------------------------------------------------------------------------------

_ACTS = {
    "foregroundDeletion": "the garbage collector, once what it owns is gone",
    "orphan": "the garbage collector",
    "kubernetes.io/pvc-protection": "kube-controller-manager, once no pod uses it",
    "kubernetes.io/pv-protection": "kube-controller-manager, once no claim uses it",
    "batch.kubernetes.io/job-tracking": "kube-controller-manager",
    "service.kubernetes.io/load-balancer-cleanup": "the cloud's service controller",
    "customresourcecleanup.apiextensions.k8s.io": "the API server, once no such resource is left",
    "finalizers.fluxcd.io": "Flux's own controller of that kind",
}
"""Who removes the finalizers that Kubernetes and Flux set."""


def fate(departed: Departure, live: Live | None, owner: str, at: datetime) -> Departure:
    """How an object stands that a look at ``at`` found so; ``owner`` is ``namespace/name`` of the Kustomization."""
    if live is None:
        return replace(departed, fate=Fate.GONE, looked_at=at)
    if live.owner != owner:
        return replace(departed, fate=Fate.SPARED, account=f"belongs to {live.owner or 'nobody in Flux'} now")
    if live.protection and live.deleted_at is None:
        return replace(departed, fate=Fate.SPARED, account=live.protection)
    return replace(departed, fate=Fate.AWAITED, account=_account(live), looked_at=at)


def _account(live: Live) -> str:
    if live.deleted_at is None:
        return "nobody has deleted it"
    since = f"deleted at {live.deleted_at:%H:%M:%S}"
    waits = "; ".join(_waits(name, manager) for name, manager in live.finalizers.items())
    return f"{since}, waits for {waits}" if waits else f"{since}, waits for its contents or its grace period"


def _waits(finalizer: str, manager: str) -> str:
    acts = _ACTS.get(finalizer)
    return f"finalizer {finalizer}" + (f" ({acts})" if acts else f", set by {manager}" if manager else "")
