"""Acts that the API server refuses or does not do, and for how long."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from http import HTTPStatus

from reconciliation_contract.core.memory.effects import Effect
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import ClusterError, Refused, Unavailable


@dataclass(frozen=True)
class Refusal:
    """An act that has failed at every try."""

    act: type[Effect]
    failing_since: datetime
    """When the first of these tries began."""
    refused_since: datetime | None
    """The first of the last tries that were all decided against; None where the last one was not."""
    at: datetime
    """The end of the last try."""
    refused: str
    """Why it is not done; empty while that may pass by itself."""
    ending: bool
    """The last try was for a contract that is being deleted."""

    def refused_for(self, now: datetime, timing: Timing = TIMING) -> timedelta:
        """How long it has been refused, up to a try that was just now and after the deletion; else zero."""
        if self.refused_since is None or not self.ending or now - self.at > timing.refusal_fresh:
            return timedelta(0)
        return self.at - self.refused_since


def refusal(
    known: Refusal | None,
    act: type[Effect],
    error: Refused | Unavailable,
    began: datetime,
    now: datetime,
    *,
    ending: bool,
    timing: Timing = TIMING,
) -> Refusal:
    """Add a try that failed to what is known of the tries before it."""
    before = known if known and known.act is act else None
    failing_since = before.failing_since if before else began
    refused_since = (before and before.refused_since) or now if is_decided(error) else None
    lasts = isinstance(error, Refused) or now - failing_since >= timing.failing_act_told
    refused = str(error) if lasts else before.refused if before else ""
    return Refusal(act, failing_since, refused_since, now, refused, ending)


def is_decided(error: ClusterError) -> bool:
    """Whether the API server, or a webhook that it asks, decided against an act, rather than being away itself."""
    return not isinstance(error, Unavailable) or error.code == HTTPStatus.INTERNAL_SERVER_ERROR
