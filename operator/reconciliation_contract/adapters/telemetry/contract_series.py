"""What a scrape says of one contract: written when the contract changes, and only joined when somebody scrapes.

Ten thousand contracts are 150,000 lines, which prometheus-client takes seconds to write. The lines are those that it
would write; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from reconciliation_contract.core.conditions import is_followed
from reconciliation_contract.core.delivery.outcome import last_healthy
from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.incidents.in_contract import is_held
from reconciliation_contract.core.memory.budget import Verdict
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from reconciliation_contract.core.memory.timeline import Stages
from reconciliation_contract.core.spec.contract import Declared, InvalidContract, Severity

Sample = tuple[Mapping[str, str], float]
"""Labels besides the contract's own, and the value."""
Conditions = Mapping[str, Condition]
"""What people are told, by the name of the condition."""

_KEPT: Final = {Verdict.KEPT: 1.0, Verdict.BROKEN: 0.0}
_LOUDNESS: Final = tuple(Severity)
_TRUTH: Final = {"True": 1.0, "False": 0.0}


@dataclass(frozen=True, slots=True)
class Family:
    """A gauge that each contract has, or has several times."""

    name: str
    text: str
    samples: Callable[[Declared, Memory, Conditions], Iterator[Sample]]


def _info(contract: Declared, _: Memory, told: Conditions) -> Iterator[Sample]:
    if isinstance(contract, InvalidContract):
        labels = {"kustomization": "", "rollback_mode": "", "suspended": "false", "valid": "false"}
    else:
        suspended = str(contract.suspended).lower()
        mode = contract.rollback.mode.value
        labels = {
            "kustomization": contract.kustomization,
            "rollback_mode": mode,
            "suspended": suspended,
            "valid": "true",
        }
    yield {**labels, "followed": str(is_followed(told.get("Ready"))).lower()}, 1.0


def _condition(name: str) -> Callable[[Declared, Memory, Conditions], Iterator[Sample]]:
    def samples(_: Declared, __: Memory, told: Conditions) -> Iterator[Sample]:
        condition = told.get(name)
        if condition and condition.status in _TRUTH:
            yield {}, _TRUTH[condition.status]

    return samples


def _held(_: Declared, memory: Memory, told: Conditions) -> Iterator[Sample]:
    if (held := is_held(memory, told.get("Ready"))) is not None:
        yield {}, float(held)


def _rolled_back(_: Declared, memory: Memory, __: Conditions) -> Iterator[Sample]:
    """Absent where a rollback has failed: which revision the cluster runs is not known."""
    state = memory.rollback.state if memory.rollback else None
    if state is not RollbackState.FAILED:
        yield {}, float(state is RollbackState.ACTIVE)


def _rollback_failed(_: Declared, memory: Memory, __: Conditions) -> Iterator[Sample]:
    """In the place of `_rolled_back`: a contract keeps to its bound of series."""
    if memory.rollback and memory.rollback.state is RollbackState.FAILED:
        yield {}, 1.0


def _promises(_: Declared, memory: Memory, __: Conditions) -> Iterator[Sample]:
    for judgement in memory.judgements:
        if judgement.verdict in _KEPT:
            yield {"promise": judgement.promise.value}, _KEPT[judgement.verdict]


def _stamps(_: Declared, memory: Memory, __: Conditions) -> Iterator[Sample]:
    stages = memory.delivery.stages if memory.delivery else Stages()
    for name in ("committed", "detected", "applied"):
        if moment := getattr(stages, name):
            yield {"stage": name}, moment.at.timestamp()
    if at := last_healthy(memory):
        yield {"stage": "healthy"}, at.timestamp()


def _drifted(_: Declared, memory: Memory, __: Conditions) -> Iterator[Sample]:
    if memory.drift and not memory.drift.problem:
        yield {}, float(memory.drift.drifted)


def _incidents(_: Declared, memory: Memory, __: Conditions) -> Iterator[Sample]:
    """One series: of the loudest severity; without this label while there is none."""
    open_ = [incident.severity for incident in memory.incidents if incident.count and not incident.closed_at]
    loudest = {"severity": max(open_, key=_LOUDNESS.index).value} if open_ else {}
    yield loudest, float(len(open_))


FAMILIES: Final = (
    Family("flux_contract_info", "What the contract declares; always 1.", _info),
    Family("flux_contract_ready", "Whether the contract is Ready (absent while unknown).", _condition("Ready")),
    Family("flux_contract_held", "Whether nothing that was promised is amiss now (absent while unknown).", _held),
    Family("flux_contract_feasible", "Whether the promises can be kept at all.", _condition("Feasible")),
    Family(
        "flux_contract_dependencies_ready",
        "Whether what delivery depends on works (absent while unknown).",
        _condition("DependenciesReady"),
    ),
    Family(
        "flux_contract_rolled_back", "Whether a rollback is in force (absent where one has failed).", _rolled_back
    ),
    Family("flux_contract_rollback_failed", "A rollback has failed; 1, or absent.", _rollback_failed),
    Family(
        "flux_contract_promise_kept",
        "Whether the promise was kept at the last delivery (absent while unknown).",
        _promises,
    ),
    Family(
        "flux_contract_stage_timestamp_seconds",
        "When the last delivery reached a stage; healthy of the last one that did.",
        _stamps,
    ),
    Family(
        "flux_contract_drifted_objects",
        "Objects that were not as Git wants them at the last comparison (absent while not compared).",
        _drifted,
    ),
    Family("flux_contract_open_incidents", "Incidents that people have been told of and that last.", _incidents),
)

Row = tuple[str, ...]
"""The lines of one contract, one text for each of `FAMILIES`."""


def write_row(contract: Declared, memory: Memory, told: Conditions) -> Row:
    """Write all lines of a contract."""
    own = f'exported_namespace="{_escaped(contract.namespace)}",name="{_escaped(contract.name)}"'
    return tuple(
        "".join(
            f"{family.name}{{{own}{_more(labels)}}} {value!r}\n"
            for labels, value in family.samples(contract, memory, told)
        )
        for family in FAMILIES
    )


def _more(labels: Mapping[str, str]) -> str:
    return "".join(f',{label}="{_escaped(text)}"' for label, text in labels.items())


def _escaped(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
