"""What an observation shows of a delivery, and which revision is the newest.

What is recorded already stays as it is; see `timeline` for what the stages mean.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from reconciliation_contract.core.facts.dry_run import Validation
from reconciliation_contract.core.facts.failure_cause import classify
from reconciliation_contract.core.facts.observation import (
    Artifact,
    Commit,
    Head,
    Kustomization,
    Observation,
    Since,
    Source,
    Unreadable,
)
from reconciliation_contract.core.memory.timeline import Delivery, Failures, Moment, Witness
from reconciliation_contract.core.values.timing import TIMING, Timing

FIRST_PLAUSIBLE = datetime(2005, 4, 7, tzinfo=UTC)
"""Git's own first commit; a commit time before it is forged or broken."""


def _later(moment: datetime, floor: datetime | None) -> datetime:
    return moment if floor is None else max(moment, floor)


def _moment(
    since: Since[str] | None, hash_: str, floor: Moment | None, stands: datetime | None = None
) -> Moment | None:
    """The moment since which the value has been ``hash_``, between the stage before it and the last, ``stands``."""
    if since is None or since.value != hash_:
        return None
    least = floor.at if floor else None
    at = _later(since.at if since.exact else min(since.at, stands or since.at), least)
    if since.exact:
        return Moment(at, Witness.WATCH)
    first = floor.first if floor else at
    return Moment(at, Witness.STATUS, None if first == at else first)


def _between(before: Moment | None, after: Moment) -> Moment:
    """When a stage happened that nobody saw, by those on either side of it."""
    first = before.first if before else after.first
    return Moment(after.at, Witness.STATUS, None if first == after.at else first)


def _detected(artifact: Since[Artifact] | None, hash_: str, lag: timedelta) -> Moment | None:
    if artifact is None or artifact.value.hash != hash_:
        return None
    stamped, arrived = artifact.value.updated_at, artifact.at
    if artifact.exact and timedelta(0) <= arrived - stamped <= lag:
        return Moment(arrived, Witness.WATCH)
    return Moment(stamped, Witness.ARTIFACT)


def implausible(commit: Commit, known_at: datetime, skew: timedelta = TIMING.clock_skew) -> str:
    """Why a commit time cannot be believed, given that the commit was known at ``known_at``; empty if it can."""
    if commit.committed_at < FIRST_PLAUSIBLE:
        return f"the commit claims {commit.committed_at:%Y-%m-%d}, before Git existed"
    if commit.committed_at > known_at + skew:
        ahead = commit.committed_at - known_at
        return f"the commit claims a time {int(ahead.total_seconds())} s after it was seen"
    return ""


def _with_commit(delivery: Delivery, commit: Commit | Unreadable | None, skew: timedelta) -> Delivery:
    if delivery.stages.committed or delivery.commit_problem or commit is None:
        return delivery
    if isinstance(commit, Unreadable):
        return replace(delivery, commit_problem=commit.problem)
    known = min(m.at for m in (delivery.stages.seen, delivery.stages.detected) if m) if _sighted(delivery) else None
    problem = implausible(commit, known or delivery.started_at, skew)
    if problem:
        return replace(delivery, subject=commit.subject, commit_problem=problem)
    at = commit.committed_at if known is None else min(commit.committed_at, known)
    stages = replace(delivery.stages, committed=Moment(at, Witness.GIT))
    return replace(delivery, subject=commit.subject, stages=stages)


def _commit(delivery: Delivery, seen: Observation) -> Commit | Unreadable | None:
    if seen.flux.source is not None and not seen.flux.source.kind.commits:
        return Unreadable(f"a source of kind {seen.flux.source.kind.name} keeps no time of a commit")
    return seen.git.commits.get(delivery.hash)


def _sighted(delivery: Delivery) -> bool:
    return delivery.stages.seen is not None or delivery.stages.detected is not None


def _with_sightings(delivery: Delivery, seen: Observation, lag: timedelta) -> Delivery:
    stages = delivery.stages
    head = seen.git.head
    if stages.seen is None and head and head.hash == delivery.hash:
        stages = replace(stages, seen=Moment(head.seen_at, Witness.GIT, head.absent_at))
    if stages.detected is None and seen.flux.source:
        stages = replace(stages, detected=_detected(seen.flux.source.artifact, delivery.hash, lag))
    return replace(delivery, stages=stages)


def _with_attempts(delivery: Delivery, kustomization: Kustomization | None) -> Delivery:
    if kustomization is None:
        return delivery
    stages, hash_ = delivery.stages, delivery.hash
    if kustomization.attempted is None:  # a new one, which has failed at nothing
        return replace(delivery, failures=None)
    # Before the source has it, a Kustomization that is at it still is so from an earlier delivery.
    if stages.detected is None or kustomization.attempted.value != hash_:
        return delivery
    delivered = kustomization.delivered
    stands = delivered.at if delivered and delivered.value == hash_ else None
    # Ready that became so before the revision was there stood for another: it says nothing of when.
    by = stands if stands and stands >= stages.detected.at else None
    attempted = stages.attempted or _moment(kustomization.attempted, hash_, stages.detected, by)
    built = stages.built or _moment(kustomization.built, hash_, attempted, by)
    applied = stages.applied or _moment(kustomization.applied, hash_, built or attempted, by)
    healthy = stages.healthy or _moment(kustomization.delivered, hash_, applied or built or attempted)
    if applied is None and healthy is not None:
        applied = healthy
    if applied is not None and (built is None or built.at >= applied.at):
        built = _between(attempted, applied)
    stages = replace(stages, attempted=attempted, built=built, applied=applied, healthy=healthy)
    failures = (
        None
        if stands is not None
        else _count(_standing(delivery, kustomization), kustomization, delivery.counted_from)
    )
    return replace(delivery, stages=stages, failures=failures)


def _standing(delivery: Delivery, kustomization: Kustomization) -> Failures | None:
    """The failed attempts counted so far, but for those after which it may have stood Ready while nobody looked."""
    known, attempted = delivery.failures, kustomization.attempted
    if known is None or attempted is None or attempted.exact or known.last_at >= attempted.at:
        return known
    return None if kustomization.applied_revision.endswith(delivery.hash) else known


def _with_validation(delivery: Delivery, found: Validation | None) -> Delivery:
    if found is None or found.hash != delivery.hash or found.passed_at is None or delivery.stages.validated:
        return delivery
    return replace(delivery, stages=replace(delivery.stages, validated=Moment(found.passed_at, Witness.OPERATOR)))


def _count(known: Failures | None, kustomization: Kustomization, start: datetime | None) -> Failures | None:
    """Add the failed attempts that are newer than those already counted."""
    for failure in kustomization.failures:
        if start is not None and failure.at < start:
            continue
        # What no commit can help is not the commit's failure: counting begins with the first that may be.
        excused = known is not None and not classify(known.reason, known.message).curable
        newer = known is None or failure.at > known.last_at
        if known is None or (newer and excused and classify(failure.reason, failure.message).curable):
            known = Failures(1, failure.at, failure.at, failure.reason, failure.message, kustomization.spec)
        elif newer:
            count, first = known.count + 1, known.first_at
            known = Failures(count, first, failure.at, failure.reason, failure.message, kustomization.spec)
    return known


def follow(delivery: Delivery, seen: Observation, timing: Timing) -> Delivery:
    """Record what the observation shows of this delivery; what is recorded already stays as it is."""
    delivery = _with_sightings(delivery, seen, timing.watch_lag)
    delivery = _with_commit(delivery, _commit(delivery, seen), timing.clock_skew)
    return _with_validation(_with_attempts(delivery, seen.flux.kustomization), seen.manifests.validation)


@dataclass(frozen=True, slots=True)
class Target:
    """The revision that the cluster should be at."""

    revision: str
    hash: str


def target(seen: Observation, timing: Timing) -> Target | None:
    """The newest revision known: Git's own head where Flux has not detected it yet, else the artifact."""
    artifact = seen.flux.source.artifact if seen.flux.source else None
    head = seen.git.head
    if head and (artifact is None or _overtakes(head, artifact.value, timing.clock_skew)):
        return Target(_named(seen.flux.source, head.hash), head.hash)
    return Target(artifact.value.revision, artifact.value.hash) if artifact else None


def serves(seen: Observation, hash_: str) -> bool:
    """Whether it is what Flux's source has."""
    artifact = seen.flux.source.artifact if seen.flux.source else None
    return artifact is not None and artifact.value.hash == hash_


def _named(source: Source | None, hash_: str) -> str:
    """Name a revision as Flux will; see its precedence commit > name > semver > tag > branch."""
    ref = source.ref if source else {}
    if "commit" in ref or "semver" in ref:
        return f"sha1:{hash_}"
    name = ref.get("name") or ref.get("tag") or ref.get("branch") or "master"
    return f"{name}@sha1:{hash_}"


def _overtakes(head: Head, artifact: Artifact, skew: timedelta) -> bool:
    """Whether Git has moved on: our look found another commit, and was later than Flux's."""
    return head.hash != artifact.hash and head.looked_at > artifact.updated_at + skew
