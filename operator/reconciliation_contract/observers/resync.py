"""The sweep: compare what is known with what exists, again and again.

It repairs what a watch can miss (objects deleted while it was disconnected, a single one that it passed over),
notices a watch that is silently stuck, knows whether Flux is installed, and tells when the store is filled for the
first time. Only names and versions are listed; an object is read only where the watch went on without it.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final

from reconciliation_contract.adapters.kubernetes.client import (
    CONTRACTS,
    KUSTOMIZATIONS,
    Cluster,
    resource_of,
)
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.config import Settings
from reconciliation_contract.core.facts.observation import API_SERVER, Kustomization, Source
from reconciliation_contract.errors import ClusterError, Missing, Unavailable
from reconciliation_contract.observers.store import Key, Record, Store

_log = logging.getLogger(__name__)

_FEW: Final = 10
"""Objects that a working watch may have lost; more of them, and it lags."""
_Versioned = Record | Kustomization | Source
_Place = tuple[str, Key]
"""Plural of the kind, and the object's key."""


@dataclass(frozen=True)
class _Feed:
    """A watched kind: what is known of it, and how that is mended."""

    resource: Resource
    known: Mapping[Key, _Versioned]
    put: Callable[[Any], set[Key]]
    drop: Callable[[Key], set[Key]]

    def version(self, key: Key) -> str:
        """The version known of an object; empty where it is unknown."""
        return self.known[key].resource_version if key in self.known else ""


class Sweep:
    """Keeps the store honest. ``synced`` is set once it is filled."""

    def __init__(
        self,
        store: Store,
        cluster: Cluster,
        tell: Callable[[set[Key]], None],
        clock: Callable[[], datetime],
        settings: Settings,
        *,
        note: Callable[[str], None] = lambda _: None,
    ) -> None:
        self._store = store
        self._cluster = cluster
        self._tell = tell
        self._clock = clock
        self._settings = settings
        self._timing = settings.timing
        self._began_at = clock()
        self._alive_at: datetime | None = None
        self._note = note
        self._behind: dict[_Place, str] = {}
        self._skipped: dict[_Place, str] = {}
        self._heard: set[tuple[str, str]] = set()
        self._problem = "the API server has not been reached yet"
        self.synced = asyncio.Event()

    def unready(self) -> str:
        """Say why the operator is not ready: not filled yet, or blind for too long. Empty when it is."""
        if not self.synced.is_set():
            return f"not synced: {self._problem}"
        if self._stale():
            return f"observations are stale: {self._problem or 'the watches do not progress'}"
        return ""

    def age(self) -> timedelta:
        """How long ago the watches were last seen to be alive; before the first time, since the start."""
        return self._clock() - (self._alive_at or self._began_at)

    def skip(self, plural: str, key: Key, version: str) -> None:
        """Do not wait for an object that the watch brought but nobody could read: it must not stop the others."""
        self._skipped[plural, key] = version

    def hear(self, plural: str, key: Key) -> None:
        """Take note that a watch brought something: it is not stuck."""
        self._heard.add(self._stream((plural, key)))

    def _stream(self, place: _Place) -> tuple[str, str]:
        plural, (namespace, _) = place
        return plural, namespace if self._settings.namespaces else ""

    async def run(self) -> None:
        """Sweep for ever."""
        timing = self._timing
        longest, first, bare = (
            each.total_seconds() for each in (timing.resync, timing.resync_first, timing.resync_without_flux)
        )
        pause = first
        while True:
            try:
                await self._once()
                steady = longest if self._store.flux_installed else min(longest, bare)
                pause = steady if self.synced.is_set() else first
            except ClusterError as error:
                if str(error) != self._problem:
                    _log.warning("the cluster cannot be compared with what is known", extra={"error": str(error)})
                self._problem = str(error)
                if isinstance(error, Unavailable):
                    self._darken()
                pause = min(longest, pause * 2)
            self._judge()
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        behind: dict[_Place, str] = {}
        installed = True
        for feed in self._feeds():
            try:
                behind |= await self._compare(feed)
            except Missing:
                if feed.resource is CONTRACTS:
                    raise
                installed = installed and not self._is_required(feed.resource)
                for key in tuple(feed.known):
                    self._tell(feed.drop(key))
        if installed != self._store.flux_installed:
            self._store.flux_installed = installed
            self._tell(set(self._store.contracts))
        if await self._progresses(behind):
            self._alive_at, self._problem = self._clock(), ""
            self._store.note(API_SERVER, True, self._alive_at)
        if not self.synced.is_set() and "" not in behind.values():
            self.synced.set()
            self._tell(set(self._store.contracts))

    def _feeds(self) -> Iterator[_Feed]:
        store, at = self._store, self._clock()
        yield _Feed(CONTRACTS, store.contracts, store.put_contract, store.drop_contract)
        put = partial(store.put_kustomization, at=at, live=False)
        yield _Feed(KUSTOMIZATIONS, store.kustomizations, put, store.drop_kustomization)
        for kind in store.kinds.values():
            put = partial(store.put_source, at=at, live=False, kind=kind)
            yield _Feed(resource_of(kind), store.sources[kind.name], put, partial(store.drop_source, kind=kind))

    def _is_required(self, resource: Resource) -> bool:
        """Whether there is no Flux without this kind; the others may be left out of an installation."""
        required = {kind.plural for kind in self._store.kinds.values() if kind.required}
        return resource is KUSTOMIZATIONS or resource.plural in required

    async def _progresses(self, behind: dict[_Place, str]) -> bool:
        """Whether the watches bring what happens. What one went on without is read: no object decides for all."""
        stuck = {place for place, _ in behind.items() & self._behind.items()}
        lost = {place for place in stuck if self._stream(place) in self._heard}
        self._behind, self._heard = behind, set()
        if stuck - lost or len(lost) > _FEW:
            return False
        if self.synced.is_set():
            for feed in self._feeds():
                for plural, key in lost:
                    if plural == feed.resource.plural:
                        await self._repair(feed, key, behind[plural, key])
        return not stuck or self.synced.is_set()

    async def _repair(self, feed: _Feed, key: Key, known: str) -> None:
        """Take an object as it is, unless the watch brings it meanwhile."""
        try:
            raw = await self._cluster.find(feed.resource, *key)
        except ClusterError as error:
            _log.warning("an object that its watch lost cannot be read", extra={"object": key, "error": str(error)})
            return
        if raw is None or feed.version(key) != known:
            return
        _log.warning("an object that its watch lost is read", extra={"object": key, "kind": feed.resource.plural})
        self._note("lost")
        told = feed.put(raw)
        if feed.version(key) == known:  # a newer one is known, which a restored backup has undone
            told |= feed.drop(key) | feed.put(raw)
        self._tell(told)

    async def _compare(self, feed: _Feed) -> dict[_Place, str]:
        """Drop what is gone; return what the watch has not brought yet, with the version known (or empty)."""
        resource = feed.resource
        known = {key: record.resource_version for key, record in feed.known.items()}
        listed: dict[Key, str] = {}
        for namespace in self._settings.namespaces or ("",):
            listed |= await self._cluster.list_versions(resource, namespace)
        for key in known.keys() - listed.keys():
            if feed.version(key) == known[key]:  # else the watch was faster
                self._note("deleted")
                self._tell(feed.drop(key))
        skipped = {key: version for (plural, key), version in self._skipped.items() if plural == resource.plural}
        known = skipped | known
        return {
            (resource.plural, key): known.get(key, "") for key, version in listed.items() if known.get(key) != version
        }

    def _darken(self) -> None:
        """Note that the API server does not answer, from the first time on."""
        self._store.note(API_SERVER, False, self._clock())

    def _stale(self) -> bool:
        return self._alive_at is None or self.age() > self._timing.stale_after

    def _judge(self) -> None:
        fresh = not self._stale()
        if fresh != self._store.fresh:
            self._store.fresh = fresh
            self._tell(set(self._store.contracts))
