"""Traces as a collector receives them: by OTLP over HTTP, decoded again."""

from __future__ import annotations

import time

import pytest

from reconciliation_contract.adapters.telemetry.otlp import Traces
from reconciliation_contract.cli.operator import followed
from reconciliation_contract.core.delivery.trace import ended
from reconciliation_contract.core.values.timing import TIMING
from tests.core.test_trace import APPLIED, HEALTHY, UNDONE, memory
from tests.support import builders_core as core
from tests.support.collector import collecting
from tests.support.virtual_time_port import free_port

pytestmark = pytest.mark.slow


async def test_a_delivery_arrives_as_one_trace() -> None:
    """Identities, times and parentage are those of the core."""
    expected = ended(core.CONTRACT, memory(APPLIED), memory(HEALTHY))
    assert expected is not None
    with collecting() as collector:
        async with followed(collector.url, TIMING) as follow:
            follow(core.CONTRACT, memory(APPLIED), memory(HEALTHY))
            follow(core.CONTRACT, memory(HEALTHY), memory(HEALTHY))
        spans = {span.name: span for span in collector.spans()}

    root = spans["delivery"]
    assert {span.trace_id for span in spans.values()} == {expected.identity.to_bytes(16)}
    assert root.span_id == expected.root.identity.to_bytes(8)
    assert root.parent_span_id == b""
    assert {span.parent_span_id for name, span in spans.items() if name != "delivery"} == {root.span_id}
    for child in (expected.root, *expected.children):
        assert spans[child.name].start_time_unix_nano == round(child.start.timestamp() * 1e9)
        assert spans[child.name].end_time_unix_nano == round(child.end.timestamp() * 1e9)
    attributes = {pair.key: pair.value.string_value for pair in root.attributes}
    assert attributes["reconciliation.contract"] == core.CONTRACT.name
    assert attributes["reconciliation.result"] == "Healthy"


async def test_a_rolled_back_delivery_is_an_error() -> None:
    """So that a search for failed traces finds it."""
    with collecting() as collector:
        async with followed(collector.url, TIMING) as follow:
            follow(core.CONTRACT, memory(APPLIED), memory(APPLIED, rollback=UNDONE))
        spans = {span.name: span for span in collector.spans()}

    assert spans["delivery"].status.message == "RolledBack"
    assert "roll back" in spans


def test_a_dead_collector_holds_up_nobody() -> None:
    """Nothing listens: a pass hands over its trace at once, and the queue is bounded."""
    traces = Traces(f"http://127.0.0.1:{free_port()}")
    began = time.monotonic()
    for _ in range(1000):
        traces.follow(core.CONTRACT, memory(APPLIED), memory(HEALTHY))
    passed = time.monotonic() - began
    traces.close()

    assert passed < 30


async def test_without_an_endpoint_nothing_is_sent() -> None:
    """Off unless asked for; the package is not even imported."""
    async with followed("", TIMING) as follow:
        follow(core.CONTRACT, memory(APPLIED), memory(HEALTHY))
