"""What people ask of a contract. Each request is a level, true for as long as its annotation stands.

A request names the revision it is about, so one that is left behind does nothing to a later one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

SHORTEST: Final = 7
"""Characters of a commit hash that name a revision, as Git abbreviates."""


def names(prefix: str, hash_: str) -> bool:
    """Whether a (possibly abbreviated) hash names this one."""
    return len(prefix) >= SHORTEST and hash_.startswith(prefix)


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
    by: str = ""
    """Who asks, as far as he says so."""
    why: str = ""
    """Why, in his words."""
