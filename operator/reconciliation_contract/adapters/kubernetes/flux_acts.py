"""The acts on Flux's objects: the pinned copy of a source, and the Kustomization's reference to it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciliation_contract.adapters.kubernetes.client import GIT_REPOSITORIES, KUSTOMIZATIONS, Cluster, Raw
from reconciliation_contract.adapters.kubernetes.resource import service_account_user
from reconciliation_contract.api.flux.kustomization import (
    CONTRACT_LABEL,
    FIELD_MANAGER,
    ORIGINAL_ANNOTATION,
    OWNER_ANNOTATION,
    REQUESTED_AT,
    source_of,
)
from reconciliation_contract.api.kubernetes.raw import read_map, read_text
from reconciliation_contract.core.facts.observation import SourceRef
from reconciliation_contract.core.memory.effects import Disown, RequestReconcile, SwitchSource
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.sharding import KEY as SHARD_KEY
from reconciliation_contract.errors import Conflict, Missing, Refused

_COPIED: Final = (
    "url",
    "secretRef",
    "serviceAccountName",
    "provider",
    "timeout",
    "verify",
    "proxySecretRef",
    "ignore",
    "recurseSubmodules",
    "include",
    "sparseCheckout",
)
"""Fields of a GitRepository that decide what its artifact holds and how it is fetched."""
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
            **{field: spec[field] for field in _COPIED if field in spec},
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

    async def ensure_pin(self, contract: Contract, pin: SourceRef, source: SourceRef, hash_: str) -> Raw | None:
        """Make the pinned copy exist, and return it if it is new; one that is ours already is fine.

        Raises `Refused` where another object has its name, or the rights are lacking: the operator lends its own only
        in the contract's namespace, where the admission policy has asked for the author's.
        """
        user = self._user(contract)
        if not user and pin.namespace != contract.namespace:
            detail = "in another namespace only an account of the contract's own may act; set spec.serviceAccountName"
            raise Refused("create", f"GitRepository {pin.namespace}/{pin.name}", detail)
        original = await self._cluster.get(GIT_REPOSITORIES, source.namespace, source.name)
        try:
            body = pinned(original, pin, hash_, contract)
            return await self._cluster.create(GIT_REPOSITORIES, pin.namespace, body, user=user)
        except Conflict:
            if not await self._owned(contract.uid, pin):
                detail = "an object of that name belongs to somebody else; rename or remove it"
                raise Refused("create", f"GitRepository {pin.namespace}/{pin.name}", detail) from None
        return None

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
        Returns the new version.
        """
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
