"""What Prometheus sees: names and labels as they are promised, and no more series than that."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from reconciliation_contract.adapters.metrics import BUCKETS, Metrics
from reconciliation_contract.core.memory import Memory, Past, Result, Revision, Rollback, RollbackState
from reconciliation_contract.core.observation import Condition, SourceRef
from reconciliation_contract.core.promises import Judgement, PromiseName, Verdict
from reconciliation_contract.core.timeline import Delivery, Moment, Stages, Witness
from tests.support.virtual_time import START

KEY = ("apps", "shop")
HASH, OLD = "b" * 40, "a" * 40
REF = SourceRef("GitRepository", "apps", "shop")
OF_A_CONTRACT = {"exported_namespace", "name"}
NAMES = {
    "flux_contract_ready": OF_A_CONTRACT,
    "flux_contract_rolled_back": OF_A_CONTRACT,
    "flux_contract_promise_kept": OF_A_CONTRACT | {"promise"},
    "flux_contract_stage_timestamp_seconds": OF_A_CONTRACT | {"stage"},
    "flux_contract_stage_duration_seconds": {"stage"},
    "flux_contract_rollback_duration_seconds": set(),
    "flux_contract_deliveries_total": {"result"},
    "flux_contract_rollbacks_total": {"result"},
    "flux_contract_verdicts_total": {"promise", "verdict"},
    "flux_contract_passes_total": set(),
    "flux_contract_status_writes_total": set(),
    "flux_contract_errors_total": {"kind"},
}
"""Names and labels of all metrics: they are API."""


def after(seconds: float) -> datetime:
    """A time in the story."""
    return START + timedelta(seconds=seconds)


def moment(seconds: float, witness: Witness = Witness.WATCH) -> Moment:
    """A stage that was seen as it happened."""
    return Moment(after(seconds), witness)


DELIVERED = Delivery(
    f"main@sha1:{HASH}",
    HASH,
    after(1),
    subject="a secret subject",
    stages=Stages(
        committed=moment(0, Witness.GIT),
        seen=moment(1, Witness.GIT),
        detected=moment(5),
        attempted=moment(6),
        applied=moment(20),
        healthy=moment(50),
    ),
)
JUDGED = tuple(
    Judgement(name, Verdict.BROKEN if name is PromiseName.ROLLBACK else Verdict.KEPT, timedelta(minutes=1), "Reason")
    for name in PromiseName
)
FULL = Memory(
    delivery=DELIVERED,
    judgements=JUDGED,
    history=(Past(f"main@sha1:{OLD}", OLD, Result.HEALTHY, after(0)),),
    conditions={"Ready": Condition("True", "PromisesKept")},
)


def undo(state: RollbackState, *, completed: bool = False) -> Rollback:
    """A rollback in a state."""
    return Rollback(
        state=state,
        bad=Revision(f"main@sha1:{HASH}", HASH),
        good=Revision(f"main@sha1:{OLD}", OLD),
        reason="HealthCheckFailed",
        kustomization_uid="uid",
        source=REF,
        pin=REF,
        started_at=after(100),
        completed_at=after(103) if completed else None,
    )


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples by name and labels, as Prometheus parses them."""
    text = generate_latest(metrics.registry).decode()
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    """One sample; None where there is none."""
    return samples(metrics).get((f"flux_contract_{name}", frozenset(labels.items())))


def everything() -> Metrics:
    """Metrics of which each has a sample."""
    metrics = Metrics()
    metrics.passed(KEY, Memory(), FULL)
    metrics.passed(KEY, FULL, replace(FULL, rollback=undo(RollbackState.ACTIVE, completed=True)))
    metrics.wrote()
    metrics.failed("cluster")
    return metrics


def test_names_and_labels_are_those_that_are_promised() -> None:
    """A name or label that is added, lost or changed is a change of the API."""
    found: dict[str, set[str]] = {}
    for name, labels in samples(everything()):
        plain = next((name.removesuffix(end) for end in ("_bucket", "_sum", "_count") if name.endswith(end)), name)
        found.setdefault(plain, set()).update(key for key, _ in labels if key != "le")

    assert found == NAMES


def test_a_contract_costs_at_most_twenty_series() -> None:
    """With every promise judged and every stage reached."""
    mine = [labels for _, labels in samples(everything()) if ("name", "shop") in labels]

    assert 10 < len(mine) <= 20


def test_nothing_is_named_by_a_commit_an_address_or_a_message() -> None:
    """Labels come from closed lists, but for namespace and name of the contract."""
    text = generate_latest(everything().registry).decode()

    assert HASH not in text
    assert OLD not in text
    assert "://" not in text
    assert "secret subject" not in text


def test_the_default_budgets_are_bounds_of_buckets() -> None:
    """A share of deliveries within budget can be read off exactly."""
    assert {30, 60, 120, 300} <= set(BUCKETS)
    assert list(BUCKETS) == sorted(BUCKETS)


@pytest.mark.parametrize(
    ("stage", "seconds"), [("detected", 5.0), ("attempted", 6.0), ("applied", 20.0), ("healthy", 50.0)]
)
def test_each_stage_is_measured_from_the_commit(stage: str, seconds: float) -> None:
    """The longest possible time counts, once for each delivery."""
    metrics = everything()

    assert value(metrics, "stage_duration_seconds_count", stage=stage) == 1
    assert value(metrics, "stage_duration_seconds_sum", stage=stage) == seconds


def test_a_pass_without_news_counts_nothing_but_itself() -> None:
    """One sample for each contract, revision and promise, however often it is looked at."""
    metrics = Metrics()
    metrics.passed(KEY, Memory(), FULL)
    before = samples(metrics)

    for generation in range(5):
        metrics.passed(KEY, FULL, replace(FULL, observed_generation=generation))

    changed = {name for (name, labels), number in samples(metrics).items() if before[name, labels] != number}
    assert changed == {"flux_contract_passes_total"}


def test_an_adopted_delivery_is_not_measured() -> None:
    """What was there before the contract was has no latency."""
    metrics = Metrics()
    metrics.passed(KEY, Memory(), replace(FULL, delivery=replace(DELIVERED, adopted=True)))

    assert value(metrics, "stage_duration_seconds_count", stage="healthy") is None


def test_a_delivery_without_a_known_push_is_not_measured() -> None:
    """No commit time, no latency."""
    stages = replace(DELIVERED.stages, committed=None, seen=None)
    metrics = Metrics()
    metrics.passed(KEY, Memory(), replace(FULL, delivery=replace(DELIVERED, stages=stages, commit_problem="none")))

    assert value(metrics, "stage_duration_seconds_count", stage="healthy") is None


@pytest.mark.parametrize(
    ("before", "later", "result"),
    [
        (undo(RollbackState.SWITCHING), undo(RollbackState.ACTIVE, completed=True), "completed"),
        (undo(RollbackState.SWITCHING), undo(RollbackState.FAILED), "failed"),
        (undo(RollbackState.INTENDED), None, "cancelled"),
        (undo(RollbackState.PROPOSED), None, "cancelled"),
        (undo(RollbackState.RELEASING, completed=True), None, "released"),
    ],
)
def test_rollbacks_are_counted_by_how_they_ended(before: Rollback, later: Rollback | None, result: str) -> None:
    """Each end once; steps on the way are not counted."""
    metrics = Metrics()
    metrics.passed(KEY, replace(FULL, rollback=undo(RollbackState.INTENDED)), replace(FULL, rollback=before))
    metrics.passed(KEY, replace(FULL, rollback=before), replace(FULL, rollback=later))

    counted = {labels: n for (name, labels), n in samples(metrics).items() if name == "flux_contract_rollbacks_total"}
    assert counted == {frozenset({("result", result)}): 1.0}


def test_the_gauges_follow_the_last_pass() -> None:
    """Ready, promises and the rollback are as the status says; an unknown promise is absent."""
    metrics = Metrics()
    unknown = Judgement(PromiseName.DETECTION, Verdict.UNKNOWN, timedelta(minutes=1), "Unmeasured")
    not_ready = replace(FULL, conditions={"Ready": Condition("False", "PromiseBroken")}, judgements=(unknown,))
    labels = {"exported_namespace": "apps", "name": "shop"}

    metrics.passed(KEY, Memory(), FULL)
    good = value(metrics, "ready", **labels), value(metrics, "promise_kept", promise="Rollback", **labels)
    metrics.passed(KEY, FULL, replace(not_ready, rollback=undo(RollbackState.ACTIVE, completed=True)))

    assert good == (1.0, 0.0)
    assert value(metrics, "ready", **labels) == 0.0
    assert value(metrics, "rolled_back", **labels) == 1.0
    assert value(metrics, "promise_kept", promise="Detection", **labels) is None


def test_a_contract_that_is_gone_leaves_no_series() -> None:
    """Its gauges end; what was counted stays counted."""
    metrics = everything()

    metrics.forgot(KEY)

    assert not [labels for _, labels in samples(metrics) if ("name", "shop") in labels]
    assert value(metrics, "deliveries_total", result="Healthy") == 1


def test_hostile_names_do_not_break_the_format() -> None:
    """Whatever a name holds, the exposition can be parsed."""
    metrics = Metrics()
    metrics.passed(("apps", 'x"}\n{\\'), Memory(), FULL)

    assert value(metrics, "ready", exported_namespace="apps", name='x"}\n{\\') == 1.0
