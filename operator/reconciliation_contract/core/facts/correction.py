"""When Flux is asked to put drift right, and when that is given up.

Where somebody else writes the same field again and again (an autoscaler, another operator, a person who means it),
each correction is undone, and the two would fight for ever. So what comes back is corrected ever more seldom, and in
the end no more; what is new is corrected at once. A field is known again by its place, whatever its value.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

MOST_TIMES: Final = 5
"""Requests for what comes back, after which it is given up."""
MOST_PLACES: Final = 8
"""Places that are remembered; with more, all count as known."""
PLACE: Final = 4
"""Characters of a place."""


@dataclass(frozen=True, slots=True)
class Correction:
    """Flux was asked, or is to be asked, to put findings right."""

    places: tuple[str, ...]
    """Digests of the objects and fields that it is about, earlier requests of the same series included."""
    requested_at: datetime
    times: int = 1
    """How often the same places were asked for in a row."""

    @property
    def given_up(self) -> bool:
        """Whether Flux is not asked again for these places."""
        return self.times >= MOST_TIMES


@dataclass(frozen=True, slots=True)
class Spacing:
    """Time between two requests for the same places."""

    interval: timedelta
    longest: timedelta
    """At most, unless the interval is longer."""

    def after(self, request: Correction) -> timedelta:
        """The time to the next one: doubled each time."""
        return min(self.interval * (1 << request.times - 1), max(self.interval, self.longest))


def place(where: str) -> str:
    """Name a place shortly: one in 65,536 new ones is taken for a certain old one, and waits."""
    return hashlib.sha256(where.encode()).hexdigest()[:PLACE]


def following(
    last: Correction | None, places: Sequence[str], spacing: Spacing, now: datetime, *, held: bool
) -> Correction | None:
    """The request that is due for what is found at these places; None where none is.

    ``held`` says that there was no drift just before. A correction that held for twice its spacing ends its series.
    """
    if last is None or (held and now >= last.requested_at + 2 * spacing.after(last)):
        return Correction(tuple(places[:MOST_PLACES]), now)
    fresh = [place for place in places if place not in last.places]
    if fresh and len(last.places) < MOST_PLACES:
        return replace(last, places=(*last.places, *fresh)[:MOST_PLACES], requested_at=now)
    if last.given_up or now < last.requested_at + spacing.after(last):
        return None
    return replace(last, requested_at=now, times=last.times + 1)
