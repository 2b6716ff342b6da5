"""Whether the operator is alive, told from outside of its event loop, which cannot say so when it stands still."""

from __future__ import annotations

import time
from collections.abc import Callable

from reconciliation_contract.core.values.timing import TIMING, Timing


class Heartbeat:
    """What the event loop has said last of its own, for another thread to read."""

    def __init__(self, timing: Timing = TIMING, clock: Callable[[], float] = time.monotonic) -> None:
        self._starved = timing.loop_starved.total_seconds()
        self._clock = clock
        self._said = (clock(), "", "not started")

    def beat(self, alive: str, ready: str) -> None:
        """Say what is wrong now with being alive and with being ready; empty where nothing is."""
        self._said = (self._clock(), alive, ready)

    def alive(self) -> str:
        """What is wrong; a loop that has not run for long is, whatever it has said before."""
        at, problem, _ = self._said
        silent = self._clock() - at
        return f"the event loop has not run for {silent:.0f} s" if silent > self._starved else problem

    def ready(self) -> str:
        """What is wrong, as far as it is known."""
        return self.alive() or self._said[2]
