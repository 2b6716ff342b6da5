"""What people ask of a contract, by annotations that may stand for ever, as in Git.

A request names the revision it is about, so one that is left behind does nothing to a later one. What is to be done
once (approve, rollback, forget) is done once for as long as it stands, see `uptake`; the others hold meanwhile.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

SHORTEST: Final = 7
"""Characters of a commit hash that name a revision, as Git abbreviates."""
NAMES: Final = ("approve", "rollback", "release", "hold", "forget", "pause")
"""The requests that there are."""


def names(prefix: str, hash_: str) -> bool:
    """Whether a (possibly abbreviated) hash names this one."""
    return len(prefix) >= SHORTEST and hash_.startswith(prefix)


@dataclass(frozen=True, slots=True)
class Signature:
    """Who asks, as far as he says so, and why in his words."""

    by: str = ""
    why: str = ""
    at: datetime | None = None
    """When he asked, as he says: it tells a second request from the first."""

    def __str__(self) -> str:
        at = f" at {self.at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if self.at else ""
        return (f" by {self.by}" if self.by else "") + at + (f": {self.why}" if self.why else "")


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
    unclear: Mapping[str, str] = field(default_factory=dict)
    """What was written for the requests that make no sense, by their names."""

    def signature(self, request: str) -> Signature:
        """Who signed a request; empty where nobody did."""
        return self.signatures.get(request, Signature())

    def written(self, request: str) -> str:
        """What is asked, by whom and why, as one text; empty where nothing is."""
        what = {
            "approve": self.approve,
            "rollback": f"{self.rollback_from}..{self.rollback_to}" if self.rollback_to else "",
            "release": self.release,
            "hold": self.hold,
            "forget": self.forget,
            "pause": f"{self.paused_until.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if self.paused_until else "",
        }[request]
        signed = self.signature(request)
        if request == "hold" and what:
            return f"{replace(signed, why=what)}".removeprefix(": ").strip()
        return f"{what}{signed}" if what else self.unclear.get(request, "")
