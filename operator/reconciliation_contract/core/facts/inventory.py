"""What Flux says that a Kustomization has made, kept small: a thousand objects take a few kilobytes."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from reconciliation_contract.core.values.object_key import ObjectKey


class Entry(NamedTuple):
    """One object of an inventory."""

    key: ObjectKey
    version: str
    """Version of its API at which it was applied."""

    @property
    def id(self) -> str:
        """Its name in an inventory: ``namespace_name_group_Kind``, where a colon in the name is two underscores."""
        key = self.key
        return "_".join((key.namespace, key.name.replace(":", "__"), key.group, key.kind))


def entry(id_: str, version: str) -> Entry | None:
    """Read an entry of Flux's; None where it is none, as with a colon, which Flux writes as two underscores."""
    namespace, first, rest = id_.partition("_")
    rest, second, kind = rest.rpartition("_")
    name, third, group = rest.rpartition("_")
    if ":" in id_ or not (first and second and third and name and kind and version):
        return None
    return Entry(ObjectKey(group, kind, namespace, name.replace("__", ":")), version)


@dataclass(frozen=True, slots=True)
class Inventory:
    """A set of entries. Two with the same digest are the same."""

    digest: str
    packed: bytes

    @staticmethod
    def of(lines: Iterable[tuple[str, str]], known: Inventory | None = None) -> Inventory:
        """Pack ids with their versions; ``known`` is given back where nothing is different."""
        text = "\n".join(sorted(f"{id_} {version}" for id_, version in lines)).encode(errors="replace")
        digest = hashlib.sha256(text).hexdigest()[:16]
        if known is not None and known.digest == digest:
            return known
        return Inventory(digest, zlib.compress(text, 1))

    def entries(self) -> tuple[Entry, ...]:
        """All entries that make sense, by id."""
        lines = (line.partition(" ") for line in zlib.decompress(self.packed).decode().split("\n"))
        return tuple(found for id_, _, version in lines if (found := entry(id_, version)))

    def without(self, other: Inventory) -> tuple[Entry, ...]:
        """The entries that are not in another one, whatever their versions."""
        there = {found.key for found in other.entries()}
        return tuple(found for found in self.entries() if found.key not in there)
