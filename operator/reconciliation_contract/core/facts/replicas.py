"""How many replicas of each workload are available while a delivery is in flight.

A workload is held to what was there when the delivery began, and to no more than it wants now::

    3 available ────┐             ┌──── 3      at least min(3 at the beginning, what is stated, what is wanted now)
                    └── 1 ────────┘
                    began       ended          a drop, with the fewest that there were

A workload that was not there at the beginning is held to nothing. One that is gone, or on its way out, has none
available; whether that counts is known once the delivery has ended, by whether it is still wanted.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from reconciliation_contract.core.spec.contract import Minimum
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.object_key import ObjectKey

WORST = 3
"""Drops that are told of one delivery."""


@dataclass(frozen=True, slots=True)
class Replicas:
    """A workload as a look found it."""

    desired: int
    available: int
    settled: bool = True
    """Its controller has done all that is wanted."""


@dataclass(frozen=True, slots=True)
class Drop:
    """A time in which fewer replicas were available than there had to be."""

    key: ObjectKey
    available: int
    """The fewest."""
    floor: int
    began: datetime
    ended: datetime | None = None
    absent: bool = False
    """The workload itself was gone, or on its way out, all the time."""

    @property
    def depth(self) -> tuple[int, timedelta]:
        """How bad it was."""
        return self.floor - self.available, self.lasted or timedelta.max

    @property
    def lasted(self) -> timedelta | None:
        """How long; None while it lasts."""
        return self.ended - self.began if self.ended else None

    def told(self) -> str:
        """Say it in words."""
        name = "/".join(part for part in (self.key.kind, self.key.namespace, self.key.name) if part)
        time = f"for {spoken(self.lasted)}" if self.lasted is not None else f"since {self.began:%H:%M:%S} UTC"
        return f"{name} had {self.available} of {self.floor} available {time}"


@dataclass(frozen=True, slots=True)
class Workload:
    """One workload, followed."""

    key: ObjectKey
    baseline: int | None
    """Available when the delivery began; None where it was not there."""
    now: Replicas | None
    """None while it is gone, or on its way out."""
    desired: int
    """As it was last wanted."""
    drop: Drop | None = None
    """The drop that lasts."""
    worst: Drop | None = None
    """The worst one that ended."""

    @staticmethod
    def first(key: ObjectKey, found: Replicas, *, there: bool) -> Workload:
        """Begin with the first look; ``there`` says that it was there when the delivery began."""
        return Workload(key, min(found.available, found.desired) if there else None, found, found.desired)

    def note(self, found: Replicas | None, at: datetime, minimum: Minimum) -> Workload:
        """Take note of a look at ``at``."""
        desired = found.desired if found else self.desired
        after = replace(self, now=found, desired=desired)
        if self.baseline is None:
            return after
        floor = min(self.baseline, desired, minimum.of(desired))
        available = found.available if found else 0
        if available >= floor:
            return replace(after, drop=None, worst=_worse(self.worst, self.drop, at))
        known = self.drop or Drop(self.key, available, floor, at, absent=True)
        fewest = min((known.available, known.floor), (available, floor), key=lambda pair: pair[0] - pair[1])
        deeper = replace(known, available=fewest[0], floor=fewest[1], absent=known.absent and found is None)
        return replace(after, drop=deeper)

    @property
    def drops(self) -> tuple[Drop, ...]:
        """The one that lasts and the worst one that ended."""
        return tuple(drop for drop in (self.drop, self.worst) if drop)


def _worse(worst: Drop | None, drop: Drop | None, at: datetime) -> Drop | None:
    """The worse of two, where the second ends now."""
    if drop is None:
        return worst
    ended = replace(drop, ended=at)
    return max(worst or ended, ended, key=lambda each: each.depth)


@dataclass(frozen=True, slots=True)
class Rollout:
    """What following the workloads of one delivery has found so far."""

    delivery: datetime
    """When the delivery began."""
    began_at: datetime | None = None
    """When all workloads had been looked at for the first time."""
    steady: bool = False
    """None of them was on the move then."""
    settled: bool = False
    """None of them is on the move now."""
    followed: int = 0
    drops: tuple[Drop, ...] = ()
    """The worst first, one of a workload."""
    gap: str = ""
    """Why not everything was seen; empty where it was."""
    lacking: str = ""
    """The right that is missing; empty where none is."""
