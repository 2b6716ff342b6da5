"""Whether a rollback begins: each guard alone stops it, and without an objection it begins."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.core.facts.observation import Dependency
from reconciliation_contract.core.facts.source_kind import OCI_REPOSITORY
from reconciliation_contract.core.memory.memory import RollbackState
from reconciliation_contract.core.memory.timeline import Failures
from reconciliation_contract.core.rollback.guards import persistent_from
from reconciliation_contract.core.spec.contract import RollbackMode, RollbackPolicy
from reconciliation_contract.core.spec.requests import Requests
from reconciliation_contract.core.values import reasons
from tests.support.builders import at, sha
from tests.support.builders_core import (
    OWN,
    PIN,
    UNHEALTHY,
    failing,
    good,
    since,
)

FORBIDDEN = 'deployments.apps "shop" is forbidden: User "system:serviceaccount:apps:shop" cannot patch resource'
FAILURES = Failures(3, at(10), at(90), "HealthCheckFailed", UNHEALTHY)


def failed(**changes: Any) -> dict[str, Any]:
    return {"delivery__failures": replace(FAILURES, **changes)}


OBJECTIONS: dict[str, tuple[dict[str, Any], str]] = {
    "the mode is Disabled": ({"contract__rollback__mode": RollbackMode.DISABLED}, reasons.ROLLBACK_DISABLED),
    "another contract acts": ({"seen__operator__rival": "shop-b"}, reasons.ANOTHER_CONTRACT),
    "the operator only observes": ({"seen__operator__acts": False}, reasons.ROLLBACK_DISABLED),
    "a person paused": ({"contract__requests": Requests(paused_until=at(101))}, reasons.PAUSED),
    "a person released this revision": ({"contract__requests": Requests(release=sha("B"))}, reasons.RELEASED),
    "the Kustomization is gone": ({"seen__flux__kustomization": None}, reasons.CANCELLED),
    "the Kustomization is being deleted": ({"kustomization__deleting": True}, reasons.CANCELLED),
    "the Kustomization is suspended": ({"kustomization__suspended": True}, reasons.CANCELLED),
    "the source is suspended": ({"source__suspended": True}, reasons.CANCELLED),
    "Flux is at another revision": ({"kustomization__attempted": since("C")}, reasons.CANCELLED),
    "Flux has attempted nothing": ({"kustomization__attempted": None}, reasons.RECOVERED),
    "it was rolled back once": ({"memory__bad": (sha("B"),)}, reasons.ALREADY_ROLLED_BACK),
    "a controller is dead": (
        {"seen__flux__controllers": (Dependency("kustomize-controller", False, "kustomize-controller has no pod"),)},
        reasons.NOT_CURABLE,
    ),
    "a right is missing": (failed(reason="ReconciliationFailed", message=FORBIDDEN), reasons.NOT_CURABLE),
    "a dependency is not ready": (failed(reason="DependencyNotReady"), reasons.NOT_CURABLE),
    "nothing reached the cluster": (failed(reason="BuildFailed"), reasons.NOTHING_REACHED),
    "the source is no GitRepository": ({"source__kind": OCI_REPOSITORY}, reasons.NOT_PINNABLE),
    "the source is in a namespace where its author may have no rights": (
        {"source__namespace": "infra"},
        reasons.NOT_PINNABLE,
    ),
    "no revision is known to be good": ({"memory__good": None}, reasons.NO_GOOD_REVISION),
    "the good one is this one": ({"memory__good": good("B")}, reasons.NO_GOOD_REVISION),
    "the good one was another Kustomization's": (
        {"memory__good": good(kustomization_uid="another")},
        reasons.NO_GOOD_REVISION,
    ),
    "the good one came from another path": ({"memory__good": good(path="./old")}, reasons.NO_GOOD_REVISION),
    "the good one came from another source": ({"memory__good": good(source=PIN)}, reasons.NO_GOOD_REVISION),
    "the manifests are the same": (
        {"memory__good": good(manifests="sha256:1"), "kustomization__manifests": {sha("B"): "sha256:1"}},
        reasons.SAME_MANIFESTS,
    ),
    "it has failed for too long": ({"now": at(90) + timedelta(hours=1, seconds=1)}, reasons.TOO_OLD),
    "the budget is spent": ({"memory__begun": (at(-30), at(-20), at(-10))}, reasons.BUDGET_SPENT),
    "the fleet is braked": ({"seen__operator__brake": "4 of 5 repositories fail"}, reasons.FLEET_BRAKE),
}


@pytest.mark.parametrize("name", OBJECTIONS)
def test_each_objection_alone_stops_a_rollback(name: str) -> None:
    """With everything else in favour, one objection is enough, and the condition gives its reason."""
    changes, reason = OBJECTIONS[name]

    decision = failing().but(**changes).decide()

    assert decision.memory.rollback is None
    assert decision.conditions["RolledBack"].reason == reason


def test_without_an_objection_it_begins() -> None:
    """The intent names the failing revision, the good one, the source to return to and a pin of its own."""
    decision = failing().decide()

    undo = decision.memory.rollback
    assert undo is not None
    assert undo.state is RollbackState.INTENDED
    assert (undo.bad.hash, undo.good.hash) == (sha("B"), sha("A"))
    assert (undo.source, undo.pin) == (OWN, PIN)
    assert undo.started_at == at(100)
    assert decision.settled is False


FAVOURABLE: dict[str, dict[str, Any]] = {
    "a source in another namespace, for an account": {
        "source__namespace": "infra",
        "seen__operator__account": "deployer",
    },
    "a pause that has ended": {"contract__requests": Requests(paused_until=at(100))},
    "a release of another revision": {"contract__requests": Requests(release=sha("C"))},
    "rollbacks of long ago": {"memory__begun": (at(-90000),) * 3},
    "manifests that differ": {
        "memory__good": good(manifests="sha256:1"),
        "kustomization__manifests": {sha("B"): "sha256:2"},
    },
    "manifests that are not known": {"memory__good": good(manifests="sha256:1")},
    "exactly the longest age": {"now": at(90) + timedelta(hours=1)},
    "a good revision that was merely applied": {"memory__good": good(checked=False)},
}


@pytest.mark.parametrize("name", FAVOURABLE)
def test_what_is_no_objection(name: str) -> None:
    """Guards end where they should: what looks like one of them but is not stops nothing."""
    case = failing().but(**FAVOURABLE[name])

    undo = case.decide().memory.rollback

    assert undo is not None


POLICY = RollbackPolicy(failures=3, duration=timedelta(minutes=5))
PERSISTENCE: dict[str, tuple[Failures | None, float | None]] = {
    "no failure": (None, None),
    "one failure counts from its own time on": (Failures(1, at(10), at(10), "", ""), 310),
    "two failures count from the first": (Failures(2, at(10), at(60), "", ""), 310),
    "three failures count at once": (Failures(3, at(10), at(90), "", ""), 90),
    "more failures count from the last": (Failures(5, at(10), at(200), "", ""), 200),
}


@pytest.mark.parametrize("name", PERSISTENCE)
def test_when_a_failure_is_persistent(name: str) -> None:
    """As often as agreed, or for as long as agreed, whichever comes first."""
    failures, expected = PERSISTENCE[name]

    due = persistent_from(failures, POLICY)

    assert due == (None if expected is None else at(expected))


def test_a_failure_becomes_persistent_without_an_event() -> None:
    """The pass before asks to be woken at the time, and the pass at the time begins."""
    early = failing().but(**failed(count=1), now=at(309))

    decision = early.decide()
    began = early.but(memory=decision.memory, now=at(310)).decide().memory.rollback

    assert (decision.memory.rollback, decision.next_look.at) == (None, at(310))
    assert began is not None


def test_mode_manual_proposes() -> None:
    """A proposal costs no budget and does nothing."""
    case = failing().but(contract__rollback__mode=RollbackMode.MANUAL)

    decision = case.decide()

    assert decision.memory.rollback is not None
    assert decision.memory.rollback.state is RollbackState.PROPOSED
    assert decision.memory.begun == ()


def test_an_automatic_rollback_costs_budget() -> None:
    """What the operator decides itself is counted."""
    begun = failing().decide().memory.begun

    assert begun == (at(100),)


@pytest.mark.parametrize("wakes", [reasons.PAUSED, reasons.FLEET_BRAKE])
def test_an_objection_that_passes_with_time_is_looked_at_again(wakes: str) -> None:
    """Nobody sends an event when a pause ends or the brake comes off."""
    paused = {"contract__requests": Requests(paused_until=at(160))}
    case = failing().but(**(paused if wakes == reasons.PAUSED else {"seen__operator__brake": "many"}))

    due = case.decide().next_look.at

    assert due == (at(160) if wakes == reasons.PAUSED else at(130))
