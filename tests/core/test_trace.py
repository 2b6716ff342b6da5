"""A delivery as a trace: exported at its end, with the same identity whoever looks."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciliation_contract.core.delivery.trace import ended
from reconciliation_contract.core.memory.memory import Memory, Past, Result, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery, Stages
from tests.support import builders_core as core
from tests.support.builders import at, revision, sha

UNDER_WAY = core.delivery(stages=Stages(seen=core.moment(2), committed=core.moment(0), detected=core.moment(5)))
APPLIED = replace(UNDER_WAY, stages=replace(UNDER_WAY.stages, attempted=core.moment(6), applied=core.moment(20)))
HEALTHY = replace(APPLIED, stages=replace(APPLIED.stages, healthy=core.moment(50)))
UNDONE = core.rollback(RollbackState.ACTIVE, started_at=at(60), completed_at=at(63))
OVERTAKEN = Past(revision("B"), sha("B"), Result.SUPERSEDED, at(40))


def memory(delivery: Delivery | None, **changes: object) -> Memory:
    """What is known at some moment."""
    return replace(Memory(delivery=delivery), **changes)  # type: ignore[arg-type]  # a builder


def test_a_healthy_delivery_is_a_trace_of_its_stages() -> None:
    """Each stretch begins where the one before it ended, the first at the earliest time of the push."""
    trace = ended(core.CONTRACT, memory(APPLIED), memory(HEALTHY))

    assert trace is not None
    stretches = [(span.name, span.start, span.end) for span in trace.children]
    assert (trace.root.start, trace.root.end, trace.root.problem) == (at(0), at(50), "")
    assert stretches == [
        ("detect", at(0), at(5)),
        ("start", at(5), at(6)),
        ("apply", at(6), at(20)),
        ("check health", at(20), at(50)),
    ]
    assert trace.root.attributes["vcs.ref.head.revision"] == sha("B")


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(memory(None), memory(APPLIED), id="begun"),
        pytest.param(memory(UNDER_WAY), memory(APPLIED), id="under way"),
        pytest.param(memory(HEALTHY), memory(HEALTHY), id="healthy already"),
        pytest.param(memory(HEALTHY), memory(core.delivery("C"), history=(OVERTAKEN,)), id="overtaken afterwards"),
        pytest.param(memory(APPLIED), memory(replace(HEALTHY, adopted=True)), id="adopted"),
    ],
)
def test_a_trace_is_sent_only_at_the_end(before: Memory, after: Memory) -> None:
    """Once, and not for what was there before the contract."""
    assert ended(core.CONTRACT, before, after) is None


def test_a_rollback_is_a_part_of_the_trace() -> None:
    """It counts as failed, and says what it went back to."""
    trace = ended(core.CONTRACT, memory(APPLIED), memory(APPLIED, rollback=UNDONE))

    assert trace is not None
    back = trace.children[-1]
    assert (trace.root.problem, trace.root.end) == ("RolledBack", at(63))
    assert (back.name, back.start, back.end) == ("roll back", at(60), at(63))
    assert back.attributes["reconciliation.rollback.to"] == revision("A")


def test_an_overtaken_delivery_ends_with_the_next() -> None:
    """What it reached is told."""
    trace = ended(core.CONTRACT, memory(UNDER_WAY), memory(core.delivery("C"), history=(OVERTAKEN,)))

    assert trace is not None
    assert (trace.root.problem, trace.root.end) == ("Superseded", at(40))
    assert [span.name for span in trace.children] == ["detect"]


def test_identities_are_stable_and_differ_by_delivery() -> None:
    """A restart exports the same trace; A, B, A again are three."""
    first = ended(core.CONTRACT, memory(APPLIED), memory(HEALTHY))
    restarted = ended(core.CONTRACT, memory(None), memory(HEALTHY))
    again = ended(core.CONTRACT, memory(None), memory(replace(HEALTHY, started_at=at(1000))))
    other = ended(replace(core.CONTRACT, uid="another"), memory(None), memory(HEALTHY))

    assert first == restarted
    traces = [first, again, other]
    assert len({trace.identity for trace in traces if trace}) == 3
    spans = [span.identity for trace in traces if trace for span in (trace.root, *trace.children)]
    assert len(set(spans)) == len(spans)
