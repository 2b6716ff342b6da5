"""How deliveries end, counted at the moment and each end once."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise

import pytest

from reconciliation_contract.core.delivery.outcome import last_healthy, result, results
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Past, Result, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery, Stages
from tests.support import builders_core as core
from tests.support.builders import at, revision, sha

APPLIED = core.delivery(stages=Stages(detected=core.moment(5), applied=core.moment(20)))
HEALTHY = replace(APPLIED, stages=replace(APPLIED.stages, healthy=core.moment(50)))
NEXT = replace(core.delivery("C"), started_at=at(100))
SWITCHING = core.rollback(RollbackState.SWITCHING, started_at=at(60))
BACK = core.rollback(RollbackState.ACTIVE, started_at=at(60), completed_at=at(63))
RELEASING = replace(BACK, state=RollbackState.RELEASING)
JUDGED = Judgement(PromiseName.ROLLBACK, Verdict.KEPT, timedelta(minutes=2), "WithinBudget")


def memory(delivery: Delivery | None, **changes: object) -> Memory:
    """What is known at some moment."""
    return replace(Memory(delivery=delivery), **changes)  # type: ignore[arg-type]  # a builder


def past(how: Result) -> tuple[Past, ...]:
    """A history with one delivery."""
    return (Past(revision("B"), sha("B"), how, at(90)),)


@pytest.mark.parametrize(
    ("story", "ends"),
    [
        pytest.param([memory(APPLIED), memory(HEALTHY)], ["Healthy"], id="healthy: at once"),
        pytest.param(
            [memory(HEALTHY), memory(NEXT, history=past(Result.HEALTHY))], [], id="the next commit: no second time"
        ),
        pytest.param(
            [memory(APPLIED), memory(NEXT, history=past(Result.SUPERSEDED))], ["Superseded"], id="overtaken"
        ),
        pytest.param(
            [memory(APPLIED), memory(NEXT, history=past(Result.HEALTHY))],
            ["Healthy"],
            id="healthy and overtaken at once",
        ),
        pytest.param(
            [
                memory(APPLIED),
                memory(APPLIED, rollback=SWITCHING),
                memory(APPLIED, rollback=BACK),
                memory(APPLIED, rollback=RELEASING),
                memory(NEXT, history=past(Result.ROLLED_BACK), bad=(sha("B"),)),
            ],
            ["RolledBack"],
            id="rolled back: when it is complete, and never again",
        ),
        pytest.param(
            [memory(HEALTHY), memory(HEALTHY, rollback=SWITCHING), memory(HEALTHY, rollback=BACK)],
            ["RolledBack"],
            id="healthy first, rolled back later: a failure after all",
        ),
        pytest.param(
            [
                memory(APPLIED, rollback=BACK),
                memory(APPLIED, bad=(sha("B"),), judgements=(JUDGED,)),
                memory(HEALTHY, bad=(sha("B"),), judgements=(JUDGED,)),
            ],
            [],
            id="released by a person and healthy then: counted already",
        ),
        pytest.param(
            [memory(APPLIED), memory(APPLIED, rollback=SWITCHING), memory(HEALTHY)],
            ["Healthy"],
            id="a rollback that was given up",
        ),
        pytest.param(
            [memory(None), memory(replace(HEALTHY, adopted=True))], ["Adopted"], id="there before the contract"
        ),
        pytest.param([memory(None), memory(APPLIED)], [], id="begun"),
    ],
)
def test_each_end_is_told_once(story: list[Memory], ends: list[str]) -> None:
    """By the pass that saw it."""
    assert [end.value for before, after in pairwise(story) for end in results(before, after)] == ends


def test_a_delivery_under_way_has_no_result() -> None:
    """Nor has a contract without one."""
    assert result(memory(APPLIED)) is None
    assert result(memory(None)) is None


GOOD = core.good("A")
PAST = Past(revision("A"), sha("A"), Result.HEALTHY, at(10))


@pytest.mark.parametrize(
    ("known", "when"),
    [
        pytest.param(memory(None), None, id="nothing was delivered yet"),
        pytest.param(memory(HEALTHY, history=(PAST,)), at(50), id="healthy"),
        pytest.param(memory(APPLIED, history=(PAST,)), at(10), id="under way: the one before"),
        pytest.param(memory(APPLIED, history=(PAST,), rollback=BACK), at(10), id="rolled back: the one before"),
        pytest.param(
            memory(NEXT, history=(replace(PAST, result=Result.SUPERSEDED, ended_at=at(90)), PAST)),
            at(10),
            id="overtaken, and never healthy",
        ),
        pytest.param(
            memory(NEXT, history=(replace(PAST, result=Result.SUPERSEDED, ended_at=at(90), footing="x"), PAST)),
            at(10),
            id="a way back that was overtaken",
        ),
        pytest.param(
            memory(NEXT, history=(replace(PAST, result=Result.ROLLED_BACK, ended_at=at(90)), PAST)),
            at(10),
            id="rolled back, and never healthy",
        ),
        pytest.param(
            memory(
                NEXT,
                history=(replace(PAST, result=Result.ROLLED_BACK, ended_at=at(90), latency=timedelta(1)), PAST),
            ),
            at(90),
            id="rolled back after it was healthy",
        ),
        pytest.param(
            memory(NEXT, history=(replace(PAST, result=Result.ADOPTED, footing="x"),), good=GOOD),
            at(10),
            id="adopted, and good",
        ),
        pytest.param(memory(APPLIED, good=GOOD), GOOD.since, id="long forgotten: when it had proved good"),
    ],
)
def test_the_last_time_that_a_delivery_was_healthy_stays_known(known: Memory, when: datetime | None) -> None:
    """It is asked for most while one fails."""
    assert last_healthy(known) == when
