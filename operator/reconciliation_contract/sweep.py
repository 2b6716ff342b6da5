"""The sweep: compare what is known with what exists, again and again.

It repairs what a watch can miss (objects deleted while it was disconnected), notices a watch that is silently stuck,
knows whether Flux is installed, and tells when the store is filled for the first time. Only names and versions are
listed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from reconciliation_contract.adapters.cluster import (
    CONTRACTS,
    GIT_REPOSITORIES,
    KUSTOMIZATIONS,
    SOURCES,
    Cluster,
    Resource,
)
from reconciliation_contract.config import Settings
from reconciliation_contract.core.observation import Kustomization, Source
from reconciliation_contract.errors import ClusterError, Missing
from reconciliation_contract.store import Key, Record, Store, newer

_log = logging.getLogger(__name__)

_WITHOUT_FLUX: Final = 5.0
"""Seconds between comparisons while Flux is not installed: somebody waits for it to be noticed."""
_FIRST_PAUSE: Final = 0.2
"""Seconds between comparisons until the store is filled."""
_NEEDED: Final = (KUSTOMIZATIONS, GIT_REPOSITORIES)
"""Without these kinds there is no Flux; the others may be left out of an installation."""
_Versioned = Record | Kustomization | Source


class Sweep:
    """Keeps the store honest. ``synced`` is set once it is filled."""

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
        self._alive_at: datetime | None = None
        self._behind: dict[tuple[str, Key], str] = {}
        self._skipped: dict[tuple[str, Key], str] = {}
        self._problem = "the API server has not been reached yet"
        self.synced = asyncio.Event()
        self.ghosts = 0
        """Objects that were gone without the watch saying so."""

    def unready(self) -> str:
        """Say why the operator is not ready: not filled yet, or blind for too long. Empty when it is."""
        if not self.synced.is_set():
            return f"not synced: {self._problem}"
        if self._stale():
            return f"observations are stale: {self._problem or 'the watches do not progress'}"
        return ""

    def age(self) -> timedelta | None:
        """How long ago the watches were last seen to be alive; None before the first time."""
        return None if self._alive_at is None else self._clock() - self._alive_at

    def skip(self, plural: str, key: Key, version: str) -> None:
        """Do not wait for an object that the watch brought but nobody could read: it must not stop the others."""
        self._skipped[plural, key] = version

    async def run(self) -> None:
        """Sweep for ever."""
        longest, pause = self._settings.sweep_interval.total_seconds(), _FIRST_PAUSE
        while True:
            try:
                await self._once()
                steady = longest if self._store.flux_installed else min(longest, _WITHOUT_FLUX)
                pause = steady if self.synced.is_set() else _FIRST_PAUSE
            except ClusterError as error:
                if str(error) != self._problem:
                    _log.warning("the cluster cannot be compared with what is known", extra={"error": str(error)})
                self._problem = str(error)
                pause = min(longest, pause * 2)
            self._judge()
            await asyncio.sleep(pause)

    async def _once(self) -> None:
        behind = await self._compare(CONTRACTS, self._store.contracts, self._gone_contract)
        installed = True
        for resource, known, gone in self._flux():
            try:
                behind |= await self._compare(resource, known, gone)
            except Missing:
                installed = installed and resource not in _NEEDED
                for key in tuple(known):
                    self._tell(gone(key))
        if installed != self._store.flux_installed:
            self._store.flux_installed = installed
            self._tell(set(self._store.contracts))
        stuck = behind.items() & self._behind.items()
        self._behind = behind
        if not stuck:
            self._alive_at, self._problem = self._clock(), ""
        if not self.synced.is_set() and "" not in behind.values():
            self.synced.set()
            self._tell(set(self._store.contracts))

    def _flux(self) -> Iterator[tuple[Resource, Mapping[Key, _Versioned], Callable[[Key], set[Key]]]]:
        yield KUSTOMIZATIONS, self._store.kustomizations, self._store.drop_kustomization
        for kind, resource in SOURCES.items():
            yield resource, self._store.sources[kind], partial(self._store.drop_source, kind=kind)

    async def _compare(
        self, resource: Resource, records: Mapping[Key, _Versioned], gone: Callable[[Key], set[Key]]
    ) -> dict[tuple[str, Key], str]:
        """Drop what is gone; return what the watch has not brought yet, with the version known (or empty)."""
        known = {key: record.resource_version for key, record in records.items()}
        listed: dict[Key, str] = {}
        for namespace in self._settings.namespaces or ("",):
            listed |= await self._cluster.list_versions(resource, namespace)
        for key in known.keys() - listed.keys():
            if key in records and records[key].resource_version == known[key]:  # else the watch was faster
                self.ghosts += 1
                self._tell(gone(key))
        skipped = {key: version for (plural, key), version in self._skipped.items() if plural == resource.plural}
        known = skipped | known
        return {
            (resource.plural, key): known.get(key, "")
            for key, version in listed.items()
            if key not in known or (known[key] != version and newer(version, known[key]))
        }

    def _gone_contract(self, key: Key) -> set[Key]:
        self._store.drop_contract(key)
        return {key}

    def _stale(self) -> bool:
        age = self.age()
        return age is None or age > self._settings.stale_after

    def _judge(self) -> None:
        fresh = not self._stale()
        if fresh != self._store.fresh:
            self._store.fresh = fresh
            self._tell(set(self._store.contracts))
