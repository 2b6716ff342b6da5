"""The whole operator in this process, as the command line puts it together, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

import kopf

from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.config import Listen, Settings
from reconciliation_contract.core.facts.source_kind import SOURCE_KINDS, Kinds
from reconciliation_contract.core.values.timing import TIMING
from reconciliation_contract.handlers.watching import configure, register
from reconciliation_contract.runtime.operator import Operator
from tests.support.api_server import ApiServer
from tests.support.virtual_time import eventually, now
from tests.support.virtual_time_git import GitScript

ANY_PORT: Final = Listen("127.0.0.1", 0)
SETTINGS: Final = Settings(health=ANY_PORT, metrics=ANY_PORT, manifests=False)
LAGGING: Final = replace(SETTINGS, timing=replace(TIMING, resync_grace=timedelta(hours=1)))
"""What a watch does not bring, no list brings either."""


@asynccontextmanager
async def started(
    api: ApiServer,
    git: GitScript | None = None,
    settings: Settings = SETTINGS,
    kinds: Kinds = SOURCE_KINDS,
    clock: Callable[[], datetime] = now,
) -> AsyncIterator[tuple[Operator, asyncio.Task[None]]]:
    """An operator that was just started, and the task that ends with it."""
    access, stop = api.access, asyncio.Event()
    async with Cluster(access) as cluster:
        operator = Operator(settings, cluster, clock, git or GitScript(), kinds=kinds)
        registry, configuration = kopf.OperatorRegistry(), kopf.OperatorSettings()
        register(registry, operator, access)
        configure(configuration)
        # kopf kills the process ten minutes after the end of its operator, and virtual minutes pass at once.
        configuration.process.ultimate_exiting_timeout = None
        async with operator.running():
            watching = asyncio.create_task(
                kopf.operator(
                    registry=registry,
                    settings=configuration,
                    clusterwide=not settings.namespaces,
                    namespaces=settings.namespaces,
                    standalone=True,
                    stop_flag=stop,
                )
            )
            try:
                yield operator, watching
            finally:
                early = watching.done()
                stop.set()
                await asyncio.wait((watching,))
                problem = watching.exception()
                if early or problem is not None:
                    raise AssertionError(f"the operator ended by itself: {problem!r:.300}") from None


@asynccontextmanager
async def running(
    api: ApiServer,
    git: GitScript | None = None,
    settings: Settings = SETTINGS,
    *,
    acts: bool = True,
    kinds: Kinds = SOURCE_KINDS,
    clock: Callable[[], datetime] = now,
) -> AsyncIterator[Operator]:
    """An operator that is ready."""
    async with started(api, git, replace(settings, acts=acts), kinds, clock) as (operator, watching):
        await eventually(lambda: watching.done() or not operator.sweep.unready(), "the operator to be ready")
        yield operator
