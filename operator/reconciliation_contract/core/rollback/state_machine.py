"""Rollback: one act per bad revision, from the intent to the release. How one begins is in `start`.

::

    (none)     ──▶ Intended   a failure persists, mode Automatic
                 or           a person asks for it
    (none)     ──▶ Proposed   a failure persists, mode Manual
    (none)     ──▶ Active     a switch is found that nothing remembers
    Proposed   ──▶ Intended   a person approves
                 or           a person asks for it
    Proposed   ──▶ (none)     the world or people's will changed
                 or           it cannot be given back, and the contract goes
    Proposed   ──▶ Releasing  a person releases
                 or           the contract is deleted
    Intended   ──▶ Switching  the copy serves the good revision
    Intended   ──▶ Failed     the copy is not what was decided on
                 or           the copy does not serve in time
    Intended   ──▶ (none)     the world or people's will changed
                 or           it cannot be given back, and the contract goes
    Intended   ──▶ Releasing  a person releases
                 or           the contract is deleted
    Switching  ──▶ Active     Flux is Ready at the good revision
    Switching  ──▶ Switching  what the switch replaces changed
                 or           the copy is gone
    Switching  ──▶ Failed     the copy is not what was decided on
                 or           the good revision fails too
    Switching  ──▶ (none)     the world or people's will changed
                 or           it cannot be given back, and the contract goes
    Switching  ──▶ Releasing  a new commit is there
                 or           somebody changed the source
                 or           the Kustomization is gone
                 or           a person releases
                 or           the contract is deleted
    Active     ──▶ Failed     the good revision fails too
    Active     ──▶ Releasing  a new commit is there
                 or           somebody changed the source
                 or           the Kustomization is gone
                 or           a person releases
                 or           the contract is deleted
    Active     ──▶ (none)     it cannot be given back, and the contract goes
    Failed     ──▶ Intended   the copy serves the good revision
                 or           the copy is gone
    Failed     ──▶ Active     Flux is Ready at the good revision
    Failed     ──▶ (none)     the world or people's will changed
                 or           it cannot be given back, and the contract goes
    Failed     ──▶ Releasing  a new commit is there
                 or           somebody changed the source
                 or           the Kustomization is gone
                 or           a person releases
                 or           the contract is deleted
    Releasing  ──▶ (none)     everything is given back
                 or           it cannot be given back, and the contract goes

A state is written to the contract's status before the acts that belong to it: an act is derived only from the
memory with which a pass began. The switch leaves a mark on the Kustomization in the same write, so a crash in
between can tell "not yet done" from "done, and undone by somebody since".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Final

from reconciliation_contract.core.facts.failure_cause import classify
from reconciliation_contract.core.facts.observation import Kustomization, Observation
from reconciliation_contract.core.memory.effects import (
    AllowDeletion,
    DeletePin,
    Effect,
    EnsurePin,
    HoldDeletion,
    SwitchSource,
)
from reconciliation_contract.core.memory.memory import BAD_REVISIONS, Copy, Memory, Rollback, RollbackState, Standing
from reconciliation_contract.core.rollback import handled_requests
from reconciliation_contract.core.rollback.guards import (
    asked_for,
    braked,
    changed,
    disabled,
    groundless,
    incurable,
    paused,
    rivalled,
    unfitness,
)
from reconciliation_contract.core.rollback.pinned_copy import anew, astray, forgotten, recorded, unlike
from reconciliation_contract.core.rollback.release import abandon, hopeless, release
from reconciliation_contract.core.rollback.report import Step, enter, leave, proposal, standing_of, waiting
from reconciliation_contract.core.rollback.start import HOLD, MARK, begin, requested
from reconciliation_contract.core.rollback.transitions import Event
from reconciliation_contract.core.spec.contract import Contract, RollbackMode
from reconciliation_contract.core.spec.requests import names
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken

Objection = tuple[str, str]
"""Reason and message."""
UNASKED = "the request for it stands no more"
RESPECTED = "somebody changed the Kustomization's source; that is respected"
GONE = "the Kustomization is gone"
OBSERVING = "the operator runs with --observe-only"
_HELD = (RollbackState.SWITCHING, RollbackState.ACTIVE, RollbackState.FAILED)
"""States in which a contract must not go before the rollback is taken back."""
_LEFT_ALONE: Final = "Ignore"
"""Value of the annotation `HOLD` with which a parent leaves the Kustomization as it is."""


def step(contract: Contract, memory: Memory, seen: Observation, now: datetime) -> Step:
    """Take the rollback one step further, or decide whether there must be one."""
    if not seen.operator.fresh:
        return Step(memory)
    rollback = memory.rollback
    if hopeless(contract, seen):
        return abandon(contract, memory, seen)
    if rollback is None:
        return begin(contract, memory, seen, now)
    active = rollback.state is RollbackState.ACTIVE
    if not seen.operator.acts:
        return Step(memory, (), Standing(active, reasons.ROLLBACK_DISABLED, OBSERVING))
    taken = _held_on(contract, rollback, _go_on(contract, memory, rollback, seen, now))
    if seen.operator.refused and taken.memory.rollback == rollback:
        return replace(taken, standing=Standing(active, reasons.ACT_REFUSED, seen.operator.refused))
    return taken


def _held_on(contract: Contract, rollback: Rollback, taken: Step) -> Step:
    """Put our finalizer back where somebody took it off: a deletion must not leave the Kustomization as it is."""
    lost = rollback.state in _HELD and not contract.finalized and not contract.deleting
    return replace(taken, effects=(HoldDeletion(), *taken.effects)) if lost else taken


def _go_on(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    if rollback.state is RollbackState.RELEASING:
        return release(contract, memory, rollback, seen)
    if contract.deleting:
        return enter(memory, rollback, Event.DELETED, "the contract is being deleted")
    if names(contract.requests.release, rollback.bad.hash):
        return enter(memory, rollback, Event.RELEASED, f"released{contract.requests.signature('release')}")
    match rollback.state:
        case RollbackState.PROPOSED:
            return _proposed(contract, memory, rollback, seen, now)
        case RollbackState.INTENDED:
            return _intended(contract, memory, rollback, seen, now)
        case RollbackState.SWITCHING:
            return _switching(contract, memory, rollback, seen, now)
        case RollbackState.ACTIVE:
            return _active(contract, memory, rollback, seen, now)
        case RollbackState.FAILED:
            return _failed(contract, memory, rollback, seen, now)


# Before the act --------------------------------------------------------------------------------------------------


def _proposed(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    change = _unwanted(contract, rollback, now) or _as_cancelled(_change(memory, rollback, seen))
    if change:
        return Step(leave(memory, Event.WITHDRAWN), (), Standing(False, *change))
    other = requested(contract, replace(memory, rollback=None), seen, now)
    if other and other.memory.rollback:
        return other
    requests = contract.requests
    approved = names(requests.approve, rollback.bad.hash)
    used = handled_requests.is_taken(memory, requests, "approve")
    if approved and not used:
        signed = requests.signature("approve")
        who = f"{signed.by or 'somebody'} (approved)" + (f": {signed.why}" if signed.why else "")
        begun = replace(rollback, started_at=now, asked_by=who)
        return enter(handled_requests.take(memory, requests, "approve", now), begun, Event.APPROVED)
    # A hold can be left by a rollback that was given up in the same moment; nothing is to be undone yet.
    return Step(memory, (AllowDeletion(),) if contract.finalized else (), proposal(memory, rollback, used=approved))


def _reconsidered(
    contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime
) -> Step | None:
    """Give the rollback up if the world has changed since it was decided; None while it has not."""
    elsewhere = "" if rollback.reason == reasons.REQUESTED else _elsewhere(memory, rollback)
    brake = "" if rollback.asked else braked(memory, seen)
    change = (
        _unwanted(contract, rollback, now)
        or _as_cancelled(_change(memory, rollback, seen) or _outdated(contract, rollback, now))
        or _as_cancelled(groundless(contract, memory, rollback, seen, now))
        or (elsewhere and (reasons.NOT_CURABLE, elsewhere))
        or (brake and (reasons.FLEET_BRAKE, brake))
    )
    return _withdrawn(memory, rollback, seen, change) if change else None


def _unwanted(contract: Contract, rollback: Rollback, now: datetime) -> Objection | None:
    """Why people do not want any more what was decided and is not done yet; None if they do."""
    mode = contract.rollback.mode
    if off := disabled(contract):
        return reasons.ROLLBACK_DISABLED, off
    if rollback.state is RollbackState.PROPOSED:
        automatic = mode is RollbackMode.AUTOMATIC
        return _as_cancelled("spec.rollback.mode is Automatic, so nothing waits for approval" if automatic else "")
    if rollback.asked or rollback.reason == reasons.REQUESTED:
        return _as_cancelled("" if asked_for(contract, rollback) else UNASKED)
    if mode is RollbackMode.MANUAL:
        return _as_cancelled("spec.rollback.mode is Manual, so a person is to approve")
    pause = paused(contract, now)
    return (reasons.PAUSED, pause) if pause else None


def _as_cancelled(change: str) -> Objection | None:
    return (reasons.CANCELLED, change) if change else None


def _withdrawn(memory: Memory, rollback: Rollback, seen: Observation, change: Objection) -> Step:
    """Give the rollback up before its act: its revision is not bad, and it costs nothing of the budget."""
    standing = Standing(False, *change)
    if seen.flux.pin:
        return Step(memory, (DeletePin(rollback.pin, seen.flux.pin.contract_uid),), standing)
    bad = tuple(hash_ for hash_ in memory.bad if hash_ != rollback.bad.hash)
    begun = tuple(at for at in memory.begun if at != rollback.started_at)
    return Step(replace(leave(memory, Event.WITHDRAWN), bad=bad, begun=begun), (), standing)


def _intended(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    withdrawn = _reconsidered(contract, memory, rollback, seen, now)
    if withdrawn:
        return withdrawn
    if wrong := unlike(contract, rollback, seen):
        return _differing(memory, rollback, wrong)
    if contract.finalized and _serves(seen, rollback.good.hash):
        return _ready_to_switch(memory, rollback, seen)
    hold: tuple[Effect, ...] = () if contract.finalized else (HoldDeletion(),)
    if seen.flux.pin is None:
        return Step(memory, (*hold, _made(rollback)), recheck_at=rollback.started_at + contract.rollback.max_age)
    deadline = max(rollback.started_at, seen.flux.pin.created_at or rollback.started_at) + contract.rollback.within
    if now > deadline:
        message = f"the pinned source does not serve {rollback.good.name}, push a fix: {seen.flux.pin.ready.message}"
        return enter(memory, rollback, Event.UNSERVED, message, reasons.TARGET_UNREACHABLE)
    return Step(memory, hold, recheck_at=deadline)


def _made(rollback: Rollback) -> EnsurePin:
    return EnsurePin(rollback.pin, rollback.source, rollback.good.hash, rollback.copy.content)


def _differing(memory: Memory, rollback: Rollback, wrong: str) -> Step:
    """Do not switch to what is not the copy that was decided on; people are told, and it is theirs to remove."""
    message = f"GitRepository {rollback.pin.namespace}/{rollback.pin.name} is not the pinned copy that was decided on"
    return enter(memory, rollback, Event.DIFFERS, f"{message}: {wrong}; delete it", reasons.COPY_DIFFERS)


def _outdated(contract: Contract, rollback: Rollback, now: datetime) -> str:
    """Why an intent that could not be carried out is left to people; empty while it is young enough."""
    age = contract.rollback.max_age
    return f"it was decided more than {spoken(age)} ago" if now - rollback.started_at > age else ""


def _ready_to_switch(memory: Memory, rollback: Rollback, seen: Observation) -> Step:
    bad = (*(hash_ for hash_ in memory.bad if hash_ != rollback.bad.hash), rollback.bad.hash)[-BAD_REVISIONS:]
    return enter(replace(memory, bad=bad), _decided_on(rollback, seen), Event.SERVED)


def _decided_on(rollback: Rollback, seen: Observation) -> Rollback:
    """Write down what the switch will replace, on what, and to which copy it leads."""
    kustomization = seen.flux.kustomization
    if kustomization is None:
        return rollback
    copy = recorded(rollback.copy, seen.flux.pin) if seen.flux.pin else rollback.copy
    return replace(rollback, kept_annotations=_kept(kustomization), generation=kustomization.generation, copy=copy)


def _change(memory: Memory, rollback: Rollback, seen: Observation) -> str:
    """Why the world is no longer as the rollback was decided on; empty if it is."""
    # Approving is not asking: what was proposed because it fails is not done to a revision that no longer does.
    asked = rollback.reason == reasons.REQUESTED
    unfit = "" if asked else unfitness(memory.good, rollback.bad.hash, seen)
    uncounted = "" if asked else _uncounted(memory, rollback)
    moved = rivalled(seen) or changed(rollback.bad.hash, seen, asked=asked)
    return moved or _strange(rollback, seen) or unfit or uncounted


def _uncounted(memory: Memory, rollback: Rollback) -> str:
    delivery = memory.delivery
    if delivery is None or delivery.hash != rollback.bad.hash or delivery.failures is not None:
        return ""
    return "failed attempts are counted anew"


def _elsewhere(memory: Memory, rollback: Rollback) -> str:
    """Why the last attempt at the bad revision is no fault of its own; empty if it is."""
    delivery = memory.delivery
    if delivery is None or delivery.hash != rollback.bad.hash or delivery.failures is None:
        return ""
    return incurable(delivery.failures)


def _strange(rollback: Rollback, seen: Observation) -> str:
    kustomization = seen.flux.kustomization
    if kustomization is None or kustomization.uid != rollback.kustomization_uid:
        return "the Kustomization was replaced by another of the same name"
    if kustomization.source != rollback.source:
        return "the Kustomization has another source now"
    if seen.flux.source and rollback.copy.content not in ("", seen.flux.source.content):
        return "the source's own spec was changed"
    if rollback.spec and kustomization.spec != rollback.spec:
        return "the Kustomization's own spec was changed"
    return ""


def _serves(seen: Observation, good: str) -> bool:
    pin = seen.flux.pin
    return pin is not None and not pin.deleting and pin.artifact is not None and pin.artifact.value.hash == good


def _kept(kustomization: Kustomization) -> Mapping[str, str]:
    """The annotations that our hold replaces, with their values; empty means absent.

    None without a parent, and where somebody else has it held already.
    """
    held = kustomization.hold.get(HOLD, "")
    return {HOLD: held} if kustomization.parent and held != _LEFT_ALONE else {}


# The act ---------------------------------------------------------------------------------------------------------


def _switching(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    kustomization = seen.flux.kustomization
    if kustomization is None or kustomization.uid != rollback.kustomization_uid:
        return enter(memory, rollback, Event.GONE, GONE)
    if kustomization.source == rollback.pin:
        return _arriving(contract, memory, rollback, seen, now)
    undone = kustomization.hold.get(MARK) == rollback.bad.hash or kustomization.source != rollback.source
    if undone or _changed_twice(kustomization, rollback):
        return enter(memory, rollback, Event.UNDONE, RESPECTED, reasons.UNDONE)
    withdrawn = _reconsidered(contract, memory, rollback, seen, now)
    if withdrawn:
        return withdrawn
    if wrong := unlike(contract, rollback, seen):
        return _differing(memory, rollback, wrong)
    if seen.flux.pin is None and rollback.copy.uid:
        return enter(memory, anew(contract, rollback, seen), Event.LOST)
    if not _serves(seen, rollback.good.hash):
        return Step(memory, (_made(rollback),))
    decided = _decided_on(rollback, seen)
    if decided != rollback:
        return enter(memory, decided, Event.REVISED)
    hold: Mapping[str, str | None] = {MARK: rollback.bad.hash} | dict.fromkeys(rollback.kept_annotations, _LEFT_ALONE)
    version, good = kustomization.resource_version, rollback.good.hash
    return Step(memory, (SwitchSource(kustomization.uid, version, rollback.pin, hold, good, rollback.copy),))


def _changed_twice(kustomization: Kustomization, rollback: Rollback) -> bool:
    """Whether our switch and its undoing may lie between: one change by others cannot be both."""
    return bool(rollback.generation) and kustomization.generation > rollback.generation + 1


def _arriving(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    """The Kustomization is switched: wait until it is Ready at the good revision."""
    kustomization, head = seen.flux.kustomization, _fresh_head(contract, memory, rollback, seen)
    if kustomization is None or head:
        return enter(memory, rollback, Event.HEAD, f"a new commit arrived: {head[:12]}")
    known = _known_copy(contract, rollback, seen)
    if known != rollback.copy:
        return Step(replace(memory, rollback=replace(rollback, copy=known)))
    if wrong := astray(rollback, seen):
        return Step(memory, _remade(rollback, seen), Standing(False, reasons.COPY_DIFFERS, wrong))
    arrived = _arrived(rollback, kustomization)
    if arrived:
        return enter(memory, arrived, Event.ARRIVED)
    took = _persevere(contract, memory, rollback, kustomization, now)
    standing = took.standing or waiting(rollback, kustomization)
    return replace(took, effects=(*took.effects, *_remade(rollback, seen)), standing=standing)


def _arrived(rollback: Rollback, kustomization: Kustomization) -> Rollback | None:
    """The rollback, completed, where the Kustomization stands Ready at the good revision; else None."""
    delivered = kustomization.delivered
    if delivered is None or delivered.value != rollback.good.hash:
        return None
    return replace(rollback, completed_at=rollback.completed_at or max(rollback.started_at, delivered.at))


def _persevere(
    contract: Contract, memory: Memory, rollback: Rollback, kustomization: Kustomization, now: datetime
) -> Step:
    """Bear failures of the good revision as long as those of any other; an outage says nothing of it."""
    attempted, policy = kustomization.attempted, contract.rollback
    at_it = attempted is not None and attempted.value == rollback.good.hash
    failures = [each for each in kustomization.failures if at_it and classify(each.reason, each.message).curable]
    if not failures:
        return Step(memory)
    due = failures[0].at + policy.duration
    if len(failures) >= policy.failures or now >= due:
        message = f"{rollback.good.name} fails too: {failures[-1].message}"
        return enter(memory, rollback, Event.TARGET_FAILS, message)
    return Step(memory, recheck_at=due)


# After the act ---------------------------------------------------------------------------------------------------


def _fresh_head(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation) -> str:
    """Hash of a new revision that is not known to be bad; empty while there is none, or a person holds."""
    artifact = seen.flux.source.artifact if seen.flux.source else None
    known = {*memory.bad, rollback.bad.hash}
    fresh = artifact is not None and artifact.value.hash not in known
    return artifact.value.hash if artifact and fresh and not contract.requests.hold else ""


def _active(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    kustomization = seen.flux.kustomization
    if kustomization is None or kustomization.uid != rollback.kustomization_uid:
        return enter(memory, rollback, Event.GONE, GONE)
    if kustomization.source != rollback.pin:
        return enter(memory, rollback, Event.UNDONE, RESPECTED, reasons.UNDONE)
    head = _fresh_head(contract, memory, rollback, seen)
    if head:
        return enter(memory, rollback, Event.HEAD, f"a new commit arrived: {head[:12]}")
    stands = _persevere(contract, memory, rollback, kustomization, now)
    if stands.memory.rollback != rollback:
        return stands
    known = _known_copy(contract, rollback, seen)
    if known != rollback.copy:
        return Step(replace(memory, rollback=replace(rollback, copy=known)))
    return Step(memory, _remade(rollback, seen), _held(contract, rollback, astray(rollback, seen)), stands.recheck_at)


def _remade(rollback: Rollback, seen: Observation) -> tuple[Effect, ...]:
    """Make the copy that Flux uses again, where it is gone and nobody else has its name."""
    return (_made(rollback),) if seen.flux.pin is None and not seen.flux.claimed else ()


def _known_copy(contract: Contract, rollback: Rollback, seen: Observation) -> Copy:
    """What is to be remembered of the copy: one that is gone is made anew, a new one is noted if it is right."""
    pin, copy = seen.flux.pin, rollback.copy
    if pin is None:
        return forgotten(rollback, seen) if copy.uid and not seen.flux.claimed else copy
    served = pin.artifact is not None and pin.contract_uid == contract.uid
    return recorded(copy, pin) if served and not copy.uid and not astray(rollback, seen) else copy


def _held(contract: Contract, rollback: Rollback, wrong: str) -> Standing:
    if wrong:
        message = f"was switched to {rollback.good.name}, but {wrong}; push a fix, or release"
        return Standing(True, reasons.COPY_DIFFERS, message)
    requests = contract.requests
    if not requests.hold:
        return standing_of(rollback)
    signed = replace(requests.signature("hold"), why=requests.hold)
    return Standing(True, reasons.HELD, f"runs {rollback.good.name}, held{signed}")


def _failed(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    """Leave it to people, unless what failed has come right since."""
    kustomization = seen.flux.kustomization
    if kustomization is None or kustomization.uid != rollback.kustomization_uid:
        return enter(memory, rollback, Event.GONE, GONE)
    head = _fresh_head(contract, memory, rollback, seen)
    if head:
        return enter(memory, rollback, Event.HEAD, f"a new commit arrived: {head[:12]}")
    if kustomization.source == rollback.pin:
        arrived = _arrived(rollback, kustomization)
        right = arrived is not None and not astray(arrived, seen)
        return enter(memory, arrived, Event.ARRIVED) if arrived and right else Step(memory)
    if MARK in kustomization.hold or kustomization.source != rollback.source:
        return enter(memory, rollback, Event.UNDONE, RESPECTED, reasons.UNDONE)
    # It failed before the act, so it can still be given up.
    change = _unwanted(contract, rollback, now) or _as_cancelled(_change(memory, rollback, seen))
    if change:
        return _withdrawn(memory, rollback, seen, change)
    return _resumed(contract, memory, rollback, seen, now)


def _resumed(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> Step:
    """Go on where the copy is right after all, or where a person removed the one that was not."""
    if _outdated(contract, rollback, now) or unlike(contract, rollback, seen):
        return Step(memory)
    if seen.flux.pin is None:
        return enter(memory, anew(contract, rollback, seen), Event.LOST)
    return enter(memory, rollback, Event.SERVED) if _serves(seen, rollback.good.hash) else Step(memory)
