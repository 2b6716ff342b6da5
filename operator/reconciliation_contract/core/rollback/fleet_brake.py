"""The brake for the fleet: what many suffer at once is the cluster's fault, not that of a commit.

A commit explains why the Kustomizations of its own repository fail, as far as it changed their manifests. A registry,
a webhook or an API server that is down breaks those of many repositories, and in each of them also those whose
manifests are what they were when all was well. So what needs an explanation of its own is counted: each repository,
and each contract that fails with unchanged manifests.

Where nothing tells the two apart, as with one commit that changes everything in a single repository, the brake
sets the pace: so many rollbacks at once, and no more.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.core.values.timing import TIMING

SHARE: Final = 0.2
"""Part of all sources that must fail at once, in a fleet too large for the least number to mean anything."""
PACE: Final = 0.05
"""Part of all contracts that may be rolled back at once, likewise."""


@dataclass(frozen=True, slots=True)
class Pulse:
    """How one contract stands, as its status has it."""

    contract: str
    source: str
    """What tells its source apart from others: the URL of the repository."""
    failing_since: datetime | None = None
    unchanged: bool = False
    """It fails with the manifests with which it was healthy."""
    braked: bool = False
    """The brake is known to hold it."""
    rolling: bool = False
    """A rollback of it is under way."""
    begun: datetime | None = None
    """When its last rollback that nobody asked for began."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """All contracts, as far as the brake must know them."""

    contracts: int
    sources: int
    failing: Collection[Pulse]
    begun: Collection[Pulse]
    """Those that were rolled back."""
    window: timedelta = TIMING.brake_window
    """How far apart what counts as one event may be."""


def brake(mine: Pulse, fleet: Fleet, least: int, now: datetime) -> str:
    """Why no rollback of this one may begin; empty if it may. ``least`` causes at once; 0 switches it off."""
    if least <= 0 or mine.failing_since is None:
        return ""
    return _crowd(mine.failing_since, fleet, least) or ("" if mine.rolling else _pace(mine, fleet, least, now))


def _crowd(since: datetime, fleet: Fleet, least: int) -> str:
    enough = max(least, math.ceil(SHARE * fleet.sources))
    if not _reach(enough, (_cause(pulse) for pulse in fleet.failing if _together(pulse, since, fleet.window))):
        return ""
    return f"{enough} or more failures at once, which no single commit explains; look at the cluster"


def _reach(number: int, causes: Iterable[tuple[str, str]]) -> bool:
    """Whether there are so many different ones; no more are looked at, for in an outage a whole fleet fails."""
    found: set[tuple[str, str]] = set()
    for cause in causes:
        found.add(cause)
        if len(found) >= number:
            return True
    return False


def _together(pulse: Pulse, since: datetime, window: timedelta) -> bool:
    """Whether it is part of what is going on: it began to fail at the same time, or of late and is held since."""
    return pulse.failing_since is not None and (pulse.braked or abs(pulse.failing_since - since) <= window)


def _cause(pulse: Pulse) -> tuple[str, str]:
    return (pulse.source, pulse.contract if pulse.unchanged else "")


def _pace(mine: Pulse, fleet: Fleet, least: int, now: datetime) -> str:
    enough = max(least, math.ceil(PACE * fleet.contracts))
    others = (pulse for pulse in fleet.begun if pulse.contract != mine.contract)
    recent = sum(1 for pulse in others if pulse.begun and now - pulse.begun <= fleet.window)
    if recent < enough:
        return ""
    window = f"{fleet.window.seconds // 60} min"
    return f"{enough} rollbacks began within {window}, as many as may at once; look at the cluster"
