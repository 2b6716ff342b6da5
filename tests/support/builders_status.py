"""A status as it stands on the API server: what the operator remembers, and what people are told of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from reconciliation_contract.api.status.parse import parse_conditions, parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.facts.observation import Condition, Kustomization
from reconciliation_contract.core.memory.memory import Memory


@dataclass(frozen=True, slots=True)
class Told(Memory):
    """A memory together with the conditions that a pass derived from it."""

    conditions: Mapping[str, Condition] = field(default_factory=dict)


def status_of(memory: Memory, kustomization: Kustomization | None = None) -> dict[str, Any]:
    """The status of a memory, with its conditions where it was told with some."""
    return render_status(memory, kustomization, memory.conditions if isinstance(memory, Told) else {})


def read_back(status: object) -> Told:
    """Read a status: what is remembered, and what people are told."""
    memory = parse_memory(status)
    known = {each.name: getattr(memory, each.name) for each in fields(memory)}
    return Told(**known, conditions=parse_conditions(status))
