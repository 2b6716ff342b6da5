"""The end of a rollback: everything is given back in order, or, where that cannot be, it is told what is left."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping

from reconciliation_contract.core.facts.observation import Kustomization, Observation
from reconciliation_contract.core.memory.effects import (
    AllowDeletion,
    DeletePin,
    Disown,
    Effect,
    SwitchSource,
    TellLeft,
)
from reconciliation_contract.core.memory.memory import Memory, Rollback, Standing
from reconciliation_contract.core.rollback.report import Step, leave
from reconciliation_contract.core.rollback.start import MARK
from reconciliation_contract.core.rollback.transitions import Event
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons


def release(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation) -> Step:
    """Give back what was there: source and annotations in one write, our claim, the pinned copy, the finalizer."""
    kustomization = seen.flux.kustomization
    if kustomization is not None and _ours(kustomization, rollback):
        source = rollback.source if kustomization.source == rollback.pin else kustomization.source
        switch = SwitchSource(kustomization.uid, kustomization.resource_version, source, _restored(rollback))
        return Step(memory, (switch,))
    if kustomization is not None and not kustomization.deleting and kustomization.claim is not None:
        return Step(memory, (Disown(kustomization.resource_version, kustomization.claim),))
    if seen.flux.pin is not None:
        return Step(memory, (DeletePin(rollback.pin, seen.flux.pin.contract_uid),))
    # A copy may be there that the watch has not shown yet; afterwards nobody would remove it.
    unseen: tuple[Effect, ...] = (DeletePin(rollback.pin, contract.uid),) if contract.deleting else ()
    effects = (*unseen, *((AllowDeletion(),) if contract.finalized else ()))
    return Step(leave(memory, Event.RETURNED), effects, Standing(False, reasons.RELEASED, rollback.message))


def _restored(rollback: Rollback) -> Mapping[str, str | None]:
    return {MARK: None} | {key: value or None for key, value in rollback.kept_annotations.items()}


def _ours(kustomization: Kustomization, rollback: Rollback) -> bool:
    """Whether the Kustomization still carries anything of this rollback, also where it was made anew with the pin."""
    marked = kustomization.uid == rollback.kustomization_uid and MARK in kustomization.hold
    return not kustomization.deleting and (kustomization.source == rollback.pin or marked)


# What cannot be given back ---------------------------------------------------------------------------------------


def hopeless(contract: Contract, seen: Observation) -> bool:
    """Whether the contract must go although its rollback cannot be taken back."""
    if not (contract.deleting and contract.finalized):
        return False
    return not seen.operator.acts or seen.operator.failed_for >= contract.timing.deletion_patience


def abandon(contract: Contract, memory: Memory, seen: Observation) -> Step:
    """Let the contract go, and tell what it leaves behind with the commands that remove it."""
    commands = "; ".join(_left(contract, memory.rollback, seen))
    if not commands:
        return Step(leave(memory, Event.ABANDONED), (AllowDeletion(),))
    why = seen.operator.refused or (
        "the API server did not do it" if seen.operator.acts else "the operator runs with --observe-only"
    )
    standing = Standing(False, reasons.LEFT_BEHIND, f"not taken back; run: {commands}")
    told = TellLeft(f"the rollback could not be taken back; run: {commands} ({why})")
    return Step(leave(memory, Event.ABANDONED), (told, AllowDeletion()), standing)


def orphaned(contract: Contract, memory: Memory, seen: Observation) -> str:
    """What to tell of a contract that went without taking its rollback back; empty where nothing is left."""
    commands = "; ".join(_left(contract, memory.rollback, seen))
    return f"the contract was removed without its finalizer, during a rollback; run: {commands}" if commands else ""


def _left(contract: Contract, rollback: Rollback | None, seen: Observation) -> Iterator[str]:
    kubectl, kustomization = f"kubectl -n {contract.namespace}", seen.flux.kustomization
    if rollback is not None and kustomization is not None and _ours(kustomization, rollback):
        patch: dict[str, object] = {"metadata": {"annotations": _restored(rollback)}}
        if kustomization.source == rollback.pin:
            patch["spec"] = {"sourceRef": {"name": rollback.source.name}}
        written = json.dumps(patch, separators=(",", ":"))
        yield f"{kubectl} patch kustomization {contract.kustomization} --type=merge -p {shlex.quote(written)}"
    for pin in (*((seen.flux.pin,) if seen.flux.pin else ()), *seen.flux.strays):
        yield f"kubectl -n {shlex.quote(pin.namespace)} delete gitrepository {shlex.quote(pin.name)}"
