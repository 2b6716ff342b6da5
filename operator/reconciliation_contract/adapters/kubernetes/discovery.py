"""Which path of the API server serves a kind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.resource import Resource, unchecked_kind
from reconciliation_contract.api.kubernetes.raw import Raw, read_text
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import Missing


@dataclass(frozen=True, slots=True)
class Served:
    """How a kind is served."""

    resource: Resource
    namespaced: bool


class Discovery:
    """Finds kinds; a document of the discovery is read once, and again where a kind is not in it."""

    def __init__(self, cluster: Cluster, timing: Timing = TIMING) -> None:
        self._timing = timing
        self._cluster = cluster
        self._known: dict[str, tuple[datetime, Mapping[str, Served]]] = {}

    async def find(self, api_version: str, kind: str, now: datetime) -> Served | None:
        """Find a kind; None where the API server does not serve it. Raises `ClusterError`."""
        read_at, kinds = self._known.get(api_version, (None, {}))
        if read_at is None or now - read_at > (
            self._timing.discovery_believed if kind in kinds else self._timing.discovery_missed
        ):
            kinds = await self._read(api_version)
            self._known[api_version] = (now, kinds)
        return kinds.get(kind)

    async def _read(self, api_version: str) -> Mapping[str, Served]:
        group, _, version = api_version.rpartition("/")
        try:
            document = await self._cluster.discover(group, version)
        except Missing:
            return {}
        return _served(group, version, document)


def _served(group: str, version: str, document: Raw) -> Mapping[str, Served]:
    found = document.get("resources")
    rows = [row for row in found if isinstance(row, dict)] if isinstance(found, list) else []
    return {
        read_text(row, "kind"): Served(unchecked_kind(group, version, name, namespaced=namespaced), namespaced)
        for row in rows
        for namespaced in [row.get("namespaced") is True]
        if "/" not in (name := read_text(row, "name"))
    }
