"""Asks the API server what applying a manifest would come to, as kustomize-controller asks it (fluxcd/pkg ``ssa``).

Server-side apply with dry-run, forced, under Flux's field manager and as the account that Flux applies with. Nothing
is changed; admission webhooks run, and quota and rights are checked.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.adapters.cluster import METADATA_LIST, Cluster
from reconciliation_contract.adapters.discovery import Discovery, Served
from reconciliation_contract.api.raw import Raw, read_map
from reconciliation_contract.core.authorship import FLUX
from reconciliation_contract.core.census import Place
from reconciliation_contract.core.check import Forthcoming
from reconciliation_contract.core.exemption import is_left_alone, is_recreated
from reconciliation_contract.core.manifest import Manifest
from reconciliation_contract.core.text import bounded
from reconciliation_contract.errors import ClusterError, Conflict, Missing, Refused, Unavailable

AT_ONCE: Final = 2
"""Dry-runs and reads under way at once, all contracts together: what the API server can take is shared with Flux."""
_LONGEST_WAIT: Final = 30.0
"""Seconds waited at most where the API server asks for it."""
_TRIES: Final = 4
_DETAIL: Final = 300
_IMPERSONATION: Final = re.compile(r"cannot impersonate resource")
_RIGHT: Final = re.compile(r'User "[^"]*" cannot (\w+) resource "([^"]*)"')
_LEAD: Final = re.compile(r'^\S+ "[^"]*" is invalid: ')
_PLACES: Final = re.compile(r"\.[\w.-]+: expected \w+|\b(?:data|stringData)\[[\w.-]+\]|\bimmutable\b")
"""What can be shown of a complaint about a Secret: places and types, never values."""


@dataclass(frozen=True, slots=True)
class Applier:
    """Who applies, and how: what one Kustomization's dry-runs have in common."""

    user: str
    """The account; empty for the operator's own."""
    named: bool = True
    """The Kustomization names the account itself, so what it may not do is what Flux may not."""
    force: bool = False
    """Flux makes objects anew where they cannot be changed."""
    limit: timedelta = timedelta(seconds=30)
    """Time for one manifest."""
    coming: Forthcoming = field(default_factory=Forthcoming)
    """What the same revision makes before the rest."""
    namespace: str = ""
    """Where objects go that name no namespace; empty where they must name one."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a dry-run came to."""

    took: timedelta = timedelta(0)
    result: Raw | None = None
    """The object as it would be."""
    refused: str = ""
    unchecked: str = ""
    unanswered: bool = False
    """The API server, or a webhook that it asked, did not answer."""
    skipped: bool = False
    """Flux leaves the object alone."""
    late: bool = False
    """It was given up at the end of its time."""

    @property
    def exists(self) -> bool:
        """Whether there is such an object now."""
        return self.result is not None and bool(read_map(self.result, "metadata").get("resourceVersion"))


class DryRun:
    """Tries manifests. At most `AT_ONCE` requests are under way, whoever asks."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._discovery = Discovery(cluster)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def attempt(self, manifest: Manifest, applier: Applier) -> Outcome:
        """Try one manifest. Raises `Refused` where the operator may not act as the account."""
        if is_left_alone(manifest.body, None):
            return Outcome(skipped=True)
        try:
            served = await self._find(manifest)
        except ClusterError as error:
            return Outcome(unchecked=_plain(manifest, error), unanswered=True)
        if served is None:
            return _unserved(manifest, applier)
        if served.namespaced and not manifest.namespace:
            manifest = replace(manifest, namespace=applier.namespace)
        if served.namespaced and not manifest.namespace:
            return Outcome(refused="it names no namespace; set one, or spec.targetNamespace of the Kustomization")
        outcome = await self._try(manifest, served, applier)
        return await self._second_look(manifest, applier, outcome) if outcome.refused else outcome

    async def read(self, manifest: Manifest, user: str) -> Raw | None:
        """Read the live object; None where there is none. Raises `ClusterError`."""
        served = await self._find(manifest)
        if served is None:
            return None
        try:
            async with self._slots:
                return await self._cluster.get(served.resource, _place(manifest, served), manifest.name, user=user)
        except Missing:
            return None

    async def select(self, place: Place, selector: str, user: str) -> list[Raw]:
        """List the objects of a kind that have these labels, by their metadata only. Raises `ClusterError`."""
        served = await self._discovery.find(place.api_version, place.kind, self._clock())
        if served is None:
            return []
        try:
            async with self._slots:
                found = await self._cluster.select(
                    served.resource, place.namespace, selector, user=user, accept=METADATA_LIST
                )
        except Missing:
            return []
        return found[0]

    async def _find(self, manifest: Manifest) -> Served | None:
        return await self._discovery.find(manifest.api_version, manifest.kind, self._clock())

    async def _try(self, manifest: Manifest, served: Served, applier: Applier) -> Outcome:
        for _ in range(_TRIES - 1):
            outcome, pause = await self._once(manifest, served, applier)
            if not pause:
                return outcome
            await asyncio.sleep(min(pause, _LONGEST_WAIT))
        return (await self._once(manifest, served, applier))[0]

    async def _once(self, manifest: Manifest, served: Served, applier: Applier) -> tuple[Outcome, float]:
        """Ask once; with a pause where the API server wants to be asked again after it."""
        limit, clock = applier.limit.total_seconds(), asyncio.get_running_loop().time
        body = manifest.body if served.namespaced else _without_namespace(manifest.body)
        async with self._slots:
            began = clock()
            try:
                async with asyncio.timeout(limit):
                    result = await self._cluster.dry_run(
                        served.resource,
                        _place(manifest, served),
                        manifest.name,
                        body,
                        manager=FLUX,
                        user=applier.user,
                        patience=limit + 5,
                    )
                outcome, pause = Outcome(result=result), 0.0
            except TimeoutError:
                outcome, pause = Outcome(late=True), 0.0
            except ClusterError as error:
                outcome, pause = _refusal(manifest, applier, error), error.retry_after
            outcome = replace(outcome, took=timedelta(seconds=clock() - began))
        if outcome.exists and is_left_alone(manifest.body, outcome.result):
            outcome = replace(outcome, skipped=True)
        return outcome, pause

    async def _second_look(self, manifest: Manifest, applier: Applier, outcome: Outcome) -> Outcome:
        """What is refused may be an object that Flux leaves alone, or makes anew, for what the live one says."""
        try:
            live = await self.read(manifest, applier.user)
        except ClusterError:
            return outcome
        if live is not None and is_left_alone(manifest.body, live):
            return replace(outcome, refused="", skipped=True)
        anew = applier.force or is_recreated(manifest.body, live)
        if live is not None and anew and "immutable" in outcome.refused:
            return replace(outcome, refused="")
        return outcome


def _place(manifest: Manifest, served: Served) -> str:
    return manifest.namespace if served.namespaced else ""


def _without_namespace(body: Raw) -> Raw:
    """An object of the whole cluster; tools in between may have given it a namespace."""
    meta = {key: value for key, value in read_map(body, "metadata").items() if key != "namespace"}
    return {**body, "metadata": meta}


# Refusals --------------------------------------------------------------------------------------------------------


def _unserved(manifest: Manifest, applier: Applier) -> Outcome:
    if (manifest.key.group, manifest.kind) in applier.coming.kinds:
        return Outcome(unchecked="not checkable before its CustomResourceDefinition exists")
    return Outcome(refused=f"the cluster knows no {manifest.kind} in {manifest.api_version}; install its CRD first")


def _refusal(manifest: Manifest, applier: Applier, error: ClusterError) -> Outcome:
    """What it means that the API server did not take a manifest. Raises `Refused` where it is not about it."""
    said = error.detail
    if isinstance(error, Unavailable):
        return Outcome(unchecked=_plain(manifest, error), unanswered=True)
    if _IMPERSONATION.search(said):
        remedy = "deploy/components/validation shows how to let it"
        raise Refused("act as", applier.user, f"the operator has no right to; {remedy}", error.code, error.reason)
    if isinstance(error, Missing):
        return _missing(manifest, applier, error)
    if (lacks := _RIGHT.search(said)) and not _settled(applier):
        right = f"{applier.user or 'this account'} may not {lacks[1]} {lacks[2]}"
        return Outcome(unchecked=f"{right}; {_doubt(applier)}")
    if isinstance(error, Conflict):
        return Outcome(unchecked=_plain(manifest, error))
    return Outcome(refused=_plain(manifest, error))


def _doubt(applier: Applier) -> str:
    """Why a right that is lacking now may be there when Flux applies."""
    if applier.coming.roles:
        return "which the revision's own ClusterRoles may change"
    return "if that is Flux's account" if applier.user else "which says nothing of Flux's"


def _settled(applier: Applier) -> bool:
    """Whether a right that is lacking now is one that Flux lacks, too."""
    return applier.named and not applier.coming.roles


def _missing(manifest: Manifest, applier: Applier, error: ClusterError) -> Outcome:
    if 'namespaces "' not in error.detail:
        return Outcome(unchecked=_plain(manifest, error))
    if manifest.namespace in applier.coming.namespaces:
        return Outcome(unchecked="not checkable before its namespace exists")
    return Outcome(
        refused=f"namespace {manifest.namespace} does not exist; create it, in the same revision if you like"
    )


def _plain(manifest: Manifest, error: ClusterError) -> str:
    """The API server's words for people; of a Secret only what cannot be a value of it."""
    said = _LEAD.sub("", error.detail.removesuffix(f" (HTTP {error.code})"))
    if (manifest.key.group, manifest.kind) == ("", "Secret"):
        said = (
            ", ".join(dict.fromkeys(_PLACES.findall(said)[:3])) or f"HTTP {error.code}, not shown as it is a Secret"
        )
    reason = error.reason or ("" if error.code else "no answer")
    return bounded(f"{reason}: {said}" if reason else said, _DETAIL)
