"""Follows the workloads of a Kustomization while a delivery is in flight.

One watch for each kind that the inventory has, limited to the Kustomization's own labels, from the beginning of the
delivery to its end. When too many deliveries are in flight at once the further ones are polled, and beyond that not
followed at all. Here are only the facts; what they mean is decided in `core.availability`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Final

from reconciliation_contract.adapters.kubernetes.client import (
    DAEMON_SETS,
    DEPLOYMENTS,
    STATEFUL_SETS,
    Cluster,
)
from reconciliation_contract.adapters.kubernetes.resource import Resource, label_selector
from reconciliation_contract.api.kubernetes.raw import read_map, read_text
from reconciliation_contract.api.kubernetes.workload import KINDS, replicas
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Kustomization, Observation
from reconciliation_contract.core.facts.replicas import WORST, Replicas, Rollout, Workload
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises.availability import in_flight
from reconciliation_contract.core.spec.contract import Contract, Minimum
from reconciliation_contract.core.values.object_key import ObjectKey
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import BadName, ClusterError, Missing, Refused, Unavailable
from reconciliation_contract.observers.supervisor import BUG, Keeper

Key = tuple[str, str]

_log = logging.getLogger(__name__)

WATCHED: Final = 20
"""Deliveries whose workloads are watched at once."""
FOLLOWED: Final = 120
"""Deliveries whose workloads are followed at once, those beyond `WATCHED` by polling."""
_RESOURCES: Final = {"Deployment": DEPLOYMENTS, "StatefulSet": STATEFUL_SETS, "DaemonSet": DAEMON_SETS}
_FLUX: Final = "kustomize.toolkit.fluxcd.io"


@dataclass
class _Case:
    """What is followed for one contract."""

    delivery: datetime
    labels: Mapping[str, str]
    """Those that Flux puts on what belongs to the Kustomization."""
    minimum: Minimum
    waiting: set[str]
    """Kinds that were not looked at yet."""
    workloads: dict[ObjectKey, Workload] = field(default_factory=dict)
    began_at: datetime | None = None
    steady: bool = True
    gap: str = ""
    lacking: str = ""
    tasks: list[asyncio.Task[None]] = field(default_factory=list)


class Rollouts:
    """Follows for all contracts; ``tell`` is called with those for which something changed."""

    def __init__(
        self,
        cluster: Cluster,
        tell: Callable[[set[Key]], None],
        clock: Callable[[], datetime],
        keeper: Keeper | None = None,
        timing: Timing = TIMING,
    ) -> None:
        self._cluster = cluster
        self._tell = tell
        self._clock = clock
        self._keeper = keeper or Keeper()
        self._timing = timing
        self._cases: dict[Key, _Case] = {}

    def facts(self, key: Key) -> Rollout | None:
        """What was found up to now; None while nothing is followed."""
        case = self._cases.get(key)
        if case is None:
            return None
        drops = sorted((d for w in case.workloads.values() for d in w.drops), key=lambda d: d.depth, reverse=True)
        worst = {drop.key: drop for drop in reversed(drops)}
        return Rollout(
            delivery=case.delivery,
            began_at=case.began_at,
            steady=case.steady,
            settled=_settled(case),
            followed=sum(workload.baseline is not None for workload in case.workloads.values()),
            drops=tuple(sorted(worst.values(), key=lambda d: d.depth, reverse=True)[:WORST]),
            gap=case.gap,
            lacking=case.lacking,
        )

    def attend(self, key: Key, contract: Contract, memory: Memory, seen: Observation) -> None:
        """Begin, go on or end after a pass."""
        case, delivery, kustomization = self._cases.get(key), memory.delivery, seen.flux.kustomization
        wanted = in_flight(contract, memory, seen, self._clock())
        if case and not (wanted and delivery and case.delivery == delivery.started_at):
            self.forget(key)
            case = None
        if case or not wanted or delivery is None or kustomization is None:
            return
        inventory = kustomization.inventory.value if kustomization.inventory else None
        places = _places(inventory)
        case = _Case(delivery.started_at, _labels(kustomization), contract.promises.availability, set(places))
        many = len(self._cases)
        self._cases[key] = case
        if many >= FOLLOWED:
            case.gap, case.began_at = f"{many} deliveries at once are too many to follow them all", self._clock()
            return
        self._looked(case)
        case.tasks = [
            self._keeper.begin(
                partial(self._follow, key, case, kind, namespace, polls=many >= WATCHED),
                f"{kind} {key}",
                partial(self._broke, key, case),
            )
            for kind, namespace in places.items()
        ]

    def forget(self, key: Key) -> None:
        """Follow nothing for a contract any more."""
        case = self._cases.pop(key, None)
        for task in case.tasks if case else ():
            task.cancel()

    def close(self) -> None:
        """Follow nothing at all."""
        for key in tuple(self._cases):
            self.forget(key)

    def _broke(self, key: Key, case: _Case) -> None:
        case.gap = BUG
        self._tell({key})

    # Looking --------------------------------------------------------------------------------------------------------

    async def _follow(self, key: Key, case: _Case, kind: str, namespace: str, *, polls: bool) -> None:
        """Follow one kind until cancelled, or until it turns out that it may not be."""
        resource = _RESOURCES[kind]
        while True:
            try:
                version = await self._list(key, case, kind, namespace)
                if polls:
                    await asyncio.sleep(self._timing.workload_poll.total_seconds())
                    continue
                await self._watch(key, case, (kind, resource, namespace), version)
            except BadName as error:
                case.lacking = str(error)
                self._tell({key})
                return
            except Refused as error:
                where = f"{resource.plural} in {namespace}" if namespace else f"{resource.plural} in all namespaces"
                case.lacking = f"the operator may not {error.verb} {where}; deploy/components/live lets it"
                self._tell({key})
                return
            except Missing:
                case.gap = "the API server forgot what happened meanwhile"
            except ClusterError as error:
                _log.info("workloads cannot be followed now", extra={"contract": key, "error": str(error)})
                case.gap = case.gap or (f"the API server did not answer: {error.detail}" if case.began_at else "")
            await asyncio.sleep(self._timing.workload_retry.total_seconds())

    async def _list(self, key: Key, case: _Case, kind: str, namespace: str) -> str:
        found, version = await self._cluster.select(_RESOURCES[kind], namespace, label_selector(case.labels))
        at, first = self._clock(), kind in case.waiting
        there = {_key(kind, raw): replicas(kind, raw) for raw in found}
        gone = {known: None for known in case.workloads if known.kind == kind and known not in there}
        for known, sample in (there | gone).items():
            self._note(key, case, known, sample, at, first=first)
        if first:
            case.waiting.discard(kind)
            self._looked(case)
        return version

    async def _watch(self, key: Key, case: _Case, what: tuple[str, Resource, str], version: str) -> None:
        """Watch; as often as a watch ends or breaks, from there on."""
        kind, resource, namespace = what
        selector = label_selector(case.labels)
        while True:
            try:
                async for event, raw in self._cluster.watch(resource, namespace, selector, version):
                    version = read_text(read_map(raw, "metadata"), "resourceVersion") or version
                    if event != "BOOKMARK":
                        sample = None if event == "DELETED" else replicas(kind, raw)
                        self._note(key, case, _key(kind, raw), sample, self._clock(), first=False)
            except Unavailable as error:
                _log.info("a watch of workloads broke", extra={"contract": key, "error": str(error)})
                await asyncio.sleep(self._timing.workload_retry.total_seconds())

    def _looked(self, case: _Case) -> None:
        if not case.waiting and case.began_at is None:
            case.began_at, case.steady = self._clock(), _settled(case)

    def _note(
        self, key: Key, case: _Case, what: ObjectKey, found: Replicas | None, at: datetime, *, first: bool
    ) -> None:
        """Take note of one workload; tell where a drop began or ended, or all came to rest."""
        before, calm = case.workloads.get(what), _settled(case)
        if before is not None:
            after = before.note(found, at, case.minimum)
        elif found is not None:
            after = Workload.first(what, found, there=first)
        else:
            return
        case.workloads[what] = after
        told = (before.drop is None, before.worst) != (after.drop is None, after.worst) if before else False
        if told or (case.began_at and calm != _settled(case)):
            self._tell({key})


def _labels(kustomization: Kustomization) -> Mapping[str, str]:
    return {f"{_FLUX}/name": kustomization.name, f"{_FLUX}/namespace": kustomization.namespace}


def _settled(case: _Case) -> bool:
    return not case.waiting and all(w.now is None or w.now.settled for w in case.workloads.values())


def _key(kind: str, raw: Any) -> ObjectKey:
    meta = read_map(raw, "metadata")
    return ObjectKey("apps", kind, read_text(meta, "namespace"), read_text(meta, "name"))


def _places(inventory: Inventory | None) -> dict[str, str]:
    """The kinds to follow, each with its namespace; empty where there are several."""
    places: dict[str, set[str]] = {}
    for entry in inventory.entries() if inventory else ():
        if entry.key.group == "apps" and entry.key.kind in KINDS:
            places.setdefault(entry.key.kind, set()).add(entry.key.namespace)
    return {kind: namespaces.pop() if len(namespaces) == 1 else "" for kind, namespaces in places.items()}
