"""The brake for the fleet: many sources failing at once is the cluster's fault, not that of a commit.

A commit breaks the Kustomizations of its own repository. A registry, a webhook or an API server that is down breaks
those of many. So failing *sources* are counted, not failing contracts.
"""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

RECENT: Final = timedelta(minutes=15)
"""Failures that began within this time of each other count as one event."""
SHARE: Final = 0.2
"""Part of all sources that must fail at once, in a fleet too large for the least number to mean anything."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How one contract stands."""

    source: str
    """What tells its source apart from others: the URL of the repository."""
    failing_since: datetime | None


def brake(fleet: Collection[Pulse], least: int, now: datetime) -> str:
    """Why no rollback may begin anywhere; empty if it may. ``least`` failing sources at once; 0 switches it off."""
    if least <= 0:
        return ""
    sources = {pulse.source for pulse in fleet}
    failing = {p.source for p in fleet if p.failing_since and now - p.failing_since <= RECENT}
    if len(failing) < max(least, math.ceil(SHARE * len(sources))):
        return ""
    return (
        f"{len(failing)} of {len(sources)} repositories fail at once, which no commit explains; look at the cluster"
    )
