"""How far a status is believed: as far as whoever may write it could do no harm with it.

It is memory, not authority. What it names is looked at only in the contract's own namespace, or in that of the source
that the Kustomization follows; what it would put back is of a closed list. Whether a rollback may go on is asked of
the world again at every step, see `state_machine`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from reconciliation_contract.core.facts.observation import Kustomization, SourceRef
from reconciliation_contract.core.facts.pruning import Departure, Departures
from reconciliation_contract.core.facts.source_kind import SOURCE_KINDS
from reconciliation_contract.core.memory.memory import Memory, Rollback
from reconciliation_contract.core.rollback.start import HOLD
from reconciliation_contract.core.spec.contract import Declared
from reconciliation_contract.core.values.object_name import flaw_of_subdomain

RESTORED: Final = {HOLD: frozenset({"", "Override", "Merge", "IfNotPresent"})}
"""Annotations of a Kustomization that a rollback replaces, with the values that may have been there; empty is none.
With any of them, on the live object, a parent goes on applying it."""


def within_bounds(contract: Declared, memory: Memory, kustomization: Kustomization | None) -> Memory:
    """Leave out of what was remembered what would reach further than this contract does."""
    rollback, home = memory.rollback, contract.namespace
    where = {home, kustomization.source.namespace} if kustomization else {home}
    if rollback is not None and not _reaches(rollback, where):
        rollback = None
    elif rollback is not None:
        rollback = replace(rollback, kept_annotations=_restorable(rollback))
    return replace(memory, rollback=rollback, departures=_followed(memory.departures, home))


def _reaches(rollback: Rollback, where: set[str]) -> bool:
    """Whether a rollback is one between a source and its copy, beside each other and within reach."""
    source, pin = rollback.source, rollback.pin
    beside = (source.kind, source.namespace) == (pin.kind, pin.namespace) and source.name != pin.name
    return beside and source.namespace in where and _named(source) and _named(pin) and bool(rollback.good.hash)


def _named(ref: SourceRef) -> bool:
    kind = SOURCE_KINDS.get(ref.kind)
    return kind is not None and bool(kind.pin_field) and not flaw_of_subdomain(ref.name)


def _restorable(rollback: Rollback) -> dict[str, str]:
    return {key: value for key, value in rollback.kept_annotations.items() if value in RESTORED.get(key, ())}


def _followed(known: Departures, home: str) -> Departures:
    """Only count objects elsewhere: that they were this Kustomization's only an inventory of the past could say."""

    def here(those: tuple[Departure, ...]) -> tuple[Departure, ...]:
        return tuple(each for each in those if each.entry.key.namespace == home)

    pending = here(known.pending)
    more = known.more + len(known.pending) - len(pending)
    return replace(known, pending=pending, more=more, overdue=here(known.overdue))
