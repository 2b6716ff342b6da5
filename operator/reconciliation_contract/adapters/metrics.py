"""What Prometheus sees. Names and labels are API; see docs/metrics.md.

Conventions: base units, ``_total`` for counters. The namespace of a contract is in ``exported_namespace``, since
``namespace`` is the operator's own when a ServiceMonitor scrapes it. No commit, URL or message is ever a label.
Counters and histograms are fed at transitions; what is per contract is kept as a small row and written out at a
scrape.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from reconciliation_contract.core.memory import Memory, RollbackState
from reconciliation_contract.core.promises import Verdict
from reconciliation_contract.core.timeline import Span, origin

Key = tuple[str, str]

BUCKETS: Final = (1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1800, 3600)
"""Seconds; the default budgets 30, 60, 120 and 300 are among them."""
_STAGES: Final = ("detected", "attempted", "applied", "healthy")
_CONTRACT: Final = ("exported_namespace", "name")
_KEPT: Final = {Verdict.KEPT: 1.0, Verdict.BROKEN: 0.0}


@dataclass
class _Row:
    """What a scrape says of one contract."""

    ready: float = 0.0
    promises: dict[str, float] = field(default_factory=dict)
    stamps: dict[str, float] = field(default_factory=dict)
    rolled_back: float = 0.0


class Metrics(Collector):
    """All metrics of the operator, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._rows: dict[Key, _Row] = {}
        self._stages = Histogram(
            "flux_contract_stage_duration_seconds",
            "Time from the commit to a stage of its delivery.",
            ("stage",),
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._deliveries = self._counter("deliveries", "Deliveries that ended, by how.", ("result",))
        self._rollbacks = self._counter("rollbacks", "Rollbacks that ended, by how.", ("result",))
        self._undone = Histogram(
            "flux_contract_rollback_duration_seconds",
            "Time from the decision to roll back to the last good revision being Ready again.",
            buckets=BUCKETS,
            registry=self.registry,
        )
        self._verdicts = self._counter("verdicts", "Verdicts concluded.", ("promise", "verdict"))
        self._passes = self._counter("passes", "Looks at a contract.")
        self._writes = self._counter("status_writes", "Writes of a contract's status.")
        self._errors = self._counter("errors", "Passes that failed, by whose fault.", ("kind",))
        self.registry.register(self)

    def _counter(self, name: str, text: str, labels: Iterable[str] = ()) -> Counter:
        return Counter(f"flux_contract_{name}_total", text, tuple(labels), registry=self.registry)

    # Feeding ----------------------------------------------------------------------------------------------------

    def wrote(self) -> None:
        """Count a write of a status."""
        self._writes.inc()

    def failed(self, kind: str) -> None:
        """Count a pass that failed: ``cluster`` or ``bug``."""
        self._errors.labels(kind).inc()

    def forgot(self, key: Key) -> None:
        """Drop the row of a contract that is gone."""
        self._rows.pop(key, None)

    def passed(self, key: Key, before: Memory, after: Memory) -> None:
        """Take note of what a pass changed, once it is written."""
        self._passes.inc()
        self._rows[key] = _row(after)
        if before != after:
            self._note_delivery(before, after)
            self._note_rollback(before, after)

    def _note_delivery(self, before: Memory, after: Memory) -> None:
        if len(after.history) and after.history[:1] != before.history[:1]:
            self._deliveries.labels(after.history[0].result.value).inc()
        same = before.delivery and after.delivery and before.delivery.hash == after.delivery.hash
        for judgement in after.judgements:
            known = before.judgement(judgement.promise) if same else None
            if judgement.concluded and not (known and known.concluded):
                self._verdicts.labels(judgement.promise.value, judgement.verdict.value).inc()
        if after.delivery is None or after.delivery.adopted:
            return
        start = origin(after.delivery)
        for name in _STAGES if start else ():
            stage = getattr(after.delivery.stages, name)
            known_start = origin(before.delivery) if same and before.delivery else None
            had = known_start and before.delivery and getattr(before.delivery.stages, name)
            if stage and start and not had:
                self._stages.labels(name).observe(Span.between(start, stage).longest / timedelta(seconds=1))

    def _note_rollback(self, before: Memory, after: Memory) -> None:
        old, new = before.rollback, after.rollback
        state = new.state if new else None
        if state is (old.state if old else None):
            return
        if new and new.state is RollbackState.ACTIVE and new.completed_at:
            self._rollbacks.labels("completed").inc()
            self._undone.observe((new.completed_at - new.started_at) / timedelta(seconds=1))
        elif state is RollbackState.FAILED:
            self._rollbacks.labels("failed").inc()
        elif old and state is None:
            cancelled = old.state in (RollbackState.PROPOSED, RollbackState.INTENDED, RollbackState.SWITCHING)
            self._rollbacks.labels("cancelled" if cancelled else "released").inc()

    # Scraping ---------------------------------------------------------------------------------------------------

    def collect(self) -> Iterator[Metric]:
        """Write out the rows."""
        ready = GaugeMetricFamily("flux_contract_ready", "Whether the contract is Ready.", labels=_CONTRACT)
        kept = GaugeMetricFamily(
            "flux_contract_promise_kept",
            "Whether the promise was kept at the last delivery (absent while unknown).",
            labels=(*_CONTRACT, "promise"),
        )
        stamps = GaugeMetricFamily(
            "flux_contract_stage_timestamp_seconds",
            "When the last delivery reached a stage.",
            labels=(*_CONTRACT, "stage"),
        )
        undone = GaugeMetricFamily("flux_contract_rolled_back", "Whether a rollback is in force.", labels=_CONTRACT)
        for key, row in self._rows.items():
            ready.add_metric(key, row.ready)
            undone.add_metric(key, row.rolled_back)
            for promise, value in row.promises.items():
                kept.add_metric((*key, promise), value)
            for stage, value in row.stamps.items():
                stamps.add_metric((*key, stage), value)
        yield from (ready, kept, stamps, undone)


def _row(memory: Memory) -> _Row:
    ready = memory.conditions.get("Ready")
    delivery = memory.delivery
    stages: Mapping[str, float] = {}
    if delivery:
        known = ((name, getattr(delivery.stages, name)) for name in ("committed", *_STAGES))
        stages = {name: stage.at.timestamp() for name, stage in known if stage}
    return _Row(
        ready=1.0 if ready and ready.status == "True" else 0.0,
        promises={j.promise.value: _KEPT[j.verdict] for j in memory.judgements if j.verdict in _KEPT},
        stamps=dict(stages),
        rolled_back=1.0 if memory.rollback and memory.rollback.state is RollbackState.ACTIVE else 0.0,
    )
