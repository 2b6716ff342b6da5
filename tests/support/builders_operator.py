"""One process of the operator for model tests: the real `Reconciler`, from the watch to the acts."""

from __future__ import annotations

import asyncio
from typing import Any

from reconciliation_contract.adapters.kubernetes.flux_acts import Flux
from reconciliation_contract.config import Settings
from reconciliation_contract.observers.store import Key, Store
from reconciliation_contract.runtime.queue import Queue
from reconciliation_contract.runtime.reconciler import Reach, Reconciler
from tests.support import builders
from tests.support.builders_api import KEY
from tests.support.builders_reach import Blind, Clear, Silent, Strict, Told, Watchful
from tests.support.builders_world import World


class Enough(BaseException):
    """The worker has made its one pass."""


class Turns(Queue[Key]):
    """A queue that hands out one key each time it is told so."""

    def __init__(self) -> None:
        super().__init__()
        self._allowed = False

    def allow(self) -> None:
        """Let the contract have its turn now, whatever it was to wait for."""
        self._allowed = True
        self.add(KEY)

    async def get(self) -> Key:
        """Hand out the key that has its turn, and end the worker when it asks again."""
        if not self._allowed:
            raise Enough
        self._allowed = False
        return await super().get()


class WorldLoop(asyncio.SelectorEventLoop):
    """An event loop with the world's clock, on which nothing may wait: the world answers at once."""

    def __init__(self, world: World) -> None:
        self._world = world
        super().__init__()

    def time(self) -> float:
        """Seconds since the world began."""
        return (self._world.now - builders.T0).total_seconds()

    def call_at(self, *_: Any, **__: Any) -> asyncio.TimerHandle:
        """Refuse to wait: no time passes within a pass."""
        raise AssertionError("something waited in a world that answers at once")


class Operator:
    """One process of the operator; a crash ends it."""

    def __init__(self, world: World, loop: asyncio.AbstractEventLoop) -> None:
        self.store = Store()
        self.queue = Turns()
        self._loop = loop
        self._reconciler = Reconciler(self.store, self.queue, reach(world), Settings(manifests=False))
        world.fill(self.store)

    def look(self) -> None:
        """One pass; what the cluster does not do is tried again later."""
        try:
            self._loop.run_until_complete(self._turn())
        except Enough:
            return

    async def _turn(self) -> None:
        self.queue.allow()
        await self._reconciler.work()


def reach(world: World) -> Reach:
    """The world as a pass reaches it."""
    api: Any = world.api
    blind: Any = Blind()
    parts: dict[str, Any] = {
        "events": Told(world.told.append),
        "lookout": Watchful(world),
        "surroundings": Clear(),
        "notifier": Silent(),
        "metrics": Strict(),
    }
    return Reach(
        cluster=api,
        flux=Flux(api),
        removals=blind,
        inspection=blind,
        rollouts=blind,
        clock=lambda: world.now,
        **parts,
    )
