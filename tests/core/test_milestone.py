"""What deliveries come to: each milestone once, under a name that never changes."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.delivery.milestone import Milestone, acknowledge, milestones, unannounced
from reconciliation_contract.core.facts.observation import NotificationFacts, Observation
from reconciliation_contract.core.memory.memory import HISTORY, Memory, Past, Result, RollbackState
from reconciliation_contract.core.values.timing import TIMING
from tests.support.builders import at, revision, sha
from tests.support.builders_core import CONTRACT, delivery, moment, rollback, source

HEALTHY = delivery(failures=None, stages=replace(delivery().stages, healthy=moment(50)))
UNDONE = rollback(RollbackState.ACTIVE, started_at=at(60), completed_at=at(63))
ARRIVED = Memory(delivery=HEALTHY)
BACK = Memory(delivery=HEALTHY, rollback=UNDONE)
NOW = at(100)


def past(result: Result) -> Past:
    """An earlier delivery that ended so."""
    return Past(revision("A"), sha("A"), result, at(-60))


def found(memory: Memory) -> list[Milestone]:
    """What is to be announced of a memory."""
    return [*unannounced(CONTRACT, memory, source(), NOW)]


def steps(memory: Memory) -> list[str]:
    """The same in short."""
    return [each.step.value for each in found(memory)]


@pytest.mark.parametrize(
    ("memory", "wanted"),
    [
        pytest.param(Memory(), [], id="nothing yet"),
        pytest.param(Memory(delivery=delivery()), [], id="not there yet"),
        pytest.param(ARRIVED, ["deployed"], id="the first"),
        pytest.param(replace(ARRIVED, history=(past(Result.SUPERSEDED),)), ["deployed"], id="the first to arrive"),
        pytest.param(replace(ARRIVED, history=(past(Result.HEALTHY),)), ["upgraded"], id="after another"),
        pytest.param(replace(ARRIVED, history=(past(Result.ADOPTED),)), ["upgraded"], id="after what was there"),
        pytest.param(replace(ARRIVED, history=(past(Result.ROLLED_BACK),)), ["upgraded"], id="after a rollback"),
        pytest.param(
            replace(ARRIVED, history=(past(Result.SUPERSEDED),) * HISTORY), ["upgraded"], id="after many, who knows"
        ),
        pytest.param(Memory(delivery=replace(HEALTHY, adopted=True)), [], id="adopted"),
        pytest.param(
            Memory(delivery=replace(HEALTHY, resumed=True, started_at=at(60))), [], id="followed anew, there already"
        ),
        pytest.param(BACK, ["deployed", "rolledback"], id="rolled back later"),
        pytest.param(Memory(delivery=delivery(), rollback=UNDONE), ["rolledback"], id="never healthy, rolled back"),
        pytest.param(
            Memory(delivery=delivery(), rollback=replace(UNDONE, completed_at=None)), [], id="not rolled back yet"
        ),
    ],
)
def test_a_delivery_is_announced_when_it_has_come_to_something(memory: Memory, wanted: list[str]) -> None:
    """Once it is healthy, and once a rollback from it has the good revision Ready."""
    assert steps(memory) == wanted


def test_a_rollback_tells_what_runs_now() -> None:
    """The artifact is the good revision; the one that was left is told beside it."""
    _, back = found(BACK)

    assert (back.revision, back.left, back.reason) == (revision("A"), revision("B"), "HealthCheckFailed")
    assert sha("A") in back.artifact
    assert (back.started_at, back.at) == (at(60), at(63))


def test_what_was_taken_is_not_announced_again_after_any_restart() -> None:
    """The status keeps it, of the delivery and of the rollback by itself."""
    there, back = found(BACK)
    memory = acknowledge(
        CONTRACT, BACK, Observation(notifications=NotificationFacts(announced=frozenset({there.id})))
    )
    restarted = parse_memory(render_status(memory, None))
    assert found(restarted) == [back]

    memory = acknowledge(
        CONTRACT, restarted, Observation(notifications=NotificationFacts(announced=frozenset({back.id})))
    )
    assert found(parse_memory(render_status(memory, None))) == []


def test_another_rollback_of_the_same_revision_is_another_milestone() -> None:
    """That the first was taken says nothing of it."""
    there, back = found(BACK)
    taken = Observation(notifications=NotificationFacts(announced=frozenset({there.id, back.id})))
    memory = acknowledge(CONTRACT, BACK, taken)
    again = replace(memory, rollback=replace(UNDONE, started_at=at(80), completed_at=at(90)))

    assert [each.id for each in found(acknowledge(CONTRACT, again, taken))] not in ([], [back.id])


def test_names_are_stable_and_differ() -> None:
    """A restart, or a history that was cut short, changes nothing; another contract, delivery or step does."""
    there, back = found(BACK)
    (cut,) = found(replace(ARRIVED, history=(past(Result.HEALTHY),)))
    (again,) = found(Memory(delivery=replace(HEALTHY, started_at=at(1))))
    (other,) = milestones(replace(CONTRACT, uid="another"), ARRIVED)

    assert found(parse_memory(render_status(BACK, None))) == [there, back]
    assert cut.id == there.id
    assert len({there.id, back.id, again.id, other.id}) == 4


def test_what_is_old_is_no_news() -> None:
    """Whoever sets a sink today does not hear of last month."""
    late = at(50) + TIMING.milestone_news

    assert len(unannounced(CONTRACT, ARRIVED, None, late - timedelta(seconds=1))) == 1
    assert unannounced(CONTRACT, ARRIVED, None, late) == ()
