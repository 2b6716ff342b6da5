"""The sentences that messages about incidents are made of. Text from outside is bounded and on one line."""

from __future__ import annotations

from datetime import UTC
from typing import Final
from urllib.parse import urlsplit

from reconciliation_contract.core.facts.failure_cause import unreachable
from reconciliation_contract.core.facts.observation import RIGHTS, Dependency, Observation
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery, Failures
from reconciliation_contract.core.spec.contract import Contract, Declared, RollbackMode
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.text import bounded

LONGEST: Final = 500
"""Characters of a message."""


def sentences(*parts: str) -> str:
    """Put sentences together; empty ones are left out."""
    return bounded(". ".join(part.rstrip(".") for part in parts if part), LONGEST)


def named(delivery: Delivery) -> str:
    """Name a revision for people, with the subject of its commit."""
    subject = f' "{bounded(delivery.subject, 60)}"' if delivery.subject else ""
    name = delivery.revision.partition("@")[0][-60:] if "@" in delivery.revision else ""
    return f"Revision {f'{name}@' if name else ''}{delivery.hash[:12]}{subject}"


def broken(judgement: Judgement) -> str:
    """Say which promise is broken, what was measured and the limit."""
    return f"{judgement.promise} broken: {judgement.message}"


def failing(memory: Memory, failures: Failures) -> str:
    """Say that attempts fail although no promise is broken: not yet, or not any more."""
    tries = f"{failures.count} attempt{'s' if failures.count > 1 else ''} failed"
    since = f"{tries} since {failures.first_at.astimezone(UTC):%H:%M:%S} UTC"
    said = memory.judgement(PromiseName.RECONCILIATION)
    match said.verdict if said else None:
        case Verdict.PENDING:
            rest = f", {said.message} ({spoken(said.within)})" if said else ""
        case Verdict.KEPT:
            rest = f", it was {said.message}" if said else ""
        case _:
            rest = ""
    return f"{PromiseName.RECONCILIATION} failing: {since}{rest}"


def next_step(contract: Contract, memory: Memory) -> str:
    """Say what happens next, if nobody does anything."""
    undo = memory.rollback
    if undo is not None:
        good = undo.good.hash[:12]
        match undo.state:
            case RollbackState.PROPOSED:
                return f"A rollback to {good} waits for approval"
            case RollbackState.INTENDED | RollbackState.SWITCHING:
                return f"Rolling back to {good}"
            case RollbackState.ACTIVE if _differs(memory):
                return "The rollback is not what was decided: push a fix, or release"
            case RollbackState.ACTIVE:
                return f"{good} runs instead until a fix is pushed"
            case RollbackState.FAILED:
                return f"The rollback failed: {bounded(undo.message, 120)}"
            case RollbackState.RELEASING:
                return "The rollback is being released"
    said = memory.standing
    if said is not None and said.reason not in (reasons.RELEASED, reasons.CANCELLED):
        return f"No rollback: {bounded(said.message, 120)}"
    if contract.rollback.mode is RollbackMode.DISABLED:
        return "No rollback: spec.rollback.mode is Disabled"
    return "It is rolled back if it keeps failing" if memory.good else "Nothing to roll back to yet"


def _differs(memory: Memory) -> bool:
    said = memory.standing
    return said is not None and said.reason == reasons.COPY_DIFFERS


def advice(contract: Declared, memory: Memory) -> str:
    """Name the command that shows or does more."""
    undo = memory.rollback
    verb = "approve" if undo is not None and undo.state is RollbackState.PROPOSED else "get"
    return f"See: flux contract {verb} {contract.name} -n {contract.namespace}"


def root_cause(down: Dependency, seen: Observation) -> str:
    """Name the root cause so that all contracts which have it name it alike."""
    source = seen.flux.source
    if source is not None and down.name == source.kind.name:
        host = _host(source.url)
        if host and unreachable(down.message):
            return f"{source.kind.host} {host}"
        return f"{source.kind.name} {source.namespace}/{source.name}"
    if down.name in ("dependsOn", RIGHTS):
        return bounded(down.message.partition(": ")[0], 120)
    return down.name


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
