"""Kinds that are installed later: kopf looks for them when their definition changes, now and then too early.

It reads the API server's list of kinds once for each event of a definition. A kind that is served a moment after
the last such event would never be watched, so what Flux's users have installed is looked for until it is found.
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
    groups = {group for group, _ in needed}
    while True:
        await asyncio.sleep(operator.settings.timing.late_kinds.total_seconds())
        watched = {(kind.group, kind.plural) for kind in insights.watched_resources}
        if watched >= needed or not operator.store.flux_installed or not operator.sweep.synced.is_set():
            continue
        try:
            found = await scanning.scan_resources(groups=groups, settings=settings, logger=_log)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is tried again
            _log.warning("Flux's kinds cannot be looked for", extra={"error": str(error)})
            continue
        async with insights.revised:
            for group in groups:
                revise_resources(resources=found, insights=insights, registry=registry, group=group)
            insights.revised.notify_all()
