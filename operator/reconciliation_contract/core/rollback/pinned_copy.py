"""The pinned copy of a source: how it is named, and whether it is still what was decided.

Nobody can make it beforehand: its name is drawn by lot and stands in the status just before the copy is made. What
bears the name all the same is compared as a whole, for whoever may make a GitRepository may make one that says it is
ours. Before the switch nothing may differ, and nobody may have changed it since; afterwards it is the same object,
with the same spec, that serves the same bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from reconciliation_contract.core.facts.observation import Kustomization, Observation, Source, SourceRef
from reconciliation_contract.core.memory.memory import Copy, Rollback
from reconciliation_contract.core.spec.contract import Contract

_PREFIX: Final = 38
"""Characters of the contract's name in that of a copy; with 7 of the commit and a token of 16 it is a label."""
CLAIMED: Final = "another object has its name"
CHANGED: Final = "its spec was changed"


def pin_of(contract: Contract, source: SourceRef, good: str, token: str) -> SourceRef:
    """Name a pinned copy, which lies beside its source."""
    parts = (contract.name[:_PREFIX].rstrip("-."), good[:7], token)
    return SourceRef(source.kind, source.namespace, "-".join(part for part in parts if part))


def unlike(contract: Contract, rollback: Rollback, seen: Observation) -> str:
    """Why what bears the copy's name is not what is to be switched to; empty if it is, or nothing is there."""
    pin, source, copy = seen.flux.pin, seen.flux.source, rollback.copy
    if seen.flux.claimed:
        return CLAIMED
    if pin is None or source is None:
        return ""
    if (pin.contract_uid, pin.original) != (contract.uid, rollback.source.name):
        return "it was made for another contract or source"
    if copy.uid not in ("", pin.uid):
        return "it was made anew by somebody else"
    if pin.content != source.content or copy.content not in ("", pin.content):
        return "its spec is not that of its source"
    if pin.generation > 1 or not _is_pinned(pin, rollback.good.hash):
        return CHANGED
    return _swapped(pin, copy)


def astray(rollback: Rollback, seen: Observation) -> str:
    """How what Flux runs by the copy differs from the good revision, as far as that is seen; empty if it does not."""
    pin = seen.flux.pin
    if seen.flux.claimed:
        return f"the pinned copy {rollback.pin.name} is gone and {CLAIMED}"
    if pin is not None and (why := _strayed(pin, rollback)):
        return f"the pinned copy {pin.name} is not what was decided: {why}"
    kustomization = seen.flux.kustomization
    return _elsewhere(kustomization, rollback) if kustomization else ""


def _strayed(pin: Source, rollback: Rollback) -> str:
    copy, good, artifact = rollback.copy, rollback.good.hash, pin.artifact
    if copy.uid not in ("", pin.uid):
        return "it was made anew by somebody else"
    if copy.content not in ("", pin.content) or not _is_pinned(pin, good):
        return CHANGED
    if artifact is not None and artifact.value.hash != good:
        return f"it serves {artifact.value.revision}"
    return _swapped(pin, copy)


def _swapped(pin: Source, copy: Copy) -> str:
    served = pin.artifact.value.digest if pin.artifact else ""
    return "what it serves was exchanged" if served and copy.artifact not in ("", served) else ""


def _is_pinned(pin: Source, good: str) -> bool:
    """Whether its ref is that commit, and at most the branch that has it."""
    ref: Mapping[str, str] = pin.ref
    return ref.get("commit") == good and ref.keys() <= {"commit", "branch"}


def _elsewhere(kustomization: Kustomization, rollback: Rollback) -> str:
    """How the Kustomization itself does not run the good revision, though it has the copy for its source."""
    for at in (kustomization.attempted, kustomization.applied):
        if at is not None and at.value != rollback.good.hash and rollback.completed_at:
            return f"Flux is at {at.value[:12]}"
    if rollback.spec and kustomization.spec != rollback.spec:
        return "the Kustomization's own spec was changed"
    return ""


def recorded(copy: Copy, pin: Source) -> Copy:
    """Note which object the copy is and what it serves."""
    digest = pin.artifact.value.digest if pin.artifact else ""
    return Copy(pin.content, pin.uid, digest or copy.artifact)


def anew(contract: Contract, rollback: Rollback, seen: Observation) -> Rollback:
    """Decide on another copy where the one that there was is gone.

    Its name is one that nobody knows, as long as no switch was decided; from then on it keeps its name, as a switch
    to that may be done already, though nobody has seen it yet.
    """
    fresh = pin_of(contract, rollback.source, rollback.good.hash, seen.operator.token)
    pin = rollback.pin if rollback.generation else fresh
    return replace(rollback, pin=pin, copy=replace(forgotten(rollback, seen), artifact=""))


def forgotten(rollback: Rollback, seen: Observation) -> Copy:
    """What is known of a copy that is gone and must be made anew, from its source as that is now."""
    source = seen.flux.source
    return replace(rollback.copy, uid="", content=source.content if source else rollback.copy.content)
