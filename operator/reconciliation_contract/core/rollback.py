"""Rollback: one act per bad revision, from the intent to the release.

::

                     persistent failure, no objection
           ┌──────────────────────┬───────────────────────┐
           ▼ mode: Manual         │                       ▼ mode: Automatic
       Proposed ──── approved ────┴──────────────────▶ Intended ── world changed ──▶ (none: Cancelled)
                                                          │ pin serves the good revision
                                                          ▼
                             good one fails too       Switching
                  Failed ◀────────────────────────────────┤ Ready at the good revision
                    │                                     ▼
                    │ new head                          Active ── source changed by others ─┐
                    └──────────────▶ Releasing ◀──────────┘ new head, or deletion           │
                                         │  ▲───────────────────────────────────────────────┘
                                         ▼
                                       (none)

A state is written to the contract's status before the acts that belong to it: an act is derived only from the
memory with which a pass began. The switch leaves a mark on the Kustomization in the same write, so a crash in
between can tell "not yet done" from "done, and undone by somebody since".
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from reconciliation_contract.core import reasons
from reconciliation_contract.core.contract import Contract, RollbackMode
from reconciliation_contract.core.effects import (
    AllowDeletion,
    DeletePin,
    Effect,
    EnsurePin,
    HoldDeletion,
    SwitchSource,
)
from reconciliation_contract.core.grounds import changed, objection, persistent_from
from reconciliation_contract.core.memory import (
    BAD_REVISIONS,
    Memory,
    Revision,
    Rollback,
    RollbackState,
)
from reconciliation_contract.core.observation import Kustomization, Observation, SourceRef
from reconciliation_contract.core.timeline import Delivery

HOLD: Final = "kustomize.toolkit.fluxcd.io/ssa"
"""With the value ``Ignore`` a parent Kustomization leaves the object as it is."""
MARK: Final = "reconciliation.dev/rolled-back-from"
"""Hash of the bad revision; set together with the switch."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the condition ``RolledBack`` says."""

    rolled_back: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Step:
    """The outcome of one step: the new memory, the acts of the state with which it began, and what to say."""

    memory: Memory
    effects: tuple[Effect, ...] = ()
    standing: Standing | None = None
    """None leaves what was said before."""
    recheck_at: datetime | None = None


def step(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Step:
    """Take the rollback one step further, or decide whether there must be one."""
    if not seen.fresh:
        return Step(memory)
    rollback = memory.rollback
    if rollback is None:
        return _idle(contract, memory, seen, now)
    if not seen.acts:
        return Step(memory, (), Standing(False, reasons.ROLLBACK_DISABLED, "the operator runs with --observe-only"))
    taken = _go_on(contract, memory, rollback, seen, now)
    if seen.refused and taken.memory.rollback == rollback:
        return replace(taken, standing=Standing(False, reasons.ACT_REFUSED, seen.refused))
    return taken


def _go_on(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    if contract.deleting and rollback.state is not RollbackState.RELEASING:
        return _enter(memory, rollback, RollbackState.RELEASING, reasons.RELEASING, "the contract is being deleted")
    match rollback.state:
        case RollbackState.PROPOSED:
            return _proposed(contract, memory, rollback, seen, now)
        case RollbackState.INTENDED:
            return _intended(contract, memory, rollback, seen, now)
        case RollbackState.SWITCHING:
            return _switching(contract, memory, rollback, seen, now)
        case RollbackState.ACTIVE:
            return _active(memory, rollback, seen)
        case RollbackState.RELEASING:
            return _releasing(contract, memory, rollback, seen)
        case RollbackState.FAILED:
            return _failed(memory, rollback, seen)


# Whether to begin ---------------------------------------------------------------------------------------------


def _strays(seen: Observation) -> tuple[Effect, ...]:
    """Remove pinned copies that nothing needs, left by a crash at the wrong moment."""
    used = seen.kustomization.source if seen.kustomization else None
    return tuple(DeletePin(pin.reference) for pin in seen.strays if pin.reference != used)


def _idle(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Step:
    if contract.deleting:
        return Step(memory, (AllowDeletion(),) if contract.finalized else ())
    done: tuple[Effect, ...] = (*_strays(seen), AllowDeletion()) if contract.finalized else _strays(seen)
    delivery = memory.delivery
    due = persistent_from(delivery.failures, contract.rollback) if delivery else None
    if delivery is None or due is None:
        return Step(memory, done)
    if now < due:
        return Step(memory, done, recheck_at=due)
    against = objection(contract, memory, delivery, seen)
    if against:
        return Step(memory, done, Standing(False, *against))
    return _begin(contract, memory, delivery, seen, now)


def _begin(contract: Contract, memory: Memory, delivery: Delivery, seen: Observation, now: datetime) -> Step:
    kustomization, good, failures = seen.kustomization, memory.good, delivery.failures
    if kustomization is None or good is None or failures is None:  # excluded by the objections
        return Step(memory)
    manual = contract.rollback.mode is RollbackMode.MANUAL
    rollback = Rollback(
        state=RollbackState.PROPOSED if manual else RollbackState.INTENDED,
        bad=Revision(delivery.revision, delivery.hash),
        good=Revision(good.revision, good.hash),
        reason=failures.reason,
        kustomization_uid=kustomization.uid,
        source=kustomization.source,
        pin=pin_of(contract, kustomization.source, good.hash),
        started_at=now,
        message=failures.message,
    )
    return Step(replace(memory, rollback=rollback), (), _standing(rollback))


def pin_of(contract: Contract, source: SourceRef, good: str) -> SourceRef:
    """Name the pinned copy: the same for the same contract and revision, and no other's."""
    digest = hashlib.sha256(contract.uid.encode()).hexdigest()[:6]
    return SourceRef(source.kind, source.namespace, f"{contract.name[:40].rstrip('-.')}-{digest}-{good[:7]}")


# The states --------------------------------------------------------------------------------------------------


def _standing(rollback: Rollback) -> Standing:
    bad, good = rollback.bad.name, rollback.good.name
    match rollback.state:
        case RollbackState.PROPOSED:
            message = (
                f"{bad} keeps failing; annotate reconciliation.dev/approve={rollback.bad.hash} to go back to {good}"
            )
            return Standing(False, reasons.AWAITING_APPROVAL, message)
        case RollbackState.INTENDED | RollbackState.SWITCHING:
            return Standing(False, reasons.ROLLING_BACK, f"going back from {bad} to {good}: {rollback.reason}")
        case RollbackState.ACTIVE:
            message = f"runs {good} instead of {bad} ({rollback.reason}); push a fix"
            return Standing(True, reasons.PERSISTENT_FAILURE, message)
        case RollbackState.RELEASING:
            return Standing(False, reasons.RELEASING, rollback.message)
        case RollbackState.FAILED:
            return Standing(False, reasons.TARGET_FAILED, rollback.message)


def _enter(memory: Memory, rollback: Rollback, state: RollbackState, reason: str = "", message: str = "") -> Step:
    """Move to a state; its acts follow in the next pass, when the state has been written."""
    entered = replace(rollback, state=state, message=message or rollback.message)
    standing = _standing(entered)
    if reason:
        standing = replace(standing, reason=reason)
    return Step(replace(memory, rollback=entered), (), standing)


def _proposed(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    change = changed(rollback.bad.hash, seen)
    if change:
        return Step(replace(memory, rollback=None), (), Standing(False, reasons.CANCELLED, change))
    if contract.approved and rollback.bad.hash.startswith(contract.approved):
        return _enter(memory, replace(rollback, started_at=now), RollbackState.INTENDED)
    return Step(memory)


def _withdrawn(memory: Memory, rollback: Rollback, seen: Observation, why: str) -> Step:
    """Give the rollback up before its act."""
    effects: tuple[Effect, ...] = (DeletePin(rollback.pin),) if seen.pin else ()
    if effects:
        return Step(memory, effects, Standing(False, reasons.CANCELLED, why))
    return Step(replace(memory, rollback=None), (), Standing(False, reasons.CANCELLED, why))


def _intended(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    change = changed(rollback.bad.hash, seen) or _strange(rollback, seen)
    if change:
        return _withdrawn(memory, rollback, seen, change)
    if contract.finalized and _serves(seen, rollback.good.hash):
        bad = (*(b for b in memory.bad if b != rollback.bad.hash), rollback.bad.hash)[-BAD_REVISIONS:]
        return _enter(replace(memory, bad=bad), rollback, RollbackState.SWITCHING)
    deadline = rollback.started_at + contract.rollback.within
    if now > deadline:
        problem = seen.pin.ready.message if seen.pin else "it could not be created"
        message = f"the pinned source does not serve {rollback.good.name}: {problem}"
        return _enter(memory, rollback, RollbackState.FAILED, message=message)
    hold: tuple[Effect, ...] = () if contract.finalized else (HoldDeletion(),)
    ensure = EnsurePin(rollback.pin, rollback.source, rollback.good.hash)
    return Step(memory, (*hold, ensure) if seen.pin is None else hold, recheck_at=deadline)


def _strange(rollback: Rollback, seen: Observation) -> str:
    kustomization = seen.kustomization
    if kustomization is None or kustomization.uid != rollback.kustomization_uid:
        return "the Kustomization was replaced by another of the same name"
    if kustomization.source != rollback.source:
        return "the Kustomization has another source now"
    return ""


def _serves(seen: Observation, good: str) -> bool:
    pin = seen.pin
    return pin is not None and pin.artifact is not None and pin.artifact.value.hash == good


def _switching(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    kustomization = seen.kustomization
    if kustomization is None or kustomization.uid != rollback.kustomization_uid:
        return _enter(memory, rollback, RollbackState.RELEASING, message="the Kustomization is gone")
    if kustomization.source == rollback.pin:
        return _arriving(contract, memory, rollback, kustomization, now)
    if kustomization.hold.get(MARK) == rollback.bad.hash or kustomization.source != rollback.source:
        return _enter(
            memory,
            rollback,
            RollbackState.RELEASING,
            reasons.UNDONE,
            "somebody changed the source; respected",
        )
    change = changed(rollback.bad.hash, seen)
    if change:
        forgotten = replace(memory, bad=tuple(b for b in memory.bad if b != rollback.bad.hash))
        return _withdrawn(forgotten, rollback, seen, change)
    if not _serves(seen, rollback.good.hash):
        return Step(memory, (EnsurePin(rollback.pin, rollback.source, rollback.good.hash),))
    kept = _kept(kustomization)
    if kept != rollback.kept_annotations:
        return _enter(memory, replace(rollback, kept_annotations=kept), RollbackState.SWITCHING)
    hold: Mapping[str, str | None] = {MARK: rollback.bad.hash} | ({HOLD: "Ignore"} if kustomization.parent else {})
    return Step(memory, (SwitchSource(kustomization.uid, kustomization.resource_version, rollback.pin, hold),))


def _kept(kustomization: Kustomization) -> Mapping[str, str]:
    """The person's own annotations that the hold replaces."""
    return {key: value for key, value in kustomization.hold.items() if key == HOLD}


def _arriving(
    contract: Contract, memory: Memory, rollback: Rollback, kustomization: Kustomization, now: datetime
) -> Step:
    """The Kustomization is switched: wait until it is Ready at the good revision."""
    delivered, attempted = kustomization.delivered, kustomization.attempted
    if delivered is not None and delivered.value == rollback.good.hash:
        arrived = replace(rollback, completed_at=max(rollback.started_at, delivered.at))
        return _enter(memory, arrived, RollbackState.ACTIVE)
    failures = kustomization.failures
    if attempted is not None and attempted.value == rollback.good.hash and failures:
        worn = len(failures) >= contract.rollback.failures or now - failures[0].at >= contract.rollback.duration
        if worn:
            message = f"{rollback.good.name} fails too: {failures[-1].message}"
            return _enter(memory, rollback, RollbackState.FAILED, message=message)
        return Step(memory, recheck_at=failures[0].at + contract.rollback.duration)
    return Step(memory)


def _fresh_head(memory: Memory, rollback: Rollback, seen: Observation) -> str:
    """Hash of a new revision that is not known to be bad; empty while there is none."""
    artifact = seen.source.artifact if seen.source else None
    known = {*memory.bad, rollback.bad.hash}
    return artifact.value.hash if artifact and artifact.value.hash not in known else ""


def _active(memory: Memory, rollback: Rollback, seen: Observation) -> Step:
    kustomization = seen.kustomization
    if kustomization is None or kustomization.uid != rollback.kustomization_uid:
        return _enter(memory, rollback, RollbackState.RELEASING, message="the Kustomization is gone")
    if kustomization.source != rollback.pin:
        return _enter(
            memory,
            rollback,
            RollbackState.RELEASING,
            reasons.UNDONE,
            "somebody changed the source; respected",
        )
    head = _fresh_head(memory, rollback, seen)
    if head:
        return _enter(memory, rollback, RollbackState.RELEASING, message=f"a new commit arrived: {head[:12]}")
    lost = seen.pin is None
    return Step(memory, (EnsurePin(rollback.pin, rollback.source, rollback.good.hash),) if lost else ())


def _failed(memory: Memory, rollback: Rollback, seen: Observation) -> Step:
    if _fresh_head(memory, rollback, seen):
        return _enter(memory, rollback, RollbackState.RELEASING, message="a new commit arrived")
    return Step(memory)


def _releasing(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation) -> Step:
    kustomization = seen.kustomization
    ours = (
        kustomization is not None and kustomization.uid == rollback.kustomization_uid and not kustomization.deleting
    )
    if kustomization is not None and ours and (kustomization.source == rollback.pin or MARK in kustomization.hold):
        source = rollback.source if kustomization.source == rollback.pin else kustomization.source
        back = {MARK: None, HOLD: rollback.kept_annotations.get(HOLD)}
        return Step(memory, (SwitchSource(kustomization.uid, kustomization.resource_version, source, back),))
    if seen.pin is not None:
        return Step(memory, (DeletePin(rollback.pin),))
    effects: tuple[Effect, ...] = (AllowDeletion(),) if contract.finalized else ()
    return Step(replace(memory, rollback=None), effects, Standing(False, reasons.RELEASED, rollback.message))
