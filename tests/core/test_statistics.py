"""The figures over a history, as `docs/contract.md` defines them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.core.delivery.statistics import Statistics, percentile, statistics
from reconciliation_contract.core.memory.memory import Past, Result
from tests.support.builders import at, revision, sha

NONE = Statistics(0, 0, None, None, 0, None)


def past(ended: float, result: Result = Result.HEALTHY, *broken: str, **changes: Any) -> Past:
    """A finished delivery; times in seconds."""
    times = {name: at(changes.pop(name)) for name in ("failed_at", "recovered_at") if name in changes}
    latency = timedelta(seconds=changes.pop("latency")) if "latency" in changes else None
    return Past(revision("A"), sha("A"), result, at(ended), broken=broken, latency=latency, **times)


def seconds(*numbers: float) -> list[timedelta]:
    """Some durations."""
    return [timedelta(seconds=number) for number in numbers]


def told(history: Sequence[Past]) -> tuple[Any, ...]:
    """Deliveries, kept, failures, and the median, p95 and recovery in seconds."""
    found = statistics(history) or NONE
    spans = (found.lead_time_median, found.lead_time_p95, found.recovery_median)
    return (
        found.deliveries,
        found.kept,
        found.failures,
        *(None if each is None else each.total_seconds() for each in spans),
    )


FAILED = past(200, Result.SUPERSEDED, "Reconciliation", failed_at=100)
HISTORIES: dict[str, tuple[list[Past], tuple[Any, ...]]] = {
    "nothing yet": ([], (0, 0, 0, None, None, None)),
    "only what was there before": ([past(0, Result.ADOPTED)], (0, 0, 0, None, None, None)),
    "overtaken before anything failed": ([past(0, Result.SUPERSEDED)], (0, 0, 0, None, None, None)),
    "one that was kept": ([past(0, latency=4)], (1, 1, 0, 4, 4, None)),
    "healthy, its commit time not known": ([past(0)], (1, 1, 0, None, None, None)),
    "healthy, but too late": ([past(0, Result.HEALTHY, "Reconciliation", latency=400)], (1, 0, 0, 400, 400, None)),
    "it failed first and kept its promises yet": ([past(60, failed_at=30, latency=60)], (1, 1, 0, 60, 60, None)),
    "it failed, and was healthy too late": (
        [past(400, Result.HEALTHY, "Reconciliation", failed_at=100, latency=400)],
        (1, 0, 1, 400, 400, 300),
    ),
    "rolled back": (
        [past(300, Result.ROLLED_BACK, "Reconciliation", failed_at=100, recovered_at=160)],
        (1, 0, 1, None, None, 60),
    ),
    "rolled back, and the failure was not seen": ([past(300, Result.ROLLED_BACK)], (1, 0, 1, None, None, None)),
    "overtaken after it failed, not healthy since": ([FAILED], (1, 0, 1, None, None, None)),
    "overtaken after it failed, healed by the next but one": (
        [past(500, latency=7), past(300, Result.SUPERSEDED), FAILED],
        (2, 1, 1, 7, 7, 400),
    ),
    "it failed, and the next one mended it before a promise broke": (
        [past(140, latency=20), past(120, Result.SUPERSEDED, failed_at=100)],
        (2, 1, 1, 20, 20, 40),
    ),
    "clocks that disagree": (
        [past(300, Result.ROLLED_BACK, failed_at=100, recovered_at=90)],
        (1, 0, 1, None, None, 0),
    ),
}


@pytest.mark.parametrize("name", HISTORIES)
def test_the_figures_follow_their_definitions(name: str) -> None:
    """Each history, newest first, with what is to be counted in it."""
    history, expected = HISTORIES[name]

    assert told(history) == expected


RANKS: dict[str, tuple[list[timedelta], int, timedelta | None]] = {
    "of nothing": ([], 50, None),
    "of one": (seconds(3), 95, timedelta(seconds=3)),
    "the median of two is the lower": (seconds(1, 9), 50, timedelta(seconds=1)),
    "the median of three": (seconds(1, 2, 9), 50, timedelta(seconds=2)),
    "95 % of ten is the largest": (seconds(*range(10)), 95, timedelta(seconds=9)),
    "95 % of twenty is the last but one": (seconds(*range(20)), 95, timedelta(seconds=18)),
}


@pytest.mark.parametrize("name", RANKS)
def test_a_percentile_is_a_value_that_occurred(name: str) -> None:
    """By the nearest rank."""
    ordered, share, expected = RANKS[name]

    assert percentile(ordered, share) == expected
