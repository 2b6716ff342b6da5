"""When something that people were told of is over: what must be seen of it first.

Not seeing trouble is not seeing that all is well. What is suspended, cannot be compared or is gone from sight is
neither: nobody is told that it recovered, and nobody is reminded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from reconciliation_contract.core.facts.observation import RIGHTS, Observation
from reconciliation_contract.core.incidents.broken_promises import WAY, has_arrived
from reconciliation_contract.core.incidents.detection import DELIVERY, FLUX, KUSTOMIZATION, OUTAGE, SOURCE, SPEC
from reconciliation_contract.core.incidents.sentences import named
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Incident, Memory
from reconciliation_contract.core.promises import drift

_SEEN_WHEN_FAILING: Final = ("dependsOn", RIGHTS)
"""Dependencies that are known only while they fail."""


def is_well(key: str, memory: Memory, seen: Observation) -> bool:
    """Whether it is seen that what an incident with this key is about is well; no trouble is known of it."""
    if key == SPEC:
        return True  # otherwise this would be its trouble
    if key in BINDING:
        return BINDING[key](seen)
    if seen.flux.kustomization is None or seen.flux.source is None:
        return False
    if key == DELIVERY:
        return has_arrived(memory)
    if key.startswith(OUTAGE):
        return _works(key.removeprefix(OUTAGE), memory, seen)
    if key == PromiseName.DRIFT:
        return memory.drift is not None and drift.standing(memory.drift)[0] is Verdict.KEPT
    if key == PromiseName.DELETION:
        return not memory.departures.overdue
    if key in WAY:
        return True
    if key == PromiseName.ROLLBACK and memory.rollback is None:
        return True
    said = memory.judgement(key)
    return said is not None and (said.verdict is Verdict.KEPT or said.measured is not None)


BINDING: Final[Mapping[str, Callable[[Observation], bool]]] = {
    FLUX: lambda seen: seen.flux.installed,
    KUSTOMIZATION: lambda seen: seen.flux.kustomization is not None,
    SOURCE: lambda seen: seen.flux.source is not None,
}
"""What must be there to be followed."""


def _works(name: str, memory: Memory, seen: Observation) -> bool:
    found = next((each for each in memory.dependencies if each.name == name), None)
    if found is None:
        return name in _SEEN_WHEN_FAILING and seen.git.looked
    return found.ready is True


def outcome(incident: Incident, memory: Memory) -> str:
    """How something ended that is well again: by which revision, where it is one that did it."""
    delivery = memory.delivery
    if incident.key == SPEC:
        return ""
    if incident.key.startswith(OUTAGE):
        return f"{incident.key.removeprefix(OUTAGE)} works again"
    if delivery is None or not has_arrived(memory):
        return ""
    if incident.key == DELIVERY and incident.revision and incident.revision != delivery.revision:
        return f"Mended by {named(delivery)}"
    return f"{named(delivery)} stands"
