"""The promise that what a commit deletes is gone from the cluster in time.

It counts from the moment at which Flux's inventory no longer has the object: Flux writes the inventory once
everything is applied and all that left has been asked to go, before it checks health.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.facts.pruning import Departure, Departures, Fate
from reconciliation_contract.core.memory import budget
from reconciliation_contract.core.memory.budget import Course, Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.memory.timeline import Delivery, Moment, Witness
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken


def assess_deletion(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Judgement | None:
    """How the promise stands; None where nobody follows what leaves.

    The deadline turns nothing by itself: it takes a look after it that still finds the object.
    """
    delivery, within = memory.delivery, contract.promises.deletion
    if seen.live.departures is None or delivery is None:
        return None
    found = seen.live.departures.count_for(delivery.started_at, within, now)
    awaited = sorted((each for each in found.pending if each.fate is Fate.AWAITED), key=lambda each: each.left_at)
    late = [each for each in awaited if each.looked_at is not None and each.looked_at > each.left_at + within]
    if late:
        message = f"still there after {spoken(within)}: {_named(late, found)}"
        return _said(within, Verdict.BROKEN, reasons.BUDGET_EXCEEDED, message)
    if awaited:
        deadline = awaited[0].left_at + within
        message = f"to be rid of what it deletes by {deadline:%H:%M:%S} UTC: {_named(awaited, found)}"
        return replace(_said(within, Verdict.PENDING, reasons.IN_PROGRESS, message), deadline=deadline)
    if _is_over(delivery):
        return _final(found, within, now)
    if seen.flux.kustomization is not None and seen.flux.kustomization.suspended:
        return _said(within, Verdict.UNKNOWN, reasons.SUSPENDED, "the Kustomization is suspended")
    return _said(within, Verdict.PENDING, reasons.IN_PROGRESS, "waiting for Flux to say what it deletes")


def left_behind(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Departures:
    """What to remember of what has left the inventory."""
    if seen.live.departures is None or memory.delivery is None:
        return memory.departures
    return seen.live.departures.count_for(memory.delivery.started_at, contract.promises.deletion, now).kept()


def _said(within: timedelta, verdict: Verdict, reason: str, message: str) -> Judgement:
    return Judgement(PromiseName.DELETION, verdict, within, reason, message)


def _named(departed: list[Departure], found: Departures) -> str:
    first, more = departed[0], len(departed) - 1 + found.more
    told = f"{first.name} {first.account}".rstrip()
    return f"{told}; {more} more" if more else told


def _is_over(delivery: Delivery) -> bool:
    """Whether the inventory is the revision's own: it comes just after "applied", and before the attempt ends."""
    stages = delivery.stages
    return stages.healthy is not None or (stages.applied is not None and delivery.failures is not None)


def _final(found: Departures, within: timedelta, now: datetime) -> Judgement:
    """Judge by what took longest, once nothing is awaited."""
    blind = next((each for each in found.pending if each.fate is Fate.UNREADABLE), None)
    if blind:
        return _said(within, Verdict.UNKNOWN, reasons.NOT_PERMITTED, blind.account)
    if found.unseen_at or found.more:
        what = f"{found.more} objects left" if found.more else "the inventory changed"
        message = f"{what} while the operator did not run, so nobody saw what became of it"
        return _said(within, Verdict.UNKNOWN, reasons.UNOBSERVED, message)
    spared = f"{found.spared} left alone, protected or not Flux's any more" if found.spared else ""
    if found.slowest is None:
        message = f"nothing to delete; {spared}" if spared else "nothing to delete"
        return _said(within, Verdict.KEPT, reasons.WITHIN_BUDGET, message)
    start = Moment(now, Witness.WATCH)
    end = Moment(now + found.slowest.longest, Witness.WATCH, now + found.slowest.shortest)
    goal = f"{found.left - found.spared} deleted, all gone"
    return budget.assess_course(Course(PromiseName.DELETION, within, start, end, goal, note=spared), now)
