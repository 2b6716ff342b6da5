"""The promise that each manifest of a revision passes a dry-run in time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.core.facts.dry_run import (
    NAMED,
    Check,
    Forthcoming,
    Refusal,
    Refusals,
    Validation,
    forthcoming,
    summary,
)
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.memory.timeline import Moment, Witness
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.object_key import Manifest, ObjectKey
from tests.support.builders import at, sha
from tests.support.builders_core import Case, delivery, failing

WEB = ObjectKey("apps", "Deployment", "apps", "web")


def check(name: str = "web", seconds: float = 0.1, **changes: Any) -> Check:
    return Check(WEB._replace(name=name), "deploy/web.yaml", timedelta(seconds=seconds), **changes)


def manifest(kind: str, name: str = "a", api: str = "v1", **body: Any) -> Manifest:
    return Manifest(api, kind, "", name, body)


def validated(*checks: Check) -> Validation:
    return summary(sha("B"), checks, at(3))


def judged(found: Validation | None, **changes: Any) -> Judgement | None:
    case = Case(memory=Memory(delivery=delivery("B", failures=None))).but(
        seen__manifests__validation=found, **changes
    )
    return case.decide().memory.judgement(PromiseName.VALIDATION)


@pytest.mark.parametrize(
    ("found", "verdict", "reason", "said"),
    [
        (Validation(sha("B")), Verdict.PENDING, reasons.IN_PROGRESS, "dry-run of each manifest"),
        (
            validated(check(), check("cart", 0.4)),
            Verdict.KEPT,
            reasons.WITHIN_BUDGET,
            "2 valid, the slowest Deployment/apps/cart after 400ms of 30s",
        ),
        (validated(), Verdict.KEPT, reasons.WITHIN_BUDGET, "no manifests to validate"),
        (
            validated(check(), check("new", unchecked="not checkable before its namespace exists")),
            Verdict.KEPT,
            reasons.WITHIN_BUDGET,
            "1 not checkable: Deployment/apps/new: not checkable before its namespace exists",
        ),
        (
            validated(check(), check("cart", refused="Invalid: spec.replicas: must be positive")),
            Verdict.BROKEN,
            reasons.REFUSED,
            "1 of 2 refused: Deployment/apps/cart (deploy/web.yaml): Invalid: spec.replicas: must be positive",
        ),
        (
            validated(*(check(f"w{n}", refused="no") for n in range(9))),
            Verdict.BROKEN,
            reasons.REFUSED,
            "w0 (deploy/web.yaml): no; 8 more",
        ),
        (
            validated(check(seconds=31)),
            Verdict.BROKEN,
            reasons.BUDGET_EXCEEDED,
            "the dry-run of Deployment/apps/web took 31s of 30s",
        ),
        (
            validated(check("quick"), check(seconds=30, late=True)),
            Verdict.BROKEN,
            reasons.BUDGET_EXCEEDED,
            "the dry-run of Deployment/apps/web took more than 30s of 30s",
        ),
        (
            validated(check(unchecked="the operator may not impersonate x")),
            Verdict.UNKNOWN,
            reasons.NOT_CHECKED,
            "the operator may not impersonate x",
        ),
        (
            validated(check(), check("cart", unchecked="InternalError: no webhook", unanswered=True)),
            Verdict.UNKNOWN,
            reasons.NOT_CHECKED,
            "1 of 2 could not be tried: Deployment/apps/cart: InternalError: no webhook",
        ),
        (
            Validation(sha("B"), problem="kustomize is not there"),
            Verdict.UNKNOWN,
            reasons.NOT_CHECKED,
            "kustomize is not there",
        ),
        (
            Validation(sha("B"), invalid="deploy/kustomization.yaml: no such file"),
            Verdict.BROKEN,
            reasons.BUILD_FAILED,
            "deploy/kustomization.yaml: no such file",
        ),
    ],
)
def test_a_validation_is_judged(found: Validation, verdict: Verdict, reason: str, said: str) -> None:
    """Failing to measure is Unknown; only what the API server refuses, or what took too long, is Broken."""
    judgement = judged(found)

    assert judgement is not None
    assert (judgement.verdict, judgement.reason) == (verdict, reason)
    assert judgement.message.endswith(said)


def test_what_nobody_looks_at_is_not_judged() -> None:
    """Neither without means to look, nor by the validation of another revision, nor of an adopted one."""
    assert judged(None) is None
    assert judged(Validation(sha("A"), at(3))) is None
    assert judged(validated(check()), delivery__adopted=True) is None


def test_a_verdict_is_not_reopened() -> None:
    """A later look, after a restart for instance, changes nothing."""
    first = Case(memory=Memory(delivery=delivery("B"))).but(seen__manifests__validation=validated(check())).decide()

    second = Case(memory=first.memory).but(seen__manifests__validation=validated(check(refused="no"))).decide()

    judgement = second.memory.judgement(PromiseName.VALIDATION)
    assert judgement is not None
    assert judgement.verdict is Verdict.KEPT


@pytest.mark.parametrize(
    ("found", "stamped"),
    [
        (validated(check()), True),
        (validated(), True),
        (validated(check(), check(unchecked="later")), True),
        (validated(check(unchecked="later")), False),
        (validated(check(refused="no")), False),
        (validated(check(late=True)), False),
        (Validation(sha("B")), False),
        (Validation(sha("B"), at(3), problem="no"), False),
        (Validation(sha("B"), at(3), invalid="no"), False),
    ],
)
def test_the_time_when_all_had_passed_is_a_stage(found: Validation, stamped: bool) -> None:
    """The operator is its own witness."""
    after = failing().but(seen__manifests__validation=found).decide().memory.delivery

    assert after is not None
    assert after.stages.validated == (Moment(at(3), Witness.OPERATOR) if stamped else None)


def test_every_refused_manifest_is_remembered() -> None:
    """By name as far as there is room, with all counted; also when nobody looks any more, as after a restart."""
    found = validated(check(), *(check(f"w{n}", refused=f"no {n}") for n in range(NAMED + 2)))
    first = failing().but(seen__manifests__validation=found).decide().memory

    refused = Case(memory=first).decide().memory.refusals

    assert refused is not None
    assert (refused.total, refused.refused, len(refused.named)) == (NAMED + 3, NAMED + 2, NAMED)
    assert refused.named[1] == Refusal("Deployment/apps/w1", "deploy/web.yaml", "no 1")


@pytest.mark.parametrize("hash_", ["A", "C"])
def test_refused_manifests_are_forgotten_with_their_revision(hash_: str) -> None:
    """They say nothing of another one."""
    known = Refusals(sha(hash_), 1, 1, (Refusal("Deployment/apps/web", "", "no"),))

    assert failing().but(memory__refusals=known).decide().memory.refusals is None


def test_the_condition_says_what_the_verdict_does() -> None:
    """Without a verdict there is no condition."""
    case = failing()

    conditions = case.but(seen__manifests__validation=validated(check(refused="no"))).decide().conditions

    assert (conditions["Validated"].status, conditions["Validated"].reason) == ("False", reasons.REFUSED)
    assert "Validated" not in case.decide().conditions


def test_what_a_revision_makes_first_is_known() -> None:
    """Namespaces, kinds, roles and classes, on which its other objects may depend."""
    crd = manifest("CustomResourceDefinition", spec={"group": "example.org", "names": {"kind": "Widget"}})
    role = manifest("ClusterRole", api="rbac.authorization.k8s.io/v1")
    odd = manifest("CustomResourceDefinition", spec="nonsense")

    found = forthcoming([manifest("Namespace", "new"), crd, role, odd, manifest("PriorityClass", "high")])

    kinds = {("example.org", "Widget"): crd}
    assert found == Forthcoming(frozenset({"new"}), kinds, frozenset({"high"}), roles=True)
