"""When a contract is looked at again: never at a time that has passed, and never without end."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.spec.contract import Contract, Declared, InvalidContract
from reconciliation_contract.core.values.next_look import NextLook, next_look
from tests.support.builders import at
from tests.support.stories_random import TALES, Tale, told
from tests.support.stories_replay import KEY, Replay

AUTOMATIC: Final = {"after": {"failures": 2, "duration": "2m"}, "settle": "20s"}
CLOCKS: Final = st.sampled_from([-86_400, -90, -0.001, 0, 0.001, 1, 59, 61, 299, 301, 3_599, 3_601, 86_401, 172_800])
"""Seconds from the last event of a history to a pass."""
STATES: Final = st.sampled_from(["as it is", "suspended", "being deleted", "senseless"])
SIGHTS: Final = st.sampled_from(["all", "nothing new", "no Kustomization", "no source", "nothing"])
ENOUGH: Final = 6
"""Passes at one moment after which everything is written down."""


def contract_in(replay: Replay, state: str) -> Declared:
    """The contract of a history, changed by a person."""
    record = replay.decide(replay.store, replay.now)[0] if replay.store else None
    contract = record.contract if record and isinstance(record.contract, Contract) else None
    if contract is None:
        return InvalidContract("apps", "shop", "uid", 1, "no such promise")
    match state:
        case "suspended":
            return replace(contract, suspended=True)
        case "being deleted":
            return replace(contract, deleting=True, finalized=True)
        case "senseless":
            return InvalidContract(
                contract.namespace, contract.name, contract.uid, contract.generation, problem="no such promise"
            )
        case _:
            return contract


def sight(seen: Observation, what: str) -> Observation:
    """An observation of which something is missing."""
    match what:
        case "nothing new":
            return replace(seen, operator=replace(seen.operator, fresh=False))
        case "no Kustomization":
            return replace(seen, flux=replace(seen.flux, kustomization=None))
        case "no source":
            return replace(seen, flux=replace(seen.flux, source=None, pin=None))
        case "nothing":
            return Observation()
        case _:
            return seen


@given(TALES, TALES, CLOCKS, STATES, SIGHTS)
def test_the_next_look_lies_ahead(remembered: Tale, seen_tale: Tale, clock: float, state: str, what: str) -> None:
    """Whatever is remembered, seen, and told by the clock: nobody asks for a look in the past, and passes end."""
    replay, other = told(remembered, AUTOMATIC), told(seen_tale, AUTOMATIC)
    if other.store is None or KEY not in other.store.contracts:
        return
    contract, now = contract_in(replay, state), replay.now + timedelta(seconds=clock)
    _, _, seen = other.decide(other.store, other.now)
    seen, memory = sight(seen, what), parse_memory(replay.status)

    for _ in range(ENOUGH):
        decision = evaluate(contract, memory, seen, now)
        assert decision.next_look.late == ()
        assert decision.next_look.at is None or decision.next_look.at >= now
        memory = parse_memory(render_status(decision.memory, seen.flux.kustomization))
        if decision.settled:
            return
    raise AssertionError("pass after pass has work to do, though nothing happens")


@pytest.mark.parametrize(
    ("seconds", "look"),
    {
        "nothing is due": ([], NextLook()),
        "the first one counts": ([50, 30, 40], NextLook(at(30))),
        "just now is no past": ([10], NextLook(at(10))),
        "what has passed is left out and told": ([5, 30], NextLook(at(30), ("a promise",))),
        "two in the past are told once": ([5, 6], NextLook(None, ("a promise",))),
    }.values(),
)
def test_the_first_due_time(seconds: list[float], look: NextLook) -> None:
    """The look comes at the first time from now on."""
    assert next_look(at(10), (("a promise", at(each)) for each in seconds)) == look


def test_nobody_waits_for_none() -> None:
    """Who asks for nothing is not heard."""
    assert next_look(at(10), [("a promise", None), ("another", at(20))]) == NextLook(at(20))


def test_the_sooner_of_two() -> None:
    """The first time counts, and what is late is told of both."""
    one, two = NextLook(at(20), ("one",)), NextLook(at(10), ("two",))

    assert one.sooner(two) == NextLook(at(10), ("one", "two"))
    assert NextLook().sooner(two) == two
