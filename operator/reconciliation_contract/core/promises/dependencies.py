"""The things that delivery depends on, and whose fault it is when they fail.

An outage of one of these is never the application's fault: a verdict that falls during it names it. What cannot be
looked at (no rights, no Lease) is unknown and blames nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Final

from reconciliation_contract.core.facts.observation import (
    API_SERVER,
    RIGHTS,
    Dependency,
    Kustomization,
    Observation,
)
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.memory.timeline import Delivery

DEEPEST: Final = 32
"""Steps of ``dependsOn`` followed; a chain with a circle in it ends here."""
WAITS: Final = "DependencyNotReady"
"""Flux's reason for a Kustomization that waits for another."""

_FOR_DETECTION: Final[tuple[str, ...]] = ("Git", "source-controller")
"""Beside the source itself, which is named by its kind."""
_FOR_APPLYING: Final[tuple[str, ...]] = ("kustomize-controller", "dependsOn")

Lookup = Callable[[str], Kustomization | None]
"""Find a Kustomization by ``namespace/name``."""


def root_cause(kustomization: Kustomization, lookup: Lookup) -> str:
    """Follow ``dependsOn`` from a Kustomization that waits to the one that does not wait itself: why all do."""
    if kustomization.ready.reason != WAITS:
        return ""
    own = kustomization.namespace
    seen = {f"{own}/{kustomization.name}"}
    for _ in range(DEEPEST):
        waited = [name for name in kustomization.depends_on if not _stands(lookup(name))]
        name = min(waited, key=lambda name: _rank(lookup(name)), default="")
        if not name:
            return ""
        if name in seen:
            return f"Kustomizations depend on each other in a circle: {name}; remove one dependsOn"
        seen.add(name)
        found = lookup(name)
        if name.partition("/")[0] != own:  # its reasons are for whoever may read it there
            return f"Kustomization {name} is not Ready; look at it there"
        if found is None:
            return f"Kustomization {name} does not exist; create it or mend dependsOn"
        if found.ready.reason != WAITS:
            return f"Kustomization {name} is not Ready: {_why(found)}"
        kustomization = found
    return ""


def _stands(kustomization: Kustomization | None) -> bool:
    return kustomization is not None and kustomization.ready.status == "True" and not kustomization.suspended


def _rank(kustomization: Kustomization | None) -> int:
    """Who is blamed first of several that are not Ready: those that will not become so by themselves."""
    if kustomization is None or kustomization.suspended:
        return 0
    if kustomization.failures or kustomization.ready.status == "False":
        return 0
    return 1  # at work


def _why(kustomization: Kustomization) -> str:
    if kustomization.suspended:
        return "it is suspended"
    ready, failures = kustomization.ready, kustomization.failures
    if ready.status == "Unknown" and failures:  # it retries, and says so most of the time
        return f"{failures[-1].reason}: {failures[-1].message}"
    return f"{ready.reason}: {ready.message}" if ready.reason else "it was never reconciled"


def dependencies(seen: Observation) -> tuple[Dependency, ...]:
    """How each dependency stands, in the order in which a delivery meets them."""
    return (*_api_server(seen), *_git(seen), *seen.flux.controllers, *_source(seen), *_waits(seen), *_rights(seen))


def failing_since(memory: Memory, now: datetime) -> datetime | None:
    """Since when any dependency has failed without a pause; None where none fails."""
    failing = any(each.ready is False for each in memory.dependencies)
    return (memory.failing_since or now) if failing else None


def blame(seen: Observation, delivery: Delivery) -> str:
    """What fails of that on which the next stage of a delivery depends, in words; empty where nothing is known to.

    What else fails does not hinder it: neither source-controller once the commit is detected, nor a right that only
    our own acts need. Where Flux tries and says itself what fails, nothing else is to blame.
    """
    needed = needs(delivery, seen)
    return next((d.message for d in dependencies(seen) if d.ready is False and d.name in needed), "")


def needs(delivery: Delivery, seen: Observation) -> tuple[str, ...]:
    """Name the dependencies without which the next stage of a delivery is not reached."""
    if delivery.stages.detected is None:
        return (*_FOR_DETECTION, *seen.flux.source_kinds)
    return () if delivery.failures else _FOR_APPLYING


def needed(name: str, start: datetime, deadline: datetime, delivery: Delivery) -> tuple[datetime, datetime]:
    """From when to when a delivery in time would need a dependency; an empty stretch where it does not."""
    detected = delivery.stages.detected.at if delivery.stages.detected else deadline
    match name:
        case "source-controller":
            return start, min(detected, deadline)
        case "kustomize-controller":
            return detected, max(detected, deadline)
        case _:
            return start, deadline


def _api_server(seen: Observation) -> Iterator[Dependency]:
    problem = (
        ""
        if seen.operator.fresh
        else "the operator has lost sight of the cluster; see whether the API server answers"
    )
    yield Dependency(API_SERVER, seen.operator.fresh, problem)


def _git(seen: Observation) -> Iterator[Dependency]:
    if seen.git.problem:
        # Our own look failing says nothing certain of Flux's, which may have other credentials and another network.
        yield Dependency("Git", None, f"the operator cannot read the repository: {seen.git.problem}")
    elif seen.git.head:
        yield Dependency("Git", True, "")


def _source(seen: Observation) -> Iterator[Dependency]:
    source = seen.flux.source
    if source is None or source.suspended:
        return
    if source.ready.status == "False":
        yield Dependency(
            source.kind.name, False, f"{source.kind.name}: {source.ready.reason}: {source.ready.message}"
        )
    elif source.ready.status == "True":
        yield Dependency(source.kind.name, True, "")


def _waits(seen: Observation) -> Iterator[Dependency]:
    if seen.flux.blocked_by:
        yield Dependency("dependsOn", False, seen.flux.blocked_by)


def _rights(seen: Observation) -> Iterator[Dependency]:
    if seen.operator.lacking:
        yield Dependency(RIGHTS, False, seen.operator.lacking)
