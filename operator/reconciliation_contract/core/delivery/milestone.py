"""What a delivery has come to, for tools that keep a record of deployments.

::

    delivery ──▶ healthy ──▶ deployed, or upgraded where something ran before
        └──────────┴──▶ a rollback is complete ──▶ rolled back

A milestone is a level: it follows from what is remembered, with the same identity whoever derives it and however
often. `announced` of the delivery and of the rollback says that it was taken, so that it is sent once, and again only
after a crash between the two. What was there before the contract is no delivery, and is not announced.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from urllib.parse import quote

from reconciliation_contract.core.delivery.outcome import undone
from reconciliation_contract.core.facts.observation import Observation, Source
from reconciliation_contract.core.memory.memory import HISTORY, Memory, Result
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.spec.contract import Contract


class Step(StrEnum):
    """What became of the service, in the words of CDEvents."""

    DEPLOYED = "deployed"
    UPGRADED = "upgraded"
    ROLLED_BACK = "rolledback"


@dataclass(frozen=True, slots=True)
class Milestone:
    """One thing to announce."""

    id: str
    """The same for the same milestone, whoever sends it and however often."""
    step: Step
    namespace: str
    contract: str
    kustomization: str
    revision: str
    """What runs now."""
    artifact: str
    """The same as a package URL."""
    at: datetime
    started_at: datetime
    """When the delivery, or the rollback, began."""
    committed_at: datetime | None = None
    left: str = ""
    """The revision that was rolled back."""
    reason: str = ""
    """Why."""


def milestones(contract: Contract, memory: Memory, source: Source | None = None) -> Iterator[Milestone]:
    """Those of the current delivery so far; ``source`` tells where its revisions come from."""
    delivery, undo = memory.delivery, undone(memory)
    if delivery is None:
        return

    def made(step: Step, revision: str, hash_: str, at: datetime, started_at: datetime) -> Milestone:
        return Milestone(
            id=_identity(contract, delivery, step, at),
            step=step,
            namespace=contract.namespace,
            contract=contract.name,
            kustomization=contract.kustomization,
            revision=revision,
            artifact=_package_url(source, hash_, contract.kustomization),
            at=at,
            started_at=started_at,
        )

    healthy, committed = delivery.stages.healthy, delivery.stages.committed
    if healthy is not None and delivery.reached(healthy):
        step = Step.DEPLOYED if _is_first(memory) else Step.UPGRADED
        arrived = made(step, delivery.revision, delivery.hash, healthy.at, delivery.started_at)
        yield replace(arrived, committed_at=committed.at if committed else None)
    if undo is not None and undo.completed_at is not None:
        back = made(Step.ROLLED_BACK, undo.good.name, undo.good.hash, undo.completed_at, undo.started_at)
        yield replace(back, left=undo.bad.name, reason=undo.reason)


def unannounced(contract: Contract, memory: Memory, source: Source | None, now: datetime) -> tuple[Milestone, ...]:
    """Those that nobody is known to have taken, and that still are news."""
    found = milestones(contract, memory, source)
    return tuple(
        each for each in found if not _is_announced(each, memory) and now - each.at < contract.timing.milestone_news
    )


def acknowledge(contract: Contract, memory: Memory, seen: Observation) -> Memory:
    """Note which of them were taken since."""
    for each in milestones(contract, memory) if seen.notifications.announced else ():
        if each.id not in seen.notifications.announced:
            continue
        if each.step is Step.ROLLED_BACK and memory.rollback:
            memory = replace(memory, rollback=replace(memory.rollback, announced=True))
        elif memory.delivery:
            memory = replace(memory, delivery=replace(memory.delivery, announced=True))
    return memory


def _is_announced(milestone: Milestone, memory: Memory) -> bool:
    about = memory.rollback if milestone.step is Step.ROLLED_BACK else memory.delivery
    return about is not None and about.announced


def _is_first(memory: Memory) -> bool:
    """Whether nothing is known to have run before: all that came earlier was overtaken on its way."""
    return len(memory.history) < HISTORY and all(past.result is Result.SUPERSEDED for past in memory.history)


def _package_url(source: Source | None, hash_: str, name: str) -> str:
    """Name a revision for supply-chain tools (purl-spec); ``name`` is for what is not known to come from anywhere."""
    return (source and source.kind.package_url(source.url, hash_)) or f"pkg:generic/{quote(name, safe='')}@{hash_}"


def _identity(contract: Contract, delivery: Delivery, step: Step, at: datetime) -> str:
    """Whether it is the first is left out: a history may be cut short between two looks."""
    what = "back" if step is Step.ROLLED_BACK else "there"
    times = "/".join(time.astimezone(UTC).isoformat(timespec="milliseconds") for time in (delivery.started_at, at))
    return hashlib.sha256(f"{contract.uid}/{delivery.hash}/{what}/{times}".encode()).hexdigest()[:16]
