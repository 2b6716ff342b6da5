"""What a person sees while something takes minutes: a live line on a terminal, a line now and then in a pipe."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

PIPE_INTERVAL = 5.0
"""Seconds between two lines when nobody watches live."""
TERMINAL_INTERVAL = 0.1
CLEAR_LINE = "\r\x1b[2K"


class Progress:
    """Messages to a person, on standard error by default so that output can be piped.

    With `quiet`, nothing is written at all.
    """

    def __init__(self, stream: TextIO | None = None, *, quiet: bool = False) -> None:
        self._stream = stream if stream is not None else sys.stderr
        self._quiet = quiet
        self._live = self._stream.isatty()
        self._shown = False
        self._last = float("-inf")

    def say(self, message: str) -> None:
        """Write a line that stays."""
        self._write((CLEAR_LINE if self._shown else "") + message + "\n")
        self._shown = False

    def update(self, message: str) -> None:
        """Show the present state: replaces the live line, or adds a line when the last one is old enough."""
        now = time.monotonic()
        if now - self._last < (TERMINAL_INTERVAL if self._live else PIPE_INTERVAL):
            return
        self._last = now
        self._write(CLEAR_LINE + message if self._live else message + "\n")
        self._shown = self._live

    def clear(self) -> None:
        """Remove the live line, if one is shown."""
        if self._shown:
            self._write(CLEAR_LINE)
            self._shown = False

    @contextmanager
    def timed(self, what: str) -> Iterator[None]:
        """Say how long a step took once it has succeeded."""
        started = time.monotonic()
        yield
        self.say(f"{what}: {elapsed(time.monotonic() - started)}")

    def _write(self, text: str) -> None:
        if not self._quiet:
            self._stream.write(text)
            self._stream.flush()


def elapsed(seconds: float) -> str:
    """Write a duration as a person reads it: `0.8 s`, `12 s`, `6 min 30 s`."""
    if seconds < 10:  # noqa: PLR2004 - below this, tenths are worth reading
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"
