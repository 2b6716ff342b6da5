"""Traces of the operator in the cluster: one for each delivery, whatever becomes of the operator meanwhile."""

from __future__ import annotations

import queue
from collections.abc import Iterator
from datetime import datetime

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from reconciliation_contract.api.duration import parse_duration
from tests.support.collector import Collector, collecting
from tests.support.flux_objects import Workspace, deployment
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e

STAGES = {"detect": "detected", "start": "attempted", "apply": "applied", "check health": "healthy"}
"""The stage at which a span ends."""


def received(collector: Collector) -> Iterator[Span]:
    """Whatever was sent so far."""
    while not collector.received.empty():
        yield from collector.spans()


def nanoseconds(stamp: str) -> int:
    """A time of the status, as a trace has it."""
    return round(datetime.fromisoformat(stamp).timestamp() * 1000) * 1_000_000


def test_a_delivery_is_one_trace_though_the_operator_is_killed(
    workspace: Workspace, start_operator: StartOperator
) -> None:
    """Killed while it is under way and started again after it: the times are those of the status, and sent once."""
    with collecting() as collector:
        operator = start_operator(f"--otlp-endpoint={collector.url}")
        repository = workspace.repository("shop")
        first = repository.commit({"deploy/web.yaml": deployment("1")}, "First")
        workspace.follow("shop", repository)
        workspace.wait_good("shop", first)

        second = repository.commit({"deploy/web.yaml": deployment("2")}, "Second")
        workspace.wait("shop", lambda s: second in s["delivery"]["revision"], "its detection")
        operator.kill()
        operator.start()
        status = workspace.wait_good("shop", second)
        operator.stop()  # which sends what waits
        operator.start()
        third = repository.commit({"deploy/web.yaml": deployment("3")}, "Third")
        workspace.wait_good("shop", third)
        operator.stop()

        spans = list(received(collector))
        with pytest.raises(queue.Empty):
            collector.received.get_nowait()

    roots = {
        next(pair.value.string_value for pair in span.attributes if pair.key == "vcs.ref.head.revision"): span
        for span in spans
        if span.name == "delivery"
    }
    assert roots.keys() >= {second, third}
    mine = [span for span in spans if span.trace_id == roots[second].trace_id]
    assert sorted(span.name for span in mine) == sorted(["delivery", *STAGES])
    stages = status["delivery"]["stages"]
    for span in mine:
        stage = STAGES.get(span.name, "healthy")
        assert abs(span.end_time_unix_nano - nanoseconds(stages[stage]["at"])) <= 1_000_000, span.name
    whole = roots[second].end_time_unix_nano - roots[second].start_time_unix_nano
    assert whole / 1e9 == pytest.approx(parse_duration(stages["healthy"]["elapsed"]).total_seconds(), abs=0.01)
    assert len(spans) == len({(span.trace_id, span.span_id) for span in spans})
