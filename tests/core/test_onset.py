"""How a rollback begins otherwise: by a person's request or from a lost memory; and what is cleaned up first."""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Since
from reconciliation_contract.core.facts.source_kind import OCI_REPOSITORY
from reconciliation_contract.core.memory.effects import AllowDeletion, DeletePin, EmitEvent, TellLeft
from reconciliation_contract.core.memory.memory import Past, Result, RollbackState, footing_of
from reconciliation_contract.core.spec.contract import RollbackMode
from reconciliation_contract.core.spec.requests import Requests, Signature
from reconciliation_contract.core.values import reasons
from tests.support.builders import CONTRACT_UID, at, revision, sha
from tests.support.builders_core import (
    OWN,
    PIN,
    delivery,
    failing,
    good,
    pin,
    rolling_back,
    source,
    standing,
)

# What is left over ---------------------------------------------------------------------------------------------------


def test_a_stray_pin_is_removed() -> None:
    """A pinned source that no rollback needs is left from a crash."""
    case = failing().but(seen__flux__strays=(pin(),), memory__good=None)

    effects = case.decide().effects

    assert DeletePin(PIN, CONTRACT_UID) in effects


def test_a_stray_pin_in_use_is_left() -> None:
    """What the Kustomization takes its manifests from is never removed."""
    case = failing().but(
        seen__flux__strays=(pin(artifact=None),),
        seen__flux__kustomization=standing("A", source=PIN),
        memory__delivery=None,
    )

    effects = case.decide().effects

    assert DeletePin(PIN, CONTRACT_UID) not in effects


def test_an_observing_operator_removes_no_stray() -> None:
    """It has no right to, and being refused would keep a deletion from ending."""
    case = failing().but(seen__flux__strays=(pin(),), seen__operator__acts=False, contract__deleting=True)

    effects = [e for e in case.decide().effects if not isinstance(e, EmitEvent)]

    assert [effect for effect in effects if not isinstance(effect, TellLeft)] == [AllowDeletion()]


def test_a_deletion_without_a_rollback_cleans_up_first() -> None:
    """Strays go before the contract does, because afterwards nobody knows whose they are."""
    case = failing().but(seen__flux__strays=(pin(),), contract__deleting=True)

    effects = [e for e in case.decide().effects if not isinstance(e, EmitEvent)]

    assert effects == [DeletePin(PIN, CONTRACT_UID), AllowDeletion()]


def test_a_finalizer_that_nothing_needs_is_taken_off() -> None:
    """Without a rollback nothing holds a deletion."""
    case = failing().but(memory__good=None)

    assert AllowDeletion() in case.decide().effects
    assert AllowDeletion() not in case.but(contract__finalized=False).decide().effects


# A lost memory -------------------------------------------------------------------------------------------------------


def _wiped() -> Any:
    held = standing("A", 97, source=PIN, hold={"reconciliation.dev/rolled-back-from": sha("B")}, parent="a/b")
    strays = (pin(original="shop"),)
    case = failing().but(
        seen__flux__kustomization=held, seen__flux__strays=strays, memory__delivery=None, memory__good=None
    )
    return case.but(seen__flux__source=None)


def test_a_rollback_is_found_again_after_the_status_was_lost() -> None:
    """The mark and the pin tell what is in force, so that a fix still releases it and its revision stays bad."""
    memory = _wiped().decide().memory

    assert memory.rollback is not None
    assert memory.rollback.state is RollbackState.ACTIVE
    assert (memory.rollback.bad.hash, memory.rollback.source) == (sha("B"), OWN)
    assert memory.bad == (sha("B"),)


def test_a_lost_rollback_is_released_before_a_deletion() -> None:
    """Losing the status must not leave the Kustomization on the pin for ever."""
    case = _wiped().but(contract__deleting=True)

    decision = case.decide()

    assert decision.memory.rollback is not None
    assert AllowDeletion() not in decision.effects


# A person's request --------------------------------------------------------------------------------------------------


ANN = Signature("ann", "wrong prices")


def _asking(**changes: Any) -> Any:
    ask = Requests(rollback_from=sha("B")[:8], rollback_to=sha("A")[:8], signatures={"rollback": ANN})
    before = Past(revision("A"), sha("A"), Result.HEALTHY, at(-300), footing=footing_of(good()))
    case = failing().but(
        seen__flux__kustomization=standing("B", 50), memory__history=(before,), contract__requests=ask
    )
    return case.but(**(changes if "memory__delivery" in changes else {"delivery__failures": None} | changes))


def test_a_person_can_roll_back_a_healthy_revision() -> None:
    """The request names both ends, is signed, and costs no budget."""
    memory = _asking().decide().memory

    assert memory.rollback is not None
    assert memory.rollback.asked_by == "ann: wrong prices"
    assert memory.rollback.reason == reasons.REQUESTED
    assert memory.begun == ()


@pytest.mark.parametrize(
    ("older", "spec"),
    [(False, "own spec has changed since the good revision"), (True, "nobody knows whether the Kustomization's own")],
)
def test_what_it_does_not_undo_is_said_of_its_own_target(older: bool, spec: str) -> None:
    """Of what failed as in any other rollback; of the spec only where it is known for the revision asked for."""
    fails = failing()
    case = _asking(
        memory__good=good("Z" if older else "A", spec="old"),
        memory__delivery=fails.memory.delivery,
        seen__flux__kustomization=fails.seen.flux.kustomization,
        kustomization__spec="new",
        kustomization__failures=(),
        delivery__failures__reason="ReconciliationFailed",
    )

    undo = case.decide().memory.rollback

    assert undo is not None
    assert [text for text in undo.remains if spec in text]
    assert [text for text in undo.remains if "stopped half-way" in text]


def test_a_proposal_can_be_answered_with_another_revision() -> None:
    """Who is asked whether to go back to A may choose Z."""
    ask = Requests(rollback_from=sha("B"), rollback_to=sha("Z"), signatures={"rollback": ANN})
    before = Past(revision("Z"), sha("Z"), Result.HEALTHY, at(-600), footing=footing_of(good()))
    case = rolling_back(RollbackState.PROPOSED, contract__requests=ask, memory__history=(before,))

    undo = case.decide().memory.rollback
    unknown = case.but(memory__history=()).decide().memory.rollback

    assert undo is not None
    assert (undo.state, undo.good.hash, undo.asked_by) == (RollbackState.INTENDED, sha("Z"), "ann: wrong prices")
    assert unknown is not None
    assert (unknown.state, unknown.good.hash) == (RollbackState.PROPOSED, sha("A"))


REFUSED_REQUESTS: dict[str, dict[str, Any]] = {
    "the head is another": {"contract__requests": Requests(rollback_from=sha("C"), rollback_to=sha("A"))},
    "the target was never healthy": {"contract__requests": Requests(rollback_from=sha("B"), rollback_to=sha("C"))},
    "the target is the head": {"contract__requests": Requests(rollback_from=sha("B"), rollback_to=sha("B"))},
    "the target stayed healthy for a moment only": {
        "memory__good": None,
        "memory__history": (Past(revision("A"), sha("A"), Result.HEALTHY, at(-300)),),
    },
    "the target was another Kustomization's": {"memory__good": None, "kustomization__uid": "another"},
    "the target came from another source": {"memory__good": None, "kustomization__source": PIN},
    "the target came from another path": {"memory__good": None, "kustomization__path": "./elsewhere"},
    "the last good one came from another path": {"kustomization__path": "./elsewhere"},
    "it was done before": {"memory__bad": (sha("B"),)},
    "the Kustomization is suspended": {"kustomization__suspended": True},
    "the operator only observes": {"seen__operator__acts": False},
    "rollbacks are disabled": {"contract__rollback__mode": RollbackMode.DISABLED},
    "another contract acts": {"seen__operator__rival": "shop-b"},
    "the source is no GitRepository": {"source__kind": OCI_REPOSITORY},
    "the same person released it": {
        "contract__requests": Requests(rollback_from=sha("B"), rollback_to=sha("A"), release=sha("B"))
    },
    "there is no Kustomization": {"seen__flux__kustomization": None},
    "nothing is delivered": {"memory__delivery": None, "seen__flux__source": source("B", artifact=None)},
}


@pytest.mark.parametrize("name", REFUSED_REQUESTS)
def test_a_request_that_cannot_be_met_does_nothing(name: str) -> None:
    """A request is no licence: the world must be as the person thinks it is."""
    case = _asking(**REFUSED_REQUESTS[name])

    memory = case.decide().memory

    assert memory.rollback is None


def test_forgetting_makes_a_revision_tryable_again() -> None:
    """A person who knows that the cause is gone lifts the ban on a second rollback."""
    case = failing().but(memory__bad=(sha("B"), sha("X")), contract__requests=Requests(forget=sha("B")))

    memory = case.decide().memory

    assert memory.bad == (sha("X"),)
    assert memory.rollback is not None


def test_nothing_is_forgotten_during_its_rollback() -> None:
    """A request left standing must not make the switch repeatable."""
    case = rolling_back(RollbackState.SWITCHING, contract__requests=Requests(forget=sha("B")))

    assert case.decide().memory.bad == (sha("B"),)


def test_nothing_begins_without_a_failed_attempt() -> None:
    """A delivery under way is no failure."""
    case = failing().but(memory__delivery=delivery(failures=None), kustomization__failures=())

    decision = case.decide()

    assert decision.memory.rollback is None
    assert decision.conditions["RolledBack"].reason == reasons.RECOVERED


# What a rollback does not undo ----------------------------------------------------------------------------------------


def made(*ids: str) -> Since[Inventory]:
    """What Flux says that it has made."""
    return Since(Inventory.of((id_, "v1") for id_ in ids), at(90), exact=True)


REMAINS: dict[str, tuple[dict[str, Any], str]] = {
    "the Kustomization has changed": (
        {"kustomization__spec": "new", "memory__good": good(spec="old")},
        "own spec has changed",
    ),
    "values are substituted": ({"kustomization__substitutes": True}, "substituted values"),
    "nothing is pruned": ({"kustomization__prunes": False}, "does not prune"),
    "an apply stopped half-way": (
        {"delivery__failures__reason": "ReconciliationFailed", "kustomization__failures": ()},
        "stopped half-way",
    ),
    "an immutable field is involved": (
        {"delivery__failures__message": "spec.selector: field is immutable", "kustomization__failures": ()},
        "immutable field",
    ),
    "one of a StatefulSet is": (
        {
            "delivery__failures__message": "Forbidden: updates to statefulset spec for fields other than 'replicas'",
            "kustomization__failures": (),
        },
        "immutable field",
    ),
    "one that is set once is": (
        {
            "delivery__failures__message": 'spec.clusterIPs[0]: Invalid value: ["10.0.0.9"]: may not change once set',
            "kustomization__failures": (),
        },
        "immutable field",
    ),
    "a Job has run": ({"kustomization__inventory": made("apps_migrate_batch_Job")}, "stay run: Job/apps/migrate"),
    "there is data": (
        {"kustomization__inventory": made("apps_a__PersistentVolumeClaim", "apps_db_apps_StatefulSet")},
        "data in volumes stays as it is: PersistentVolumeClaim/apps/a and 1 more",
    ),
    "custom resources are defined": (
        {"kustomization__inventory": made("_w.example_apiextensions.k8s.io_CustomResourceDefinition")},
        "a newer version: CustomResourceDefinition/w.example",
    ),
}


@pytest.mark.parametrize("name", REMAINS)
def test_what_is_not_undone_is_said(name: str) -> None:
    """A rollback that leaves something behind says so from the start."""
    changes, part = REMAINS[name]

    undo = failing().but(**changes).decide().memory.rollback

    assert undo is not None
    assert [text for text in undo.remains if part in text]


def test_a_plain_rollback_leaves_nothing() -> None:
    """Where nothing is known to stay, nothing is said."""
    undo = failing().decide().memory.rollback

    assert undo is not None
    assert undo.remains == ()
