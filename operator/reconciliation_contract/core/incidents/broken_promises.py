"""Promises of the current delivery that are broken: those that still are, and those whose break is over.

A break that is over when it is measured (a late arrival, replicas that are back) is a broken promise like any other:
people are told of it once, and `Delivery.reported` remembers that they were.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Final

from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.values import reasons

WAY: Final = (
    PromiseName.DETECTION,
    PromiseName.VALIDATION,
    PromiseName.RECONCILIATION,
    PromiseName.ROLLBACK,
)
"""Promises about one thing, the way of a revision into the cluster."""


def has_arrived(memory: Memory) -> bool:
    """Whether the newest revision got healthy, has not failed since, and nothing else runs in its place."""
    delivery = memory.delivery
    if delivery is None or memory.rollback is not None:
        return False
    return delivery.stages.healthy is not None and delivery.failures is None


def lasting(memory: Memory) -> list[Judgement]:
    """The promises that are broken now: their goal is not reached yet."""
    return [judgement for judgement in _broken(memory) if not _is_over(judgement, memory)]


def passed(memory: Memory) -> list[Judgement]:
    """The promises that were broken, are not any more, and were never told of."""
    reported = memory.delivery.reported if memory.delivery else ()
    return [j for j in _broken(memory) if _is_over(j, memory) and j.promise not in reported]


def overrun(judgement: Judgement) -> timedelta:
    """How long a break that is over lasted: what was measured beyond the limit, as far as it is known."""
    return max(timedelta(0), (judgement.measured or timedelta(0)) - judgement.within)


def _broken(memory: Memory) -> list[Judgement]:
    return [judgement for judgement in memory.judgements if judgement.verdict is Verdict.BROKEN]


def _is_over(judgement: Judgement, memory: Memory) -> bool:
    if judgement.promise in WAY and has_arrived(memory):
        return True
    # How long a refusal took to come says nothing of its end.
    return judgement.measured is not None and judgement.reason != reasons.REFUSED
