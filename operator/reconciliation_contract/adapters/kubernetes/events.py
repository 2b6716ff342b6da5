"""Kubernetes Events on contracts, at most one try each: an event that cannot be told is counted, not waited for.

Format: ``events.k8s.io/v1`` Event.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Final

from reconciliation_contract.adapters.kubernetes.client import EVENTS, Cluster
from reconciliation_contract.api.flux.kustomization import FIELD_MANAGER
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.spec.contract import Contract, Declared
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.text import bounded
from reconciliation_contract.errors import ClusterError, Conflict, Missing

_log = logging.getLogger(__name__)

_NOTE: Final = 1000
"""Bytes of a note; the API server takes 1,024 at most."""
_PENDING: Final = 256
"""Events under way; more are dropped."""


class Events:
    """Emits events in the background, so that a slow API server never delays a pass."""

    def __init__(
        self, cluster: Cluster, clock: Callable[[], datetime], instance: str, count: Callable[[str], None]
    ) -> None:
        """``count`` is told what becomes of each: ``told``, ``failed`` or ``dropped``."""
        self._cluster = cluster
        self._clock = clock
        self._instance = instance
        self._count = count
        self._tasks: set[asyncio.Task[None]] = set()

    def emit(self, contract: Declared, effect: EmitEvent) -> None:
        """Tell of a transition of a contract."""
        uid = effect.kustomization_uid
        self._tell(_on_kustomization(contract, uid) if uid else _on_contract(contract), effect)

    def lament(self, contract: Contract, message: str) -> None:
        """Tell what a rollback leaves behind, on the contract and on the Kustomization that outlives it."""
        effect = EmitEvent(True, reasons.LEFT_BEHIND, message)
        self._tell(_on_contract(contract), effect)
        self._tell(_on_kustomization(contract), effect)

    def _tell(self, about: Mapping[str, str], effect: EmitEvent) -> None:
        if len(self._tasks) >= _PENDING:
            self._count("dropped")
            return
        task = asyncio.create_task(self._send(about, effect), name=f"event {effect.reason}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _send(self, about: Mapping[str, str], effect: EmitEvent) -> None:
        at = self._clock().astimezone(UTC)
        name, seen = _name(about, effect, at), at.isoformat(timespec="microseconds").replace("+00:00", "Z")
        try:
            if effect.count <= 1 or not await self._continue(about["namespace"], name, effect.count, seen):
                await self._cluster.create(EVENTS, about["namespace"], self._body(about, effect, name, seen))
        except Conflict:
            self._count("told")  # by another replica, or before a crash
        except ClusterError as error:
            self._count("failed")
            _log.warning("an event could not be told", extra={"event": effect.reason, "error": str(error)})
        else:
            self._count("told")

    async def _continue(self, namespace: str, name: str, count: int, seen: str) -> bool:
        """Count on in an Event that is there; Kubernetes forgets them after an hour, then there is a new one."""
        try:
            await self._cluster.merge(EVENTS, namespace, name, {"series": {"count": count, "lastObservedTime": seen}})
        except Missing:
            return False
        return True

    def _body(self, about: Mapping[str, str], effect: EmitEvent, name: str, seen: str) -> dict[str, Any]:
        return {
            "apiVersion": "events.k8s.io/v1",
            "kind": "Event",
            "metadata": {"name": name, "namespace": about["namespace"]},
            "eventTime": seen,
            "type": "Warning" if effect.warning else "Normal",
            "reason": effect.reason,
            "action": "Reconcile",
            "note": bounded(effect.message, _NOTE).encode()[:_NOTE].decode(errors="ignore"),
            "regarding": dict(about),
            "reportingController": FIELD_MANAGER,
            "reportingInstance": self._instance[:128],
        }

    async def close(self) -> None:
        """Give what is under way a moment, then drop it."""
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=1)
        for task in tuple(self._tasks):
            task.cancel()


def _name(about: Mapping[str, str], effect: EmitEvent, at: datetime) -> str:
    """Name an Event so that the same one, told within a minute by two replicas or after a crash, is told once."""
    told = effect.series or f"{effect.reason}/{effect.message}/{at:%Y%m%d%H%M}"
    identity = f"{about['kind']}/{about.get('uid')}/{told}"
    return f"{about['name'][:200].rstrip('-.')}.{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


def _on_contract(contract: Declared) -> dict[str, str]:
    return {
        "apiVersion": "reconciliation.dev/v1alpha1",
        "kind": "ReconciliationContract",
        "namespace": contract.namespace,
        "name": contract.name,
        "uid": contract.uid,
    }


def _on_kustomization(contract: Declared, uid: str = "") -> dict[str, str]:
    about = {
        "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
        "kind": "Kustomization",
        "namespace": contract.namespace,
        "name": contract.kustomization,
    }
    return {**about, "uid": uid} if uid else about
