"""What carries a Kustomization's labels: which of it is an orphan, and whether others than Flux have written since.

A census reads metadata only, one list for each kind of the inventory. It is so much cheaper than a comparison that it
can be made all the time: one that comes out otherwise than the last is the sign that a comparison is worth it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.values.object_key import ObjectKey

NAMESPACES: Final = 8
"""Namespaces of one kind that are looked through one by one."""


class Place(NamedTuple):
    """Where objects of one kind are looked for."""

    group: str
    version: str
    kind: str
    namespace: str
    """Empty for the whole cluster."""

    @property
    def api_version(self) -> str:
        """The group and version as a manifest has them."""
        return f"{self.group}/{self.version}" if self.group else self.version


class Write(NamedTuple):
    """The last change by one field manager other than Flux's."""

    manager: str
    operation: str
    at: datetime | None


@dataclass(frozen=True, slots=True)
class Member:
    """An object that carries the labels."""

    key: ObjectKey
    created_at: datetime | None = None
    spared: bool = False
    """It is being deleted, is protected from Flux's deleting it, or another object owns it: it is no orphan."""
    writes: tuple[Write, ...] = ()


@dataclass(frozen=True, slots=True)
class Census:
    """What one look came to."""

    user: str = ""
    """The account that looked; empty for the operator's own."""
    places: tuple[Place, ...] = ()
    """Where it could look."""
    mark: str = ""
    """What tells this from a look that found anything else."""
    orphans: tuple[ObjectKey, ...] = ()
    unlisted: str = ""
    """The right that was lacking somewhere; empty where none was."""


def places(inventory: Inventory | None) -> tuple[Place, ...]:
    """Where to look: each kind in its namespaces, or everywhere where they are many.

    A list of the whole cluster reads all objects of the kind, and is a right that a tenant's account should not need.
    """
    found: dict[tuple[str, str], tuple[str, set[str]]] = {}
    for key, version in inventory.entries() if inventory else ():
        found.setdefault((key.group, key.kind), (version, set()))[1].add(key.namespace)
    return tuple(
        Place(group, version, kind, namespace)
        for (group, kind), (version, spaces) in sorted(found.items())
        for namespace in (sorted(spaces) if len(spaces) <= NAMESPACES else [""])
    )


def orphans(
    members: Iterable[Member], inventory: Inventory | None, now: datetime, young: timedelta
) -> tuple[ObjectKey, ...]:
    """The objects that are in no inventory and that nothing explains; ``young`` ones may still come into it."""
    known = _keys(inventory)
    return tuple(
        sorted(
            member.key
            for member in members
            if member.key not in known
            and not member.spared
            and member.created_at is not None
            and now - member.created_at > young
        )
    )


def mark(members: Iterable[Member], inventory: Inventory | None, strays: Sequence[ObjectKey]) -> str:
    """Digest of the orphans, of which objects of the inventory are there, and of who wrote to them and when."""
    known = _keys(inventory)
    there = sorted((member.key, sorted(map(str, member.writes))) for member in members if member.key in known)
    return hashlib.sha256(repr((there, strays)).encode(errors="replace")).hexdigest()[:16]


def _keys(inventory: Inventory | None) -> frozenset[ObjectKey]:
    return frozenset(entry.key for entry in inventory.entries()) if inventory else frozenset()
