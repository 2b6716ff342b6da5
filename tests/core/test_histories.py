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
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from copy import deepcopy
from datetime import datetime, timedelta
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.evaluation import Decision
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.facts.pruning import NAMED
from reconciliation_contract.core.facts.source_kind import GIT_REPOSITORY
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.memory.memory import BAD_REVISIONS, HISTORY, INCIDENTS, Past
from reconciliation_contract.core.memory.timeline import STAGES
from reconciliation_contract.core.values import reasons
from reconciliation_contract.observers.store import Store
from tests.support.builders import T0, Object
from tests.support.builders_check import Impossible, ready_of
from tests.support.builders_status import read_back
from tests.support.stories import Happening
from tests.support.stories_random import (
    BURSTS,
    COMMITS,
    KINDS,
    MANY,
    STORM,
    TALES,
    THERE_AND_BACK,
    TWICE,
    Tale,
    refilled,
    told,
)
from tests.support.stories_replay import KEY, Replay

AUTOMATIC = {"after": {"failures": 2, "duration": "2m"}, "settle": "20s"}
DISABLED = {"mode": "Disabled", "settle": "20s"}


def status_of(replay: Replay) -> dict[str, Any]:
    return dict(replay.status)


def written(decision: Decision, seen: Observation) -> dict[str, Any]:
    """The status as the API server would store it."""
    return dict(json.loads(json.dumps(render_status(decision.memory, seen.flux.kustomization, decision.conditions))))


def told_in(decision: Decision) -> str:
    """Which promises are said to be broken by this pass."""
    events = [effect for effect in decision.effects if isinstance(effect, EmitEvent)]
    return " ".join(event.message for event in events if event.reason == reasons.PROMISE_BROKEN)


def put(store: Store, events: Sequence[Object], now: datetime) -> None:
    """Let the watch bring these events."""
    for raw in events:
        if raw["kind"] == "Kustomization":
            store.put_kustomization(raw, now, live=True)
        else:
            store.put_source(raw, now, live=True, kind=store.kinds[raw["kind"]])


@given(TALES, KINDS)
def test_a_second_pass_over_the_same_world_changes_nothing(tale: Tale, kind: str) -> None:
    """Nothing changed: 0 writes, no act, no event, and the pass is settled; also a little later, if nothing is due."""
    replay = told(tale, AUTOMATIC, kind)
    if replay.store is None:
        return
    soon = replay.now + timedelta(seconds=1)

    _, decision, seen = replay.decide(replay.store, replay.now)
    _, later, _ = replay.decide(replay.store, soon)

    assert written(decision, seen) == status_of(replay)
    assert [e for e in decision.effects if isinstance(e, EmitEvent)] == []
    assert decision.settled
    if not replay.wakes_by(soon):
        assert written(later, seen) == status_of(replay)


@example(TWICE, GIT_REPOSITORY.name)
@example(THERE_AND_BACK, GIT_REPOSITORY.name)
@given(TALES, KINDS)
def test_one_sample_of_each_promise(tale: Tale, kind: str) -> None:
    """One sample per contract, revision and promise, ever: a verdict that is concluded is not reopened.

    Only a measure is added to a broken promise that had none. Drift is told as it stands, and is no sample. A revision
    that is delivered again is sampled again, for what Flux has done since.
    """
    passes = told(tale, AUTOMATIC, kind).passes

    known: dict[tuple[str, datetime, str], Judgement] = {}
    broken: Counter[tuple[str, datetime, str]] = Counter()
    for memory, decision in passes:
        delivery, before = decision.memory.delivery, memory.delivery
        if delivery is None:
            continue
        same = before is not None and (before.hash, before.started_at) == (delivery.hash, delivery.started_at)
        for fresh in decision.memory.judgements:
            sample = (delivery.hash, delivery.started_at, fresh.promise)
            old = known.get(sample)
            if fresh.promise is PromiseName.DRIFT:
                continue
            if old != fresh and old is not None:
                assert fresh.verdict is old.verdict is Verdict.BROKEN
                assert old.measured is None
            if fresh.concluded:
                known[sample] = fresh
            broken[sample] += f"{fresh.promise} of" in told_in(decision) if same else 0
        kept = {name for hash_, began, name in known if (hash_, began) == (delivery.hash, delivery.started_at)}
        assert kept <= {judgement.promise for judgement in decision.memory.judgements}
    assert all(count <= 1 for count in broken.values())
    ends = {PromiseName.DETECTION: "detected", PromiseName.RECONCILIATION: "healthy"}
    measured: dict[tuple[str, str, datetime], datetime] = {}
    for delivery, judgement in ((d.memory.delivery, j) for _, d in passes for j in d.memory.judgements):
        if delivery and judgement.measured is not None and judgement.promise in ends:
            end = getattr(delivery.stages, ends[judgement.promise])
            sampled = (delivery.hash, judgement.promise, end.at)
            assert measured.setdefault(sampled, delivery.started_at) == delivery.started_at


@example(TWICE, GIT_REPOSITORY.name)
@given(TALES, KINDS)
def test_recorded_stages_stay(tale: Tale, kind: str) -> None:
    """What is recorded of a delivery, built and validated included, is never changed or taken back."""
    passes = told(tale, AUTOMATIC, kind).passes

    for memory, decision in passes:
        old, new = memory.delivery, decision.memory.delivery
        if old and new and (old.hash, old.started_at) == (new.hash, new.started_at):
            for stage in STAGES:
                known = getattr(old.stages, stage)
                assert known is None or getattr(new.stages, stage) == known


@example(THERE_AND_BACK, GIT_REPOSITORY.name)
@example(
    [(1, Happening("source", "elsewhere COMMIT", "C")), (9, Happening("kustomization", "ready COMMIT", "C"))],
    GIT_REPOSITORY.name,
)
@given(TALES, KINDS)
def test_no_sample_is_invented(tale: Tale, kind: str) -> None:
    """No commit time, no commit latency; what is measured was seen, and an adopted revision has no measure at all."""
    replay = told(tale, AUTOMATIC, kind)

    for _, decision in replay.passes:
        delivery = decision.memory.delivery
        if delivery is None:
            continue
        stages, measured = delivery.stages, {j.promise for j in decision.memory.judgements if j.measured is not None}
        seen = {
            PromiseName.DETECTION: stages.detected and (stages.committed or stages.seen),
            PromiseName.RECONCILIATION: stages.detected and stages.healthy,
        }
        assert all(seen[promise] for promise in measured & seen.keys())
        assert not delivery.adopted or measured <= {PromiseName.ROLLBACK}
        for judgement in decision.memory.judgements:
            if judgement.measured is not None and judgement.promise in seen:
                assert judgement.measured <= replay.now - T0  # nothing began before the tale
        if kind != GIT_REPOSITORY.name:
            assert stages.committed is None
            assert PromiseName.DETECTION not in measured
            assert all(past.latency is None for past in decision.memory.history)


def _grown(old: tuple[Past, ...], latest: tuple[Past, ...]) -> tuple[tuple[Past, ...], ...]:
    """What may become of a history: one more at its front, and one less where that is too many."""
    longer = (*latest, *old)
    if len(longer) <= HISTORY:
        return old, longer
    untouched = [past for past in longer if past.untouched]
    gone = untouched[-1] if untouched else longer[-1]
    return old, tuple(past for past in longer if past is not gone)


@example(MANY, GIT_REPOSITORY.name)
@given(TALES, KINDS)
def test_counts_and_history_are_bounded_and_only_grow(tale: Tale, kind: str) -> None:
    """Counters and history are bounded and monotone: counts never fall, and the history only grows at its front."""
    passes = told(tale, AUTOMATIC, kind).passes

    for old, new in ((memory, decision.memory) for memory, decision in passes):
        assert new.history in _grown(old.history, new.history[:1])
        assert len(new.bad) <= BAD_REVISIONS
        assert len(new.incidents) <= INCIDENTS
        assert len(new.departures.pending) <= NAMED
        assert old.begun in (new.begun[: len(old.begun)], new.begun[-len(old.begun) :])
        before = {(incident.key, incident.opened_at): incident for incident in old.incidents}
        for incident in new.incidents:
            known = before.get((incident.key, incident.opened_at), incident)
            assert (known.count, known.relapses) <= (incident.count, incident.relapses)
        first, then = (m.delivery.failures if m.delivery else None for m in (old, new))
        if first and then and first.first_at == then.first_at:
            assert first.count <= then.count
            assert first.last_at <= then.last_at


def _fetches(deed: Happening) -> bool:
    return (deed.actor == "source" and bool(deed.commit)) or deed.deed == "loses sight"


@example(STORM)
@given(TALES)
def test_what_flux_does_not_detect_is_noticed(tale: Tale) -> None:
    """However fast the pushes come: where Flux detects none of them for longer than promised, some Detection says so."""
    replay = told([(seconds, deed) for seconds, deed in tale if not _fetches(deed)], DISABLED)

    waiting: datetime | None = None
    for (_, decision), now in zip(replay.passes, replay.times, strict=True):
        delivery, said = decision.memory.delivery, decision.memory.judgement(PromiseName.DETECTION)
        if delivery is None or said is None or said.concluded:
            waiting = None
            continue
        waiting = waiting or delivery.started_at
        assert now - waiting <= said.within


@given(TALES, KINDS)
def test_the_status_survives_being_read_back(tale: Tale, kind: str) -> None:
    """Reading the status back loses nothing."""
    replay = told(tale, AUTOMATIC, kind)

    memory = read_back(replay.status)
    seen = replay.store.kustomizations.get(KEY) if replay.store else None

    if replay.store:
        assert json.loads(json.dumps(render_status(memory, seen, memory.conditions))) == status_of(replay)


@given(TALES, KINDS, BURSTS, st.randoms(use_true_random=False))
def test_any_interleaving_gives_the_same_status(tale: Tale, kind: str, burst: list[Happening], chance: Any) -> None:
    """Any interleaving of events with the same final objects gives the same status.

    A watch keeps the order of one object's events, and nothing that of two.
    """
    awake = [(0, Happening("operator", "starts")), (0, Happening("operator", "sees again"))]
    replay = told([*tale, *awake], DISABLED, kind)
    assert replay.store
    happened: list[Object] = []
    for deed in (*(Happening("push", "COMMIT", commit) for commit in COMMITS), *burst):
        with suppress(Impossible):
            replay.stage.happen(deed, replay.now)
            happened += [raw] if (raw := getattr(replay.stage, deed.actor, None)) else []
    owners = [raw["kind"] for raw in happened]
    chance.shuffle(owners)
    queues = {kind: iter([raw for raw in happened if raw["kind"] == kind]) for kind in owners}

    statuses = []
    for order in (happened, [next(queues[kind]) for kind in owners]):
        store = deepcopy(replay.store)
        put(store, order, replay.now)
        _, decision, seen = replay.decide(store, replay.now)
        statuses.append(written(decision, seen))

    assert statuses[0] == statuses[1]


@given(TALES, KINDS, st.randoms(use_true_random=False))
def test_repeated_and_reordered_events_change_nothing(tale: Tale, kind: str, chance: Any) -> None:
    """What arrives at one moment may arrive in any order and more than once: 0 writes."""
    replay = told(tale, DISABLED, kind)
    if replay.store is None or replay.stage.contract is None:
        return
    objects = [raw for raw in (replay.stage.source, replay.stage.kustomization) if raw]
    again = objects * 2
    chance.shuffle(again)

    put(replay.store, again, replay.now)
    _, decision, seen = replay.decide(replay.store, replay.now)

    assert written(decision, seen) == status_of(replay)


@given(TALES, KINDS, st.permutations(["source", "kustomization", "contract"]))
def test_the_order_of_the_first_events_does_not_matter(tale: Tale, kind: str, order: list[str]) -> None:
    """A store filled in any order decides the same."""
    replay = told(tale, DISABLED, kind)
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
    elsewhere = ("recreated", "loses sight")
    replay = told([(seconds, deed) for seconds, deed in tale if deed.deed not in elsewhere], DISABLED)
    kustomization, contract = replay.stage.kustomization, replay.stage.contract
    if replay.store is None or kustomization is None or contract is None:
        return
    blank = {key: value for key, value in contract.items() if key != "status"}
    late = refilled(replay, [blank, kustomization, *([replay.stage.source] if replay.stage.source else [])])

    decisions = [replay.decide(store, replay.now)[1] for store in (replay.store, late)]
    closely, lately = (decision.memory for decision in decisions)

    assert (closely.delivery and closely.delivery.hash) == (lately.delivery and lately.delivery.hash)
    if not _under_way(kustomization):
        for name in ("Detected", "Healthy"):
            both = [decision.conditions[name] for decision in decisions]
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


def test_many_deliveries_fill_the_history() -> None:
    """Otherwise its bound would prove little."""
    replay = told(MANY, AUTOMATIC)

    assert len(replay.status["history"]) == HISTORY
