"""Requests that stand for ever, as in Git: each acts once, and is kept with who, when and why."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciliation_contract.api.contract.annotations import parse_requests
from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.evaluation import Decision
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from reconciliation_contract.core.rollback import handled_requests
from reconciliation_contract.core.spec.requests import NAMES, Requests
from reconciliation_contract.core.values import reasons
from tests.support.builders import at, sha
from tests.support.builders_core import Case, failing, rolling_back

B = sha("B")
WRITTEN = {
    "approve": f"{B} by zoe: prices",
    "rollback": f"{B}..{sha('A')} by zoe: prices",
    "release": f"{B} by zoe: prices",
    "hold": "by zoe: prices",
    "forget": f"{B} by zoe: prices",
    "pause-until": "2026-11-23T06:00:00Z by zoe: prices",
}
UNCLEAR = {"approve": "yes", "rollback": B, "release": "true", "forget": "main", "pause-until": "2h"}


def asking(**written: str) -> Requests:
    """Read annotations, by their names without the prefix."""
    return parse_requests({f"reconciliation.dev/{name.replace('_', '-')}": value for name, value in written.items()})


def again(case: Case, decision: Decision, **changes: Any) -> Case:
    """The same world in the next pass, with the memory as the status has it."""
    memory = parse_memory(render_status(decision.memory, case.seen.flux.kustomization, decision.conditions))
    return replace(case, memory=memory).but(**changes)


def events(decision: Decision) -> list[tuple[str, str]]:
    """What is told of requests."""
    about = (reasons.REQUEST_TAKEN, reasons.REQUEST_UNCLEAR)
    told = [effect for effect in decision.effects if isinstance(effect, EmitEvent)]
    return [(event.reason, event.message) for event in told if event.reason in about]


# Once ----------------------------------------------------------------------------------------------------------------


def banned(**written: str) -> Case:
    """B fails, was rolled back from before, and something is asked."""
    return failing().but(memory__bad=(B,), contract__requests=asking(**written))


def test_a_revision_is_forgotten_once() -> None:
    """An annotation left in Git must not lift the ban after each rollback, or they would go on for ever."""
    first = banned(forget=B).decide()
    assert first.memory.rollback is not None

    done = replace(first.memory, rollback=None, bad=(B,))
    second = again(banned(forget=B), replace(first, memory=done)).decide()

    assert second.memory.bad == (B,)
    assert second.memory.rollback is None
    assert second.conditions["RolledBack"].reason == reasons.ALREADY_ROLLED_BACK


@pytest.mark.parametrize(
    "written", [f"{B} at 2026-11-23T06:00:00Z", f"{B} by max", f"{B}: the registry is back"], ids=["at", "by", "why"]
)
def test_written_anew_it_is_another_request(written: str) -> None:
    """Another time, person or reason asks again."""
    first = banned(forget=B).decide()
    done = replace(first, memory=replace(first.memory, rollback=None, bad=(B,)))

    second = again(banned(), done, contract__requests=asking(forget=written)).decide()

    assert second.memory.bad == ()


def test_seen_to_be_gone_it_asks_again() -> None:
    """Whoever removes an annotation and sets it anew asks anew."""
    first = banned(forget=B).decide()
    done = replace(first, memory=replace(first.memory, rollback=None, bad=(B,)))

    gone = again(banned(), done).decide()
    assert gone.memory.bad == (B,)

    assert again(banned(forget=B), gone).decide().memory.bad == ()


def test_what_is_forgotten_must_be_bad_by_then() -> None:
    """A request that was there first does not forgive what comes later."""
    first = failing().but(contract__requests=asking(forget=B), memory__good=None).decide()

    second = again(banned(forget=B), replace(first, memory=replace(first.memory, bad=(B,)))).decide()

    assert second.memory.bad == (B,)


def test_forgetting_waits_for_the_end_of_the_rollback() -> None:
    """During the rollback it does nothing; afterwards it does, once."""
    case = rolling_back(RollbackState.ACTIVE, contract__requests=asking(forget=B))
    during = case.decide()
    assert (during.memory.bad, during.memory.handled) == ((B,), {})

    over = replace(during, memory=replace(during.memory, rollback=None))

    assert again(case, over).decide().memory.bad == ()


def test_an_approval_is_used_once() -> None:
    """Another proposal for the same revision waits for another approval, and says what to do."""
    case = rolling_back(RollbackState.PROPOSED, contract__requests=asking(approve=f"{B} by zoe"))
    first = case.decide()
    assert first.memory.rollback
    assert first.memory.rollback.state is RollbackState.INTENDED

    proposed = replace(first.memory, rollback=case.memory.rollback)
    second = again(case, replace(first, memory=proposed)).decide()

    assert second.memory.rollback
    assert second.memory.rollback.state is RollbackState.PROPOSED
    said = second.conditions["RolledBack"]
    assert said.reason == reasons.AWAITING_APPROVAL
    assert "the approval that stands was used at 2026-03-01 12:01 UTC: remove the annotation" in said.message


def test_a_rollback_is_asked_for_once() -> None:
    """A request that stands must not begin a second rollback, not even where the ban is lifted."""
    case = failing().but(contract__requests=asking(rollback=f"{B}..{sha('A')}"), contract__rollback__failures=99)
    first = case.decide()
    assert first.memory.rollback
    assert first.memory.rollback.reason == reasons.REQUESTED

    over = replace(first.memory, rollback=None)

    assert again(case, replace(first, memory=over)).decide().memory.rollback is None


def test_one_that_cannot_begin_yet_is_not_used_up() -> None:
    """It begins when it can; until then the condition says why it does not."""
    asked = asking(rollback=f"{B}..{sha('A')}")
    case = failing().but(contract__requests=asked, contract__rollback__failures=99)
    first = case.but(kustomization__suspended=True).decide()
    assert first.conditions["RolledBack"].reason == reasons.CANCELLED

    assert again(case, first).decide().memory.rollback is not None


# Kept ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["release", "hold", "pause"])
def test_what_holds_meanwhile_is_noted(name: str) -> None:
    """Who, when and why are told by one event and kept in the status, also when it stands no more."""
    key = "pause-until" if name == "pause" else name
    case = failing().but(contract__requests=asking(**{key: WRITTEN[key]}), memory__good=None)

    first = case.decide()
    second = again(case, first, now=at(200)).decide()
    third = again(case, second, now=at(300), contract__requests=Requests()).decide()

    (told,) = events(first)
    assert told[0] == reasons.REQUEST_TAKEN
    assert told[1].startswith(f"{name}: ")
    assert told[1].endswith("by zoe: prices")
    assert events(second) == events(third) == []
    assert second.memory.taken == first.memory.taken
    (kept,) = third.memory.taken
    assert (kept.name, kept.at) == (name, case.now)
    assert third.memory.handled == {}


@pytest.mark.parametrize("key", UNCLEAR)
def test_what_is_not_understood_is_told_once(key: str) -> None:
    """Nothing is done, and a warning says what to write instead; the status keeps it while it stands."""
    name = "pause" if key == "pause-until" else key
    case = failing().but(contract__requests=asking(**{key: UNCLEAR[key]}), memory__good=None)

    first = case.decide()
    second = again(case, first).decide()

    (told,) = events(first)
    assert told[0] == reasons.REQUEST_UNCLEAR
    assert told[1].startswith(f"{name}: {UNCLEAR[key][:8]}")
    assert "asks for nothing; write" in told[1]
    assert events(second) == []
    assert [taken.problem != "" for taken in second.memory.taken] == [True]


def test_of_each_kind_the_last_is_kept() -> None:
    """The status stays small, and comes back as it was written."""
    memory = Memory()
    for seconds, word in ((1, "first"), (2, "second")):
        asked = asking(**{key.replace("-", "_"): f"{value} {word}" for key, value in WRITTEN.items()})
        for name in NAMES:
            memory = handled_requests.take(memory, asked, name, at(seconds))

    assert [taken.name for taken in memory.taken] == list(NAMES)
    assert all(taken.text.endswith("second") and taken.at == at(2) for taken in memory.taken)
    back = parse_memory(render_status(memory, None))
    assert back.handled == memory.handled
    assert [(taken.name, taken.at) for taken in back.taken] == [(taken.name, taken.at) for taken in memory.taken]


@pytest.mark.parametrize(("fresh", "answer"), [(True, "now"), (False, "")])
def test_whoever_sees_nothing_answers_no_request_to_look(fresh: bool, answer: str) -> None:
    """Who waits for the answer reads the status that came with it."""
    case = failing().but(contract__requested_at="now", seen__operator__fresh=fresh)

    assert case.decide().memory.handled_request == answer
