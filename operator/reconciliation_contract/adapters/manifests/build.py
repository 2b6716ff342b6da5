"""What is built from, and what a build comes to."""

from __future__ import annotations

from dataclasses import dataclass

from reconciliation_contract.api.raw import Raw, read_map, read_text
from reconciliation_contract.core.manifest import Manifest, ObjectKey


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a source serves."""

    url: str
    digest: str
    """``sha256:`` and 64 hexadecimal digits."""

    @staticmethod
    def of(source: Raw) -> Artifact:
        """Read a source's ``status.artifact``; both are empty where it has none."""
        raw = read_map(read_map(source, "status"), "artifact")
        return Artifact(read_text(raw, "url"), read_text(raw, "digest"))


@dataclass(frozen=True, slots=True)
class LeftOut:
    """An object that Flux applies and we cannot know."""

    key: ObjectKey
    file: str
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Built:
    """The objects of one revision."""

    objects: tuple[Manifest, ...]
    """In the order in which Flux applies them, with Flux's labels and the common metadata."""
    left_out: tuple[LeftOut, ...]
    digest: str
    """Of all of them; equal digests are equal builds."""
