"""A Kubernetes object as Git wants it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class ObjectKey(NamedTuple):
    """What tells an object from every other one in a cluster; the version of its API does not."""

    group: str
    """Empty for the core group."""
    kind: str
    namespace: str
    """Empty for an object of the whole cluster, and where the manifest does not say."""
    name: str

    def __str__(self) -> str:
        """Kind, namespace and name, as Flux writes them."""
        return "/".join(part for part in (self.kind, self.namespace, self.name) if part)

    @property
    def is_secret(self) -> bool:
        """Whether it is a Secret."""
        return (self.group, self.kind) == ("", "Secret")


@dataclass(frozen=True, slots=True)
class Manifest:
    """One object that a revision's build comes to."""

    api_version: str
    kind: str
    namespace: str
    name: str
    body: Mapping[str, Any] = field(repr=False)
    """The whole object; never shown, since it may be a Secret."""
    file: str = ""
    """The file it was built from, relative to the artifact's root; empty where that is not known."""
    substituted: bool = False
    """A value of a Secret was put into it."""

    @property
    def key(self) -> ObjectKey:
        """Its identity."""
        group, slash, _ = self.api_version.rpartition("/")
        return ObjectKey(group if slash else "", self.kind, self.namespace, self.name)

    @property
    def is_private(self) -> bool:
        """Whether its values may be a Secret's, so that none of them may be shown."""
        return self.substituted or self.key.is_secret
