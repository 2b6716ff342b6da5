"""What holds in every history: generated ones, told through the store, the status and back.

Events may be repeated, reordered between objects, delayed and lost. What is promised then:

- Repeated events, and another order of events that arrive at the same time, change nothing at all.
- When events are lost (restarts, relists), the same final objects give the same delivery, and the same conditions
  Detected and Healthy unless Flux is in the middle of an attempt. Verdicts may be `Unknown` instead of what a closer
  look would have given, but one look never says Kept where another says Broken. (A Kustomization that is replaced by
  another of its name takes the evidence with it; then a look at the new one alone may be wrong about the past.)
- Counts of failed attempts, the history of deliveries and the last known good revision rest on what was seen; they may
  lag behind after a loss.
"""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api import recall
from reconciliation_contract.api.status import render
from reconciliation_contract.core.effects import EmitEvent
from reconciliation_contract.core.memory import BAD_REVISIONS, HISTORY
from reconciliation_contract.core.promises import PromiseName, Verdict
from tests.support.builders import T0, Object
from tests.support.builders_check import ready_of
from tests.support.stories_random import TALES, Tale, refilled, told
from tests.support.stories_replay import KEY, Replay

AUTOMATIC = {"after": {"failures": 2, "duration": "2m"}, "settle": "20s"}
DISABLED = {"mode": "Disabled", "settle": "20s"}


def status_of(replay: Replay) -> dict[str, Any]:
    return dict(replay.status)


@given(TALES)
def test_a_second_pass_over_the_same_world_changes_nothing(tale: Tale) -> None:
    """Nothing changed: 0 writes, no act, no event, and the pass is settled."""
    replay = told(tale, AUTOMATIC)
    if replay.store is None:
        return

    _, decision, seen = replay.decide(replay.store, replay.now)

    assert json.loads(json.dumps(render(decision.memory, seen.kustomization))) == status_of(replay)
    assert [e for e in decision.effects if isinstance(e, EmitEvent)] == []
    assert decision.settled


@given(TALES)
def test_a_concluded_verdict_is_not_reopened(tale: Tale) -> None:
    """One sample for each revision and promise, ever; only a missing measure is added to a broken one."""
    passes = told(tale, AUTOMATIC).passes

    changes = [
        (known, fresh)
        for memory, decision in passes
        if (old := memory.delivery) and (new := decision.memory.delivery)
        if (old.hash, old.started_at) == (new.hash, new.started_at)
        for known in memory.judgements
        if known.concluded
        if (fresh := decision.memory.judgement(known.promise)) != known
    ]

    assert all(fresh and fresh.verdict is known.verdict is Verdict.BROKEN for known, fresh in changes)
    assert all(known.measured is None for known, _ in changes)


@given(TALES)
def test_recorded_stages_stay(tale: Tale) -> None:
    """What is recorded of a delivery is never changed or taken back."""
    passes = told(tale, AUTOMATIC).passes

    for memory, decision in passes:
        old, new = memory.delivery, decision.memory.delivery
        if old and new and (old.hash, old.started_at) == (new.hash, new.started_at):
            for stage in ("committed", "seen", "detected", "attempted", "applied", "healthy"):
                known = getattr(old.stages, stage)
                assert known is None or getattr(new.stages, stage) == known


@given(TALES)
def test_no_sample_is_invented(tale: Tale) -> None:
    """A latency is told only where both its ends were recorded; an adopted revision has none."""
    passes = told(tale, AUTOMATIC).passes

    for _, decision in passes:
        delivery = decision.memory.delivery
        for judgement in decision.memory.judgements:
            if delivery is None or judgement.measured is None or judgement.promise is PromiseName.ROLLBACK:
                continue
            assert not delivery.adopted
            ends = {
                PromiseName.DETECTION: delivery.stages.detected,
                PromiseName.RECONCILIATION: delivery.stages.healthy,
            }
            assert ends[judgement.promise] is not None
            assert delivery.stages.detected is not None


@given(TALES)
def test_the_status_is_bounded_and_survives_being_read_back(tale: Tale) -> None:
    """Counts are monotone within their bounds, and reading the status back loses nothing."""
    replay = told(tale, AUTOMATIC)

    memory = recall.parse(replay.status)
    seen = replay.store.kustomizations.get(KEY) if replay.store else None

    assert len(memory.history) <= HISTORY
    assert len(memory.bad) <= BAD_REVISIONS
    if replay.store:
        assert json.loads(json.dumps(render(memory, seen))) == status_of(replay)


@given(TALES, st.randoms(use_true_random=False))
def test_repeated_and_reordered_events_change_nothing(tale: Tale, chance: Any) -> None:
    """What arrives at one moment may arrive in any order and more than once."""
    replay = told(tale, DISABLED)
    if replay.store is None or replay.stage.contract is None:
        return
    objects = [raw for raw in (replay.stage.source, replay.stage.kustomization) if raw]
    again = objects * 2
    chance.shuffle(again)

    for raw in again:
        if raw["kind"] == "Kustomization":
            replay.store.put_kustomization(raw, replay.now, live=True)
        else:
            replay.store.put_source(raw, replay.now, live=True)
    _, decision, seen = replay.decide(replay.store, replay.now)

    assert json.loads(json.dumps(render(decision.memory, seen.kustomization))) == status_of(replay)


@given(TALES, st.permutations(["source", "kustomization", "contract"]))
def test_the_order_of_the_first_events_does_not_matter(tale: Tale, order: list[str]) -> None:
    """A store filled in any order decides the same."""
    replay = told(tale, DISABLED)
    objects = {"source": replay.stage.source, "kustomization": replay.stage.kustomization}
    objects["contract"] = replay.stage.contract
    found = {name: raw for name, raw in objects.items() if raw}

    stores = [refilled(replay, [found[n] for n in names if n in found]) for names in (sorted(order), order)]
    decisions = [replay.decide(store, replay.now)[1] for store in stores]

    assert decisions[0] == decisions[1]


def _under_way(kustomization: Object) -> bool:
    """Whether Flux is in the middle of an attempt, or of writing its status."""
    status, ready = kustomization.get("status", {}), ready_of(kustomization).get("status")
    torn = status.get("lastAppliedRevision") != status.get("lastAttemptedRevision")
    return ready == "Unknown" or (ready == "True" and torn)


CONTRADICTION = {Verdict.KEPT, Verdict.BROKEN}


@given(TALES)
def test_lost_events_never_turn_a_verdict_round(tale: Tale) -> None:
    """Who saw only the end says the same of the present, and of the past the same or Unknown."""
    replay = told([(seconds, deed) for seconds, deed in tale if deed.deed != "recreated"], DISABLED)
    kustomization, contract = replay.stage.kustomization, replay.stage.contract
    if replay.store is None or kustomization is None or contract is None:
        return
    blank = {key: value for key, value in contract.items() if key != "status"}
    late = refilled(replay, [blank, kustomization, *([replay.stage.source] if replay.stage.source else [])])

    closely = replay.decide(replay.store, replay.now)[1].memory
    lately = replay.decide(late, replay.now)[1].memory

    assert (closely.delivery and closely.delivery.hash) == (lately.delivery and lately.delivery.hash)
    if not _under_way(kustomization):
        for name in ("Detected", "Healthy"):
            both = [m.conditions[name] for m in (closely, lately)]
            assert both[0].status == both[1].status
            assert both[0].reason == both[1].reason
    for judgement in closely.judgements:
        other = lately.judgement(judgement.promise)
        assert other is None or {judgement.verdict, other.verdict} != CONTRADICTION


@pytest.mark.parametrize("policy", [AUTOMATIC, DISABLED])
def test_the_beginning_is_what_it_should_be(policy: dict[str, Any]) -> None:
    """The histories rest on a delivery that works; otherwise they would prove little."""
    replay = told([], policy)

    assert replay.now > T0
    assert [past["result"] for past in replay.status["history"]] == ["Healthy"]
