"""Each promise is a predicate over the evidence of one delivery.

Three questions in three places: what is measured (`timeline`), how it stands (here), when to look again (the
deadline of a pending verdict). A concluded verdict is kept by the caller and never asked again.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from reconciliation_contract.core.memory.timeline import (
    Delivery,
    Moment,
    Span,
    Witness,
    first_sight,
    is_commit_awaited,
    origin,
)
from reconciliation_contract.core.spec.contract import Promises
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.text import bounded

_BECAUSE: Final = "; "
"""Between what a promise came to and the dependency that is to blame."""


class PromiseName(StrEnum):
    """The promises that can be made, as they appear in the status."""

    DETECTION = "Detection"
    VALIDATION = "Validation"
    RECONCILIATION = "Reconciliation"
    DRIFT = "Drift"
    DELETION = "Deletion"
    AVAILABILITY = "Availability"
    DEPENDENCIES = "Dependencies"
    ROLLBACK = "Rollback"


class Verdict(StrEnum):
    """How a promise stands."""

    KEPT = "Kept"
    BROKEN = "Broken"
    PENDING = "Pending"
    UNKNOWN = "Unknown"
    SUPERSEDED = "Superseded"


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict on one promise of one delivery, with what it rests on."""

    promise: PromiseName
    verdict: Verdict
    within: timedelta
    reason: str
    message: str = ""
    measured: timedelta | None = None
    deadline: datetime | None = None
    """When a pending verdict turns Broken."""

    @property
    def concluded(self) -> bool:
        """Whether the verdict is final."""
        return self.verdict is not Verdict.PENDING

    @property
    def left_out(self) -> bool:
        """Whether it is unknown because this installation does not measure it: that says nothing of a delivery."""
        return self.reason in (reasons.NOT_PERMITTED, reasons.NOT_CHECKED)


@dataclass(frozen=True, slots=True)
class Course:
    """The stretch of a delivery that a promise speaks of."""

    promise: PromiseName
    within: timedelta
    start: Moment | None
    end: Moment | None
    goal: str
    """What happens at its end, as in "detected by Flux"."""
    lacking: str = ""
    """Why there is no start."""
    note: str = ""
    """A remark on what the measure includes."""
    blame: str = ""
    """A dependency that fails now: the first cause to name when the budget is exceeded."""
    so_far: str = ""
    """How far it has come, to be told where nothing is to blame."""
    behind: datetime | None = None
    """When an earlier commit was pushed that was overtaken before its end, and still waits for a newer one's."""
    awaited: bool = False
    """Git may still tell when the commit was made; until then the start is when it was first seen."""


def courses(promises: Promises, delivery: Delivery, blame: str = "") -> tuple[Course, ...]:
    """The stretches of the delivery that are promised, in the order in which they pass."""
    pushed, stages = origin(delivery), delivery.stages
    at, awaited = first_sight(delivery), is_commit_awaited(delivery)
    if awaited and at:
        pushed = Moment(at, Witness.GIT, stages.seen.earliest if stages.seen else None)
    since, note = pushed, ""
    if since is None and stages.detected and delivery.commit_problem:
        since, note = stages.detected, "from the artifact on; the time of the commit is not known"
    return (
        Course(
            PromiseName.DETECTION,
            promises.detection,
            pushed,
            stages.detected,
            "detected by Flux",
            lacking=delivery.commit_problem,
            blame=blame,
            behind=delivery.undetected_since,
            awaited=awaited,
        ),
        Course(
            PromiseName.RECONCILIATION,
            promises.reconciliation,
            since,
            stages.healthy,
            "healthy",
            note=note,
            blame=blame,
            so_far=standstill(delivery),
            behind=delivery.unhealthy_since,
            awaited=awaited,
        ),
    )


def standstill(delivery: Delivery) -> str:
    """How far a delivery has come that is not healthy. In which words Flux fails is told where that is up to date."""
    stages = delivery.stages
    if delivery.failures:
        return "its attempts fail"
    if stages.applied:
        return "applied, and its health check goes on"
    if stages.attempted:
        return "attempted, and not applied yet"
    return "detected, and not attempted yet" if stages.detected else "not detected yet"


def assess_course(course: Course, now: datetime) -> Judgement:
    """How the promise stands at ``now``.

    With both ends known the verdict is `Kept` when even the longest possible time fits the budget, `Broken` when
    even the shortest does not, and `Unknown` between: nobody saw it closely enough. Commits that come faster than the
    budget must not put its end off for ever: one that was overtaken while it waited leaves its deadline to the next.
    """
    own = _alone(course, now)
    if course.behind is None:
        return own
    earlier = _alone(replace(course, start=Moment(course.behind, Witness.GIT), behind=None, awaited=False), now)
    if earlier.verdict is Verdict.BROKEN and own.verdict is not Verdict.BROKEN:
        note = f"counted from an earlier commit, seen at {course.behind:%H:%M:%S} UTC, which never was"
        return replace(earlier, message=f"{earlier.message} ({note})")
    return earlier if not own.concluded and not earlier.concluded else own


def _alone(course: Course, now: datetime) -> Judgement:
    """How the promise stands for this commit, whatever became of those before it."""
    if course.start is None:
        return _without_start(course)
    if course.end is None:
        return _under_way(course, course.start, now)
    if course.awaited:
        deadline = course.start.at + course.within
        if now <= deadline:
            return replace(_without_start(course), deadline=deadline)
        if course.start.earliest is None:
            return _without_start(replace(course, lacking="Git has not told it in time"))
    span, within = Span.between(course.start, course.end), course.within
    if span.longest <= within:
        return _measured(course, Verdict.KEPT, reasons.WITHIN_BUDGET, span.longest)
    if span.shortest > within:
        return _measured(course, Verdict.BROKEN, reasons.BUDGET_EXCEEDED, span.shortest)
    low, high = spoken(span.shortest), spoken(span.longest)
    message = f"{course.goal} after {low} to {high} of {spoken(within)}; nobody looked closely enough to tell"
    return Judgement(course.promise, Verdict.UNKNOWN, within, reasons.UNOBSERVED, message)


def _without_start(course: Course) -> Judgement:
    if course.lacking:
        message = f"the time of the commit is not known: {course.lacking}"
        return Judgement(course.promise, Verdict.UNKNOWN, course.within, reasons.UNMEASURED, message)
    message = "waiting to learn when it was pushed"
    return Judgement(course.promise, Verdict.PENDING, course.within, reasons.IN_PROGRESS, message)


def _under_way(course: Course, start: Moment, now: datetime) -> Judgement:
    deadline = start.at + course.within
    if now > deadline:
        reason = reasons.DEPENDENCY_FAILED if course.blame else reasons.BUDGET_EXCEEDED
        message = _because(
            f"not {course.goal} within {spoken(course.within)}", bounded(course.blame or course.so_far)
        )
        return Judgement(course.promise, Verdict.BROKEN, course.within, reason, message)
    message = f"to be {course.goal} by {deadline:%H:%M:%S} UTC"
    return Judgement(course.promise, Verdict.PENDING, course.within, reasons.IN_PROGRESS, message, deadline=deadline)


def _measured(course: Course, verdict: Verdict, reason: str, measured: timedelta) -> Judgement:
    message = f"{course.goal} after {spoken(measured)} of {spoken(course.within)}"
    if course.note:
        message = f"{message} ({course.note})"
    return Judgement(course.promise, verdict, course.within, reason, message, measured)


def settle(known: Judgement | None, fresh: Judgement) -> Judgement:
    """Keep a concluded verdict; only a measure that was still missing may be added to a broken one."""
    if known is None or not known.concluded:
        return fresh
    late = known.verdict is Verdict.BROKEN and known.measured is None and fresh.verdict is Verdict.BROKEN
    if not late or fresh.measured is None:
        return known
    if (known.reason, fresh.reason) == (reasons.DEPENDENCY_FAILED, reasons.BUDGET_EXCEEDED):
        blame = known.message.partition(_BECAUSE)[2]
        return replace(fresh, reason=known.reason, message=_because(fresh.message, blame))
    return fresh if known.reason == fresh.reason else known


def _because(message: str, blame: str) -> str:
    return f"{message}{_BECAUSE}{blame}" if blame else message


def conclude(judgement: Judgement, verdict: Verdict, reason: str, message: str) -> Judgement:
    """End a pending promise for a reason outside of it; a concluded one stays as it is."""
    if judgement.concluded:
        return judgement
    return Judgement(judgement.promise, verdict, judgement.within, reason, message)
