"""The promise that the cluster matches Git, and what is asked of Flux when it does not."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.facts.comparison import Drift, Finding, Kind, changed, found_in
from reconciliation_contract.core.facts.correction import Correction
from reconciliation_contract.core.facts.field_owners import Author
from reconciliation_contract.core.facts.observation import FluxFacts, ManifestFacts, Observation
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.effects import RequestReconcile
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises import drift as drift_promise
from reconciliation_contract.core.spec.contract import DriftMode, Promises
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.diff import Difference
from reconciliation_contract.core.values.object_key import ObjectKey
from tests.support.builders import at, sha
from tests.support.builders_core import CONTRACT, Case, delivery, source, standing

WEB = ObjectKey("apps", "Deployment", "apps", "web")
SCALED = changed(WEB, [Difference(("spec", "replicas"), 1, 3)], Author("kubectl", at(40)))
MISSING = Finding("ConfigMap/apps/settings", Kind.MISSING)
ORPHAN = Finding("ConfigMap/apps/old", Kind.ORPHANED)
DRIFTED = found_in(sha("A"), 4, [SCALED, MISSING])
GIVEN_UP = ", as Flux is not asked again"
CORRECT = replace(CONTRACT, promises=Promises(drift_mode=DriftMode.CORRECT))


def stands(drift: Drift | None, contract: Any = CONTRACT, **changes: Any) -> Case:
    """A stands Ready, and was compared."""
    memory = Memory(delivery=delivery("A", failures=None))
    seen = Observation(
        flux=FluxFacts(kustomization=standing("A"), source=source("A")), manifests=ManifestFacts(drift=drift)
    )
    return Case(contract, memory, seen).but(**changes)


def requests(case: Case) -> list[RequestReconcile]:
    return [effect for effect in case.decide().effects if isinstance(effect, RequestReconcile)]


@pytest.mark.parametrize(
    ("drift", "verdict", "status", "reason", "message"),
    [
        (Drift(sha("A"), 4), Verdict.KEPT, "True", reasons.IN_SYNC, "4 objects are as Git wants them"),
        (
            found_in(sha("A"), 4, [SCALED]),
            Verdict.BROKEN,
            "False",
            reasons.DRIFTED,
            "Deployment/apps/web /spec/replicas is 3, Git wants 1, by kubectl at 12:00:40 UTC",
        ),
        (DRIFTED, Verdict.BROKEN, "False", reasons.DRIFTED, "ConfigMap/apps/settings is missing; 1 more"),
        (
            found_in(sha("A"), 4, [ORPHAN]),
            Verdict.BROKEN,
            "False",
            reasons.DRIFTED,
            "ConfigMap/apps/old is labelled as the Kustomization's but is not in its inventory",
        ),
        (
            Drift(sha("A"), 4, uncompared="1 not compared: Secret/apps/s: SOPS"),
            Verdict.KEPT,
            "True",
            reasons.IN_SYNC,
            "4 objects are as Git wants them; 1 not compared: Secret/apps/s: SOPS",
        ),
        (
            Drift(sha("A"), 0, uncompared="1 not compared: Secret/apps/s: SOPS"),
            Verdict.UNKNOWN,
            "Unknown",
            reasons.NOT_CHECKED,
            "1 not compared: Secret/apps/s: SOPS",
        ),
        (
            Drift(sha("A"), 4, unlisted="deployer may not list pods"),
            Verdict.KEPT,
            "True",
            reasons.IN_SYNC,
            "4 objects are as Git wants them; orphans are not looked for everywhere: deployer may not list pods; grant it",
        ),
        (
            Drift(sha("A"), problem="the operator may not get deployments"),
            Verdict.UNKNOWN,
            "Unknown",
            reasons.NOT_CHECKED,
            "the operator may not get deployments",
        ),
    ],
)
def test_a_comparison_is_judged(drift: Drift, verdict: Verdict, status: str, reason: str, message: str) -> None:
    """The verdict, the condition and the message say the same."""
    decision = stands(drift).decide()

    judgement, condition = decision.memory.judgement(PromiseName.DRIFT), decision.conditions["InSync"]
    assert judgement is not None
    assert (judgement.verdict, judgement.reason, judgement.message) == (verdict, reason, message)
    assert (condition.status, condition.reason, condition.message) == (status, reason, message)


def test_drift_that_is_gone_is_forgotten() -> None:
    """Unlike the promises about a delivery, this one stands as the last comparison found it."""
    drifted = stands(DRIFTED).decide().memory

    after = stands(Drift(sha("A"), 4), memory=drifted).decide()

    assert after.conditions["InSync"].status == "True"
    assert after.conditions["Ready"].status == "True"


def test_a_comparison_with_another_revision_judges_no_delivery() -> None:
    """What is found while a newer revision is under way is told, but not held against that revision."""
    decision = stands(replace(DRIFTED, hash=sha("Z"))).decide()

    assert decision.memory.judgement(PromiseName.DRIFT) is None
    assert decision.conditions["InSync"].reason == reasons.DRIFTED


def test_a_suspended_kustomization_is_paused_and_not_drifted() -> None:
    """Whatever was found before."""
    drifted = stands(DRIFTED).decide().memory

    decision = stands(DRIFTED, memory=drifted, kustomization__suspended=True).decide()

    told = decision.conditions["InSync"]
    assert (told.status, told.reason) == ("Unknown", "Suspended")
    assert decision.memory.drift is not None
    assert decision.memory.drift.findings == ()


def test_mode_ignore_says_nothing() -> None:
    """Not even what is known."""
    contract = replace(CONTRACT, promises=Promises(drift_mode=DriftMode.IGNORE))

    decision = stands(DRIFTED, contract).decide()

    assert decision.memory.drift is None
    assert "InSync" not in decision.conditions


# Correcting ------------------------------------------------------------------------------------------------------


def test_mode_detect_asks_nothing() -> None:
    """Also in the pass after."""
    first = stands(DRIFTED).decide()

    assert first.memory.drift is not None
    assert first.memory.drift.correction is None
    assert requests(stands(DRIFTED, memory=first.memory)) == []


def test_flux_is_asked_once_the_intent_is_written() -> None:
    """First the status, then the request, which names the version that it was decided on."""
    first = stands(DRIFTED, CORRECT)
    decision = first.decide()
    written = parse_memory(render_status(decision.memory, first.seen.flux.kustomization, decision.conditions))

    assert not decision.settled
    assert requests(first) == []
    assert requests(stands(DRIFTED, CORRECT, memory=written)) == [
        RequestReconcile(
            first.seen.flux.kustomization.uid if first.seen.flux.kustomization else "",
            "7",
            "2026-03-01T12:01:40.000Z",
        )
    ]


def test_one_of_several_contracts_has_drift_corrected() -> None:
    """The others write no intent down, and say who does, and how to change that."""
    decision = stands(DRIFTED, CORRECT, seen__operator__corrector="shop-b").decide()

    assert decision.memory.drift is not None
    assert decision.memory.drift.correction is None
    feasible = decision.conditions["Feasible"]
    assert feasible.reason == reasons.ANOTHER_CONTRACT
    assert "contract shop-b has drift corrected already; set spec.promises.drift.mode: Detect" in feasible.message
    assert "shop-b" not in stands(DRIFTED, seen__operator__corrector="shop-b").decide().conditions["Feasible"].message


def asked(**changes: Any) -> Case:
    """The intent is written, and nothing has happened since."""
    case = stands(DRIFTED, CORRECT)
    return stands(DRIFTED, CORRECT, memory=case.decide().memory).but(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"kustomization__requested_at": "2026-03-01T12:01:40.000Z"},
        {"kustomization__handled_request": "2026-03-01T12:01:40.000Z"},
        {"kustomization__suspended": True},
        {"kustomization__deleting": True},
        {"kustomization__delivered": None},
        {"seen__operator__acts": False},
        {"seen__operator__fresh": False},
        {"seen__operator__corrector": "shop-b"},
        {"now": at(100) + timedelta(minutes=6)},
        {"seen__manifests__drift": Drift(sha("A"), 4)},
    ],
)
def test_flux_is_not_asked_when_the_world_has_moved_on(changes: dict[str, Any]) -> None:
    """It knows already, is not to act, is at work, or there is nothing left to put right."""
    assert len(requests(asked())) == 1
    assert requests(asked(**changes)) == []


def test_the_same_findings_are_corrected_once_an_interval() -> None:
    """Flux may not be able to put them right, and must not be driven."""
    told = asked(kustomization__handled_request="2026-03-01T12:01:40.000Z")
    soon = told.but(now=at(100 + 300))
    later = told.but(now=at(100 + 601))

    assert soon.decide().memory.drift == told.decide().memory.drift
    again = later.decide().memory.drift
    assert again is not None
    assert again.correction is not None
    assert again.correction.requested_at == at(701)


def scaled(replicas: int) -> Finding:
    """Somebody's number of replicas."""
    return changed(WEB, [Difference(("spec", "replicas"), 1, replicas)], Author("hpa", at(40)))


@pytest.mark.parametrize(
    ("findings", "times", "again"),
    [
        ([scaled(3)], 1, False),
        ([scaled(7)], 1, False),
        ([changed(WEB, [Difference(("spec", "paused"), None, True)], None)], 1, True),
        ([scaled(3), MISSING], 1, True),
    ],
    ids=["the same", "another value in the same field", "another field", "another object as well"],
)
def test_what_is_new_is_corrected_at_once(findings: list[Finding], times: int, again: bool) -> None:
    """Another value in the same field is not new: two writers would fight over it."""
    before = stands(found_in(sha("A"), 4, [scaled(3)]), CORRECT).decide().memory
    drift = stands(found_in(sha("A"), 4, findings), CORRECT, memory=before, now=at(160)).decide().memory.drift

    assert drift is not None
    assert drift.correction is not None
    assert drift.correction.times == times
    assert drift.correction.requested_at == at(160 if again else 100)


def test_a_new_revision_is_corrected_anew() -> None:
    """It may be the one that settles the fight."""
    known = found_in(sha("Z"), 4, [SCALED])
    fought = Memory(delivery=delivery("A", failures=None), drift=replace(known, correction=fight(5)))

    drift = stands(found_in(sha("A"), 4, [SCALED]), CORRECT, memory=fought).decide().memory.drift

    assert drift is not None
    assert drift.correction is not None
    assert drift.correction.times == 1


def fight(times: int) -> Correction:
    """Flux was asked as often."""
    first = stands(found_in(sha("A"), 4, [SCALED]), CORRECT).decide().memory.drift
    assert first is not None
    assert first.correction is not None
    return replace(first.correction, times=times)


@pytest.mark.parametrize(
    ("times", "told"),
    [
        (1, ""),
        (2, "; Flux was asked 2 times and it comes back: take it out of Git or name it in drift.ignore"),
        (
            5,
            "; Flux was asked 5 times and it comes back: take it out of Git or name it in drift.ignore" + GIVEN_UP,
        ),
    ],
)
def test_corrections_that_do_not_hold_are_told(times: int, told: str) -> None:
    """With what to do, and that nothing more is done."""
    found = found_in(sha("A"), 4, [SCALED])
    fought = Memory(delivery=delivery("A", failures=None), drift=replace(found, correction=fight(times)))

    condition = stands(found, CORRECT, memory=fought, now=at(101)).decide().conditions["InSync"]

    assert condition.message == f"{drift_promise.standing(found)[2]}{told}"


def test_mode_detect_after_correct_forgets_the_fight() -> None:
    """Nothing is asked, so nothing is told of asking."""
    found = found_in(sha("A"), 4, [SCALED])
    fought = Memory(delivery=delivery("A", failures=None), drift=replace(found, correction=fight(5)))

    assert stands(found, memory=fought).decide().memory.drift == found


def test_orphans_are_not_for_flux_to_correct() -> None:
    """It does not know of them."""
    drift = stands(found_in(sha("A"), 4, [ORPHAN]), CORRECT).decide().memory.drift

    assert drift is not None
    assert drift.correction is None


# Showing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "path"),
    [
        (ObjectKey("", "Secret", "apps", "db"), ("data", "anything")),
        (ObjectKey("", "Secret", "apps", "db"), ("metadata", "annotations", "a")),
        (WEB, ("spec", "template", "spec", "containers", 0, "env", 1, "value")),
        (WEB, ("metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration")),
        (ObjectKey("", "ConfigMap", "apps", "db"), ("data", "DB_PASSWORD")),
    ],
)
def test_what_may_be_a_secret_is_not_shown(key: ObjectKey, path: Any) -> None:
    """Neither the wanted value nor the one that is there."""
    finding = changed(key, [Difference(path, "hunter2", "hunter3")], None)

    assert "hunter" not in repr(finding)
    assert finding.fields[0].path


def test_what_is_shown_is_bounded() -> None:
    """Long values are cut, trees are only counted, and more fields are only counted."""
    values: list[Any] = ["x" * 100, {"a": 1}, [1, 2], None]
    finding = changed(WEB, [Difference(("spec", f"f{n}"), value, 1) for n, value in enumerate(values)], None)

    assert [field.want for field in finding.fields] == ["x" * 39 + "…", "a mapping", "a list of 2"]
    assert finding.more == 1
