"""Flux's part in an emulated cluster: one Kustomization and its source, moved step by step as the controllers do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from tests.support.api_server import CONTRACTS, KUSTOMIZATIONS, SOURCES, ApiServer, Raw
from tests.support.virtual_time import stamp

A, B, C = ("a" * 40, "b" * 40, "c" * 40)
"""Hashes of commits."""
QUICK: Final[Raw] = {"settle": "10s", "after": {"failures": 2}}
"""A rollback policy that does not keep a test waiting."""


def revision(hash_: str) -> str:
    """Name a commit as Flux does."""
    return f"main@sha1:{hash_}"


def condition(thing: Mapping[str, Any], name: str) -> Raw:
    """One condition of an object; empty where it is absent."""
    found = (thing.get("status") or {}).get("conditions") or []
    return next((item for item in found if item["type"] == name), {})


def promise(contract: Mapping[str, Any], name: str) -> Raw:
    """What is said of a promise of the current delivery; empty while there is nothing."""
    found = contract.get("status", {}).get("delivery", {}).get("promises") or []
    return next((item for item in found if item["name"] == name), {})


def verdict(contract: Mapping[str, Any], name: str) -> str:
    """The verdict on a promise of the current delivery; empty while there is none."""
    return str(promise(contract, name).get("verdict", ""))


class Flux:
    """The hands of source-controller and kustomize-controller, and of the person who declares things."""

    def __init__(self, api: ApiServer, name: str = "shop", namespace: str = "apps") -> None:
        self.api = api
        self.name = name
        self.namespace = namespace

    # Declaring ------------------------------------------------------------------------------------------------------

    def declare(self, **spec: Any) -> None:
        """Make the source and the Kustomization; neither has a status yet."""
        url = f"https://git.example/{self.name}"
        source = {"interval": "1m", "url": url, "ref": {"branch": "main"}}
        self.api.create(SOURCES, self.namespace, self.name, source)
        reference = {"kind": "GitRepository", "name": self.name}
        spec = {"interval": "10m", "prune": True, "wait": True, "path": "./deploy", "sourceRef": reference, **spec}
        self.api.create(KUSTOMIZATIONS, self.namespace, self.name, spec)

    def contract(self, metadata: Raw | None = None, **spec: Any) -> None:
        """Make a contract on the Kustomization; its rollback is `QUICK` unless said otherwise."""
        spec = {"kustomizationRef": {"name": self.name}, "rollback": QUICK, **spec}
        self.api.create(CONTRACTS, self.namespace, self.name, spec, metadata=metadata or {})

    def standing(self, hash_: str = A, **spec: Any) -> None:
        """Make everything, with Flux Ready at a commit and a contract made after that."""
        self.declare()
        self.fetch(hash_)
        self.deliver(hash_)
        self.contract(**spec)

    # source-controller ----------------------------------------------------------------------------------------------

    def fetch(self, hash_: str, name: str = "") -> None:
        """Have a source serve a commit."""
        artifact = {"revision": revision(hash_), "lastUpdateTime": stamp(), "digest": f"sha256:{hash_[:8]}"}
        ready = _condition("Ready", "True", "Succeeded", f"stored artifact for revision '{revision(hash_)}'")
        status = {"artifact": artifact, "conditions": [ready]}
        self.api.change(SOURCES, self.namespace, name or self.name, {"status": status})

    # kustomize-controller -------------------------------------------------------------------------------------------

    def attempt(self, hash_: str) -> None:
        """Begin with a commit."""
        ready = _condition("Ready", "Unknown", "Progressing", "Reconciliation in progress")
        self._status([ready, _reconciling("Fetching manifests")], lastAttemptedRevision=revision(hash_))

    def apply(self, hash_: str) -> None:
        """Have a commit applied and wait for its health."""
        checking = _reconciling(f"Running health checks for revision {revision(hash_)} with a timeout of 30s")
        ready = _condition("Ready", "Unknown", "Progressing", "Reconciliation in progress")
        self._status([ready, checking], lastAttemptedRevision=revision(hash_))

    def own(self, plural: str, name: str, spec: Raw | None = None, **metadata: Any) -> Raw:
        """Apply an object of the Kustomization's, with the labels that Flux puts on it."""
        labels = {f"kustomize.toolkit.fluxcd.io/{key}": getattr(self, key) for key in ("name", "namespace")}
        return self.api.create(plural, self.namespace, name, spec or {}, metadata={"labels": labels, **metadata})

    def inventory(self, *ids: str) -> None:
        """Say what there is: ids of the namespace's objects, as in `settings__ConfigMap`."""
        entries = [{"id": f"{self.namespace}_{id_}", "v": "v1"} for id_ in ids]
        self.api.change(KUSTOMIZATIONS, self.namespace, self.name, {"status": {"inventory": {"entries": entries}}})

    def deliver(self, hash_: str) -> None:
        """Have a commit applied and healthy."""
        name = revision(hash_)
        ready = _condition("Ready", "True", "ReconciliationSucceeded", f"Applied revision: {name}")
        self._status([ready], lastAttemptedRevision=name, lastAppliedRevision=name)

    def fail(self, hash_: str, message: str = "timeout waiting for Deployment/apps/web: rollout") -> None:
        """Have an attempt at a commit fail in its health check."""
        ready = _condition("Ready", "False", "HealthCheckFailed", message)
        self._status([ready], lastAttemptedRevision=revision(hash_))

    def noise(self) -> None:
        """Reconcile once more without any news: the events of real Flux, five of them."""
        known = self.kustomization["status"]
        done, name = known["conditions"], known["lastAttemptedRevision"]
        for text in ("Fetching manifests", "Building manifests", "Detecting drift", "Running health checks"):
            self._status([*done, _reconciling(f"{text} for revision {name} with a timeout of 30s")])
        self._status(done)

    def _status(self, conditions: list[Raw], **more: Any) -> None:
        found = self.kustomization["metadata"]
        for item in conditions:
            item["observedGeneration"] = found["generation"]
        status = {"conditions": conditions, "observedGeneration": found["generation"], **more}
        self.api.change(KUSTOMIZATIONS, self.namespace, self.name, {"status": status})

    # Looking --------------------------------------------------------------------------------------------------------

    @property
    def kustomization(self) -> Raw:
        """The Kustomization."""
        return self.api.get(KUSTOMIZATIONS, self.namespace, self.name)

    @property
    def seen(self) -> Raw:
        """The contract."""
        return self.api.get(CONTRACTS, self.namespace, self.name)

    @property
    def status(self) -> Raw:
        """The contract's status; empty while there is none."""
        return dict(self.seen.get("status") or {})

    @property
    def state(self) -> str:
        """The state of the rollback; empty while there is none."""
        return str(self.status.get("rollback", {}).get("state", ""))

    @property
    def pins(self) -> list[Raw]:
        """All pinned copies of sources."""
        known = self.api.objects.list(SOURCES, self.namespace)
        return [thing for thing in known if "reconciliation.dev/contract" in thing["metadata"].get("labels", {})]

    def reason(self, name: str = "Ready") -> str:
        """The reason of one of the contract's conditions."""
        return str(condition(self.seen, name).get("reason", ""))


def _condition(name: str, status: str, reason: str, message: str) -> Raw:
    return {"type": name, "status": status, "reason": reason, "message": message, "lastTransitionTime": stamp()}


def _reconciling(message: str) -> Raw:
    return _condition("Reconciling", "True", "Progressing", message)
