"""Looks at single objects of any kind, by their metadata only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.adapters.cluster import Cluster, Resource
from reconciliation_contract.api.live import live
from reconciliation_contract.api.raw import Raw, read_map, read_text
from reconciliation_contract.core.departure import Live
from reconciliation_contract.core.inventory import Entry
from reconciliation_contract.errors import Missing, Refused

_KNOWN_FOR: Final = timedelta(minutes=5)
"""How long what a version of a group serves is believed."""
_Version = tuple[str, str]
"""Group (empty for the core's) and version."""


class LiveObjects:
    """The cluster's objects, found by their kinds."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime]) -> None:
        self._cluster = cluster
        self._clock = clock
        self._kinds: dict[_Version, tuple[datetime, dict[str, str]]] = {}

    async def look(self, entry: Entry) -> Live | None:
        """Find an object; None where it, or its kind, does not exist.

        Raises `Refused`, naming the verb and the resource, where it may not be looked at.
        """
        key = entry.key
        try:
            resource = await self._resource(key.group, entry.version, key.kind)
            return live(await self._cluster.get_metadata(resource, key.namespace, key.name)) if resource else None
        except Missing:
            return None
        except Refused as error:
            where = f"{key.kind} objects in {key.namespace}" if key.namespace else f"{key.kind} objects"
            raise Refused("get", where, error.detail) from error

    async def _resource(self, group: str, version: str, kind: str) -> Resource | None:
        """The path of a kind; None where the API server does not serve it (any more)."""
        try:
            plural = (await self._served(group, version)).get(kind)
        except Missing:
            if not group:
                raise
            version = await self._preferred(group)
            plural = (await self._served(group, version)).get(kind)
        return Resource(group, version, plural) if plural else None

    async def _served(self, group: str, version: str) -> dict[str, str]:
        """Plurals by kind."""
        read_at, known = self._kinds.get((group, version), (None, {}))
        if read_at is None or self._clock() - read_at > _KNOWN_FOR:
            known = _plurals(await self._cluster.discover(Resource(group, version, "").root))
            self._kinds[group, version] = (self._clock(), known)
        return known

    async def _preferred(self, group: str) -> str:
        """The version that the API server prefers; raises `Missing` where it knows no such group."""
        return read_text(read_map(await self._cluster.discover(f"/apis/{group}"), "preferredVersion"), "version")


def _plurals(document: Raw) -> dict[str, str]:
    found = document.get("resources")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return {read_text(row, "kind"): name for row in rows if "/" not in (name := read_text(row, "name"))}
