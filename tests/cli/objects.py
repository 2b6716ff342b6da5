"""Contracts as the API server has them, each in a state that a person may find them in."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from reconciliation_contract.cli.view.contract_view import View, view_of
from reconciliation_contract.core.facts.observation import Condition, SourceRef
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Good, Memory, Past, Result, Revision, Rollback, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery, Failures, Moment, Stages, Witness
from reconciliation_contract.core.values import reasons
from tests.support.builders_status import Told, status_of

NOW = datetime(2026, 11, 23, 12, 10, 0, tzinfo=UTC)
GOOD, BAD, FIX, OLD = "aa11" * 10, "bb22" * 10, "cc33" * 10, "dd44" * 10
SOURCE = SourceRef("GitRepository", "apps", "shop")
UNHEALTHY = "timeout waiting for: [Deployment/apps/shop status: 'InProgress']"


def before(seconds: float) -> datetime:
    """A time so long before now."""
    return NOW - timedelta(seconds=seconds)


def revision(hash_: str) -> str:
    """A revision as Flux names it."""
    return f"main@sha1:{hash_}"


def contract(memory: Memory | None = None, name: str = "shop", **changes: Any) -> dict[str, Any]:
    """A contract's object; ``spec`` and ``annotations`` among the changes replace its own."""
    return {
        "apiVersion": "reconciliation.dev/v1alpha1",
        "kind": "ReconciliationContract",
        "metadata": {
            "namespace": "apps",
            "name": name,
            "uid": f"uid-of-{name}",
            "resourceVersion": "7",
            "generation": 1,
            "creationTimestamp": "2026-11-23T08:00:00Z",
            "annotations": changes.get("annotations", {}),
            **changes.get("meta", {}),
        },
        "spec": {"kustomizationRef": {"name": "shop"}, **changes.get("spec", {})},
        "status": status_of(memory) if memory else {},
    }


def view(memory: Memory | None = None, **changes: Any) -> View:
    """The same, read."""
    return view_of(contract(memory, **changes))


def condition(status: str, reason: str, message: str) -> Condition:
    """A condition, some minutes old."""
    return Condition(status, reason, message, before(300))


# Deliveries ----------------------------------------------------------------------------------------------------------


def delivery(hash_: str, *, healthy: bool = True, failures: int = 0, adopted: bool = False) -> Delivery:
    """A delivery that began five minutes ago; of a failing one the health is missing."""
    reached = {"committed": 0, "seen": 1, "detected": 2, "attempted": 3, "built": 4, "applied": 5, "healthy": 8}
    moments = {name: Moment(before(300 - n), Witness.WATCH) for name, n in reached.items()}
    stages = Stages(**(moments if healthy else moments | {"healthy": None}))
    failed = Failures(failures, before(200), before(10), "HealthCheckFailed", UNHEALTHY) if failures else None
    return Delivery(revision(hash_), hash_, before(300), adopted, "Change the prices", stages, failed)


def judgement(promise: PromiseName, verdict: Verdict, message: str, measured: float | None = None) -> Judgement:
    """A verdict; a pending one has a deadline in five minutes."""
    reason = {
        Verdict.KEPT: reasons.WITHIN_BUDGET,
        Verdict.BROKEN: reasons.BUDGET_EXCEEDED,
        Verdict.PENDING: reasons.IN_PROGRESS,
    }.get(verdict, reasons.UNMEASURED)
    deadline = before(-300) if verdict is Verdict.PENDING else None
    span = timedelta(seconds=measured) if measured is not None else None
    return Judgement(promise, verdict, timedelta(minutes=5), reason, message, span, deadline)


KEPT = (
    judgement(PromiseName.DETECTION, Verdict.KEPT, "detected by Flux after 2s of 5m", 2),
    judgement(PromiseName.RECONCILIATION, Verdict.KEPT, "healthy after 8s of 5m", 8),
)
PENDING = (KEPT[0], judgement(PromiseName.RECONCILIATION, Verdict.PENDING, "to be healthy by 12:15:00 UTC"))
LOST = (KEPT[0], judgement(PromiseName.RECONCILIATION, Verdict.BROKEN, "never became healthy; rolled back"))


def good(hash_: str = GOOD) -> Good:
    """A revision that proved itself an hour ago."""
    return Good(revision(hash_), hash_, before(3600), "uid-of-kustomization", SOURCE, "./deploy", checked=True)


def past(hash_: str, result: Result, **changes: Any) -> Past:
    """A finished delivery of an hour ago."""
    done = result is Result.HEALTHY
    known = Past(revision(hash_), hash_, result, before(3600), "Change the prices", footing="f00")
    return replace(known, **{"latency": timedelta(seconds=8) if done else None, **changes})


# States --------------------------------------------------------------------------------------------------------------


def healthy() -> Told:
    """All is well; there is an older revision that was healthy too."""
    return Told(
        delivery=delivery(GOOD),
        judgements=KEPT,
        history=(past(OLD, Result.HEALTHY),),
        good=good(),
        conditions={
            "Ready": condition("True", reasons.PROMISES_KEPT, f"{revision(GOOD)} healthy after 8s of 5m"),
            "RolledBack": condition("False", reasons.RECOVERED, "no rollback is in force"),
        },
        observed_generation=1,
    )


def failing(count: int = 1, **changes: Any) -> Told:
    """A revision fails after one that was healthy; nothing is done yet."""
    memory = Told(
        delivery=delivery(BAD, healthy=False, failures=count),
        judgements=PENDING,
        history=(past(GOOD, Result.HEALTHY),),
        good=good(),
        conditions={
            "Ready": condition("True", reasons.PROMISES_KEPT, f"{revision(BAD)} is to be healthy by 12:15:00 UTC"),
            "Healthy": condition("False", reasons.FAILING, f"HealthCheckFailed: {UNHEALTHY}"),
            "RolledBack": condition("False", reasons.RECOVERED, "no rollback is in force"),
        },
        observed_generation=1,
    )
    return replace(memory, **changes)


def objected(reason: str, message: str) -> Told:
    """A persistent failure that is not rolled back, with the reason."""
    memory = failing(3)
    return replace(memory, conditions={**memory.conditions, "RolledBack": condition("False", reason, message)})


def rolled(state: RollbackState, **changes: Any) -> Told:
    """A rollback in some state."""
    done = state is RollbackState.ACTIVE
    undo = Rollback(
        state=state,
        bad=Revision(revision(BAD), BAD),
        good=Revision(revision(GOOD), GOOD),
        reason="HealthCheckFailed",
        kustomization_uid="uid-of-kustomization",
        source=SOURCE,
        pin=replace(SOURCE, name="shop-1a2b3c-aa11aa1"),
        started_at=before(60),
        completed_at=before(57.5) if done else None,
        message=UNHEALTHY,
    )
    undo = replace(undo, **changes)
    message = f"runs {revision(GOOD)} instead of {revision(BAD)} (HealthCheckFailed); push a fix"
    said = condition("True" if done else "False", reasons.PERSISTENT_FAILURE if done else state, message)
    memory = failing(3)
    bad = () if state in (RollbackState.PROPOSED, RollbackState.INTENDED) else (BAD,)
    conditions = {"Ready": replace(said, status="False"), "RolledBack": said}
    return replace(memory, rollback=undo, bad=bad, judgements=LOST, conditions={**memory.conditions, **conditions})
