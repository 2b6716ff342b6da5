"""How soon a contract is looked at again where no event asks for it.

Routine looks lie at a time of each contract's own within the round, by its name, so that neither a start nor a round
of ten thousand contracts comes all at once. And whoever asks for one look after the other without a pause, which is
an error, gets ever longer ones: it must not take the operator's time from the other contracts.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.core.values.timing import TIMING, Timing

Key = tuple[str, str]

IN_A_ROW: Final = 8
"""Short pauses in a row that the longest chain of acts may need."""
AT_ONCE: Final = 50
"""Contracts that are looked at without being spread."""
A_SECOND: Final = 250.0
"""Contracts that are looked at in a second where very many are to be: about a third of a core."""


def phase(key: Key) -> float:
    """Place a contract in a round, from 0 to 1: always the same one, and evenly spread over all contracts."""
    return zlib.crc32("/".join(key).encode()) / 2**32


def routine(key: Key, now: datetime, every: timedelta = TIMING.routine) -> datetime:
    """When a contract has its next routine look."""
    round_ = every.total_seconds()
    ahead = (phase(key) * round_ - now.timestamp()) % round_
    return now + timedelta(seconds=ahead)


def spread(keys: Iterable[Key]) -> Iterator[tuple[Key, float]]:
    """Give each contract its delay in seconds where many are to be looked at for one reason; few have none."""
    found = tuple(keys)
    span = (len(found) - AT_ONCE) / A_SECOND
    for key in found:
        yield key, max(0.0, phase(key) * span)


class Pace:
    """Keeps pauses between the looks at one contract. It belongs to one event loop."""

    def __init__(self, timing: Timing = TIMING) -> None:
        self._least = timing.pause_short.total_seconds()
        self._longest = timing.pause_forced_longest.total_seconds()
        self._short: dict[Key, int] = {}

    def pause(self, key: Key, seconds: float) -> tuple[float, bool]:
        """How long to wait really where a pass asks for a look in some seconds, and whether it was made to."""
        if seconds >= self._least:
            self._short.pop(key, None)
            return seconds, False
        before = self._short.get(key, 0)
        self._short[key] = before + 1
        if before < IN_A_ROW:
            return max(0.0, seconds), False
        return min(self._longest, self._least * 2.0 ** min(before - IN_A_ROW, 16)), True

    def forget(self, key: Key) -> None:
        """Forget a contract that is gone."""
        self._short.pop(key, None)
