"""Looks at single objects of any kind, by their metadata only."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.discovery import Discovery
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.api.kubernetes.metadata import live
from reconciliation_contract.api.kubernetes.raw import read_map, read_text
from reconciliation_contract.core.facts.inventory import Entry
from reconciliation_contract.core.facts.pruning import Live
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import BadName, Missing, Refused


class LiveObjects:
    """The cluster's objects, found by their kinds."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime], timing: Timing = TIMING) -> None:
        self._cluster = cluster
        self._clock = clock
        self._discovery = Discovery(cluster, timing)

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
        except BadName:
            raise
        except Refused as error:
            where = f"{key.kind} objects in {key.namespace}" if key.namespace else f"{key.kind} objects"
            raise Refused("get", where, error.detail) from error

    async def _resource(self, group: str, version: str, kind: str) -> Resource | None:
        """The path of a kind, at this version or the preferred one; None where it is not served (any more)."""
        found = await self._discovery.find(f"{group}/{version}".lstrip("/"), kind, self._clock())
        if found is None and group:
            preferred = await self._preferred(group)
            found = await self._discovery.find(f"{group}/{preferred}", kind, self._clock())
        return found.resource if found else None

    async def _preferred(self, group: str) -> str:
        """The version that the API server prefers; raises `Missing` where it knows no such group."""
        return read_text(read_map(await self._cluster.discover(group), "preferredVersion"), "version")
