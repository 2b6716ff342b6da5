"""What Prometheus sees: names and labels as they are promised, and no more series than that."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import generate_latest
from prometheus_client.openmetrics.exposition import CONTENT_TYPE_LATEST as OPENMETRICS
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families

from reconciliation_contract.adapters.telemetry.contract_series import FAMILIES
from reconciliation_contract.adapters.telemetry.metrics import BUCKETS, Metrics
from reconciliation_contract.core.delivery.trace import ended
from reconciliation_contract.core.facts.comparison import Drift
from reconciliation_contract.core.facts.observation import Condition, SourceRef
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import (
    Incident,
    Memory,
    Past,
    Result,
    Revision,
    Rollback,
    RollbackState,
)
from reconciliation_contract.core.memory.timeline import Delivery, Failures, Moment, Stages, Witness
from reconciliation_contract.core.spec.contract import Severity
from tests.support import builders_core as core
from tests.support.virtual_time import START

KEY = ("apps", "shop")
CONTRACT = replace(core.CONTRACT, namespace="apps", name="shop")
ROOT = Path(__file__).parents[2]
HASH, OLD = "b" * 40, "a" * 40
REF = SourceRef("GitRepository", "apps", "shop")
OF_SHOP = {"exported_namespace": "apps", "name": "shop"}
OF_A_CONTRACT = {"exported_namespace", "name"}
NAMES = {
    "flux_contract_info": OF_A_CONTRACT | {"kustomization", "rollback_mode", "suspended", "valid", "followed"},
    "flux_contract_build_confinement_info": {"landlock", "seccomp"},
    "flux_contract_ready": OF_A_CONTRACT,
    "flux_contract_held": OF_A_CONTRACT,
    "flux_contract_feasible": OF_A_CONTRACT,
    "flux_contract_dependencies_ready": OF_A_CONTRACT,
    "flux_contract_rolled_back": OF_A_CONTRACT,
    "flux_contract_rollback_failed": OF_A_CONTRACT,
    "flux_contract_promise_kept": OF_A_CONTRACT | {"promise"},
    "flux_contract_stage_timestamp_seconds": OF_A_CONTRACT | {"stage"},
    "flux_contract_drifted_objects": OF_A_CONTRACT,
    "flux_contract_open_incidents": OF_A_CONTRACT | {"severity"},
    "flux_contract_stage_duration_seconds": {"stage"},
    "flux_contract_rollback_duration_seconds": set(),
    "flux_contract_recovery_duration_seconds": set(),
    "flux_contract_deliveries_total": {"result"},
    "flux_contract_rollbacks_total": {"result"},
    "flux_contract_verdicts_total": {"promise", "verdict"},
    "flux_contract_incidents_total": {"severity"},
    "flux_contract_comparisons_total": {"result"},
    "flux_contract_notifications_total": {"sink", "result"},
    "flux_contract_sink_failing_seconds": {"sink"},
    "flux_contract_events_total": {"result"},
    "flux_contract_status_writes_total": set(),
    "flux_contract_errors_total": {"kind"},
    "flux_contract_watch_misses_total": {"what"},
    "flux_contract_pass_duration_seconds": set(),
    "flux_contract_passes_total": {"result"},
    "flux_contract_needless_looks_total": {"part"},
    "flux_contract_api_requests_total": {"method", "code"},
    "flux_contract_api_request_duration_seconds": {"method"},
    "flux_contract_event_loop_lag_seconds": set(),
    "flux_contract_queue_length": set(),
    "flux_contract_queue_age_seconds": set(),
    "flux_contract_watch_age_seconds": set(),
    "flux_contract_controller_ready": {"controller"},
    "flux_contract_build_info": {"version"},
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
        built=moment(7),
        applied=moment(20),
        healthy=moment(50),
    ),
)
FAILED = replace(
    DELIVERED,
    stages=replace(DELIVERED.stages, applied=None, healthy=None),
    failures=Failures(1, after(30), after(30), "HealthCheckFailed", "x"),
)
JUDGED = tuple(
    Judgement(name, Verdict.BROKEN if name is PromiseName.ROLLBACK else Verdict.KEPT, timedelta(minutes=1), "Reason")
    for name in PromiseName
)
FULL = Memory(
    delivery=DELIVERED,
    judgements=JUDGED,
    history=(Past(f"main@sha1:{OLD}", OLD, Result.HEALTHY, after(0)),),
    drift=Drift(HASH, compared=5, drifted=2),
    incidents=(Incident("Drift", "Drift", "Drifted", Severity.WARNING, after(0), "drifted", count=1),),
)

TOLD = {name: Condition("True", "Fine") for name in ("Ready", "Feasible", "DependenciesReady")}
BROKEN = {"Ready": Condition("False", "PromiseBroken")}


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


def text(metrics: Metrics, accept: str = "") -> str:
    """A whole scrape."""
    return b"".join(metrics.scrape(accept)[1]).decode()


def samples(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All samples of our own by name and labels, as Prometheus parses them."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text(metrics))
        for sample in family.samples
        if sample.name.startswith("flux_contract_")
    }


def value(metrics: Metrics, name: str, /, **labels: str) -> float | None:
    """One sample; None where there is none."""
    return samples(metrics).get((f"flux_contract_{name}", frozenset(labels.items())))


def everything() -> Metrics:
    """Metrics of which each has a sample."""
    metrics = Metrics()
    metrics.sense(
        queue_length=lambda: 0,
        queue_age=lambda: 0,
        watch_age=lambda: None,
        controllers={"source-controller": lambda: 1},
    )
    metrics.passed(CONTRACT, Memory(), FULL, TOLD)
    metrics.passed(CONTRACT, FULL, replace(FULL, rollback=undo(RollbackState.ACTIVE, completed=True)), TOLD)
    metrics.passed(replace(CONTRACT, name="other"), Memory(), Memory(rollback=undo(RollbackState.FAILED)), TOLD)
    metrics.confined(7, seccomp=True)
    metrics.wrote()
    metrics.failed("cluster")
    metrics.notified("flux", "taken")
    metrics.sense_sink("flux", lambda: 0)
    metrics.requested("GET", "200", 0.01)
    return metrics


def test_names_and_labels_are_those_that_are_promised() -> None:
    """A name or label that is added, lost or changed is a change of the API."""
    found: dict[str, set[str]] = {}
    for name, labels in samples(everything()):
        plain = next((name.removesuffix(end) for end in ("_bucket", "_sum", "_count") if name.endswith(end)), name)
        found.setdefault(plain, set()).update(key for key, _ in labels if key != "le")

    assert found == NAMES


@pytest.mark.parametrize("state", [RollbackState.ACTIVE, RollbackState.FAILED])
def test_a_contract_costs_at_most_twenty_series(state: RollbackState) -> None:
    """With every promise judged, every stage reached and a rollback."""
    metrics = Metrics()
    metrics.passed(CONTRACT, Memory(), replace(FULL, rollback=undo(state)), TOLD)

    mine = [labels for _, labels in samples(metrics) if ("name", "shop") in labels]

    assert 10 < len(mine) <= 20


def test_nothing_is_named_by_a_commit_an_address_or_a_message() -> None:
    """Labels come from closed lists, but for namespace and name of the contract."""
    scraped = text(everything())

    assert HASH[:12] not in scraped
    assert OLD[:12] not in scraped
    assert "://" not in scraped
    assert "secret subject" not in scraped


def test_the_default_budgets_are_bounds_of_buckets() -> None:
    """A share of deliveries within budget can be read off exactly."""
    assert {30, 60, 120, 300} <= set(BUCKETS)
    assert list(BUCKETS) == sorted(BUCKETS)


@pytest.mark.parametrize(
    ("stage", "seconds"),
    [("detected", 5.0), ("attempted", 6.0), ("built", 7.0), ("applied", 20.0), ("healthy", 50.0)],
)
def test_each_stage_is_measured_from_the_commit(stage: str, seconds: float) -> None:
    """The longest possible time counts, once for each delivery."""
    metrics = everything()

    assert value(metrics, "stage_duration_seconds_count", stage=stage) == 1
    assert value(metrics, "stage_duration_seconds_sum", stage=stage) == seconds


def test_a_pass_without_news_counts_nothing_but_itself() -> None:
    """One sample for each contract, revision and promise, however often it is looked at."""
    metrics = Metrics()
    metrics.passed(CONTRACT, Memory(), FULL, TOLD)
    before = samples(metrics)

    for generation in range(5):
        with metrics.passing():
            metrics.passed(CONTRACT, FULL, replace(FULL, observed_generation=generation), TOLD)

    changed = {name for (name, labels), number in samples(metrics).items() if before[name, labels] != number}
    assert {name.rpartition("_")[0] for name in changed} == {
        "flux_contract_pass_duration_seconds",
        "flux_contract_passes",
    }


def test_an_adopted_delivery_is_not_measured() -> None:
    """What was there before the contract was has no latency."""
    metrics = Metrics()
    metrics.passed(CONTRACT, Memory(), replace(FULL, delivery=replace(DELIVERED, adopted=True)), TOLD)

    assert value(metrics, "stage_duration_seconds_count", stage="healthy") == 0


def test_a_delivery_without_a_known_push_is_not_measured() -> None:
    """No commit time, no latency."""
    stages = replace(DELIVERED.stages, committed=None, seen=None)
    metrics = Metrics()
    metrics.passed(
        CONTRACT, Memory(), replace(FULL, delivery=replace(DELIVERED, stages=stages, commit_problem="none")), TOLD
    )

    assert value(metrics, "stage_duration_seconds_count", stage="healthy") == 0


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
    metrics.passed(
        CONTRACT, replace(FULL, rollback=undo(RollbackState.INTENDED)), replace(FULL, rollback=before), TOLD
    )
    metrics.passed(CONTRACT, replace(FULL, rollback=before), replace(FULL, rollback=later), TOLD)

    counted = {
        labels: n for (name, labels), n in samples(metrics).items() if name == "flux_contract_rollbacks_total" and n
    }
    assert counted == {frozenset({("result", result)}): 1.0}


def test_the_gauges_follow_the_last_pass() -> None:
    """Ready, promises and the rollback are as the status says; an unknown promise is absent."""
    metrics = Metrics()
    unknown = Judgement(PromiseName.DETECTION, Verdict.UNKNOWN, timedelta(minutes=1), "Unmeasured")
    not_ready = replace(FULL, judgements=(unknown,))
    labels = {"exported_namespace": "apps", "name": "shop"}

    metrics.passed(CONTRACT, Memory(), FULL, TOLD)
    good = value(metrics, "ready", **labels), value(metrics, "promise_kept", promise="Rollback", **labels)
    metrics.passed(CONTRACT, FULL, replace(not_ready, rollback=undo(RollbackState.ACTIVE, completed=True)), BROKEN)

    assert good == (1.0, 0.0)
    assert value(metrics, "ready", **labels) == 0.0
    assert value(metrics, "rolled_back", **labels) == 1.0
    assert value(metrics, "promise_kept", promise="Detection", **labels) is None


def test_a_failed_rollback_is_told_for_as_long_as_it_lasts() -> None:
    """Which revision the cluster runs then is not known."""
    metrics = Metrics()
    metrics.passed(CONTRACT, Memory(), FULL, TOLD)
    before = value(metrics, "rollback_failed", **OF_SHOP)
    metrics.passed(CONTRACT, FULL, replace(FULL, rollback=undo(RollbackState.FAILED)), TOLD)
    failed = value(metrics, "rollback_failed", **OF_SHOP), value(metrics, "rolled_back", **OF_SHOP)
    metrics.passed(CONTRACT, replace(FULL, rollback=undo(RollbackState.FAILED)), FULL, TOLD)

    assert (before, failed) == (None, (1.0, None))
    assert value(metrics, "rollback_failed", **OF_SHOP) is None
    assert value(metrics, "rolled_back", **OF_SHOP) == 0.0


def test_the_last_healthy_delivery_is_known_while_one_fails() -> None:
    """The other stages are those of the delivery under way."""
    metrics = Metrics()
    metrics.passed(CONTRACT, Memory(), replace(FULL, delivery=FAILED), TOLD)

    healthy, applied = (value(metrics, "stage_timestamp_seconds", stage=s, **OF_SHOP) for s in ("healthy", "applied"))
    assert (healthy, applied) == (START.timestamp(), None)


def test_drift_that_could_not_be_compared_is_no_figure() -> None:
    """Failing to measure is not zero drifted objects."""
    metrics, labels = Metrics(), {"exported_namespace": "apps", "name": "shop"}

    metrics.passed(CONTRACT, Memory(), FULL, TOLD)
    compared = value(metrics, "drifted_objects", **labels)
    metrics.passed(CONTRACT, FULL, replace(FULL, drift=Drift(HASH, problem="no rights")), TOLD)

    assert compared == 2
    assert value(metrics, "drifted_objects", **labels) is None


def test_a_contract_that_is_gone_leaves_no_series() -> None:
    """Its gauges end; what was counted stays counted."""
    metrics = everything()

    metrics.forgot(KEY)

    assert not [labels for _, labels in samples(metrics) if ("name", "shop") in labels]
    assert value(metrics, "deliveries_total", result="Healthy") == 1


def test_hostile_names_do_not_break_the_format() -> None:
    """Whatever a name holds, the exposition can be parsed."""
    metrics = Metrics()
    metrics.passed(replace(CONTRACT, name='x"}\n{\\'), Memory(), FULL, TOLD)

    assert value(metrics, "ready", exported_namespace="apps", name='x"}\n{\\') == 1.0


def test_lines_are_those_that_the_client_library_writes() -> None:
    """What is kept for speed says the same as prometheus-client would."""

    class Slow:
        def collect(self) -> Iterator[Metric]:
            for family in FAMILIES:
                for labels, number in family.samples(CONTRACT, FULL, TOLD):
                    names = {"exported_namespace": "apps", "name": "shop", **labels}
                    found = GaugeMetricFamily(family.name, family.text, labels=[*names])
                    found.add_metric([*names.values()], number)
                    yield found

    registry = CollectorRegistry()
    registry.register(Slow())  # type: ignore[arg-type]  # its protocol is met
    metrics = Metrics()
    metrics.passed(CONTRACT, Memory(), FULL, TOLD)

    expected = {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        for sample in family.samples
    }
    of_contracts = {known: number for known, number in samples(metrics).items() if ("name", "shop") in known[1]}
    assert of_contracts == expected


def test_openmetrics_carries_the_revision_as_an_exemplar() -> None:
    """A bar of a histogram leads to a commit, at the cost of no series."""
    families = {family.name: family for family in parse_openmetrics(text(everything(), OPENMETRICS))}

    exemplars = [s.exemplar for s in families["flux_contract_stage_duration_seconds"].samples if s.exemplar]
    undone = [s.exemplar for s in families["flux_contract_rollback_duration_seconds"].samples if s.exemplar]
    assert {exemplar.labels["revision"] for exemplar in (*exemplars, *undone)} == {HASH[:12]}


def test_an_exemplar_leads_to_the_trace_of_its_delivery() -> None:
    """Under the name that Grafana looks for, within the 128 characters that OpenMetrics allows."""
    trace = ended(CONTRACT, replace(FULL, delivery=FAILED), FULL)
    families = {family.name: family for family in parse_openmetrics(text(everything(), OPENMETRICS))}

    exemplars = [
        sample.exemplar.labels
        for name in ("stage_duration_seconds", "rollback_duration_seconds")
        for sample in families[f"flux_contract_{name}"].samples
        if sample.exemplar
    ]
    assert trace is not None
    assert len(exemplars) > 1
    assert {labels["trace_id"] for labels in exemplars} == {f"{trace.identity:032x}"}
    assert all(len("".join([*labels, *labels.values()])) <= 128 for labels in exemplars)


def test_a_recovery_is_measured_once_and_at_once() -> None:
    """From the first failure to the rollback having the cluster healthy again; the next commit adds nothing."""
    metrics, recovered = Metrics(), undo(RollbackState.ACTIVE, completed=True)
    going = replace(FULL, delivery=FAILED, rollback=undo(RollbackState.SWITCHING), history=())
    back = replace(going, rollback=recovered)
    past = Past(FAILED.revision, HASH, Result.ROLLED_BACK, after(103), failed_at=after(30), recovered_at=after(103))
    fixed = replace(FULL, delivery=replace(DELIVERED, hash=OLD, started_at=after(200)), history=(past,))
    counts = [_passed(metrics, *step) for step in itertools.pairwise((going, back, fixed))]

    assert counts == [1, 1]
    assert value(metrics, "recovery_duration_seconds_sum") == 73


def test_a_recovery_by_a_fix_is_measured_when_it_is_healthy() -> None:
    """Not when the commit after it comes."""
    metrics = Metrics()
    past = Past(FAILED.revision, HASH, Result.SUPERSEDED, after(100), failed_at=after(30), broken=("Reconciliation",))
    fix = replace(DELIVERED, hash=OLD, started_at=after(100))
    coming = replace(FULL, delivery=replace(fix, stages=Stages()), history=(past,))
    counts = [_passed(metrics, *step) for step in [(coming, replace(coming, delivery=fix))]]

    assert counts == [1]
    assert value(metrics, "recovery_duration_seconds_sum") == 20


def _passed(metrics: Metrics, before: Memory, later: Memory) -> float | None:
    metrics.passed(CONTRACT, before, later, TOLD)
    return value(metrics, "recovery_duration_seconds_count")


def test_an_incident_counts_when_it_is_told() -> None:
    """Not while it may still pass by itself, and once however often it is told again."""
    waiting = Incident("Delivery", "Reconciliation", "R", Severity.CRITICAL, after(0), "late")
    told, again = replace(waiting, count=1), replace(waiting, count=2)
    metrics = Metrics()
    for earlier, later in itertools.pairwise(((), (waiting,), (told,), (again,))):
        metrics.passed(CONTRACT, replace(FULL, incidents=earlier), replace(FULL, incidents=later), TOLD)

    assert value(metrics, "incidents_total", severity="Critical") == 1
    assert value(metrics, "open_incidents", severity="Critical", **OF_SHOP) == 1


def test_open_incidents_are_one_series_of_the_loudest_severity() -> None:
    """So that an alert can be routed by it; while there is none, there is none to name."""
    quiet, loud = (Incident(s, s, "R", s, after(0), "x", count=1) for s in (Severity.INFO, Severity.CRITICAL))
    metrics, found = Metrics(), []
    for incidents in ((), (quiet,), (loud, quiet), (replace(loud, closed_at=after(1)), quiet)):
        metrics.passed(CONTRACT, Memory(), replace(FULL, incidents=incidents), TOLD)
        found.append({k: v for k, v in samples(metrics).items() if k[0] == "flux_contract_open_incidents"})

    assert [[dict(labels).get("severity") for _, labels in of_pass] for of_pass in found] == [
        [None], ["Info"], ["Critical"], ["Info"]
    ]  # fmt: skip
    assert [[*of_pass.values()] for of_pass in found] == [[0.0], [1.0], [2.0], [1.0]]


@pytest.mark.parametrize(
    ("ready", "followed"),
    [
        (Condition("False", "KustomizationNotFound"), "false"),
        (Condition("False", "InvalidSpec"), "false"),
        (Condition("False", "SourceNotReady"), "false"),
        (Condition("Unknown", "SourceNotReady"), "true"),
        (Condition("False", "PromiseBroken"), "true"),
        (Condition("False", "RollingBack"), "true"),
        (Condition("Unknown", "Suspended"), "true"),
    ],
)
def test_a_contract_without_anything_to_follow_says_so(ready: Condition, followed: str) -> None:
    """Not to be Ready because of what was delivered is another matter."""
    metrics = Metrics()
    metrics.passed(CONTRACT, Memory(), FULL, {"Ready": ready})

    (labels,) = [dict(labels) for name, labels in samples(metrics) if name == "flux_contract_info"]
    assert labels["followed"] == followed


def test_the_page_lists_every_metric_with_its_labels() -> None:
    """docs/metrics.md is what people build on."""
    rows = re.findall(
        r"^\| `(flux_contract_\w+)` \| \w+ \| ([^|]*)\|", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE
    )

    assert {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in rows} == NAMES
