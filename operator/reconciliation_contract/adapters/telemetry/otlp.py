"""Traces to an OpenTelemetry collector, by OTLP over HTTP; needs the extra ``tracing``.

Spans wait in a bounded queue and are sent by a thread of the SDK's, which gives up on a collector that does not take
them: no pass ever waits. Headers and certificates come from OpenTelemetry's own environment variables.
"""

from __future__ import annotations

from datetime import datetime
from importlib.metadata import version
from typing import Final

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanLimits, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.id_generator import IdGenerator
from opentelemetry.sdk.trace.sampling import ALWAYS_ON
from opentelemetry.trace import Span as OpenSpan
from opentelemetry.trace import Status, StatusCode, Tracer, set_span_in_context

from reconciliation_contract.core.delivery.trace import Span, Trace, ended
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.text import cleaned
from reconciliation_contract.core.values.timing import TIMING, Timing

_SERVICE: Final = "reconciliation-contract"
_LONGEST: Final = 256
"""Characters of an attribute."""


class _Given(IdGenerator):
    """Identities that are set before each span, since ours follow from what is traced."""

    trace = 1
    span = 1

    def generate_trace_id(self) -> int:
        return self.trace

    def generate_span_id(self) -> int:
        return self.span


class Traces:
    """Sends the trace of each delivery once it has ended."""

    def __init__(self, endpoint: str, timing: Timing = TIMING) -> None:
        self._limit = timing.traces_limit.total_seconds()
        self._given = _Given()
        exporter = OTLPSpanExporter(f"{endpoint.rstrip('/')}/v1/traces", timeout=self._limit)
        resource = Resource.create({"service.name": _SERVICE, "service.version": version(_SERVICE)})
        self._provider = TracerProvider(
            sampler=ALWAYS_ON,
            resource=resource,
            id_generator=self._given,
            span_limits=SpanLimits(max_span_attribute_length=_LONGEST),
            shutdown_on_exit=False,
        )
        self._provider.add_span_processor(BatchSpanProcessor(exporter))
        self._tracer: Tracer = self._provider.get_tracer(_SERVICE)

    def follow(self, contract: Contract, before: Memory, after: Memory) -> None:
        """Send a trace if a delivery ended with this pass; without waiting."""
        trace = ended(contract, before, after)
        if trace is not None:
            self._send(trace)

    def close(self) -> None:
        """Send what waits, for some seconds at most; blocks meanwhile."""
        self._provider.force_flush(int(self._limit * 1000))
        self._provider.shutdown()

    def _send(self, trace: Trace) -> None:
        self._given.trace = trace.identity
        root = self._begin(trace.root, None)
        for span in trace.children:
            self._begin(span, root).end(_nanoseconds(span.end))
        root.end(_nanoseconds(trace.root.end))

    def _begin(self, span: Span, parent: OpenSpan | None) -> OpenSpan:
        self._given.span = span.identity
        context = set_span_in_context(parent) if parent else None
        attributes = {key: cleaned(value, _LONGEST) for key, value in span.attributes.items()}
        begun = self._tracer.start_span(
            span.name, context, attributes=attributes, start_time=_nanoseconds(span.start)
        )
        begun.set_status(Status(StatusCode.ERROR, span.problem) if span.problem else Status(StatusCode.OK))
        return begun


def _nanoseconds(moment: datetime) -> int:
    return round(moment.timestamp() * 1_000_000) * 1000
