"""How a rollback begins: because a failure persists, because a person asks, or because its memory was lost."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from reconciliation_contract.core.delivery.failure_count import recount
from reconciliation_contract.core.facts.observation import Kustomization, Observation, SourceRef
from reconciliation_contract.core.memory.effects import AllowDeletion, DeletePin, Effect
from reconciliation_contract.core.memory.memory import (
    Copy,
    Memory,
    Past,
    Result,
    Revision,
    Rollback,
    Standing,
    footing_of,
)
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.rollback import handled_requests
from reconciliation_contract.core.rollback.guards import (
    Case,
    braked,
    changed,
    disabled,
    objection,
    persistent_from,
    rivalled,
    unpinnable,
)
from reconciliation_contract.core.rollback.not_undone import remains
from reconciliation_contract.core.rollback.pinned_copy import pin_of, recorded
from reconciliation_contract.core.rollback.report import Step, standing_of
from reconciliation_contract.core.rollback.transitions import BEGINS, Event
from reconciliation_contract.core.spec.contract import Contract, RollbackMode
from reconciliation_contract.core.spec.requests import Requests, names
from reconciliation_contract.core.values import reasons

HOLD: Final = "kustomize.toolkit.fluxcd.io/ssa"
"""With the value ``Ignore`` a parent Kustomization leaves the object as it is."""
MARK: Final = "reconciliation.dev/rolled-back-from"
"""Hash of the bad revision; set together with the switch."""
_BEGUN: Final = 20
"""Times of rollbacks kept for the budget."""


def begin(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Step:
    """Begin a rollback if there is reason to and nothing speaks against it; clean up where nothing is in force."""
    lost = _lost(seen)
    if lost is not None:
        known = tuple(hash_ for hash_ in memory.bad if hash_ != lost.bad.hash)
        return Step(replace(memory, rollback=lost, bad=(*known, lost.bad.hash)), (), standing_of(lost))
    if contract.deleting:
        return Step(memory, (*_strays(seen), *((AllowDeletion(),) if contract.finalized else ())))
    asked = requested(contract, memory, seen, now)
    step = asked or _persisting(contract, memory, seen, now)
    if step.memory.rollback is not None:
        return step
    tidy = (AllowDeletion(),) if contract.finalized else ()
    return replace(step, effects=(*_strays(seen), *tidy))


def _strays(seen: Observation) -> tuple[Effect, ...]:
    """Remove pinned copies that nothing needs, left by a crash at the wrong moment."""
    used = seen.flux.kustomization.source if seen.flux.kustomization else None
    return tuple(
        DeletePin(pin.reference, pin.contract_uid)
        for pin in seen.flux.strays
        if seen.operator.acts and pin.reference != used
    )


def _lost(seen: Observation) -> Rollback | None:
    """The rollback that the objects tell of though the memory does not: the status was wiped."""
    kustomization = seen.flux.kustomization
    pin = next((pin for pin in seen.flux.strays if kustomization and pin.reference == kustomization.source), None)
    if not seen.operator.acts or kustomization is None or pin is None or pin.artifact is None or not pin.original:
        return None
    bad = kustomization.hold.get(MARK, "")
    good = pin.artifact.value
    return Rollback(
        state=BEGINS[Event.FOUND],
        bad=Revision(f"sha1:{bad}", bad),
        good=Revision(good.revision, good.hash),
        reason=reasons.RECOVERED,
        kustomization_uid=kustomization.uid,
        source=SourceRef(kustomization.source.kind, pin.namespace, pin.original),
        pin=pin.reference,
        started_at=good.updated_at,
        kept_annotations={HOLD: ""} if kustomization.parent else {},
        message="found again after the status was lost",
        copy=recorded(Copy(), pin),
    )


# A failure that persists -----------------------------------------------------------------------------------------


def _persisting(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Step:
    delivery = memory.delivery
    failures = delivery.failures if delivery else None
    due = persistent_from(failures, contract.rollback)
    if delivery is None or failures is None or due is None:
        return Step(memory)
    if now < due and not seen.operator.brake:
        return Step(memory, recheck_at=min(due, now + contract.timing.brake_recheck))
    if braked(memory, seen) and not seen.operator.brake:  # what failed while it was on says nothing of the commit
        return Step(replace(memory, delivery=recount(delivery, now)))
    against = objection(Case(contract, memory, delivery, failures, seen, now))
    if against:
        soon = now + contract.timing.brake_recheck
        wakes = {reasons.PAUSED: contract.requests.paused_until, reasons.FLEET_BRAKE: soon}
        wake = wakes.get(against[0])
        return Step(memory, (), Standing(False, *against), wake)
    kustomization, good = seen.flux.kustomization, memory.good
    if kustomization is None or good is None:  # excluded by the guards
        return Step(memory)
    manual = contract.rollback.mode is RollbackMode.MANUAL
    rollback = replace(
        _intent(contract, delivery, seen, kustomization, Revision(good.revision, good.hash), now=now),
        state=BEGINS[Event.PROPOSED if manual else Event.PERSISTS],
        reason=failures.reason,
        message=failures.message,
        remains=tuple(remains(kustomization, memory, good.hash)),
    )
    recent = tuple(at for at in memory.begun if now - at < contract.rollback.budget_per)
    begun = memory.begun if manual else (*recent, now)[-_BEGUN:]
    return Step(replace(memory, rollback=rollback, begun=begun), (), standing_of(rollback))


def _intent(
    contract: Contract,
    delivery: Delivery,
    seen: Observation,
    kustomization: Kustomization,
    good: Revision,
    *,
    now: datetime,
) -> Rollback:
    return Rollback(
        state=BEGINS[Event.ASKED],
        bad=Revision(delivery.revision, delivery.hash),
        good=good,
        reason=reasons.REQUESTED,
        kustomization_uid=kustomization.uid,
        source=kustomization.source,
        pin=pin_of(contract, kustomization.source, good.hash, seen.operator.token),
        started_at=now,
        spec=kustomization.spec,
        copy=Copy(seen.flux.source.content if seen.flux.source else ""),
    )


# A person's request ----------------------------------------------------------------------------------------------


def requested(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Step | None:
    """Begin the rollback that a person asks for; None where none is asked for, or it was done before."""
    requests, delivery, kustomization = contract.requests, memory.delivery, seen.flux.kustomization
    if delivery is None or not requests.rollback_to or not names(requests.rollback_from, delivery.hash):
        return None
    if handled_requests.is_taken(memory, requests, "rollback"):
        return None
    if delivery.hash in memory.bad or names(requests.release, delivery.hash) or kustomization is None:
        return None
    good, footing = _known(memory, requests)
    why = (
        disabled(contract)
        or rivalled(seen)
        or unpinnable(seen)
        or changed(delivery.hash, seen, asked=True)
        or ("" if seen.operator.acts else "the operator runs with --observe-only")
    )
    if good is None or good.hash == delivery.hash:
        why = f"{requests.rollback_to} is no revision that proved good under this contract; see .status.history"
    elif footing != footing_of(kustomization):
        why = f"{good.name} was good for another Kustomization, source or path than there is now"
    if why or good is None:
        return Step(memory, (), Standing(False, reasons.CANCELLED, f"the rollback asked for cannot begin: {why}"))
    signed = requests.signature("rollback")
    who = signed.by or "somebody"
    rollback = replace(
        _intent(contract, delivery, seen, kustomization, good, now=now),
        asked_by=f"{who}: {signed.why}" if signed.why else who,
        remains=tuple(remains(kustomization, memory, good.hash)),
    )
    taken = handled_requests.take(memory, requests, "rollback", now)
    return Step(replace(taken, rollback=rollback), (), standing_of(rollback))


def _known(memory: Memory, requests: Requests) -> tuple[Revision | None, str]:
    """The revision asked for, if it proved good under this contract, and for what it did."""
    good, asked = memory.good, requests.rollback_to
    if good and names(asked, good.hash):
        return Revision(good.revision, good.hash), footing_of(good)
    past = next((past for past in proven(memory) if names(asked, past.hash)), None)
    return (Revision(past.revision, past.hash), past.footing) if past else (None, "")


def proven(memory: Memory) -> Iterator[Past]:
    """The finished deliveries that a person may go back to, newest first."""
    return (past for past in memory.history if past.footing and past.result in (Result.HEALTHY, Result.ADOPTED))
