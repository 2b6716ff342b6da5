"""Asks the API server what applying a manifest would come to, as kustomize-controller asks it (fluxcd/pkg ``ssa``).

Server-side apply with dry-run, forced, under Flux's field manager and as the account that Flux applies with. Nothing
is changed; admission webhooks run, and quota and rights are checked.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.adapters.dry_run.outcome import Applier, Outcome, plain, refusal, unserved
from reconciliation_contract.adapters.kubernetes.client import METADATA_LIST, Cluster
from reconciliation_contract.adapters.kubernetes.discovery import Discovery, Served
from reconciliation_contract.api.kubernetes.raw import Raw, read_map
from reconciliation_contract.core.facts.field_owners import FLUX
from reconciliation_contract.core.facts.metadata_scan import Place
from reconciliation_contract.core.facts.unknown_fields import without
from reconciliation_contract.core.spec.ignore_rules import is_left_alone, is_recreated
from reconciliation_contract.core.values.diff import pointer
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import BadName, ClusterError, Missing

AT_ONCE: Final = 2
"""Dry-runs and reads under way at once, all contracts together: what the API server can take is shared with Flux."""
_TRIES: Final = 4
_UNKNOWN_FIELDS: Final = 16
"""Times that a manifest is tried without one more of the fields that Flux drops."""


class DryRun:
    """Tries manifests. At most `AT_ONCE` requests are under way, whoever asks, but for those that last."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime], timing: Timing = TIMING) -> None:
        self.timing = timing
        self._cluster = cluster
        self._clock = clock
        self._discovery = Discovery(cluster, timing)
        self._slots = asyncio.Semaphore(AT_ONCE)

    async def attempt(self, manifest: Manifest, applier: Applier) -> Outcome:
        """Try one manifest. Raises `Powerless` where the operator may not act as the account."""
        if is_left_alone(manifest.body, None):
            return Outcome(skipped=True)
        try:
            served = await self._find(manifest)
        except BadName as error:
            return Outcome(refused=plain(manifest, error))
        except ClusterError as error:
            return Outcome(unchecked=plain(manifest, error), unanswered=True)
        if served is None:
            return unserved(manifest, applier)
        if served.namespaced and not manifest.namespace:
            manifest = replace(manifest, namespace=applier.namespace)
        if served.namespaced and not manifest.namespace:
            return Outcome(refused="it names no namespace; set one, or spec.targetNamespace of the Kustomization")
        outcome = await self._without_unknown(manifest, served, applier)
        return await self._second_look(manifest, applier, outcome) if outcome.refused else outcome

    async def read(self, manifest: Manifest, user: str) -> Raw | None:
        """Read the live object; None where there is none. Raises `ClusterError`."""
        served = await self._find(manifest)
        if served is None:
            return None
        try:
            async with self._turn():
                return await self._cluster.get(served.resource, _place(manifest, served), manifest.name, user=user)
        except Missing:
            return None

    async def select(self, place: Place, selector: str, user: str) -> list[Raw]:
        """List the objects of a kind that have these labels, by their metadata only. Raises `ClusterError`."""
        served = await self._discovery.find(place.api_version, place.kind, self._clock())
        if served is None:
            return []
        try:
            async with self._turn():
                found = await self._cluster.select(
                    served.resource, place.namespace, selector, user=user, accept=METADATA_LIST
                )
        except Missing:
            return []
        return found[0]

    @asynccontextmanager
    async def _turn(self) -> AsyncIterator[None]:
        """Wait for a turn, and give it back at the end or when it lasts."""
        await self._slots.acquire()
        held = [self._slots.release]

        def give_back() -> None:
            while held:
                held.pop()()

        lasting = asyncio.get_running_loop().call_later(self.timing.dry_run_prompt.total_seconds(), give_back)
        try:
            yield
        finally:
            lasting.cancel()
            give_back()

    async def _find(self, manifest: Manifest) -> Served | None:
        return await self._discovery.find(manifest.api_version, manifest.kind, self._clock())

    async def _without_unknown(self, manifest: Manifest, served: Served, applier: Applier) -> Outcome:
        """Try a manifest as Flux applies it: without the fields that it drops; they are named in the outcome."""
        dropped: list[str] = []
        outcome = await self._try(manifest, served, applier)
        while outcome.undeclared and len(dropped) < _UNKNOWN_FIELDS:
            dropped += map(pointer, outcome.undeclared)
            manifest = replace(manifest, body=without(manifest.body, outcome.undeclared))
            outcome = await self._try(manifest, served, applier)
        return replace(outcome, dropped=tuple(dropped))

    async def _try(self, manifest: Manifest, served: Served, applier: Applier) -> Outcome:
        for _ in range(_TRIES - 1):
            outcome, pause = await self._once(manifest, served, applier)
            if not pause:
                return outcome
            await asyncio.sleep(min(pause, self.timing.dry_run_asked_wait.total_seconds()))
        return (await self._once(manifest, served, applier))[0]

    async def _once(self, manifest: Manifest, served: Served, applier: Applier) -> tuple[Outcome, float]:
        """Ask once; with a pause where the API server wants to be asked again after it."""
        limit, clock = applier.limit.total_seconds(), asyncio.get_running_loop().time
        body = manifest.body if served.namespaced else _without_namespace(manifest.body)
        async with self._turn():
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
                outcome, pause = refusal(manifest, applier, error), error.retry_after
            outcome = replace(outcome, took=timedelta(seconds=clock() - began))
        if outcome.exists and is_left_alone(manifest.body, outcome.result):
            outcome = replace(outcome, skipped=True)
        return outcome, pause

    async def _second_look(self, manifest: Manifest, applier: Applier, outcome: Outcome) -> Outcome:
        """What is refused may be left alone or made anew, for what the live object says, or come with its CRD."""
        definition = applier.coming.kinds.get((manifest.key.group, manifest.kind))
        try:
            live = await self.read(manifest, applier.user)
            changes = definition is not None and await self._changes(definition, applier)
        except ClusterError:
            return outcome
        if live is not None and is_left_alone(manifest.body, live):
            return replace(outcome, refused="", skipped=True)
        if changes:
            told = "not checkable before its changed CustomResourceDefinition is applied"
            return replace(outcome, refused="", unchecked=told)
        anew = applier.force or is_recreated(manifest.body, live)
        if live is not None and anew and "immutable" in outcome.refused:
            return replace(outcome, refused="", anew=True)
        return outcome

    async def _changes(self, definition: Manifest, applier: Applier) -> bool:
        """Whether applying a CustomResourceDefinition would change it: then nothing is known of its objects yet."""
        live, served = await self.read(definition, applier.user), await self._find(definition)
        if live is None or served is None:
            return True
        result = (await self._try(definition, served, applier)).result
        return result is None or _generation(result) != _generation(live)


def _generation(body: Raw) -> object:
    return read_map(body, "metadata").get("generation")


def _place(manifest: Manifest, served: Served) -> str:
    return manifest.namespace if served.namespaced else ""


def _without_namespace(body: Raw) -> Raw:
    """An object of the whole cluster; tools in between may have given it a namespace."""
    meta = {key: value for key, value in read_map(body, "metadata").items() if key != "namespace"}
    return {**body, "metadata": meta}
