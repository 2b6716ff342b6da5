"""What a rollback will do, shown before a person confirms it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from reconciliation_contract.cli.commands.request_annotations import Way
from reconciliation_contract.cli.view.contract_view import View, date, short
from reconciliation_contract.cli.view.terminal import Cell, Screen, Tone, clean, paragraph
from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.memory.memory import Memory, Revision
from reconciliation_contract.core.rollback.not_undone import remains
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.spec.requests import Signature

ALWAYS: Final = "data that was changed or deleted, Jobs that ran, CustomResourceDefinitions that were upgraded"
"""What no rollback of manifests undoes."""
UNREAD: Final = "what the Kustomization's own settings keep: it cannot be read with your rights"
_LABEL: Final = 14


def plan(
    screen: Screen,
    view: View,
    way: Way,
    kustomization: Kustomization | None,
    signature: Signature,
    *,
    program: str,
    now: datetime,
) -> list[str]:
    """Write the plan; without the Kustomization its own limits are not known."""
    lines = [screen.paint(f"Rollback of {view.namespace}/{view.name}", Tone.STRONG)]
    for cell, text in _fields(view, way, kustomization, signature, now):
        lines += paragraph(screen, clean(text), " " * _LABEL, f"  {cell.text:<{_LABEL - 2}}")
    release = f"{program} release {view.name} -n {view.namespace}"
    until = f"a commit arrives that is not known to be bad, or: {release}"
    return [*lines, *paragraph(screen, until, " " * _LABEL, f"  {'until':<{_LABEL - 2}}")]


def _fields(
    view: View, way: Way, kustomization: Kustomization | None, signature: Signature, now: datetime
) -> Iterator[tuple[Cell, str]]:
    yield Cell("from"), _named(view.memory, way.bad)
    yield Cell("to"), _named(view.memory, way.good) + _since(view.memory, way.good, now)
    yield Cell("how"), _how(view, kustomization)
    yield Cell("by"), signature.by or "you"
    yield Cell("why"), signature.why
    limits = list(remains(kustomization, view.memory, way.good.hash)) if kustomization else [UNREAD]
    for limit in (ALWAYS, *limits):
        yield Cell("not undone"), limit


def _named(memory: Memory, revision: Revision) -> str:
    """Write a revision with the subject of its commit, where that is known."""
    delivery = memory.delivery
    subjects = {past.hash: past.subject for past in reversed(memory.history)}
    subjects |= {delivery.hash: delivery.subject} if delivery else {}
    subject = subjects.get(revision.hash, "")
    return short(revision.name) + (f' "{subject}"' if subject else "")


def _since(memory: Memory, revision: Revision, now: datetime) -> str:
    if memory.good and memory.good.hash == revision.hash:
        return f", good since {date(memory.good.since, now)}"
    ended = next((past.ended_at for past in memory.history if past.hash == revision.hash), None)
    return f", healthy {date(ended, now)}" if ended else ""


def _how(view: View, kustomization: Kustomization | None) -> str:
    name = view.contract.kustomization if isinstance(view.contract, Contract) else ""
    source = f"its GitRepository {kustomization.source.name}" if kustomization else "its source"
    return f"Kustomization {name} is pointed at a copy of {source} that is fixed to that commit"
