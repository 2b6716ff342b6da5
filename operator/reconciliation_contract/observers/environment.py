"""What stands around a delivery and is not watched: Flux's controllers, its Receivers, and our own rights.

Looked at every few seconds. A controller counts as dead when its leader Lease is no longer renewed (judged by
progress, not by the clock in it) or its Deployment has no available pod. What may not be read is unknown, never dead.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple, TypeGuard

from reconciliation_contract.adapters.kubernetes.client import (
    DEPLOYMENTS,
    GIT_REPOSITORIES,
    LEASES,
    RECEIVERS,
    Cluster,
)
from reconciliation_contract.adapters.kubernetes.resource import Resource, service_account_user
from reconciliation_contract.api.flux.controller import Controllers, argument, controllers
from reconciliation_contract.api.kubernetes.raw import read_list, read_map, read_number, read_text
from reconciliation_contract.config import Settings
from reconciliation_contract.core.facts.observation import Dependency, SourceRef
from reconciliation_contract.core.spec.contract import Contract, Declared, DriftMode, RollbackMode
from reconciliation_contract.errors import BadName, ClusterError, Missing, Refused
from reconciliation_contract.observers.store import Key, Store

_log = logging.getLogger(__name__)

CONTROLLERS: Final = ("source-controller", "kustomize-controller")
_POD: Final = re.compile(r"^(.+)-[a-z0-9]{5,10}-[a-z0-9]{5}_")
"""Who holds a leader Lease: a pod of a Deployment, as client-go writes it. That of a shard is named by a hash."""
_CORRECTION: Final = (("patch", "kustomize.toolkit.fluxcd.io", "kustomizations"),)
"""What it takes to ask Flux to put drift right."""
_ROLLBACK: Final = (
    *_CORRECTION,
    ("create", "source.toolkit.fluxcd.io", "gitrepositories"),
    ("delete", "source.toolkit.fluxcd.io", "gitrepositories"),
)
"""What a rollback does to Flux's objects."""

Raw = Mapping[str, Any]
_AT_ONCE: Final = 8
"""Questions about rights under way at a time."""


class Identity(NamedTuple):
    """Who acts for contracts, where, and what for."""

    namespace: str
    account: str
    """A service account; empty for the operator's own."""
    source: str
    """Namespace of the source."""
    rolls_back: bool
    """Otherwise it only asks Flux to put drift right."""


@dataclass(frozen=True)
class Facts:
    """The last look."""

    controllers: tuple[Dependency, ...] = ()
    kustomize: Controllers = field(default_factory=Controllers)
    """The kustomize-controllers whose flags can be read: none where their Deployments cannot."""
    hooked: frozenset[SourceRef] | None = None
    """Sources that a Receiver tells of pushes, ``*`` for any of a namespace; None where that is hidden."""
    selectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each copy of a controller watches, by the controller's name; those that can be looked at."""
    lacking: Mapping[Identity, str] = field(default_factory=dict)

    def hooked_at(self, source: SourceRef) -> bool | None:
        """Whether a Receiver tells of pushes to a source; None where it cannot be told."""
        if self.hooked is not None and source in self.hooked:
            return True
        return None if self.hooked is None or replace(source, name="*") in self.hooked else False


class Surroundings:
    """Looks around; ``tell`` is called with all contracts when something changed."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        tell: Callable[[set[Key]], None],
        clock: Callable[[], datetime],
        settings: Settings,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._tell = tell
        self._clock = clock
        self._settings = settings
        self._timing = settings.timing
        self._renewals: dict[str, tuple[str, datetime]] = {}
        self._asked: dict[Identity, tuple[datetime, str]] = {}
        self.facts = Facts()
        self.looked = asyncio.Event()
        """Set by the first look: a status written before it would have to be written again."""

    def lacking(self, contract: Contract) -> str:
        """The right that acts for this contract lack; empty where none is known to be lacking."""
        return self.facts.lacking.get(self._identity(contract), "")

    def works(self, controller: str) -> bool | None:
        """Whether a controller of Flux works, as far as that was seen."""
        return next((found.ready for found in self.facts.controllers if found.name == controller), None)

    def _identity(self, contract: Contract) -> Identity:
        account = contract.service_account or self._settings.default_service_account
        known = self._store.kustomizations.get((contract.namespace, contract.kustomization))
        source = known.source.namespace if known else contract.namespace
        return Identity(contract.namespace, account, source, contract.rollback.mode is not RollbackMode.DISABLED)

    async def run(self) -> None:
        """Look for ever."""
        while True:
            try:
                facts = await self._look()
            except ClusterError as error:
                _log.warning("the surroundings cannot be seen", extra={"error": str(error)})
            else:
                for controller in facts.controllers:
                    self._store.note(controller.name, controller.ready, self._clock())
                if facts != self.facts:
                    self.facts = facts
                    self._tell(set(self._store.contracts))
                self.looked.set()
            await asyncio.sleep(self._timing.environment.total_seconds() if self.looked.is_set() else 1)

    async def _look(self) -> Facts:
        flux = self._settings.flux_namespace
        deployments = await self._list(DEPLOYMENTS, flux)
        leases = await self._list(LEASES, flux)
        receivers = await self._list(RECEIVERS)
        return Facts(
            controllers=tuple(self._controller(name, deployments, leases) for name in CONTROLLERS),
            kustomize=controllers(_called("kustomize-controller", deployments or [])),
            hooked=None if receivers is None else frozenset(_hooked(receivers)),
            selectors={name: tuple(map(_watched, _called(name, deployments or []))) for name in CONTROLLERS},
            lacking=await self._rights(),
        )

    async def _list(self, resource: Resource, namespace: str = "") -> list[Raw] | None:
        """All objects of a kind; None where they may not be read, empty where there is no such kind."""
        try:
            return [*read_list(await self._cluster.list_all(resource, namespace), "items")]
        except Missing:
            return []
        except Refused:
            return None

    # Controllers ------------------------------------------------------------------------------------------------

    def _controller(self, name: str, deployments: list[Raw] | None, leases: list[Raw] | None) -> Dependency:
        """How a controller stands. With shards there are several of a kind; each must be alive."""
        problems = [*self._pods(name, deployments or []), *self._leaders(name, _held(leases or [], deployments))]
        if problems:
            return Dependency(name, False, problems[0])
        if _called(name, deployments or []) or _called(name, leases or []):
            return Dependency(name, True, "")
        where = self._settings.flux_namespace
        if deployments is None and leases is None:
            return Dependency(name, None, f"the operator may not read Deployments and Leases in {where}")
        return Dependency(name, None, f"{name} is not in namespace {where}; set --flux-namespace")

    def _pods(self, name: str, deployments: list[Raw]) -> Iterator[str]:
        for found in _called(name, deployments):
            own = read_text(read_map(found, "metadata"), "name")
            if read_map(found, "spec").get("replicas") == 0:
                yield f"{own} is scaled to zero; scale it up"
            elif not read_number(read_map(found, "status"), "availableReplicas"):
                yield f"{own} has no available pod; see kubectl -n {self._settings.flux_namespace} get pods"

    def _leaders(self, name: str, leases: list[Raw]) -> Iterator[str]:
        now = self._clock()
        for found in _called(name, leases):
            own, spec = read_text(read_map(found, "metadata"), "name"), read_map(found, "spec")
            renewed = read_text(spec, "renewTime")
            known, since = self._renewals.get(own, ("", now))
            if renewed != known:
                self._renewals[own] = (renewed, now)
                continue
            patience = timedelta(seconds=read_number(spec, "leaseDurationSeconds") or 35) + self._timing.environment
            if now - since > patience:
                yield f"{name} does not renew its leader Lease {own} (last {renewed}); restart it"

    # Rights -----------------------------------------------------------------------------------------------------

    async def _rights(self) -> dict[Identity, str]:
        if not self._settings.acts:
            return {}
        contracts = (record.contract for record in self._store.contracts.values())
        wanted = {self._identity(contract) for contract in contracts if _may_act(contract)}
        now = self._clock()
        self._asked = {who: known for who, known in self._asked.items() if who in wanted}
        due = {who for who in wanted if self._is_due(who, now)}
        for rolls_back in (True, False):
            own = {who for who in due if not who.account and who.rolls_back is rolls_back}
            if own and await self._missing(Identity("", "", "", rolls_back)) == "":  # as it is deployed: everywhere
                self._asked |= dict.fromkeys(own, (now, ""))
                due -= own
        slots = asyncio.Semaphore(_AT_ONCE)
        await asyncio.gather(*(self._ask(who, now, slots) for who in due))
        return {who: lacking for who, (_, lacking) in self._asked.items() if lacking}

    def _is_due(self, who: Identity, now: datetime) -> bool:
        if who not in self._asked:
            return True
        asked_at, lacking = self._asked[who]
        return now - asked_at > (self._timing.right_missed if lacking else self._timing.right_believed)

    async def _ask(self, who: Identity, now: datetime, slots: asyncio.Semaphore) -> None:
        """Ask for what is due; what cannot be told stays as it was known, and concerns nobody else."""
        async with slots:
            lacking = await self._missing(who)
        if lacking is not None:
            self._asked[who] = (now, lacking)

    async def _missing(self, who: Identity) -> str | None:
        """What is lacking, anywhere where no namespace is named; None where it cannot be told."""
        name = who.account or "the operator"
        try:
            user = service_account_user(who.namespace, who.account)
            name = user or name
            for verb, group, resource in _ROLLBACK if who.rolls_back else _CORRECTION:
                where = who.source if resource == GIT_REPOSITORIES.plural else who.namespace
                if not await self._cluster.may(verb, group, resource, where, user=user):
                    lost = "no rollback is possible" if who.rolls_back else "Flux cannot be asked to put drift right"
                    return f"{name} may not {verb} {resource} in {where}, so {lost}; grant it"
        except BadName as error:
            return str(error)
        except Refused as error:
            return f"the operator may not act as {name}: {error.detail}"
        except ClusterError as error:
            _log.warning("a right cannot be asked for", extra={"error": str(error), "identity": name})
            return None
        return ""


def _may_act(contract: Declared) -> TypeGuard[Contract]:
    if not isinstance(contract, Contract):
        return False
    return contract.rollback.mode is not RollbackMode.DISABLED or contract.promises.drift_mode is DriftMode.CORRECT


def _called(name: str, objects: list[Raw]) -> list[Raw]:
    return [found for found in objects if read_text(read_map(found, "metadata"), "name").startswith(name)]


def _held(leases: list[Raw], deployments: list[Raw] | None) -> list[Raw]:
    """Leases that somebody must renew: one given back, or left by a shard that was removed, tells of no death."""
    names = {read_text(read_map(found, "metadata"), "name") for found in deployments or []}
    held = ((lease, read_text(read_map(lease, "spec"), "holderIdentity")) for lease in leases)
    return [lease for lease, holder in held if holder and (deployments is None or _owner(holder) in (names | {""}))]


def _owner(holder: str) -> str:
    """The Deployment whose pod holds a Lease (``DEPLOYMENT-HASH-RANDOM_UUID``); empty where that is not its form."""
    found = _POD.match(holder)
    return found.group(1) if found else ""


def _watched(deployment: Raw) -> str:
    """What a controller was started to watch; empty where it watches everything."""
    return argument(deployment, "watch-label-selector")


def _hooked(receivers: list[Raw]) -> Iterator[SourceRef]:
    """Sources named by Receivers. A selection by label has ``*`` for its name; it is not followed."""
    for receiver in receivers:
        namespace = read_text(read_map(receiver, "metadata"), "namespace")
        spec = read_map(receiver, "spec")
        for resource in read_list(spec, "resources") if spec.get("suspend") is not True else ():
            where = read_text(resource, "namespace") or namespace
            yield SourceRef(read_text(resource, "kind"), where, read_text(resource, "name"))
