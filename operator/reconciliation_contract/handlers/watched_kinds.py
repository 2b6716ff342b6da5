"""Which kinds kopf watches: those that are installed later, and those whose watch is stuck and must begin anew.

kopf reads the API server's list of kinds once for each event of a definition. A kind that is served a moment after
the last such event would never be watched, so what Flux's users have installed is looked for until it is found.
A watch that waits for versions that etcd does not have any more says nothing and never ends: its kind is taken out of
what kopf watches and put back.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

import kopf

# kopf offers no other way to have it look again; the version is bounded in pyproject.
from kopf._cogs.clients import scanning
from kopf._cogs.structs.references import NAMESPACES, Insights, NamespaceName
from kopf._core.reactor.observation import revise_resources

from reconciliation_contract.adapters.kubernetes.client import KUSTOMIZATIONS
from reconciliation_contract.core.facts.source_kind import Kinds
from reconciliation_contract.core.values.timing import Timing
from reconciliation_contract.runtime.operator import Operator

_log = logging.getLogger(__name__)


def discover(registry: kopf.OperatorRegistry, operator: Operator) -> Insights:
    """Have kopf look again for Flux's kinds while they are installed and not watched; give it what is returned."""
    insights = Insights()
    insights.backbone.selectors.remove(NAMESPACES)  # else it retries for minutes to list what it may not list
    insights.namespaces.update(
        map(NamespaceName, operator.settings.namespaces) if operator.settings.namespaces else [None]
    )
    looking: list[asyncio.Task[None]] = []

    @kopf.on.startup(registry=registry)
    async def begin(settings: kopf.OperatorSettings, **_: object) -> None:
        # Begun by kopf, the task has kopf's connection.
        looking.append(asyncio.create_task(_look(registry, settings, operator, insights), name="discovery"))

    @kopf.on.cleanup(registry=registry)
    async def end(**_: object) -> None:
        for task in looking:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    return insights


def _needed(kinds: Kinds) -> set[tuple[str, str]]:
    """Group and plural of the kinds without which there is no Flux."""
    sources = {(kind.group, kind.plural) for kind in kinds.values() if kind.required}
    return {(KUSTOMIZATIONS.group, KUSTOMIZATIONS.plural)} | sources


async def _look(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, operator: Operator, insights: Insights
) -> None:
    needed = _needed(operator.store.kinds)
    while True:
        await asyncio.sleep(operator.settings.timing.late_kinds.total_seconds())
        if operator.stuck:
            await _begin_anew(insights, operator.stuck, operator.settings.timing)
        watched = {(kind.group, kind.plural) for kind in insights.watched_resources}
        if not watched >= needed and operator.store.flux_installed and operator.sweep.synced.is_set():
            await _find(registry, settings, insights, {group for group, _ in needed})


async def _begin_anew(insights: Insights, stuck: set[str], timing: Timing) -> None:
    """End the watches of these kinds and let them begin anew, with a list."""
    async with insights.revised:
        kinds = {kind for kind in insights.watched_resources if kind.plural in stuck}
        stuck.clear()
        insights.watched_resources.difference_update(kinds)
        insights.revised.notify_all()
    await asyncio.sleep(timing.watch_handover.total_seconds())
    async with insights.revised:
        insights.watched_resources.update(kinds)
        insights.revised.notify_all()


async def _find(
    registry: kopf.OperatorRegistry, settings: kopf.OperatorSettings, insights: Insights, groups: set[str]
) -> None:
    """Read the API server's list of kinds."""
    try:
        found = await scanning.scan_resources(groups=groups, settings=settings, logger=_log)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
        _log.warning("Flux's kinds cannot be looked for", extra={"error": str(error)})
        return
    async with insights.revised:
        for group in groups:
            revise_resources(resources=found, insights=insights, registry=registry, group=group)
        insights.revised.notify_all()
