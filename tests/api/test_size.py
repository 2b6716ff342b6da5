"""A contract's size: what is usual is told in full, and whatever there is to tell, the object stays within 16 KiB."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciliation_contract.api.contract.fields import TEXT_LENGTH
from reconciliation_contract.api.status.apart import split
from reconciliation_contract.api.status.render import whole
from reconciliation_contract.api.status.size import BUDGET, TEXTS, _forgetting, fit, measure
from reconciliation_contract.core.facts.comparison import Drift
from reconciliation_contract.core.facts.dry_run import NAMED, Refusal, Refusals
from reconciliation_contract.core.facts.inventory import Entry
from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.facts.pruning import Departure
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import HISTORY, Past, Result, Revision, Standing, Taken, Transition
from reconciliation_contract.core.memory.timeline import Stages
from reconciliation_contract.core.values.object_key import ObjectKey
from tests.api.full_memory import HASHES, T0, full_memory, kustomization
from tests.api.structural import Schema, walk
from tests.support.builders import contract
from tests.support.builders_status import Told, read_back, status_of

KIB = 1024
AROUND = 1536
"""Metadata, spec, defaults and the record of the fields' owners, in bytes; held by `tests/e2e/test_kstatus.py`."""
FOLLOWED = replace(
    kustomization(), attempted_revision=f"main@sha1:{HASHES[0]}", applied_revision=f"main@sha1:{HASHES[1]}"
)
CONDITIONS = ("Ready", "Detected", "Validated", "Healthy", "InSync", "DependenciesReady", "Feasible", "RolledBack")
SAID = "main@sha1:0a1b2c3d healthy after 41.2s of 5m"
PROBLEM = (
    "timeout waiting for: [Deployment/apps/checkout status: 'InProgress': Available: 1/3; "
    'Pod checkout-6b7f9d: Back-off pulling image "registry.example.com/checkout:2.14.0"]'
)


def everyday() -> Told:
    """What a contract remembers after a year of good service: ten deliveries, one of which was rolled back."""
    full = full_memory()
    revisions = [f"main@sha1:{hash_}" for hash_ in HASHES]
    assert full.delivery
    assert full.good
    known = {field.name: getattr(full.delivery.stages, field.name) for field in fields(Stages)}
    seen = Stages(**{name: replace(stage, earliest=None) for name, stage in known.items() if stage})
    judgements = [
        Judgement(promise, Verdict.KEPT, timedelta(minutes=5), "WithinBudget", SAID, timedelta(seconds=41))
        for promise in PromiseName
        if promise is not PromiseName.ROLLBACK
    ]
    pasts = [
        Past(revision, hash_, Result.HEALTHY, T0, "Raise the limits of the checkout", timedelta(seconds=41))
        for revision, hash_ in zip(revisions, HASHES, strict=True)
    ]
    pasts[3] = replace(pasts[3], result=Result.ROLLED_BACK, broken=("Reconciliation",), failed_at=T0, recovered_at=T0)
    return replace(
        full,
        delivery=replace(
            full.delivery,
            stages=seen,
            revision=revisions[0],
            subject="Raise the limits",
            reported=(),
            failures=None,
            commit_problem="",
            undetected_since=None,
            unhealthy_since=None,
        ),
        judgements=tuple(judgements),
        history=tuple(pasts[:HISTORY]),
        good=replace(full.good, revision=revisions[0], path="./deploy", manifests=f"sha256:{'ab' * 32}"),
        rollback=None,
        bad=(HASHES[3],),
        begun=(T0,),
        taken=(),
        handled={},
        dependencies=tuple(replace(found, message="", ready=True) for found in full.dependencies[:4]),
        conditions={name: Condition("True", "PromisesKept", SAID, T0) for name in CONDITIONS},
        standing=None,
        transitions={name: Transition("True", T0) for name in CONDITIONS},
        failing_since=None,
        incidents=(),
        refusals=None,
        suspended=False,
        drift=replace(
            full.drift, findings=(), drifted=0, correction=None, problem="", paused="", unlisted="", uncompared=""
        )
        if full.drift
        else None,
        departures=replace(full.departures, pending=(), more=0, unseen_at=None, overdue=()),
    )


def troubled() -> Told:
    """The same contract in the middle of a rollback."""
    full, calm = told_by(PROBLEM), everyday()
    assert full.rollback
    broken = [
        replace(one, verdict=Verdict.BROKEN, message=PROBLEM) if one.promise is PromiseName.RECONCILIATION else one
        for one in calm.judgements
    ]
    return replace(
        calm,
        delivery=replace(full.delivery, reported=("Reconciliation",)) if full.delivery else None,
        judgements=tuple(broken),
        drift=calm.drift,
        rollback=replace(full.rollback, reason="HealthCheckFailed", remains=full.rollback.remains[:1]),
        taken=(Taken("approve", "01234567 by zoe at 2026-11-23T04:00:00Z: the registry is back", T0),),
        handled={"approve": "01234567"},
        conditions=calm.conditions | {name: full.conditions[name] for name in ("Ready", "Healthy", "RolledBack")},
        standing=Standing(True, "PersistentFailure", PROBLEM),
        incidents=full.incidents[:1],
    )


def rolled_back(deliveries: int) -> Told:
    """A contract of a real cluster after a refused manifest and a rollback, with so many deliveries before it."""
    memory = read_back(yaml.safe_load((Path(__file__).parent / "rolled_back.yaml").read_text()))
    before = everyday().history[: deliveries - len(memory.history)]
    return replace(memory, history=(*memory.history, *before))


def _drifted(text: str) -> Drift | None:
    """As much drift as is told of, of objects with usual names."""
    found = full_memory().drift
    assert found
    named = [
        replace(finding, object=f"Deployment/apps/checkout-{n}", by="kubectl-edit")
        for n, finding in enumerate(found.findings)
    ]
    return replace(found, problem=text, findings=tuple(named))


def _refused(text: str) -> Refusals:
    """As many refused manifests as are told of, with usual names."""
    named = (Refusal(f"Deployment/apps/checkout-{n}", f"deploy/checkout-{n}.yaml", text) for n in range(NAMED))
    return Refusals(HASHES[0], 100, 90, tuple(named))


def told_by(text: str) -> Told:
    """A contract of which nothing is well, with everybody telling at length what is wrong."""
    full, calm = full_memory(), everyday()
    assert full.delivery
    assert full.rollback
    assert full.delivery.failures
    assert calm.delivery
    failures = replace(full.delivery.failures, message=text, reason="HealthCheckFailed")
    departure = Departure(Entry(ObjectKey("", "PersistentVolumeClaim", "apps", "data-0"), "v1"), T0, account=text)
    return replace(
        calm,
        delivery=replace(calm.delivery, subject=text, failures=failures, commit_problem=text),
        judgements=tuple(replace(one, message=text) for one in full.judgements),
        history=tuple(replace(past, subject=text, broken=("Detection", "Reconciliation")) for past in calm.history),
        rollback=replace(
            full.rollback,
            bad=Revision(calm.history[0].revision, HASHES[0]),
            good=Revision(calm.history[1].revision, HASHES[1]),
            message=text,
            asked_by=text,
            kept_annotations={"kustomize.toolkit.fluxcd.io/ssa": "Merge"},
        ),
        bad=full.bad,
        dependencies=tuple(replace(found, message=text, ready=False) for found in full.dependencies[:6]),
        conditions={name: Condition("False", "PromiseBroken", text, T0) for name in CONDITIONS},
        standing=Standing(True, "PersistentFailure", text),
        departures=replace(calm.departures, pending=(departure,), overdue=(departure,)),
        drift=_drifted(text),
        refusals=_refused(text),
        incidents=tuple(
            replace(one, message=text, cause="commit 0a1b2c3d", closed_at=None, revision=calm.history[0].revision)
            for one in full.incidents[:2]
        ),
    )


MEMORIES: dict[str, Told] = {
    "everyday": everyday(),
    "in trouble": troubled(),
    "rolled back": rolled_back(HISTORY),
    "nothing is well": told_by(PROBLEM),
    "nothing is well, in another script": told_by("検査が失敗しました。" * 30),
    "nothing is well, in pictures": told_by("🔥" * 300),
    "nothing is well, in quotes": told_by('"\\' * 150),
}


@pytest.mark.parametrize("name", MEMORIES)
def test_an_object_is_at_most_sixteen_kibibytes(name: str) -> None:
    """With full history, whatever is told, and in whatever script."""
    assert measure(status_of(MEMORIES[name], FOLLOWED)) + AROUND <= 16 * KIB


@pytest.mark.parametrize(("name", "kibibytes"), [("everyday", 9), ("rolled back", 11), ("in trouble", 13)])
def test_what_is_usual_is_smaller(name: str, kibibytes: int) -> None:
    """Ten thousand contracts are in one etcd, and in every watch cache."""
    assert measure(status_of(MEMORIES[name], FOLLOWED)) + AROUND <= kibibytes * KIB


def test_an_everyday_object_is_told_in_full() -> None:
    """What is usual fits as it is: nothing is cut and nothing forgotten."""
    written = status_of(everyday(), FOLLOWED)

    assert len(written["history"]) == HISTORY
    assert "…" not in str(written)


@pytest.mark.parametrize("memory", [troubled(), *(rolled_back(count) for count in (2, 5, HISTORY))])
def test_an_ordinary_rollback_is_told_in_full(memory: Told) -> None:
    """Not a word of a condition, a promise or the rollback is cut, and all ten deliveries are there."""
    again = read_back(status_of(memory, FOLLOWED))

    assert again == bounded_by_the_fields(memory)
    assert again.history == memory.history
    assert again.judgements == memory.judgements
    assert again.rollback == bounded_by_the_fields(memory).rollback


def bounded_by_the_fields(memory: Told) -> Told:
    """The same, each text and list as long as its field is where there is room for everything."""
    return read_back(split(whole(memory, FOLLOWED, memory.conditions)))


def test_what_is_over_goes_before_a_word_of_the_present() -> None:
    """Old deliveries, incidents that all were told of and requests that stand no more, in this order."""
    ends = tuple(replace(each, told={"flux": each.count}) for each in full_memory().incidents)
    memory = replace(troubled(), incidents=ends)
    kept = {len(form.get("history", ())): form for form in _forgetting(whole(memory, FOLLOWED, memory.conditions))}

    last = list(_forgetting(whole(memory, FOLLOWED, memory.conditions)))[-1]

    assert sorted(kept) == [*range(3, HISTORY + 1)]
    assert "incidents" not in last
    for name in ("conditions", "delivery", "rollback", "standing"):
        assert last[name] == whole(memory, FOLLOWED, memory.conditions)[name]


def test_conditions_are_cut_after_the_other_texts() -> None:
    """They are what `kubectl describe` shows first; what the promises and the history say is shorter before they are."""
    calm = everyday()
    told = Condition("False", "ActRefused", f"cannot create it: {PROBLEM} {PROBLEM}"[:110], T0)
    judgements = tuple(replace(one, verdict=Verdict.BROKEN, message=PROBLEM * 4) for one in calm.judgements)

    written = status_of(
        replace(calm, conditions=calm.conditions | {"RolledBack": told}, judgements=judgements), FOLLOWED
    )

    said = {condition["type"]: condition["message"] for condition in written["conditions"]}
    assert "…" in str(written["delivery"]["promises"])
    assert said["RolledBack"] == told.message


def test_what_is_sent_to_people_is_cut_last_of_the_texts() -> None:
    """At the first failures the message of the incident is whole: it is sent from here, perhaps again."""
    said = "Reconciliation broken: not healthy within 5m. " * 10
    one = replace(
        full_memory().incidents[0], message=said.strip(), closed_at=None, cause="", revision="", next_step=""
    )

    written = status_of(replace(told_by(PROBLEM), incidents=(one,)), FOLLOWED)

    assert "…" in str(written["conditions"])
    assert written["incidents"][0]["message"] == said.strip()


def test_an_end_that_a_sink_lacks_outlives_those_that_all_have() -> None:
    """Where ends of incidents must go, the told ones go first."""
    ends = tuple(replace(each, told={"flux": each.count}) for each in full_memory().incidents)
    owed = replace(ends[0], told={"flux": 2})

    kept = [
        each["key"] for each in status_of(replace(troubled(), incidents=(owed, *ends[1:])), FOLLOWED)["incidents"]
    ]

    assert owed.key in kept
    assert len(kept) < len(ends)


def test_everything_at_its_very_bounds_is_bare_but_decisive() -> None:
    """More than can ever come together: texts and what is over go, what decisions rest on stays."""
    memory = full_memory()

    written = status_of(memory, kustomization())
    again = read_back(written)

    assert measure(written) + AROUND <= 16 * KIB
    assert status_of(again, kustomization()) == written
    assert again.delivery
    assert memory.delivery
    assert again.bad == memory.bad
    assert again.begun == memory.begun
    assert [(j.promise, j.verdict) for j in again.judgements] == [(j.promise, j.verdict) for j in memory.judgements]
    assert again.delivery.failures
    assert len(again.delivery.failures.message.encode()) >= 297


def test_only_open_incidents_can_take_it_further() -> None:
    """Five at once, each with the longest of names, and every condition there is: nothing is larger than that."""
    memory = full_memory()
    conditions = dict.fromkeys((*CONDITIONS, "Stalled"), memory.conditions["Ready"])
    incidents = tuple(replace(incident, closed_at=None) for incident in memory.incidents)

    written = status_of(replace(memory, conditions=conditions, incidents=incidents), kustomization())

    assert len(written["incidents"]) == len(incidents)
    assert measure(written) + AROUND <= 16 * KIB


@pytest.mark.parametrize("name", MEMORIES)
def test_what_was_made_to_fit_is_written_the_same_again(name: str) -> None:
    """No write only because the last one was shortened."""
    written = status_of(MEMORIES[name], FOLLOWED)

    assert status_of(read_back(written), FOLLOWED) == written


def test_texts_go_before_deliveries_and_old_ones_before_new_ones() -> None:
    """The order in which a status gets shorter; of old deliveries, their subjects go first."""
    wide = {
        "history": [{"revision": str(n), "subject": "s" * 100} for n in range(400)],
        "delivery": {"revision": "x"},
    }

    written = fit(wide)

    kept = written["history"]
    assert measure(written) <= BUDGET
    assert len(kept) > 50
    assert [past["revision"] for past in kept] == [str(n) for n in range(len(kept))]
    assert ["subject" in past for past in kept[:5]] == [True, True, True, False, False]


def test_an_open_incident_is_never_forgotten() -> None:
    """Only those that are over go."""
    incidents: list[dict[str, Any]] = [{"key": "k" * 900, "closedAt": "now"}, {"key": "o" * 900}] * 8

    assert [item["key"][0] for item in fit({"incidents": incidents})["incidents"]] == ["o"] * 8


def test_every_long_text_can_be_cut(schema: Schema) -> None:
    """A new field for people is either cut as well, or known to be what decisions rest on."""
    long = {
        path.rpartition(".")[2].removesuffix("[]")
        for path, node in walk(schema["properties"]["status"])
        if node.get("type") == "string" and TEXT_LENGTH <= node.get("maxLength", 0) < 4096
        if "reason" not in path
    }

    assert long <= TEXTS | {"cause", "path"}


def test_the_rest_of_the_object_is_small() -> None:
    """Metadata and a spec without defaults leave room for the record of owners that the API server adds."""
    raw = contract()

    assert measure({key: raw[key] for key in ("apiVersion", "kind", "metadata", "spec")}) < KIB
