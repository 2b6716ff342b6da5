"""The sweep: compare what is known with what exists, again and again. A list is the last word.

It mends whatever a watch misses (objects deleted while it was disconnected, one that it passed over, all of them
where it is silently stuck or etcd was restored from an older snapshot), has such a watch begun anew, knows whether
Flux is installed, and tells when the store is filled for the first time. Only names and versions are listed; objects
are read where the watch does not bring them in time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, NamedTuple

from reconciliation_contract.adapters.kubernetes.client import (
    CONTRACTS,
    KUSTOMIZATIONS,
    Cluster,
    resource_of,
)
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.api.kubernetes.raw import read_map, read_text
from reconciliation_contract.config import Settings
from reconciliation_contract.core.facts.observation import API_SERVER, Kustomization, Source
from reconciliation_contract.errors import ClusterError, Missing, Unavailable
from reconciliation_contract.observers.store import Key, Raw, Record, Store, key_of, newer

_log = logging.getLogger(__name__)

_FEW: Final = 10
"""Objects of a kind that are read one by one; where more are missing, all of it is read page by page."""
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


class _Gap(NamedTuple):
    """What a list shows and the watch has not brought: two resourceVersions."""

    known: str
    """Empty where the object is unknown."""
    listed: str


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
        reopen: Callable[[str], None] = lambda _: None,
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
        self._reopen = reopen
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
        behind: dict[_Place, _Gap] = {}
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
        await self._mend(behind)
        self._alive_at, self._problem = self._clock(), "the watches have not brought everything yet"
        self._store.note(API_SERVER, True, self._alive_at)
        if not self.synced.is_set() and "" not in (known for known, _ in behind.values()):
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

    async def _mend(self, behind: Mapping[_Place, _Gap]) -> None:
        """Read what the watches do not bring in time; those that bring nothing, or are ahead of time, begin anew."""
        heard, self._heard = self._heard, set()
        filling = not self.synced.is_set() and self._clock() - self._began_at < self._timing.resync_filling
        if not behind or filling:
            return
        await asyncio.sleep(self._timing.resync_grace.total_seconds())
        for feed in self._feeds():
            plural = feed.resource.plural
            missed = {key: gap for (kind, key), gap in behind.items() if kind == plural}
            missed = {key: gap for key, gap in missed.items() if feed.version(key) == gap.known}
            if not missed:
                continue
            silent = any(self._stream((plural, key)) not in heard | self._heard for key in missed)
            if silent or any(gap.known and newer(gap.known, gap.listed) for gap in missed.values()):
                _log.warning("a watch is stuck and begins anew", extra={"kind": plural, "objects": len(missed)})
                self._note("stuck")
                self._reopen(plural)
            async for raw in self._read(feed, missed):
                self._take(feed, raw, missed[key_of(raw)].known)

    async def _read(self, feed: _Feed, missed: Mapping[Key, _Gap]) -> AsyncIterator[Raw]:
        """Read objects that were missed; one that cannot be read keeps no other from it."""
        if len(missed) <= _FEW:
            for key in missed:
                try:
                    raw = await self._cluster.find(feed.resource, *key)
                except ClusterError as error:
                    extra = {"object": key, "error": str(error)}
                    _log.warning("an object that its watch lost cannot be read", extra=extra)
                    continue
                if raw is not None:
                    yield raw
            return
        for namespace in self._settings.namespaces or ("",):
            async for page in self._cluster.pages(feed.resource, namespace):
                for raw in page:
                    if key_of(raw) in missed:
                        yield raw

    def _take(self, feed: _Feed, raw: Raw, known: str) -> None:
        """Take an object as it is, unless the watch has brought it meanwhile."""
        key = key_of(raw)
        if feed.version(key) != known:
            return
        plural, version = feed.resource.plural, read_text(read_map(raw, "metadata"), "resourceVersion")
        _log.warning("an object that its watch lost is read", extra={"object": key, "kind": plural})
        self._note("lost")
        try:
            told = feed.put(raw)
            if feed.version(key) == known:  # a newer one is known, which a restored backup has undone
                told |= feed.drop(key) | feed.put(raw)
        except Exception:  # noqa: BLE001 - ours: this object only, never the others
            _log.exception("an object could not be read; please report this", extra={"object": key})
            self.skip(plural, key, version)
        else:
            self._tell(told)

    async def _compare(self, feed: _Feed) -> dict[_Place, _Gap]:
        """Drop what is gone; return what the watch has not brought yet."""
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
            (resource.plural, key): _Gap(known.get(key, ""), version)
            for key, version in listed.items()
            if known.get(key) != version
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
