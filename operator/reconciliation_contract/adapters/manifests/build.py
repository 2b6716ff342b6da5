"""What is built from, and what a build comes to."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

from reconciliation_contract.api.kubernetes.raw import Raw, read_map, read_text
from reconciliation_contract.core.values.object_key import Manifest


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a source serves."""

    url: str
    digest: str
    """``sha256:`` and 64 hexadecimal digits."""
    owner: str = ""
    """Whose it is, as source-controller's storage has it: ``KIND/NAMESPACE/NAME``; empty where that is not known."""

    @staticmethod
    def of(source: Raw) -> Artifact:
        """Read a source's ``status.artifact``; URL and digest are empty where it has none."""
        raw, meta = read_map(read_map(source, "status"), "artifact"), read_map(source, "metadata")
        owner = f"{read_text(source, 'kind').lower()}/{read_text(meta, 'namespace')}/{read_text(meta, 'name')}"
        return Artifact(read_text(raw, "url"), read_text(raw, "digest"), owner)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An object that Flux applies and we cannot know."""

    manifest: Manifest
    """No more of it than the identity."""
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Built:
    """The objects of one revision."""

    objects: Sequence[Manifest]
    """In the order in which Flux applies them, as it sends them to the API server."""
    left_out: tuple[LeftOut, ...]
    digest: str = ""
    """What Flux notes in the Kustomization's ``status.history``; empty where objects are left out."""


class Rows(Sequence[Manifest]):
    """Objects that are kept as the program wrote them and read one by one: in memory they are seven times as large.

    A row is an object of JSON with ``object``, ``file`` and ``private``.
    """

    def __init__(self, rows: tuple[bytes, ...]) -> None:
        self._rows = rows

    def __len__(self) -> int:
        """Count them, unread."""
        return len(self._rows)

    @overload
    def __getitem__(self, place: int) -> Manifest: ...
    @overload
    def __getitem__(self, place: slice) -> Rows: ...
    def __getitem__(self, place: int | slice) -> Manifest | Rows:
        """Read one."""
        return Rows(self._rows[place]) if isinstance(place, slice) else manifest(json.loads(self._rows[place]))

    def __eq__(self, other: object) -> bool:
        """Compare them unread."""
        return isinstance(other, Rows) and self._rows == other._rows

    __hash__ = None  # type: ignore[assignment]  # nobody needs to


def manifest(row: dict[str, Any]) -> Manifest:
    """Read a row; one of what is left out holds no more than the identity."""
    body = row.get("object") or row["leftOut"]
    meta = read_map(body, "metadata")
    return Manifest(
        api_version=read_text(body, "apiVersion"),
        kind=read_text(body, "kind"),
        namespace=read_text(meta, "namespace"),
        name=read_text(meta, "name"),
        body=body,
        file=row["file"],
        substituted=row.get("private", False),
    )
