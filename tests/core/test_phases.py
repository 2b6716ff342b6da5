"""The way through a pass: no two steps of it can be swapped unnoticed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from hypothesis import given

import reconciliation_contract.core
from reconciliation_contract.core import evaluation
from reconciliation_contract.core.evaluation import RECORDERS, Decision, Given
from reconciliation_contract.core.facts.attention import Attention, attention
from reconciliation_contract.core.facts.comparison import Drift, Finding, Kind
from reconciliation_contract.core.facts.dry_run import Refusal, Refusals
from reconciliation_contract.core.facts.pruning import Departures
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Result
from reconciliation_contract.core.spec.contract import Contract, DriftMode
from reconciliation_contract.core.spec.requests import Requests
from tests.support.builders import at, sha
from tests.support.builders_core import CONTRACT, Case, delivery, failing, moment, source, standing
from tests.support.stories_random import TALES, Tale, told

CORE = Path(reconciliation_contract.core.__file__).parent
PHASES: tuple[Callable[..., Any], ...] = (
    evaluation.observe,
    evaluation.record,
    evaluation.roll_back,
    evaluation.judge,
    evaluation.report,
)


def fits(phases: tuple[Callable[..., Any], ...]) -> bool:
    """Whether each phase takes what the one before it returns, from what is given to the decision."""
    taken, returned = zip(*(_types(phase) for phase in phases), strict=True)
    return (Given, *returned) == (*taken, Decision)


def _types(phase: Callable[..., Any]) -> tuple[type, type]:
    hints = get_type_hints(phase)
    result: type = hints.pop("return")
    (argument,) = hints.values()
    return argument, result


def test_the_phases_fit_in_one_order_only() -> None:
    """Any other one is an error of types, which mypy finds."""
    assert [order for order in itertools.permutations(PHASES) if fits(order)] == [PHASES]


# Recording -----------------------------------------------------------------------------------------------------------

HEALTHY = delivery("A", failures=None, stages=replace(delivery("A").stages, healthy=moment(50)))
DRIFTED = Drift(sha("A"), 3, 1, (Finding("ConfigMap/apps/shop", Kind.CHANGED),))
MOVED = Case(memory=Memory(delivery=HEALTHY)).but(
    seen__flux__kustomization=standing("A", 50), seen__flux__source=source("B", 99)
)
WAY_BACK = Judgement(PromiseName.ROLLBACK, Verdict.KEPT, CONTRACT.rollback.within, "WithinBudget")
BAD = delivery("A", failures=None)
ORDERED: dict[tuple[str, str], Case] = {
    ("take up", "forget"): failing().but(contract__requests=Requests(hold="audit", forget=sha("Z"))),
    ("compare", "follow"): MOVED.but(seen__manifests__drift=DRIFTED),
    ("follow", "forget"): MOVED.but(
        memory=Memory(delivery=BAD, judgements=(WAY_BACK,), bad=(sha("A"),)),
        contract__requests=Requests(forget=sha("A")),
    ),
    ("follow", "prove"): MOVED,
    ("follow", "count departures"): MOVED.but(seen__live__departures=Departures(delivery=at(0), spared=2)),
    ("follow", "name refused"): MOVED.but(
        memory__refusals=Refusals(sha("A"), 9, 1, (Refusal("ConfigMap/apps/shop", "", "no"),))
    ),
    ("forget", "prove"): MOVED.but(
        seen__flux__source=source("A", 0), memory__bad=(sha("A"),), contract__requests=Requests(forget=sha("A"))
    ),
}
"""Of two that do not commute, in their order, a case in which it shows."""
PAIRS = list(itertools.combinations(RECORDERS, 2))


def recorded(case: Case, *names: str) -> Memory:
    """What some of the recorders, one after the other, make of a case."""
    known, memory = Given(case.contract, case.memory, case.seen, case.now), case.memory
    for name in names:
        memory = RECORDERS[name](known, memory)
    return memory


@pytest.mark.parametrize("pair", ORDERED, ids="-".join)
def test_a_swapped_pair_is_noticed(pair: tuple[str, str]) -> None:
    """The order of those that build on one another is held by a case."""
    case = ORDERED[pair]

    assert pair in PAIRS
    assert recorded(case, *pair) != recorded(case, *reversed(pair))


@given(TALES)
def test_the_others_commute(tale: Tale) -> None:
    """In every pass of every history their order makes no difference."""
    replay = told(tale, {"after": {"failures": 1}, "settle": "5s"})
    if replay.store is None:
        return
    cases = [Case(memory=memory, now=now) for (memory, _), now in zip(replay.passes, replay.times, strict=True)]
    record = replay.decide(replay.store, replay.now)[0] if replay.store.contracts else None
    if record is None or not isinstance(record.contract, Contract):
        return
    seen = replay.decide(replay.store, replay.now)[2]

    for case, pair in itertools.product(cases, set(PAIRS) - set(ORDERED)):
        whole = replace(case, contract=record.contract, seen=seen)
        assert recorded(whole, *pair) == recorded(whole, *reversed(pair))


@pytest.mark.parametrize("pair", sorted(set(PAIRS) - set(ORDERED)), ids="-".join)
def test_the_others_commute_in_the_cases_too(pair: tuple[str, str]) -> None:
    """Where it matters to some pair, it does not to these."""
    for case in ORDERED.values():
        asking = case.but(contract__promises=replace(CONTRACT.promises, drift_mode=DriftMode.CORRECT))
        assert recorded(asking, *pair) == recorded(asking, *reversed(pair))


def test_a_revision_that_is_forgotten_as_the_next_comes_was_rolled_back() -> None:
    """Lifting the ban changes nothing of what happened."""
    case = ORDERED["follow", "forget"]

    memory = recorded(case, *RECORDERS)

    assert memory.history[0].result is Result.ROLLED_BACK
    assert memory.bad == ()


# What is asked once --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("suspended", "fresh", "looks"),
    [
        (False, True, Attention.FULL),
        (False, False, Attention.BLIND),
        (True, True, Attention.SUSPENDED),
        (True, False, Attention.SUSPENDED),
    ],
)
def test_whether_a_pass_looks(suspended: bool, fresh: bool, looks: Attention) -> None:
    """A person's wish comes first."""
    case = failing().but(contract__suspended=suspended, seen__operator__fresh=fresh)

    assert attention(case.contract, case.seen) is looks


def test_a_suspension_ends_once_the_cluster_is_seen() -> None:
    """What came meanwhile would else be judged as if the contract had been awake."""
    resumed = MOVED.but(memory__suspended=True, seen__operator__fresh=False)

    blind = resumed.decide().memory
    seen = resumed.but(memory=blind, seen__operator__fresh=True, now=at(101)).decide().memory

    assert blind.suspended
    assert not seen.suspended
    assert seen.delivery
    assert seen.delivery.adopted


def test_a_suspended_contract_asks_flux_for_nothing() -> None:
    """A correction that was written down before is not made."""
    drift = replace(DRIFTED, correction=None)
    case = Case(memory=Memory(delivery=HEALTHY)).but(
        seen__flux__kustomization=standing("A", 50),
        seen__flux__source=source("A", 0),
        seen__manifests__drift=drift,
        contract__promises=replace(CONTRACT.promises, drift_mode=DriftMode.CORRECT),
    )
    written = case.decide().memory
    again = case.but(memory=written, now=at(101))

    assert [e for e in again.decide().effects if type(e).__name__ == "RequestReconcile"]
    assert not [
        e for e in again.but(contract__suspended=True).decide().effects if type(e).__name__ == "RequestReconcile"
    ]


ASKED_IN: dict[str, set[str]] = {
    r"\bseen\.operator\.fresh\b": {
        "facts/attention.py",
        "promises/dependencies.py",  # one of the facts that it tells of
        "rollback/state_machine.py",  # the guard of every act
    },
    r"\bcontract\.suspended\b": {"facts/attention.py", "promises/availability.py"},  # beside the passes, too
    r"\bjudgements=": {"promises/judging.py", "delivery/succession.py"},  # where a delivery begins it has none
    r"\bmemory\.conditions\b": set(),
}


@pytest.mark.parametrize("question", ASKED_IN)
def test_what_is_asked_in_one_place(question: str) -> None:
    """The other modules are told the answer."""
    found = {
        str(path.relative_to(CORE)) for path in CORE.rglob("*.py") if re.search(question, path.read_text("utf-8"))
    }

    assert found == ASKED_IN[question]


def test_no_condition_is_remembered() -> None:
    """Conditions come out of a pass and go into none."""
    assert "conditions" not in get_type_hints(Memory)
