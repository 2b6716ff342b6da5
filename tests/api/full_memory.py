"""A memory in which everything is known and every text and list is as long as it may be."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciliation_contract.core.memory import (
    BAD_REVISIONS,
    HISTORY,
    Good,
    Memory,
    Past,
    Result,
    Revision,
    Rollback,
    RollbackState,
)
from reconciliation_contract.core.observation import Condition, Kustomization, SourceRef
from reconciliation_contract.core.promises import Judgement, PromiseName, Verdict
from reconciliation_contract.core.text import LIMIT
from reconciliation_contract.core.timeline import Delivery, Failures, Moment, Stages, Witness

T0 = datetime(2026, 11, 23, 4, 0, 0, 123_000, tzinfo=UTC)
LONG = "é" * LIMIT
SOURCE = SourceRef("GitRepository", "apps", "shop")
HASHES = [f"{number:040x}" for number in range(1, BAD_REVISIONS + 2)]


def after(seconds: float) -> datetime:
    """A time some seconds into the story."""
    return T0 + timedelta(seconds=seconds)


def kustomization() -> Kustomization:
    """The Kustomization that the memory is about."""
    revision = f"main@sha1:{HASHES[0]}"
    return Kustomization(
        namespace="apps",
        name="shop",
        uid="0c9a",
        resource_version="1",
        generation=1,
        source=SOURCE,
        attempted_revision=revision,
        applied_revision=revision,
    )


def _delivery(*, adopted: bool) -> Delivery:
    moments = [Moment(after(n), witness, after(n - 0.5)) for n, witness in enumerate([*Witness, Witness.WATCH])]
    return Delivery(
        revision=f"main@sha1:{HASHES[0]}",
        hash=HASHES[0],
        started_at=T0,
        adopted=adopted,
        subject=LONG,
        stages=Stages(*moments),
        failures=Failures(3, after(10), after(90), "HealthCheckFailed", LONG),
        commit_problem=LONG,
    )


def _judgements() -> tuple[Judgement, ...]:
    verdicts = [*Verdict] * len(PromiseName)
    return tuple(
        Judgement(
            promise, verdict, timedelta(minutes=5), "BudgetExceeded", LONG, timedelta(seconds=4.231), after(300)
        )
        for promise, verdict in zip(PromiseName, verdicts, strict=False)
    )


def _rollback() -> Rollback:
    return Rollback(
        state=RollbackState.ACTIVE,
        bad=Revision(f"main@sha1:{HASHES[0]}", HASHES[0]),
        good=Revision(f"main@sha1:{HASHES[1]}", HASHES[1]),
        reason="HealthCheckFailed",
        kustomization_uid="0c9a",
        source=SOURCE,
        pin=replace(SOURCE, name="shop-1a2b3c-0000000"),
        started_at=after(91),
        completed_at=after(93.25),
        kept_annotations={"kustomize.toolkit.fluxcd.io/ssa": "Merge"},
        message=LONG,
    )


def full_memory(*, adopted: bool = False) -> Memory:
    """Everything that can be remembered of a contract, as large as it gets."""
    pasts = (
        Past(f"main@sha1:{hash_}", hash_, result, after(n), LONG, timedelta(seconds=n), tuple(PromiseName))
        for n, (hash_, result) in enumerate(zip(HASHES, [*Result] * HISTORY, strict=False))
    )
    names = ("Ready", "Detected", "Healthy", "RolledBack", "Stalled")
    return Memory(
        delivery=_delivery(adopted=adopted),
        judgements=_judgements(),
        history=tuple(pasts)[:HISTORY],
        good=Good(f"main@sha1:{HASHES[1]}", HASHES[1], T0, "0c9a", SOURCE, "./deploy", checked=True),
        rollback=_rollback(),
        bad=tuple(HASHES[:BAD_REVISIONS]),
        conditions={name: Condition("False", "PromiseBroken", LONG, T0) for name in names},
        observed_generation=3,
        handled_request="2026-11-23T04:00:00Z",
    )
