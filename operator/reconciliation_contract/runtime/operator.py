"""The parts put together, once."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial

from reconciliation_contract.adapters.git import Git, GitSettings
from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.events import Events
from reconciliation_contract.adapters.kubernetes.flux_acts import Flux
from reconciliation_contract.adapters.kubernetes.objects import LiveObjects
from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers
from reconciliation_contract.adapters.manifests.builder import Builder
from reconciliation_contract.adapters.notification import Sink
from reconciliation_contract.adapters.notification.alertmanager import alertmanager_sinks
from reconciliation_contract.adapters.notification.apprise import apprise_sinks
from reconciliation_contract.adapters.notification.cloudevents import CloudEventsSink
from reconciliation_contract.adapters.notification.flux import FluxSink
from reconciliation_contract.adapters.telemetry.heartbeat import Heartbeat
from reconciliation_contract.adapters.telemetry.http_server import everybody, served
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.adapters.telemetry.metrics_access import Readers
from reconciliation_contract.config import Settings
from reconciliation_contract.core.facts.source_kind import SOURCE_KINDS, Kinds
from reconciliation_contract.notifier import Notifier
from reconciliation_contract.observers.environment import CONTROLLERS, Surroundings
from reconciliation_contract.observers.git import Lookout
from reconciliation_contract.observers.manifest_checks import Builds, Trial
from reconciliation_contract.observers.manifests import Inspection
from reconciliation_contract.observers.pruning import Removals
from reconciliation_contract.observers.resync import Sweep
from reconciliation_contract.observers.store import Key, Store
from reconciliation_contract.observers.supervisor import Keeper
from reconciliation_contract.observers.workloads import Rollouts
from reconciliation_contract.runtime.pace import spread
from reconciliation_contract.runtime.queue import Queue
from reconciliation_contract.runtime.reconciler import Follow, Reach, Reconciler

_log = logging.getLogger(__name__)


def utc_now() -> datetime:
    """Read the wall clock."""
    return datetime.now(UTC)


def sinks(settings: Settings, clock: Callable[[], datetime]) -> Iterator[Sink]:
    """Make the sinks that are set. Raises `SinkError` where one can never work."""
    timing = settings.timing
    if settings.flux_events:
        yield FluxSink(
            settings.flux_events, socket.gethostname(), commit_statuses=settings.flux_commit_statuses, timing=timing
        )
    yield from alertmanager_sinks(settings.alertmanagers, settings.alertmanager_token_file, clock, timing)
    if settings.cloudevents:
        yield CloudEventsSink(settings.cloudevents, settings.cloudevents_token_file, timing)
    if settings.notify_urls_file:
        yield from apprise_sinks(settings.notify_urls_file, timing)


class Operator:
    """Everything that runs in one process: handlers feed it, `running` keeps it going."""

    def __init__(
        self,
        settings: Settings,
        cluster: Cluster,
        clock: Callable[[], datetime] = utc_now,
        reader: Git | None = None,
        *,
        metrics: Metrics | None = None,
        follow: Follow = lambda *_: None,
        builder: Builds | None = None,
        kinds: Kinds = SOURCE_KINDS,
    ) -> None:
        timing = settings.timing
        self.settings = settings
        self.clock = clock
        self.store = Store(kinds, timing)
        self.queue: Queue[Key] = Queue(timing)
        self.metrics = metrics or Metrics()
        reader = reader or Git(GitSettings(allow_local=settings.git_allow_local))
        keeper = Keeper(partial(self.metrics.failed, "bug"), timing)
        self.lookout = Lookout(reader, cluster, self.tell, clock, settings.git_interval, keeper=keeper, timing=timing)
        self.removals = Removals(LiveObjects(cluster, clock, timing), self.tell, clock, keeper, timing)
        servers = ArtifactServers(settings.flux_namespace, settings.artifact_servers)
        builder = builder or Builder(cluster, settings.flux_build, servers=servers, note=self.metrics.confined)
        account = (settings.flux_namespace, settings.flux_account)
        trial = Trial(
            cluster, builder, clock, account, lambda: self.surroundings.facts.kustomize, kinds=kinds, timing=timing
        )
        self.inspection = Inspection(trial, self.tell, self.metrics.compared, clock, timing)
        self.rollouts = Rollouts(cluster, self.tell, clock, keeper, timing)
        self.events = Events(cluster, clock, socket.gethostname(), self.metrics.told)
        self.surroundings = Surroundings(self.store, cluster, self.tell, clock, settings)
        self.notifier = Notifier([*sinks(settings, clock)], self.tell, self.metrics, timing)
        reach = Reach(
            cluster=cluster,
            flux=Flux(cluster, settings.default_service_account),
            events=self.events,
            lookout=self.lookout,
            removals=self.removals,
            inspection=self.inspection,
            rollouts=self.rollouts,
            surroundings=self.surroundings,
            notifier=self.notifier,
            metrics=self.metrics,
            clock=clock,
            follow=follow,
        )
        self.reconciler = Reconciler(self.store, self.queue, reach, settings)
        self._tasks: list[asyncio.Task[None]] = []
        self.stuck: set[str] = set()
        """Plurals of the kinds whose watches are to begin anew."""
        self.sweep = Sweep(
            self.store, cluster, self.tell, clock, settings, note=self.metrics.missed, reopen=self.stuck.add
        )
        self._readers = Readers(cluster, clock, timing)
        self._heart = Heartbeat(timing)
        self._be_sensed()

    def _be_sensed(self) -> None:
        self.metrics.sense(
            queue_length=lambda: float(len(self.queue.overdue())),
            queue_age=lambda: max(self.queue.overdue(), default=0.0),
            watch_age=lambda: self.sweep.age().total_seconds(),
            controllers={name: partial(self.surroundings.works, name) for name in CONTROLLERS},
        )

    def tell(self, keys: set[Key]) -> None:
        """Ask for a look at these contracts, first at those with something under way; the first sweep names all."""
        if not self.sweep.synced.is_set():
            return
        for key, delay in spread(keys):
            self.queue.add(key, 0.0 if self.store.is_under_way(key) else delay)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Sweep, work and serve while the context lasts, or until `stop`."""
        settings = self.settings
        self._tasks = [asyncio.create_task(self._after_look(work), name=name) for name, work in self._duties()]
        self._tasks.append(asyncio.create_task(self.sweep.run(), name="sweep"))
        self._tasks.append(asyncio.create_task(self._after_sync(self.surroundings.run), name="surroundings"))
        self._tasks.append(asyncio.create_task(self._beat(), name="heartbeat"))
        if settings.manifests:
            self._tasks.append(asyncio.create_task(self.inspection.patrol(), name="census"))
        if self.notifier.sinks:
            self._tasks.append(asyncio.create_task(self.notifier.run(), name="notifier"))
        try:
            async with served(
                settings.health,
                settings.metrics,
                alive=self._heart.alive,
                ready=self._heart.ready,
                scrape=self.metrics.scrape,
                guard=everybody if settings.metrics.loopback else self._readers.admit,
            ):
                yield
        finally:
            await self.stop()

    async def stop(self) -> None:
        """End all work; a second call does nothing."""
        self.lookout.close()
        self.removals.close()
        self.inspection.close()
        self.rollouts.close()
        await self.events.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.notifier.close()

    def _alive(self) -> str:
        ended = [task.get_name() for task in self._tasks if task.done()]
        return f"stopped: {', '.join(ended)}" if ended else ""

    def _duties(self) -> list[tuple[str, Callable[[], Coroutine[None, None, None]]]]:
        return [(f"worker {number}", self.reconciler.work) for number in range(self.settings.workers)]

    async def _after_look(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin when the surroundings are known, too: what they show is part of every status."""
        await self.surroundings.looked.wait()
        await work()

    async def _after_sync(self, work: Callable[[], Coroutine[None, None, None]]) -> None:
        """Begin when everything that exists is known: a half-filled store would look like missing objects."""
        await self.sweep.synced.wait()
        await work()

    async def _beat(self) -> None:
        """Say each second how the operator is, for probes, and how late the event loop came to it."""
        loop, beat = asyncio.get_running_loop(), self.settings.timing.loop_beat.total_seconds()
        while True:
            self._heart.beat(self._alive(), self.sweep.unready())
            due = loop.time() + beat
            await asyncio.sleep(beat)
            self.metrics.lagged(max(0.0, loop.time() - due))
