"""One pass: from what is remembered and what is seen to what is to be done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime

from reconciliation_contract.core import conditions
from reconciliation_contract.core.delivery import milestone, succession
from reconciliation_contract.core.delivery.failure_count import resumed
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.facts.pruning import Departures
from reconciliation_contract.core.incidents import lifecycle
from reconciliation_contract.core.incidents.kubernetes_events import announcements
from reconciliation_contract.core.memory.effects import AllowDeletion, Effect
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises import drift, judging, validation
from reconciliation_contract.core.promises.dependencies import dependencies
from reconciliation_contract.core.rollback import handled_requests, last_good, state_machine
from reconciliation_contract.core.rollback.report import Step
from reconciliation_contract.core.spec.contract import Contract, Declared, InvalidContract
from reconciliation_contract.core.spec.requests import names


@dataclass(frozen=True, slots=True)
class Decision:
    """What a pass decided: write ``memory`` if it changed, then perform ``effects``, then look again."""

    memory: Memory
    effects: tuple[Effect, ...] = ()
    recheck_at: datetime | None = None
    """When the world's silence alone changes something; None: only an event can."""
    settled: bool = True
    """False when the next pass has work to do as soon as this one is written."""


def evaluate(contract: Declared, memory: Memory, seen: Observation, now: datetime) -> Decision:
    """Decide everything about one contract at one moment. Pure: the same arguments give the same decision."""
    before = memory
    memory = replace(memory, observed_generation=contract.generation)
    if isinstance(contract, InvalidContract):
        return _stalled(contract, before, memory, seen, now)
    memory = replace(memory, dependencies=dependencies(seen) if seen.complete else memory.dependencies)
    looks = seen.fresh and not contract.suspended  # whoever sees nothing, or is suspended, takes no request up
    memory = replace(memory, handled_request=(looks and contract.requested_at) or memory.handled_request)
    if seen.fresh and not contract.suspended:
        memory = _forget(contract, handled_requests.follow(memory, contract.requests, now), now)
        memory = drift.remember(contract, memory, seen, now)
        memory = last_good.prove(contract, succession.follow(contract, memory, seen, now), seen, now)
        memory = replace(memory, departures=_departures(contract, memory, seen, now))
        memory = replace(memory, refusals=validation.refusals(memory, seen))
    if contract.suspended and seen.fresh:
        memory = judging.pause(memory)
    memory = resumed(contract, memory, now)
    idle = contract.suspended and not contract.deleting  # a deletion ends in every state
    took = Step(memory) if idle else state_machine.step(contract, memory, seen, now)
    memory = judging.mark(contract, took.memory, seen, now) if seen.fresh and not contract.suspended else took.memory
    memory = replace(memory, conditions=conditions.derive(contract, memory, seen, took.standing, now))
    memory = milestone.acknowledge(contract, lifecycle.follow(contract, memory, seen, now), seen)
    rechecks = [
        took.recheck_at,
        *lifecycle.rechecks(contract, memory),
        last_good.settles_at(contract, memory, seen),
        *(j.deadline for j in memory.judgements),
    ]
    due = _first(rechecks, now)
    told = announcements(before, memory, seen.kustomization)
    settled = memory.rollback == before.rollback and drift.is_written(before, memory)
    asked = drift.requests(memory, seen, now) if settled else ()
    return Decision(memory, (*took.effects, *told, *asked), due, settled)


def _stalled(contract: InvalidContract, before: Memory, memory: Memory, seen: Observation, now: datetime) -> Decision:
    """Wait for the author of a contract that makes no sense, who is told so; a deletion waits for nobody."""
    memory = replace(memory, conditions=conditions.stalled(contract, memory, now))
    memory = lifecycle.follow(contract, memory, seen, now)
    effects: tuple[Effect, ...] = (AllowDeletion(),) if contract.deleting and contract.finalized else ()
    return Decision(
        memory, (*effects, *announcements(before, memory)), _first(lifecycle.rechecks(contract, memory), now)
    )


def _first(rechecks: Iterable[datetime | None], now: datetime) -> datetime | None:
    """The next time at which the world's silence alone changes something."""
    return min((at for at in rechecks if at is not None and at >= now), default=None)


def _departures(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Departures:
    """What to remember of what has left the inventory."""
    if seen.departures is None or memory.delivery is None:
        return memory.departures
    return seen.departures.count_for(memory.delivery.started_at, contract.promises.deletion, now).kept()


def _forget(contract: Contract, memory: Memory, now: datetime) -> Memory:
    """Lift the ban on a second rollback where a person asks for it, but not during the first."""
    asked, undo = contract.requests.forget, memory.rollback
    waits = undo is not None and names(asked, undo.bad.hash)
    if not asked or waits or handled_requests.is_taken(memory, contract.requests, "forget"):
        return memory
    kept = tuple(hash_ for hash_ in memory.bad if not names(asked, hash_))
    return handled_requests.take(replace(memory, bad=kept), contract.requests, "forget", now)
