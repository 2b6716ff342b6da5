"""One pass: from what is remembered and what is seen to what is to be done.

::

    Given ──observe──▶ Observed ──record──▶ Recorded ──roll back──▶ RolledBack ──judge──▶ Judged ──report──▶ Decision

Each phase takes what the one before it returns, so no other order type-checks. A rollback has its own grounds and
rests on no verdict; what it does decides some, so they are made after it, in one place.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from reconciliation_contract.core import conditions
from reconciliation_contract.core.delivery import milestone, succession
from reconciliation_contract.core.delivery.failure_count import resumed
from reconciliation_contract.core.facts.attention import Attention, attention
from reconciliation_contract.core.facts.observation import Condition, Observation
from reconciliation_contract.core.incidents import lifecycle
from reconciliation_contract.core.incidents.kubernetes_events import announcements
from reconciliation_contract.core.memory.effects import AllowDeletion, Effect
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises import drift, judging, validation
from reconciliation_contract.core.promises.deletion import left_behind
from reconciliation_contract.core.promises.dependencies import dependencies, failing_since
from reconciliation_contract.core.rollback import handled_requests, last_good, state_machine
from reconciliation_contract.core.rollback.report import Step, remembered
from reconciliation_contract.core.spec.contract import Contract, Declared, InvalidContract
from reconciliation_contract.core.values.next_look import Due, NextLook, next_look


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass decided: write ``memory`` if it changed, then perform ``effects``, then look again."""

    memory: Memory
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    """What people are told of ``memory``; no pass reads them back."""
    effects: tuple[Effect, ...] = ()
    next_look: NextLook = field(default_factory=NextLook)
    """When to look again if no event arrives."""
    settled: bool = True
    """False when the next pass has work to do as soon as this one is written."""


def evaluate(contract: Declared, memory: Memory, seen: Observation, now: datetime) -> Decision:
    """Decide everything about one contract at one moment. Pure: the same arguments give the same decision."""
    if isinstance(contract, InvalidContract):
        return _await_author(contract, memory, seen, now)
    return report(judge(roll_back(record(observe(Given(contract, memory, seen, now))))))


# What stands between the phases ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Given:
    """What a pass is given."""

    contract: Contract
    memory: Memory
    seen: Observation
    now: datetime


@dataclass(frozen=True, slots=True)
class _Known:
    given: Given
    looks: Attention
    memory: Memory
    """What was given, with what the phases so far have made of it."""


class Observed(_Known):
    """It is known whether the pass looks, and how all that delivery depends on stands."""

    __slots__ = ()


class Recorded(_Known):
    """Everything that is seen is in memory, and what people ask for is taken up."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class RolledBack(_Known):
    """The rollback is one step further."""

    step: Step


@dataclass(frozen=True, slots=True)
class Judged(_Known):
    """Every promise has its verdict."""

    step: Step


# The phases ------------------------------------------------------------------------------------------------------


def observe(given: Given) -> Observed:
    """Ask once whether this pass looks, and note how all that delivery depends on stands."""
    memory = replace(given.memory, observed_generation=given.contract.generation)
    if given.seen.git.looked:
        memory = replace(memory, dependencies=dependencies(given.seen))
    memory = replace(memory, failing_since=failing_since(memory, given.now))
    return Observed(given, attention(given.contract, given.seen), memory)


def record(observed: Observed) -> Recorded:
    """Take in what is seen and asked for, as far as the pass looks."""
    memory = observed.memory
    for recorder in RECORDERS.values() if observed.looks is Attention.FULL else ():
        memory = recorder(observed.given, memory)
    return Recorded(observed.given, observed.looks, resumed(memory, observed.looks, observed.given.now))


def roll_back(recorded: Recorded) -> RolledBack:
    """Take the rollback one step further, begin one, or say why not; of a suspended contract only to delete it."""
    given, memory = recorded.given, recorded.memory
    idle = recorded.looks is Attention.SUSPENDED and not given.contract.deleting
    step = Step(memory) if idle else state_machine.step(given.contract, memory, given.seen, given.now)
    memory = replace(step.memory, standing=remembered(step))
    return RolledBack(given, recorded.looks, memory, step)


def judge(after: RolledBack) -> Judged:
    """Make all verdicts."""
    given = after.given
    memory = judging.judge(given.contract, after.memory, given.seen, after.looks, given.now)
    return Judged(given, after.looks, memory, after.step)


def report(judged: Judged) -> Decision:
    """Derive what is told and done: conditions, incidents, Events and acts, and when to look again."""
    contract, seen, now = judged.given.contract, judged.given.seen, judged.given.now
    before, looks = judged.given.memory, judged.looks
    memory = lifecycle.follow(contract, judged.memory, seen, looks, now)
    memory = milestone.acknowledge(contract, memory, seen)
    told = conditions.derive(contract, memory, seen, looks, now)
    memory = replace(memory, transitions=conditions.transitions(told))
    settled = memory.rollback == before.rollback and drift.is_written(before, memory)
    asked = drift.requests(contract, memory, seen, now) if settled and looks is Attention.FULL else ()
    effects = (*judged.step.effects, *announcements(before, memory, seen.flux.kustomization), *asked)
    return Decision(memory, told, effects, _next(judged, memory), settled)


def _next(judged: Judged, memory: Memory) -> NextLook:
    given, looks = judged.given, judged.looks
    dues: list[Due] = [("rollback", judged.step.recheck_at)]
    dues += [("incident", at) for at in lifecycle.rechecks(given.contract, memory, given.seen, looks, given.now)]
    if looks is Attention.FULL:
        dues.append(("last good", last_good.settles_at(given.contract, memory, given.seen)))
        dues += [("promise", at) for at in judging.rechecks(memory, given.now)]
    return next_look(given.now, dues)


def _await_author(contract: InvalidContract, before: Memory, seen: Observation, now: datetime) -> Decision:
    """Wait for the author of a contract that makes no sense, who is told so; a deletion waits for nobody."""
    memory = replace(before, observed_generation=contract.generation, standing=None, failing_since=None)
    told = conditions.stalled(contract, memory, now)
    memory = replace(memory, transitions=conditions.transitions(told))
    memory = lifecycle.follow(contract, memory, seen, Attention.BLIND, now)
    deletion: tuple[Effect, ...] = (AllowDeletion(),) if contract.deleting and contract.finalized else ()
    effects = (*deletion, *announcements(before, memory))
    rechecks = lifecycle.rechecks(contract, memory, seen, Attention.BLIND, now)
    return Decision(memory, told, effects, next_look(now, (("incident", at) for at in rechecks)))


# Recording -------------------------------------------------------------------------------------------------------


def _take_up(given: Given, memory: Memory) -> Memory:
    """Take up what people ask for by annotations."""
    asked = given.contract.requested_at or memory.handled_request
    memory = replace(memory, handled_request=asked)
    return handled_requests.follow(memory, given.contract.requests, given.now)


def _compare(given: Given, memory: Memory) -> Memory:
    """Take in the last comparison of the cluster with Git."""
    return drift.remember(given.contract, memory, given.seen, given.now)


def _follow(given: Given, memory: Memory) -> Memory:
    """Go on with the delivery, or begin the next."""
    return succession.follow(given.contract, memory, given.seen, given.now)


def _forget(given: Given, memory: Memory) -> Memory:
    """Lift the ban on a second rollback where a person asks for it."""
    return handled_requests.forget(memory, given.contract.requests, given.now)


def _prove(given: Given, memory: Memory) -> Memory:
    """Remember what has proved good."""
    return last_good.prove(given.contract, memory, given.seen, given.now)


def _count_departures(given: Given, memory: Memory) -> Memory:
    """Take in what has left the inventory with this delivery."""
    return replace(memory, departures=left_behind(given.contract, memory, given.seen, given.now))


def _name_refused(given: Given, memory: Memory) -> Memory:
    """Take in which manifests of this delivery are refused."""
    return replace(memory, refusals=validation.refusals(memory, given.seen))


Recorder = Callable[[Given, Memory], Memory]

RECORDERS: Final[Mapping[str, Recorder]] = {
    "take up": _take_up,
    "compare": _compare,
    "follow": _follow,
    "forget": _forget,
    "prove": _prove,
    "count departures": _count_departures,
    "name refused": _name_refused,
}
"""What is recorded, in order. Of each two a test knows whether they commute, or what holds their order."""
