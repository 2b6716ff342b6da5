"""One process of the operator for model tests, from the watch to the acts."""

from __future__ import annotations

import json
from collections.abc import Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from reconciliation_contract.adapters.flux import Flux
from reconciliation_contract.api import recall
from reconciliation_contract.api.status import render
from reconciliation_contract.core.contract import Contract
from reconciliation_contract.core.effects import (
    AllowDeletion,
    DeletePin,
    Disown,
    Effect,
    EmitEvent,
    EnsurePin,
    HoldDeletion,
    SwitchSource,
    TellLeft,
)
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.observation import Commit, Git, Head
from reconciliation_contract.errors import ClusterError, Refused
from reconciliation_contract.store import Store
from tests.support.builders import sha
from tests.support.builders_api import KEY
from tests.support.builders_world import World


def drive(work: Coroutine[Any, Any, None]) -> None:
    """Run a coroutine that never really waits."""
    try:
        work.send(None)
    except StopIteration:
        return
    raise AssertionError("something waited in a world that answers at once")


class Operator:
    """One process of the operator, whose passes are those of `reconcile`; a crash ends it."""

    def __init__(self, world: World) -> None:
        self.store = Store()
        self._world = world
        self._refused = ""
        api: Any = world.api
        self._flux = Flux(api)
        world.fill(self.store)

    def look(self) -> None:
        """One pass; what the cluster refuses is tried again later."""
        with suppress(ClusterError):
            drive(self._pass())

    async def _pass(self) -> None:
        record = self.store.contracts.get(KEY)
        if record is None or not isinstance(record.contract, Contract):
            return
        memory = recall.parse(record.status)
        seen = self.store.observe(record.contract, memory, acts=True, refused=self._refused)
        seen = replace(seen, git=self._git() if seen.source else Git())
        decision = evaluate(record.contract, memory, seen, self._world.now)
        status = json.loads(json.dumps(render(decision.memory, seen.kustomization)))
        if status != record.status:
            written = await self._world.api.replace_status(*KEY, record.resource_version, status)
            self.store.put_contract(written)
        for effect in decision.effects:
            await self._perform(record.contract, effect)

    def _git(self) -> Git:
        """A look at Git that always knows the head."""
        world = self._world
        head = Head(sha(world.head), world.now, None, world.now)
        return Git(head, {sha(name): Commit(world.now, name) for name in world.fate})

    async def _perform(self, contract: Contract, effect: Effect) -> None:
        if isinstance(effect, EmitEvent | TellLeft):
            return
        try:
            await self._act(contract, effect)
        except Refused as error:
            self._refused = str(error)
            raise
        self._refused = ""

    async def _act(self, contract: Contract, effect: Effect) -> None:
        match effect:
            case EnsurePin(pin, source, hash_):
                await self._flux.ensure_pin(contract, pin, source, hash_)
            case DeletePin(pin, owner):
                await self._flux.delete_pin(contract, pin, owner)
            case SwitchSource():
                await self._flux.switch(contract, effect)
            case Disown():
                await self._flux.disown(contract, effect)
            case HoldDeletion() | AllowDeletion():
                self.store.put_contract(await self._world.api.finalize(hold=isinstance(effect, HoldDeletion)))
