"""What people ask of a contract. Each request is a level, true for as long as its annotation stands.

A request names the revision it is about, so one that is left behind does nothing to a later one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

SHORTEST: Final = 7
"""Characters of a commit hash that name a revision, as Git abbreviates."""


def names(prefix: str, hash_: str) -> bool:
    """Whether a (possibly abbreviated) hash names this one."""
    return len(prefix) >= SHORTEST and hash_.startswith(prefix)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who asks, as far as he says so, and why in his words."""

    by: str = ""
    why: str = ""

    def __str__(self) -> str:
        return (f" by {self.by}" if self.by else "") + (f": {self.why}" if self.why else "")


@dataclass(frozen=True, slots=True)
class Requests:
    """Everything asked of one contract; empty texts ask for nothing."""

    approve: str = ""
    """Bad revision whose proposed rollback may begin."""
    rollback_from: str = ""
    rollback_to: str = ""
    """Go back from one revision, which is the head now, to another that was healthy."""
    release: str = ""
    """Bad revision whose rollback is to end now."""
    hold: str = ""
    """Why a rollback in force is kept, even when a new commit arrives."""
    forget: str = ""
    """Bad revision that counts as bad no more."""
    paused_until: datetime | None = None
    """No rollback begins before then."""
    signatures: Mapping[str, Signature] = field(default_factory=dict)
    """Who signed which request, by its name; each came in the same value as the request."""

    def signature(self, request: str) -> Signature:
        """Who signed a request; empty where nobody did."""
        return self.signatures.get(request, Signature())
