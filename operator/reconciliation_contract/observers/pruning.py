"""Follows what left a Kustomization's inventory until it is gone.

What has left is the difference of two inventories. It is looked at object by object, a few at once, ever more
seldom, and once more just after its deadline; with nothing pending nothing is asked. Here are only the facts; what
they mean is decided in `core.deletion`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from reconciliation_contract.adapters.kubernetes.objects import LiveObjects
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.facts.pruning import Departure, Departures, Fate, fate
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import BadName, ClusterError, Refused
from reconciliation_contract.observers.supervisor import Keeper

Key = tuple[str, str]

_log = logging.getLogger(__name__)

_AT_ONCE: Final = 4
"""Looks under way at once, all contracts together."""


@dataclass
class _Case:
    """What is followed for one contract."""

    owner: str
    """``namespace/name`` of the Kustomization."""
    uid: str
    inventory: Inventory | None
    departures: Departures
    within: timedelta = timedelta(0)
    task: asyncio.Task[None] | None = field(default=None, repr=False)


class Removals:
    """Looks for all contracts; ``tell`` is called with those for which something changed."""

    def __init__(
        self,
        live: LiveObjects,
        tell: Callable[[set[Key]], None],
        clock: Callable[[], datetime],
        keeper: Keeper | None = None,
        timing: Timing = TIMING,
    ) -> None:
        self._live = live
        self._tell = tell
        self._clock = clock
        self._keeper = keeper or Keeper()
        self._timing = timing
        self._turn = timing.pruning_turn.total_seconds()
        self._cases: dict[Key, _Case] = {}
        self._turns = asyncio.Semaphore(_AT_ONCE)

    def facts(self, key: Key, kustomization: Kustomization | None, memory: Memory) -> Departures | None:
        """What has left up to now; None while nothing was ever applied."""
        case = self._cases.get(key)
        if kustomization is None or kustomization.inventory is None:
            return case.departures if case else None
        fresh, at = kustomization.inventory.value, kustomization.inventory.at
        if case is None:
            case = self._cases[key] = _begin(kustomization, fresh, memory, self._clock())
        elif case.uid != kustomization.uid:
            again = Departures(fresh.digest, case.departures.delivery, unseen_at=self._clock())
            case.uid, case.inventory, case.departures = kustomization.uid, fresh, again
        elif case.inventory is not fresh:
            left = case.inventory.without(fresh) if case.inventory else ()
            departures = replace(case.departures.come_back(fresh), inventory=fresh.digest)
            case.departures = departures.leave(left, at, prunes=kustomization.prunes)
            case.inventory = fresh
        return case.departures

    def attend(self, key: Key, contract: Contract, memory: Memory) -> None:
        """Go on after a pass: count for a new delivery, and follow what is still awaited."""
        case, delivery = self._cases.get(key), memory.delivery
        if case is None or delivery is None:
            return
        case.within = contract.promises.deletion
        case.departures = case.departures.count_for(delivery.started_at, case.within, self._clock())
        said = memory.judgement(PromiseName.DELETION)
        if said and said.concluded and said.verdict is not Verdict.BROKEN:
            case.departures = replace(case.departures, pending=(), more=0)
        if _awaited(case.departures) and (case.task is None or case.task.done()):
            broke = partial(self._tell, {key})
            case.task = self._keeper.begin(partial(self._follow, key, case), f"removals {key}", broke)

    def forget(self, key: Key) -> None:
        """Follow nothing for a contract any more."""
        case = self._cases.pop(key, None)
        if case and case.task:
            case.task.cancel()

    def close(self) -> None:
        """Follow nothing at all."""
        for key in tuple(self._cases):
            self.forget(key)

    # Looking --------------------------------------------------------------------------------------------------------

    async def _follow(self, key: Key, case: _Case) -> None:
        pause, last = self._timing.pruning.total_seconds(), self._clock()
        while _awaited(case.departures):
            began, before = self._clock(), case.departures
            looks = await asyncio.gather(*(self._look(case.owner, each) for each in _awaited(before)))
            case.departures = case.departures.look({each.entry.key: each for each in looks if each})
            deadlines = [each.left_at + case.within for each in case.departures.pending]
            if _told(before) != _told(case.departures) or any(last <= at < began for at in deadlines):
                self._tell({key})
            last = began
            ahead = [(at - self._clock()).total_seconds() for at in deadlines if at >= self._clock()]
            await asyncio.sleep(min([pause, *(seconds + self._turn for seconds in ahead)]))
            pause = min(self._timing.pruning_longest.total_seconds(), pause * 1.5)

    async def _look(self, owner: str, departed: Departure) -> Departure | None:
        """How an object stands now; None where that cannot be told."""
        async with self._turns:
            try:
                found = await self._live.look(departed.entry)
            except BadName as error:
                return replace(departed, fate=Fate.UNREADABLE, account=str(error), looked_at=self._clock())
            except Refused as error:
                problem = (
                    f"the operator may not {error.verb} {error.what}; deploy/components/live shows how to let it"
                )
                return replace(departed, fate=Fate.UNREADABLE, account=problem, looked_at=self._clock())
            except ClusterError as error:
                _log.info("an object cannot be looked at now", extra={"object": departed.name, "error": str(error)})
                return None
            finally:
                await asyncio.sleep(self._turn)
            return fate(departed, found, owner, self._clock())


def _begin(kustomization: Kustomization, inventory: Inventory, memory: Memory, now: datetime) -> _Case:
    """Go on from what is remembered; what changed meanwhile was seen by nobody."""
    known = memory.departures
    missed = known.inventory not in ("", inventory.digest)
    delivery = memory.delivery.started_at if memory.delivery else None
    departures = replace(
        known, inventory=inventory.digest, delivery=delivery, unseen_at=now if missed else known.unseen_at
    )
    owner = f"{kustomization.namespace}/{kustomization.name}"
    return _Case(owner, kustomization.uid, inventory, departures.come_back(inventory))


def _told(departures: Departures) -> tuple[object, ...]:
    """What others are told of: all but when it was looked at."""
    return tuple((each.entry.key, each.fate, each.account) for each in _awaited(departures))


def _awaited(departures: Departures) -> tuple[Departure, ...]:
    return (*departures.pending, *departures.overdue)
