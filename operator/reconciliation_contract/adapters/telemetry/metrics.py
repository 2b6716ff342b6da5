"""What Prometheus sees. Names and labels are API; see docs/metrics.md.

Conventions: base units, ``_total`` for counters. The namespace of a contract is in ``exported_namespace``, since
``namespace`` is the operator's own when a PodMonitor scrapes it. No commit, URL or message is ever a label; a commit
may be an exemplar with its trace, which is no series. Counters and histograms are fed at transitions and begin at 0
with each start; what is per contract is kept as written lines, see `row`.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from datetime import timedelta
from importlib.metadata import version
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, disable_created_metrics

from reconciliation_contract.adapters.telemetry.contract_series import Conditions, Row, write_row
from reconciliation_contract.adapters.telemetry.exposition import expose
from reconciliation_contract.core.delivery.outcome import results, so_far
from reconciliation_contract.core.delivery.statistics import recoveries
from reconciliation_contract.core.delivery.trace import identity
from reconciliation_contract.core.facts.comparison import Drift
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Result, RollbackState
from reconciliation_contract.core.memory.timeline import MEASURED_STAGES, Delivery, Span, origin
from reconciliation_contract.core.spec.contract import Declared, Severity

Key = tuple[str, str]
Sense = Callable[[], float | None]
"""A value that is asked for at each scrape; None where it is not known."""

BUCKETS: Final = (1, 2.5, 5, 10, 20, 30, 45, 60, 90, 120, 180, 240, 300, 450, 600, 900, 1800, 3600)
"""Seconds; the default budgets 30, 60, 120 and 300 are among them."""
_QUICK: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
"""Seconds; the operator's own work."""
_ROLLBACKS: Final = ("completed", "released", "failed", "cancelled")
_COMPARISONS: Final = ("in_sync", "drifted", "unknown")
_MESSAGES: Final = ("taken", "failed", "refused", "dropped")
_EVENTS: Final = ("told", "failed", "dropped")
_ERRORS: Final = ("cluster", "bug")
_MISSES: Final = ("deleted", "lost", "stuck")
_PASSES: Final = ("changed", "unchanged")
_PARTS: Final = ("rollback", "incident", "last good", "promise", "comparison", "pass")
_SECOND: Final = timedelta(seconds=1)
_CANCELLED: Final = (RollbackState.PROPOSED, RollbackState.INTENDED, RollbackState.SWITCHING)


class Metrics:
    """All metrics of the operator, in a registry of its own."""

    def __init__(self) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # one more series for each counter, which tells nothing here
        self.registry = CollectorRegistry()
        self._rows: dict[Key, Row] = {}
        self._said: dict[Key, tuple[tuple[str, str, str], ...]] = {}
        self._stages = self._histogram(
            "stage_duration_seconds", "Time from the commit to a stage of its delivery.", {"stage": MEASURED_STAGES}
        )
        self._deliveries = self._counter("deliveries", "Deliveries that ended, by how.", {"result": Result})
        self._rollbacks = self._counter("rollbacks", "Rollbacks that ended, by how.", {"result": _ROLLBACKS})
        self._undone = self._histogram(
            "rollback_duration_seconds",
            "Time from the decision to roll back to the last good revision being Ready again.",
        )
        self._recovery = self._histogram(
            "recovery_duration_seconds", "Time from a delivery's first failure to the cluster being healthy again."
        )
        self._verdicts = self._counter(
            "verdicts", "Verdicts concluded.", {"promise": PromiseName, "verdict": Verdict}
        )
        self._incidents = self._counter("incidents", "Incidents that were told.", {"severity": Severity})
        self._comparisons = self._counter(
            "comparisons", "Comparisons of a cluster with Git, by what they found.", {"result": _COMPARISONS}
        )
        self._notifications = self._counter(
            "notifications", "Messages to sinks, by outcome.", {"sink": (), "result": ()}
        )
        self._failing = self._gauge(
            "sink_failing_seconds", "How long a sink has not taken messages; 0 while it does.", ("sink",)
        )
        self._events = self._counter("events", "Kubernetes Events, by what became of them.", {"result": _EVENTS})
        self._writes = self._counter("status_writes", "Writes of a contract's status.")
        self._errors = self._counter("errors", "Passes that failed, by whose fault.", {"kind": _ERRORS})
        self._missed = self._counter(
            "watch_misses", "What a watch did not tell of, mended by the sweep.", {"what": _MISSES}
        )
        self._passes = self._histogram("pass_duration_seconds", "Looks at a contract.", buckets=_QUICK)
        self._looks = self._counter("passes", "Looks at a contract that did not fail.", {"result": _PASSES})
        self._needless = self._counter(
            "needless_looks",
            "Looks that were asked for in the past, or again and again without a pause, by which part of a pass.",
            {"part": _PARTS},
        )
        self._requests = self._histogram(
            "api_request_duration_seconds", "Requests to the API server.", {"method": ()}, buckets=_QUICK
        )
        self._answers = self._counter(
            "api_requests",
            "Requests to the API server, by the HTTP status of the answer.",
            {"method": (), "code": ()},
        )
        self._lag = self._histogram(
            "event_loop_lag_seconds", "How late the event loop is, looked at each second.", buckets=_QUICK
        )
        self._confinement = self._gauge(
            "build_confinement_info",
            "How the kernel confines builds of manifests: Landlock's version, 0 without it, and seccomp; always 1.",
            ("landlock", "seccomp"),
        )
        self._gauge("build_info", "The operator's version; always 1.", ("version",)).labels(
            version("reconciliation-contract")
        ).set(1)
        ProcessCollector(registry=self.registry)

    def _counter(self, name: str, text: str, labels: dict[str, Iterable[str]] | None = None) -> Counter:
        found = Counter(f"flux_contract_{name}_total", text, tuple(labels or ()), registry=self.registry)
        for values in _combinations([*(labels or {}).values()]):
            found.labels(*values)  # from 0 on: what appears at 1 has no increase
        return found

    def _histogram(
        self,
        name: str,
        text: str,
        labels: dict[str, Iterable[str]] | None = None,
        *,
        buckets: Iterable[float] = BUCKETS,
    ) -> Histogram:
        found = Histogram(
            f"flux_contract_{name}", text, tuple(labels or ()), buckets=tuple(buckets), registry=self.registry
        )
        for values in _combinations([*(labels or {}).values()]):
            found.labels(*values)
        return found

    def _gauge(self, name: str, text: str, labels: tuple[str, ...] = ()) -> Gauge:
        return Gauge(f"flux_contract_{name}", text, labels, registry=self.registry)

    # Feeding ----------------------------------------------------------------------------------------------------

    def confined(self, landlock: int, seccomp: bool) -> None:
        """Take how builds are confined; there is one answer at a time."""
        self._confinement.clear()
        self._confinement.labels(str(landlock), str(seccomp).lower()).set(1)

    def wrote(self) -> None:
        """Count a write of a status."""
        self._writes.inc()

    def compared(self, found: Drift) -> None:
        """Count a comparison."""
        result = "unknown" if found.problem else "drifted" if found.drifted else "in_sync"
        self._comparisons.labels(result).inc()

    def failed(self, kind: str) -> None:
        """Count a pass that failed: ``cluster`` or ``bug``."""
        self._errors.labels(kind).inc()

    def missed(self, what: str) -> None:
        """Count what a watch missed: an object ``deleted``, one ``lost`` that exists; or a ``stuck`` watch."""
        self._missed.labels(what).inc()

    def notified(self, sink: str, result: str) -> None:
        """Count a message to a sink: ``taken``, ``failed`` (it is tried again), ``refused`` or ``dropped``."""
        self._notifications.labels(sink, result).inc()

    def told(self, result: str) -> None:
        """Count a Kubernetes Event: ``told``, ``failed``, or ``dropped`` where too many were under way."""
        self._events.labels(result).inc()

    def passing(self) -> AbstractContextManager[object]:
        """Time a pass, whether or not it fails."""
        return self._passes.time()

    def needless(self, part: str) -> None:
        """Count a look that nothing was to come of, by the part of a pass that asked for it."""
        self._needless.labels(part).inc()

    def requested(self, method: str, code: str, seconds: float) -> None:
        """Count a request to the API server; ``code`` is ``none`` where there was no answer."""
        self._answers.labels(method, code).inc()
        self._requests.labels(method).observe(seconds)

    def lagged(self, seconds: float) -> None:
        """Take how late the event loop was."""
        self._lag.observe(seconds)

    def forgot(self, key: Key) -> None:
        """Drop the lines of a contract that is gone."""
        self._rows.pop(key, None)
        self._said.pop(key, None)

    def passed(self, contract: Declared, before: Memory, after: Memory, told: Conditions) -> None:
        """Take note of what a pass changed and what people are told, once it is written."""
        key = contract.namespace, contract.name
        self._looks.labels("unchanged" if before == after else "changed").inc()
        said = tuple((name, each.status, each.reason) for name, each in told.items())
        if before != after or self._said.get(key) != said:
            self._rows[key] = write_row(contract, after, told)
            self._said[key] = said
        if before != after:
            self._note_delivery(contract.uid, before, after)
            self._note_rollback(contract.uid, before, after)
            self._note_incidents(before, after)

    def _note_delivery(self, uid: str, before: Memory, after: Memory) -> None:
        for result in results(before, after):
            self._deliveries.labels(result.value).inc()
        known_recoveries = recoveries(so_far(before))
        for failed_at, duration in recoveries(so_far(after)).items():
            if failed_at not in known_recoveries:
                self._recovery.observe(duration / _SECOND)
        same = before.delivery and after.delivery and before.delivery.hash == after.delivery.hash
        for judgement in after.judgements:
            known = before.judgement(judgement.promise) if same else None
            if judgement.concluded and not (known and known.concluded):
                self._verdicts.labels(judgement.promise.value, judgement.verdict.value).inc()
        if after.delivery is None or after.delivery.adopted:
            return
        start = origin(after.delivery)
        for name in MEASURED_STAGES if start else ():
            stage = getattr(after.delivery.stages, name)
            known_start = origin(before.delivery) if same and before.delivery else None
            had = known_start and before.delivery and getattr(before.delivery.stages, name)
            if stage and start and not had and after.delivery.reached(stage):
                longest = Span.between(start, stage).longest / _SECOND
                self._stages.labels(name).observe(longest, _exemplar(uid, after.delivery.hash, after.delivery))

    def _note_rollback(self, uid: str, before: Memory, after: Memory) -> None:
        old, new = before.rollback, after.rollback
        state = new.state if new else None
        if state is (old.state if old else None):
            return
        if new and new.state is RollbackState.ACTIVE and new.completed_at:
            self._rollbacks.labels("completed").inc()
            exemplar = _exemplar(uid, new.bad.hash, after.delivery)
            self._undone.observe((new.completed_at - new.started_at) / _SECOND, exemplar)
        elif state is RollbackState.FAILED:
            self._rollbacks.labels("failed").inc()
        elif old and state is None:
            self._rollbacks.labels("cancelled" if old.state in _CANCELLED else "released").inc()

    def _note_incidents(self, before: Memory, after: Memory) -> None:
        told = {(incident.key, incident.opened_at) for incident in before.incidents if incident.count}
        for incident in after.incidents:
            if incident.count and (incident.key, incident.opened_at) not in told:
                self._incidents.labels(incident.severity.value).inc()

    # Scraping ---------------------------------------------------------------------------------------------------

    def sense(
        self, *, queue_length: Sense, queue_age: Sense, watch_age: Sense, controllers: dict[str, Sense]
    ) -> None:
        """Ask for how the operator stands at each scrape."""
        self._gauge("queue_length", "Contracts that are due to be looked at.").set_function(_number(queue_length))
        self._gauge("queue_age_seconds", "How long the first of them has been due.").set_function(_number(queue_age))
        self._gauge(
            "watch_age_seconds", "Since the watches were last seen to be alive, or since the start."
        ).set_function(_number(watch_age))
        ready = self._gauge("controller_ready", "Whether a controller of Flux works.", ("controller",))
        for name, sense in controllers.items():
            ready.labels(name).set_function(_number(sense))

    def sense_sink(self, sink: str, failing: Sense) -> None:
        """Ask at each scrape for how long a sink has not taken messages; count what becomes of them from 0 on."""
        self._failing.labels(sink).set_function(_number(failing))
        for result in _MESSAGES:
            self._notifications.labels(sink, result)

    def scrape(self, accept: str) -> tuple[str, Iterator[bytes]]:
        """Return content type and body, in slices, as everything stands now."""
        return expose(self.registry, [*self._rows.values()], accept)


def _exemplar(uid: str, commit: str, delivery: Delivery | None) -> dict[str, str]:
    """What a bar of a histogram leads to: the commit, and the trace of its delivery, where traces are sent."""
    labels = {"revision": commit[:12]}
    if delivery and delivery.hash == commit and not delivery.adopted:
        labels["trace_id"] = f"{identity(uid, delivery):032x}"
    return labels


def _number(sense: Sense) -> Callable[[], float]:
    def number() -> float:
        value = sense()
        return math.nan if value is None else value

    return number


def _combinations(values: list[Iterable[str]]) -> Iterator[tuple[str, ...]]:
    """All label sets of closed lists; none where there are no labels, or a list is open."""
    return (chosen for chosen in itertools.product(*values) if chosen)
