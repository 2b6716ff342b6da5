"""When to look again if no event arrives: the one way from due times to the next look.

Whatever is due at a time is dealt with by the pass at that time, so a due time that has passed is an error of whoever
names it. It is left out, for it would have the contract looked at again and again without a pause, and it is told.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

Due = tuple[str, datetime | None]
"""Who asks for a look, and when; None where only an event is waited for."""


@dataclass(frozen=True, slots=True)
class NextLook:
    """The first time that is due after a pass."""

    at: datetime | None = None
    """None: only an event changes anything."""
    late: tuple[str, ...] = ()
    """Who asked for a look in the past."""

    def sooner(self, other: NextLook) -> NextLook:
        """Take the first of both."""
        return NextLook(min((at for at in (self.at, other.at) if at), default=None), (*self.late, *other.late))


def next_look(now: datetime, dues: Iterable[Due]) -> NextLook:
    """Find the first due time after ``now``."""
    asked = [(who, at) for who, at in dues if at is not None]
    late = tuple(dict.fromkeys(who for who, at in asked if at < now))
    return NextLook(min((at for _, at in asked if at >= now), default=None), late)
