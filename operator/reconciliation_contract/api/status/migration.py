"""A status that an older version wrote, without a memory of its own: what it read back from conditions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from reconciliation_contract.core import conditions
from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Standing
from reconciliation_contract.core.values import reasons

_SPOKEN_FOR = {PromiseName.VALIDATION: "Validated", PromiseName.DRIFT: "InSync"}
"""Promises whose message it left to a condition where room was short."""


def migrated(memory: Memory, told: Mapping[str, Condition]) -> Memory:
    """Take from conditions what is remembered by itself today."""
    failing = told.get("DependenciesReady", Condition())
    return replace(
        memory,
        judgements=tuple(_spoken(each, told) for each in memory.judgements),
        standing=_standing(told.get("RolledBack")),
        transitions=conditions.transitions(told),
        failing_since=failing.transitioned_at if failing.status == conditions.FALSE else None,
    )


def _standing(told: Condition | None) -> Standing | None:
    if told is None or told.reason == reasons.RECOVERED:
        return None
    return Standing(told.status == conditions.TRUE, told.reason, told.message)


def _spoken(judgement: Judgement, told: Mapping[str, Condition]) -> Judgement:
    said = told.get(_SPOKEN_FOR.get(judgement.promise, ""))
    if judgement.message or said is None:
        return judgement
    kept = judgement.verdict is Verdict.KEPT
    same = said.status == conditions.TRUE if kept else said.reason == judgement.reason
    return replace(judgement, message=said.message) if same else judgement
