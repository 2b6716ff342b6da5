"""What people ask for, written as the annotations that ask for it.

An annotation stands until it is removed, so what would contradict a request is taken away together with writing it:
a rollback that is asked for again must not meet the release of the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from reconciliation_contract.api.contract.annotations import (
    APPROVE,
    FORGET,
    HOLD,
    PAUSE,
    RELEASE,
    ROLLBACK,
    hash_in,
    signed,
    unsigned,
)
from reconciliation_contract.api.kubernetes.raw import read_text
from reconciliation_contract.cli.client.errors import Problem
from reconciliation_contract.cli.view.contract_view import View, healthy_revisions, resolve, short
from reconciliation_contract.core.memory.memory import Revision, Rollback, RollbackState
from reconciliation_contract.core.spec.contract import Contract, InvalidContract, RollbackMode
from reconciliation_contract.core.spec.requests import Signature, names

Annotations = dict[str, str | None]

_ABOUT_ONE: Final = (APPROVE, ROLLBACK, RELEASE, FORGET)
"""Requests that name the bad revision that they are about."""


@dataclass(frozen=True, slots=True)
class Petition:
    """A request, ready to be written."""

    annotations: Annotations
    told: str
    """What is said once it is written."""


@dataclass(frozen=True, slots=True)
class Way:
    """A rollback that a person asks for."""

    bad: Revision
    good: Revision


# Rollback ----------------------------------------------------------------------------------------------------------


def way(view: View, to: str) -> Way:
    """Find out from where to where a rollback goes; ``to`` may be empty for the last good revision.

    Raises `Problem` where there is none, with the revisions that it could go to.
    """
    memory = view.memory
    _sound(view)
    if memory.delivery is None:
        raise Problem(f"{view.name} follows no revision yet, so there is nothing to go back from")
    head = Revision(memory.delivery.revision, memory.delivery.hash)
    undo = memory.rollback
    proposed = undo is not None and undo.state is RollbackState.PROPOSED
    if undo is not None and proposed and not to:
        raise Problem(f"a rollback to {short(undo.good.name)} is proposed already; {_try(view, 'approve')}")
    if undo is not None and not proposed:
        already = f"{view.name} is being rolled back already ({undo.state}, to {short(undo.good.name)})"
        raise Problem(f"{already}; to run {short(undo.bad.name)} again, {_try(view, 'release')}")
    others = [revision for revision in healthy_revisions(memory) if revision.hash != head.hash]
    if to:
        good = resolve(to, others, "the revisions that were healthy under this contract")
    else:
        good = _last_good(view, head, others)
    if head.hash in memory.bad:
        again = _try(view, "forget", head.hash[:12])
        raise Problem(f"{short(head.name)} was rolled back from once; to allow it again, first {again}")
    return Way(head, good)


def _sound(view: View) -> None:
    contract = view.contract
    if isinstance(contract, InvalidContract):
        raise Problem(f"{view.name} is not valid: {contract.problem}")
    if contract.deleting:
        raise Problem(f"{view.name} is being deleted")
    if contract.suspended:
        raise Problem(f"{view.name} is suspended; set spec.suspend to false first")
    if contract.rollback.mode is RollbackMode.DISABLED:
        raise Problem(f"{view.name} has spec.rollback.mode: Disabled; set it to Manual or Automatic first")


def _last_good(view: View, head: Revision, others: list[Revision]) -> Revision:
    good = view.memory.good
    if good is not None and good.hash != head.hash:
        return Revision(good.revision, good.hash)
    listed = ", ".join(revision.hash[:12] for revision in others)
    why = "the last good revision is the present one" if good else "no revision is known to be good"
    if not listed:
        raise Problem(f"{why}, and no other was healthy under this contract; push a fix")
    raise Problem(f"{why}; name another with --to: {listed}")


def rollback(view: View, way: Way, signature: Signature) -> Petition:
    """Ask for a rollback."""
    asked: Annotations = {ROLLBACK: signed(f"{way.bad.hash}..{way.good.hash}", signature)}
    told = f"asked for {short(way.bad.name)} → {short(way.good.name)}"
    return Petition(_cleared(view, way.bad.hash) | asked, told)


def withdrawal() -> Annotations:
    """Take back the request for a rollback that cannot begin, so that it does not begin later, unawares."""
    return {ROLLBACK: None}


def approve(view: View, signature: Signature) -> Petition:
    """Approve of the rollback that is proposed."""
    undo = view.memory.rollback
    if undo is None or undo.state is not RollbackState.PROPOSED:
        stands = f"its rollback is {undo.state} already" if undo else "no rollback is proposed"
        raise Problem(f"there is nothing to approve for {view.name}: {stands}")
    asked: Annotations = {APPROVE: signed(undo.bad.hash, signature)}
    told = f"approved: {short(undo.bad.name)} → {short(undo.good.name)}"
    return Petition(_cleared(view, undo.bad.hash) | asked, told)


def release(view: View, signature: Signature) -> Petition:
    """End the rollback in force, or decline a proposed one; a hold ends with it, for it would catch the next one."""
    undo = _in_force(view, "release")
    asked: Annotations = {RELEASE: signed(undo.bad.hash, signature)} | (
        {HOLD: None} if HOLD in view.annotations else {}
    )
    verb = "declined to go back from" if undo.state is RollbackState.PROPOSED else "released"
    return Petition(_cleared(view, undo.bad.hash) | asked, f"{verb} {short(undo.bad.name)}")


def hold(view: View, signature: Signature) -> Petition:
    """Keep a rollback even when a new commit arrives."""
    undo = _in_force(view, "hold")
    return Petition(
        {HOLD: signed("", signature) if signature.by else signature.why}, f"held at {short(undo.good.name)}"
    )


def unhold(view: View) -> Petition:
    """Let a new commit end a rollback again."""
    if HOLD not in view.annotations:
        raise Problem(f"{view.name} is not held")
    return Petition({HOLD: None}, "no longer held")


def forget(view: View, text: str, signature: Signature) -> Petition:
    """Count a revision as bad no more."""
    known = [Revision(f"sha1:{hash_}", hash_) for hash_ in view.memory.bad]
    found = resolve(text, known, "the revisions rolled back from")
    undo = view.memory.rollback
    if undo is not None and undo.bad.hash == found.hash:
        raise Problem(f"{short(found.name)} is rolled back from just now; first {_try(view, 'release')}")
    told = f"{short(found.name)} counts as bad no more"
    return Petition(_cleared(view, found.hash) | {FORGET: signed(found.hash, signature)}, told)


def pause(until: datetime, signature: Signature) -> Petition:
    """Let no rollback begin by itself before a time."""
    written = until.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    return Petition({PAUSE: signed(written, signature)}, f"no rollback begins by itself before {written}")


def resume(view: View) -> Petition:
    """Let rollbacks begin again."""
    if PAUSE not in view.annotations:
        suspended = isinstance(view.contract, Contract) and view.contract.suspended
        hint = "; spec.suspend is true, which is a matter of its spec" if suspended else ""
        raise Problem(f"{view.name} is not paused{hint}")
    return Petition({PAUSE: None}, "no longer paused")


def _in_force(view: View, verb: str) -> Rollback:
    undo = view.memory.rollback
    if undo is None:
        raise Problem(f"there is nothing to {verb}: {view.name} is not rolled back")
    if undo.state is RollbackState.RELEASING:
        raise Problem(f"there is nothing to {verb}: the rollback of {view.name} is ending already")
    return undo


def _try(view: View, *words: str) -> str:
    """Name the command that helps."""
    command, *more = words
    return "try: " + " ".join(("flux-contract", command, view.name, *more, "-n", view.namespace))


def _cleared(view: View, bad: str) -> Annotations:
    """Remove every earlier request that names this bad revision."""
    return {key: None for key in _ABOUT_ONE if _names(read_text(view.annotations, key), bad)}


def _names(value: str, bad: str) -> bool:
    return names(hash_in(unsigned(value)[0].partition("..")[0]), bad)
