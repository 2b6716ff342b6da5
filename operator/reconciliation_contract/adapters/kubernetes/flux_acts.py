"""The acts on Flux's objects: the pinned copy of a source, and the Kustomization's reference to it."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from reconciliation_contract.adapters.kubernetes.client import GIT_REPOSITORIES, KUSTOMIZATIONS, Cluster, Raw
from reconciliation_contract.adapters.kubernetes.resource import service_account_user
from reconciliation_contract.api.flux import source as source_api
from reconciliation_contract.api.flux.kustomization import (
    CONTRACT_LABEL,
    FIELD_MANAGER,
    ORIGINAL_ANNOTATION,
    OWNER_ANNOTATION,
    REQUESTED_AT,
    source_of,
)
from reconciliation_contract.api.flux.source import content_of, content_spec
from reconciliation_contract.api.kubernetes.raw import read_map, read_text
from reconciliation_contract.core.facts.observation import SourceRef
from reconciliation_contract.core.memory.effects import Disown, EnsurePin, RequestReconcile, SwitchSource
from reconciliation_contract.core.memory.memory import Copy
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.sharding import KEY as SHARD_KEY
from reconciliation_contract.errors import Conflict, Missing, Refused

_INTERVAL: Final = "24h"
"""A pinned commit never changes, and each look at it is a full clone."""


def pinned(source: Mapping[str, Any], pin: SourceRef, hash_: str, contract: Contract) -> dict[str, Any]:
    """Write the pinned copy of a raw GitRepository: the same content, at one commit, for ever."""
    spec = read_map(source, "spec")
    branch = read_text(read_map(spec, "ref"), "branch")
    labels = read_map(read_map(source, "metadata"), "labels")
    shard = {SHARD_KEY: labels[SHARD_KEY]} if SHARD_KEY in labels else {}
    return {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {
            "name": pin.name,
            "namespace": pin.namespace,
            "labels": {CONTRACT_LABEL: contract.name[:63].rstrip("-."), **shard},
            "annotations": {
                OWNER_ANNOTATION: contract.uid,
                ORIGINAL_ANNOTATION: read_text(read_map(source, "metadata"), "name"),
            },
        },
        "spec": {
            **content_spec(spec),
            "interval": _INTERVAL,
            "ref": {"commit": hash_, **({"branch": branch} if branch else {})},
        },
    }


class Flux:
    """Acts on Flux's objects, each under the contract's own identity."""

    def __init__(self, cluster: Cluster, default_service_account: str = "") -> None:
        self._cluster = cluster
        self._default = default_service_account

    def _user(self, contract: Contract) -> str:
        return service_account_user(contract.namespace, contract.service_account or self._default)

    async def ensure_pin(self, contract: Contract, act: EnsurePin) -> Raw:
        """Make the pinned copy, and return what now has its name, which need not be ours: to tell is the core's.

        Raises `Refused` where the rights are lacking: the operator lends its own only in the contract's namespace,
        where the admission policy has asked for the author's; `Conflict` where the source has changed meanwhile.
        """
        user, pin = self._user(contract), act.pin
        if not user and pin.namespace != contract.namespace:
            detail = "in another namespace only an account of the contract's own may act; set spec.serviceAccountName"
            raise Refused("create", f"GitRepository {pin.namespace}/{pin.name}", detail)
        original = await self._cluster.get(GIT_REPOSITORIES, act.source.namespace, act.source.name)
        if act.content not in ("", content_of(read_map(original, "spec"))):
            raise Conflict("create", f"GitRepository {pin.namespace}/{pin.name}", "its source was changed")
        try:
            body = pinned(original, pin, act.hash, contract)
            return await self._cluster.create(GIT_REPOSITORIES, pin.namespace, body, user=user)
        except Conflict:
            return await self._cluster.get(GIT_REPOSITORIES, pin.namespace, pin.name)

    async def _owned(self, owner: str, pin: SourceRef) -> str:
        """Uid of the pinned copy where it exists and was made by the contract with this uid; else empty."""
        try:
            found = await self._cluster.get(GIT_REPOSITORIES, pin.namespace, pin.name)
        except Missing:
            return ""
        meta = read_map(found, "metadata")
        ours = read_text(read_map(meta, "annotations"), OWNER_ANNOTATION) == owner
        return read_text(meta, "uid") if ours else ""

    async def user_of(self, contract: Contract, pin: SourceRef) -> Raw | None:
        """Read the Kustomization, and return it if it uses the pinned copy, whatever its watch has told so far.

        One that is being deleted does not: Flux prunes by the inventory.
        """
        try:
            found = await self._cluster.find(KUSTOMIZATIONS, contract.namespace, contract.kustomization)
        except Missing:
            return None
        meta = read_map(found or {}, "metadata")
        if found is None or "deletionTimestamp" in meta or source_of(meta, read_map(found, "spec")) != pin:
            return None
        return found

    async def delete_pin(self, contract: Contract, pin: SourceRef, owner: str) -> None:
        """Remove the pinned copy that ``owner`` (a contract's uid) made; one that is gone, or another's, is left."""
        uid = await self._owned(owner, pin)
        if uid:
            await self._cluster.delete(GIT_REPOSITORIES, pin.namespace, pin.name, uid, user=self._user(contract))

    async def switch(self, contract: Contract, act: SwitchSource) -> Raw:
        """Point the Kustomization at a source, if it is still as it was when this was decided.

        Only the name changes: a pinned copy lives in its source's namespace and is of its kind.
        Returns the new version. Raises `Conflict` where the pinned copy is another, or of another content, by now.
        """
        if act.hash:
            await self._recheck(act)
        patch = {
            "metadata": {
                "uid": act.uid,
                "resourceVersion": act.resource_version,
                "annotations": dict(act.annotations),
            },
            "spec": {"sourceRef": {"name": act.source.name}},
        }
        return await self._cluster.merge(
            KUSTOMIZATIONS, contract.namespace, contract.kustomization, patch, user=self._user(contract)
        )

    async def _recheck(self, act: SwitchSource) -> None:
        """Read the pinned copy once more, for it may have been changed since it was looked at."""
        raw = await self._cluster.get(GIT_REPOSITORIES, act.source.namespace, act.source.name)
        found = source_api.source(raw, datetime.now(UTC), live=False, before=None)
        served = found.artifact.value if found.artifact else None
        same = Copy(found.content, found.uid, served.digest if served else "") == act.copy
        if not same or found.ref.get("commit") != act.hash or served is None or served.hash != act.hash:
            raise Conflict("switch to", f"GitRepository {found.namespace}/{found.name}", "it was changed")

    async def disown(self, contract: Contract, act: Disown) -> Raw:
        """Take our field manager off the Kustomization; return it as it is now.

        The fields stay as they are, and whoever applies owns them.

        A value that is written is owned as well, so this comes after the switch back.
        """
        path = f"/metadata/managedFields/{act.claim}"
        operations = [
            {"op": "test", "path": f"{path}/manager", "value": FIELD_MANAGER},
            {"op": "remove", "path": path},
        ]
        return await self._cluster.amend(
            KUSTOMIZATIONS,
            contract.namespace,
            contract.kustomization,
            act.resource_version,
            operations,
            user=self._user(contract),
        )

    async def request(self, contract: Contract, act: RequestReconcile) -> None:
        """Ask Flux to reconcile the Kustomization, if it is still as it was when this was decided."""
        patch = {
            "metadata": {
                "uid": act.uid,
                "resourceVersion": act.resource_version,
                "annotations": {REQUESTED_AT: act.requested_at},
            }
        }
        await self._cluster.merge(
            KUSTOMIZATIONS, contract.namespace, contract.kustomization, patch, user=self._user(contract)
        )
