"""The figures of the last deliveries: how many kept their promises, how long they took, how failures ended.

The definitions are DORA's (https://dora.dev/guides/dora-metrics-four-keys/), taken over one contract's history of at
most ten finished deliveries:

lead time
    From the push to healthy, of the deliveries for which that was measured: Kept or Broken, not Unknown.
change failure rate
    Deliveries that needed a remedy (rolled back, or overtaken after an attempt had failed) or that failed and broke a
    promise, of all but those overtaken before anything was known of them. Only failures that a commit can cure count.
recovery time
    From the first failed attempt to the cluster being healthy again: by a rollback, or by the next healthy delivery.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from math import ceil

from reconciliation_contract.core.memory.memory import Past, Result


@dataclass(frozen=True, slots=True)
class Statistics:
    """Figures over the history; None where there is nothing to count."""

    deliveries: int
    kept: int
    lead_time_median: timedelta | None
    lead_time_p95: timedelta | None
    failures: int
    recovery_median: timedelta | None


def statistics(history: Sequence[Past]) -> Statistics | None:
    """Sum up a history, newest first; None while it has nothing but adopted or overtaken deliveries."""
    counted = [past for past in history if _counts(past)]
    if not counted:
        return None
    lead = sorted(past.latency for past in counted if past.latency is not None)
    return Statistics(
        deliveries=len(counted),
        kept=sum(1 for past in counted if past.result is Result.HEALTHY and not past.broken),
        lead_time_median=percentile(lead, 50),
        lead_time_p95=percentile(lead, 95),
        failures=sum(1 for past in counted if _failed(past)),
        recovery_median=percentile(sorted(recoveries(history).values()), 50),
    )


def recoveries(history: Sequence[Past]) -> dict[datetime, timedelta]:
    """How long each failure lasted that has ended, by when it began."""
    found = ((past.failed_at, _recovery(history, index)) for index, past in enumerate(history))
    return {began: duration for began, duration in found if began is not None and duration is not None}


def percentile(ordered: Sequence[timedelta], share: int) -> timedelta | None:
    """Take the nearest-rank percentile of ordered values: a value that really occurred."""
    return ordered[max(0, ceil(len(ordered) * share / 100) - 1)] if ordered else None


def _counts(past: Past) -> bool:
    return past.result is not Result.ADOPTED and not past.untouched


def _failed(past: Past) -> bool:
    fixed_forward = past.result is Result.SUPERSEDED
    return past.result is Result.ROLLED_BACK or (past.failed_at is not None and (fixed_forward or bool(past.broken)))


def _recovery(history: Sequence[Past], index: int) -> timedelta | None:
    """Time from a delivery's first failure to the next time the cluster was healthy."""
    past = history[index]
    if past.failed_at is None or not _failed(past):
        return None
    if past.recovered_at is not None:
        return max(timedelta(0), past.recovered_at - past.failed_at)
    later = (newer.ended_at for newer in reversed(history[:index]) if newer.result is Result.HEALTHY)
    healthy = past.ended_at if past.result is Result.HEALTHY else next(later, None)
    return max(timedelta(0), healthy - past.failed_at) if healthy is not None else None
