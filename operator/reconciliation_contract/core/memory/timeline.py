"""The stages of a delivery, each with the window of time in which it happened.

A stage is recorded once and then never changed. What makes it true is always a level ("the artifact is X"), never
an edge ("the artifact changed"), so a stage may be recorded late, out of order or after a restart::

    committed   seen     detected   attempted    built     applied    healthy
    ────┼─────────┼──────────┼──────────┼──────────┼──────────┼──────────┼────▶
       Git       Git     Artifact     Watch      Watch      Watch      Watch

A push lies between the commit and the first sight of it, in Git or in the artifact. Measured times are therefore
intervals; `Span` keeps both ends.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from datetime import datetime, timedelta
from enum import StrEnum


class Witness(StrEnum):
    """Who says that a stage happened then."""

    GIT = "Git"
    RECEIVER = "Receiver"
    ARTIFACT = "Artifact"
    WATCH = "Watch"
    STATUS = "Status"
    """A time stamp in Flux's status, read after the fact."""
    OPERATOR = "Operator"
    """The operator's own work."""


@dataclass(frozen=True, slots=True)
class Moment:
    """When a stage happened: at ``at``, or at some time since ``earliest`` where that is given."""

    at: datetime
    witness: Witness
    earliest: datetime | None = None

    @property
    def first(self) -> datetime:
        """The earliest time at which it can have happened."""
        return self.at if self.earliest is None else self.earliest


@dataclass(frozen=True, slots=True)
class Span:
    """A measured time: at least ``shortest``, at most ``longest``."""

    shortest: timedelta
    longest: timedelta

    @staticmethod
    def between(start: Moment, end: Moment) -> Span:
        """The time from one moment to another, never negative."""
        zero = timedelta(0)
        return Span(max(zero, end.first - start.at), max(zero, end.at - start.first))


@dataclass(frozen=True, slots=True)
class Stages:
    """What a delivery has been through so far, in order; None is not (yet) seen."""

    committed: Moment | None = None
    seen: Moment | None = None
    detected: Moment | None = None
    validated: Moment | None = None
    attempted: Moment | None = None
    built: Moment | None = None
    applied: Moment | None = None
    healthy: Moment | None = None


STAGES = tuple(stage.name for stage in fields(Stages))
"""All stages, in order."""
MEASURED_STAGES = STAGES[STAGES.index("detected") :]
"""Those that are measured from the push on."""


@dataclass(frozen=True, slots=True)
class Failures:
    """Failed attempts at one revision."""

    count: int
    first_at: datetime
    last_at: datetime
    reason: str
    message: str
    spec: str = ""
    """Digest of the Kustomization's own spec with which they happened; empty where it is not known."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """The way of one revision from commit to healthy."""

    revision: str
    hash: str
    started_at: datetime
    """When the operator began to follow it."""
    adopted: bool = False
    """It was in the cluster's hands before the contract was: nothing about it can be judged."""
    subject: str = ""
    stages: Stages = field(default_factory=Stages)
    failures: Failures | None = None
    commit_problem: str = ""
    """Why the commit time is not known, or not believed; empty while it may still come."""
    counted_from: datetime | None = None
    """Failed attempts before it do not count; None where all do."""
    reported: tuple[str, ...] = ()
    """Promises whose breaking people were told of by an incident."""
    announced: bool = False
    """Whoever keeps a record of deployments has taken that it is healthy."""
    resumed: bool = False
    """Followed anew after another commit came and went unnoticed by Flux: what it had reached is no new sample."""
    binding: str = ""
    """Digest of the Kustomization and the source that it was last followed by."""
    undetected_since: datetime | None = None
    """When the first commit was pushed that was overtaken undetected and that Flux has yet to get past."""
    unhealthy_since: datetime | None = None
    """The same of one that was overtaken before it was healthy."""

    def reached(self, stage: Moment | None) -> bool:
        """Whether it is this delivery that got to a stage, so that it may be measured."""
        if stage is None or self.adopted:
            return False
        return not self.resumed or stage.at >= self.started_at


def origin(delivery: Delivery) -> Moment | None:
    """When the commit reached Git, as a window; None where only Flux's artifact tells of it.

    The push is not recorded anywhere. It happened after the commit was made, after the last look that did not
    find it, and before the first sight of it::

        committed ──┐        ┌── seen in Git, or in the artifact, whichever was first
                    ▼        ▼
        ────────────╞════════╡────────▶
                    ▲
        last look without it ┘ (whichever is later)
    """
    stages = delivery.stages
    starts = [m for m in (stages.committed and stages.committed.at, stages.seen and stages.seen.earliest) if m]
    at = first_sight(delivery)
    if is_commit_awaited(delivery) or at is None or not starts:
        return None
    first = min(at, max(starts))
    return Moment(at, Witness.GIT, None if first == at else first)


def elapsed(delivery: Delivery, name: str) -> timedelta | None:
    """How long after the push a stage was reached, at most; None where it was not, or is not measured.

    Where nobody will tell when the commit was made, it counts from when Flux detected it.
    """
    start = origin(delivery) or (delivery.stages.detected if delivery.commit_problem else None)
    stage: Moment | None = getattr(delivery.stages, name)
    if start is None or stage is None or name not in MEASURED_STAGES or not delivery.reached(stage):
        return None
    return Span.between(start, stage).longest


def first_sight(delivery: Delivery) -> datetime | None:
    """When it was first seen, in Git or in the artifact: the latest time at which it can have been pushed."""
    return min((m.at for m in (delivery.stages.seen, delivery.stages.detected) if m), default=None)


def is_commit_awaited(delivery: Delivery) -> bool:
    """Whether Git may still tell when the commit was made."""
    return delivery.stages.committed is None and not delivery.commit_problem
