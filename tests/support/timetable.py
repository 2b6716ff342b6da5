"""Where the time of a run went: seconds by file and by phase, and how busy the processors were."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

LONGEST = 10
"""Files that are shown; the others are added up."""
PHASES = {"setup": "setting up", "call": "testing", "teardown": "clearing up"}


@dataclass(frozen=True)
class Clock:
    """A moment, and what the processors had done by then."""

    at: float
    """Seconds."""
    busy: int
    """Ticks of all processors with work; zero where the kernel does not tell."""
    idle: int
    """Ticks without."""

    @classmethod
    def now(cls) -> Clock:
        """Read all clocks (`/proc/stat`: user, nice, system, idle, iowait, irq, softirq, steal)."""
        ticks = [0] * 8
        with suppress(OSError):
            ticks = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
        idle = ticks[3] + ticks[4]
        return cls(time.monotonic(), sum(ticks) - idle, idle)


def timetable(reports: Iterable[pytest.TestReport], began: Clock, ended: Clock) -> Iterator[str]:
    """The lines of the table; a worker's seconds count each, so that they add up to more than the run took."""
    files, phases = Counter[str](), Counter[str]()
    for report in reports:
        files[report.nodeid.partition("::")[0]] += report.duration
        phases[PHASES[report.when]] += report.duration
    for file, seconds in files.most_common(LONGEST):
        yield f"{seconds:7.1f} s  {file}"
    if others := files.total() - sum(seconds for _, seconds in files.most_common(LONGEST)):
        yield f"{others:7.1f} s  {len(files) - LONGEST} other files"
    yield f"{files.total():7.1f} s  in all: " + ", ".join(f"{phases[name]:.0f} s {name}" for name in PHASES.values())
    ticks = ended.busy - began.busy, ended.idle - began.idle
    load = f", the machine's processors busy for {ticks[0] / sum(ticks):.0%} of it" if sum(ticks) else ""
    yield f"{ended.at - began.at:7.1f} s  by the clock{load}"
