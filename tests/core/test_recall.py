"""The status is the memory: what is written is read back, and whatever is read back is a memory."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.evaluation import Decision
from reconciliation_contract.core.memory.memory import RollbackState
from tests.support.builders import at, sha
from tests.support.builders_core import HOLD, Case, failing, rolling_back, standing
from tests.support.builders_status import Told, read_back, status_of
from tests.support.stories_random import TALES, Tale, told
from tests.support.stories_replay import KEY

CASES: dict[str, Case] = {
    "nothing is known": Case(),
    "a failing delivery": failing(),
    "a delivery that stands": failing().but(seen__flux__kustomization=standing("B", 20), delivery__failures=None),
    **{f"a rollback is {state}": rolling_back(state) for state in RollbackState},
    "annotations are to be restored": rolling_back(RollbackState.ACTIVE, rollback__kept_annotations={HOLD: "Merge"}),
    "an absent annotation is to be restored": rolling_back(
        RollbackState.ACTIVE, rollback__kept_annotations={HOLD: ""}, kustomization__parent="a/b"
    ),
}


def through_the_status(decision: Decision, case: Case) -> Told:
    """Write a memory as the API server stores it, and read it back."""
    return read_back(json.loads(json.dumps(written(decision, case))))


def written(decision: Decision, case: Case) -> dict[str, Any]:
    """Write what a pass decided."""
    return render_status(decision.memory, case.seen.flux.kustomization, decision.conditions)


@pytest.mark.parametrize("name", CASES)
def test_what_was_written_decides_as_before(name: str) -> None:
    """Two passes with a restart between them are the same as two without."""
    case = CASES[name]
    first = case.decide()

    stayed = case.but(memory=first.memory, now=at(130)).decide()
    restarted = case.but(memory=through_the_status(first, case), now=at(130)).decide()

    assert written(restarted, case) == written(stayed, case)
    assert restarted.effects == stayed.effects
    assert restarted.next_look.at == stayed.next_look.at


@pytest.mark.parametrize("name", CASES)
def test_what_was_written_is_read_back(name: str) -> None:
    """Writing what was read gives the same status again."""
    case = CASES[name]
    decision = case.decide()

    again = through_the_status(decision, case)

    assert status_of(again, case.seen.flux.kustomization) == written(decision, case)


@given(TALES)
def test_every_pass_of_every_history_survives_a_restart(tale: Tale) -> None:
    """Wherever the process ends, the next one goes on as this one would have."""
    replay = told(tale, {"after": {"failures": 1}, "settle": "5s"})
    seen = replay.store.kustomizations.get(KEY) if replay.store else None

    for _, decision in replay.passes:
        status = json.loads(json.dumps(render_status(decision.memory, seen, decision.conditions)))
        assert json.loads(json.dumps(status_of(read_back(status), seen))) == status


# Anything at all ------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)


def _full() -> dict[str, Any]:
    case = rolling_back(RollbackState.ACTIVE, rollback__kept_annotations={HOLD: "Merge"})
    return dict(json.loads(json.dumps(written(case.decide(), case))))


FULL = _full()


@given(JSON)
def test_any_json_is_a_memory(status: Any) -> None:
    """A status that somebody filled with anything reads as nothing known, and can be written again."""
    memory = parse_memory(status)

    assert isinstance(render_status(memory, None), dict)


@st.composite
def _spoilt(draw: st.DrawFn) -> dict[str, Any]:
    """A real status in which a few parts were replaced by anything, or removed."""
    status = json.loads(json.dumps(FULL))
    for _ in range(draw(st.integers(1, 4))):
        place = status
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            key = draw(st.sampled_from(keys))
            inner = place[key]
            if not isinstance(inner, dict | list) or not inner or draw(st.integers(0, 2)) == 0:
                break
            place = inner
        if isinstance(place, dict) and draw(st.booleans()):
            del place[key]
        else:
            place[key] = draw(
                JSON | st.sampled_from(["", "sha1:", f"x@sha1:{sha('Z')}", "9999-12-31T23:59:59Z", -1, "5m"])
            )
        if not status:
            break
    return dict(status)


@given(_spoilt(), st.sampled_from([100, 101, 10_000_000]))
def test_a_spoilt_status_never_breaks_a_pass(status: dict[str, Any], now: int) -> None:
    """Whatever is left of it, the next pass decides, and its own status is one that can be written."""
    case = rolling_back(RollbackState.ACTIVE).but(memory=parse_memory(status), now=at(now))

    decision = case.decide()
    again = written(decision, case)

    assert json.loads(json.dumps(again)) == again
