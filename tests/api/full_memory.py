"""A memory in which everything is known, every list is as long as it gets and every text longer than it may be."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from reconciliation_contract.core.facts.comparison import FIELDS, NAMED, Drift, changed
from reconciliation_contract.core.facts.correction import MOST_PLACES, Correction
from reconciliation_contract.core.facts.dry_run import NAMED as CHECKS
from reconciliation_contract.core.facts.dry_run import Refusal, Refusals
from reconciliation_contract.core.facts.field_owners import Author
from reconciliation_contract.core.facts.inventory import Entry, Inventory
from reconciliation_contract.core.facts.observation import Condition, Dependency, Kustomization, Since, SourceRef
from reconciliation_contract.core.facts.pruning import Departure, Departures, Took
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import (
    BAD_REVISIONS,
    HISTORY,
    INCIDENTS,
    Copy,
    Good,
    Incident,
    Past,
    Result,
    Revision,
    Rollback,
    RollbackState,
    Standing,
    Taken,
    Transition,
)
from reconciliation_contract.core.memory.timeline import STAGES, Delivery, Failures, Moment, Stages, Witness
from reconciliation_contract.core.rollback.not_undone import remains
from reconciliation_contract.core.rollback.start import _BEGUN as BEGUN
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.spec.requests import NAMES
from reconciliation_contract.core.values.diff import Difference
from reconciliation_contract.core.values.object_key import ObjectKey
from reconciliation_contract.core.values.text import LIMIT
from tests.support.builders_status import Told

T0 = datetime(2026, 11, 23, 4, 0, 0, 123_000, tzinfo=UTC)
LONG = "é" * (LIMIT + 1)
BRANCH = "b" * 600
ANNOTATION = "kustomize.toolkit.fluxcd.io/ssa"
SOURCE = SourceRef("GitRepository", "apps", "shop")
HASHES = [f"{number:040x}" for number in range(1, BAD_REVISIONS + 2)]


def revision(number: int) -> str:
    """A revision as Flux names it, of a branch with too long a name."""
    return f"{BRANCH}@sha1:{HASHES[number]}"


def after(seconds: float) -> datetime:
    """A time some seconds into the story."""
    return T0 + timedelta(seconds=seconds)


def kustomization() -> Kustomization:
    """The Kustomization that the memory is about."""
    return Kustomization(
        namespace="apps",
        name="shop",
        uid="0c9a",
        resource_version="1",
        generation=1,
        source=SOURCE,
        attempted_revision=revision(0),
        applied_revision=revision(0),
    )


def _delivery(*, adopted: bool) -> Delivery:
    witnesses = itertools.cycle(Witness)
    moments = [Moment(after(n), next(witnesses), after(n - 0.5)) for n in range(len(STAGES))]
    return Delivery(
        revision=revision(0),
        hash=HASHES[0],
        started_at=T0,
        adopted=adopted,
        resumed=adopted,
        binding="01234567",
        undetected_since=after(1),
        unhealthy_since=after(2),
        subject=LONG,
        stages=Stages(*moments),
        failures=Failures(3, after(10), after(90), "HealthCheckFailed" * 20, LONG, "0123456789abcdef"),
        commit_problem=LONG,
        counted_from=after(5),
        reported=(PromiseName.VALIDATION, PromiseName.AVAILABILITY),
        announced=True,
    )


def _judgements() -> tuple[Judgement, ...]:
    verdicts = [*Verdict] * len(PromiseName)
    measured = {Verdict.KEPT, Verdict.BROKEN}
    return tuple(
        Judgement(
            promise,
            verdict,
            timedelta(minutes=5),
            "BudgetExceeded",
            LONG,
            timedelta(seconds=4.231) if verdict in measured else None,
            after(300) if verdict is Verdict.PENDING else None,
        )
        for promise, verdict in zip(PromiseName, verdicts, strict=False)
    )


def _good() -> Good:
    return Good(
        revision(1), HASHES[1], T0, "0c9a", SOURCE, "./deploy" * 600, checked=True, manifests="sha256:" * 50, spec="1"
    )


_LASTING = Since(
    Inventory.of(
        [
            (f"apps_{name}_{kind}", "v1")
            for name in ("migrate", "orders")
            for kind in ("batch_Job", "_PersistentVolumeClaim", "apiextensions.k8s.io_CustomResourceDefinition")
        ]
    ),
    T0,
    exact=True,
)


def _rollback() -> Rollback:
    failures = Failures(3, after(10), after(90), "ReconciliationFailed", "field is immutable")
    failed = Told(delivery=replace(_delivery(adopted=False), failures=failures), good=_good())
    return Rollback(
        state=RollbackState.ACTIVE,
        bad=Revision(revision(0), HASHES[0]),
        good=Revision(revision(1), HASHES[1]),
        reason="HealthCheckFailed" * 20,
        kustomization_uid="0c9a",
        source=SOURCE,
        pin=replace(SOURCE, name="shop-0000000-0123456789abcdef"),
        copy=Copy("1" * 32, "uid-of-the-pin", f"sha256:{'2' * 64}"),
        started_at=after(91),
        completed_at=after(93.25),
        kept_annotations={ANNOTATION: "Merge" * 1000},
        message=LONG,
        asked_by=LONG,
        spec="0123456789abcdef",
        generation=7,
        announced=True,
        remains=tuple(
            remains(replace(kustomization(), spec="2", substitutes=True, inventory=_LASTING), failed, HASHES[1])
        ),
    )


def departures() -> Departures:
    """A thousand objects that wait for finalizers."""
    keys = (ObjectKey("apps.example.com", "Deployment", "apps", f"{n:0253}") for n in range(1000))
    pending = tuple(Departure(Entry(key, "v1alpha1"), T0, account=LONG) for key in keys)
    took = Took(timedelta(seconds=1), timedelta(seconds=2))
    return Departures("0123456789abcdef", None, 1100, 10, took, pending, unseen_at=T0, overdue=pending)


def _drift(paused: str) -> Drift:
    key = ObjectKey("apps", "Deployment", "n" * 253, "shop" * 60)
    differences = [Difference(("spec", "x" * 300, n), "é" * 90, None) for n in range(FIELDS + 2)]
    finding = changed(key, differences, Author("kubectl-edit" * 20, T0))
    problem = "" if paused else LONG
    drift = Drift(HASHES[0], 40, 30, (finding,) * NAMED, problem, paused)
    return replace(
        drift, correction=Correction(("0123",) * MOST_PLACES, T0, 5), unlisted=LONG[:160], uncompared=LONG[:160]
    )


def full_memory(*, adopted: bool = False) -> Told:
    """Everything that can be remembered of a contract, as large as it gets."""
    pasts = (
        Past(
            revision=f"{BRANCH}@sha1:{hash_}",
            hash=hash_,
            result=result,
            ended_at=after(n),
            subject=LONG,
            latency=timedelta(seconds=n),
            broken=tuple(PromiseName),
            failed_at=after(n),
            recovered_at=after(n + 1),
            footing="0123456789ab",
            left_for=revision(1),
            because=LONG,
        )
        for n, (hash_, result) in enumerate(zip(HASHES, [*Result] * HISTORY, strict=False))
    )
    names = ("Ready", "Detected", "Healthy", "RolledBack", "Stalled")
    return Told(
        delivery=_delivery(adopted=adopted),
        judgements=_judgements(),
        history=tuple(pasts)[:HISTORY],
        good=_good(),
        rollback=_rollback(),
        bad=tuple(HASHES[:BAD_REVISIONS]),
        dependencies=(
            Dependency("Git", None, LONG),
            Dependency("source-controller", True, ""),
            *(Dependency("GitRepository", False, LONG) for _ in range(20)),
        ),
        incidents=tuple(
            Incident(
                key=f"Dependency/{n}",
                promise="Reconciliation",
                reason="BudgetExceeded",
                severity=Severity.CRITICAL,
                opened_at=after(n),
                message=LONG * 2,
                revision=revision(0),
                cause=LONG,
                count=3,
                told_at=after(n + 1),
                well_since=None if n % 2 else after(n + 2),
                unclear_since=after(n + 2) if n % 2 else None,
                outcome=LONG if n % 2 else "",
                plea="Failed/0123456789ab" if n % 2 else "",
                failing=n % 2 > 0,
                next_step="" if n % 2 else LONG,
                closed_at=after(n + 3),
                relapses=2,
                told={"flux": 3, "kubernetes": 2},
                storms={"flux": "0123456789abcdef"},
            )
            for n in range(INCIDENTS)
        ),
        drift=_drift(paused=LONG if adopted else ""),
        begun=tuple(after(n) for n in range(BEGUN)),
        taken=tuple(Taken(name, LONG, after(n), LONG) for n, name in enumerate(NAMES)),
        handled=dict.fromkeys(NAMES, "01234567"),
        departures=departures().kept(),
        conditions={name: Condition("False", "PromiseBroken", LONG, T0) for name in names},
        standing=Standing(True, "PromiseBroken", LONG),
        transitions={name: Transition("False", T0) for name in names},
        failing_since=T0,
        refusals=Refusals(HASHES[0], 100, 90, (Refusal(LONG, LONG, LONG),) * CHECKS),
        suspended=True,
        observed_generation=3,
        handled_request="2026-11-23T04:00:00Z",
    )
