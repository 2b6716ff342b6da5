"""Flux objects and contracts in a namespace: written, read and waited for."""

from __future__ import annotations

import contextlib
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any

import yaml

from playground.api_client import ApiError
from playground.cluster import Cluster
from playground.repository import Repository
from playground.stage import NEVER_READY_TAG
from playground.waiting import WaitTimeoutError, wait_until

Object = dict[str, Any]

CRD = "/apis/reconciliation.dev/v1alpha1/reconciliationcontracts"
GROUPS = {
    "contract": ("reconciliation.dev/v1alpha1", "ReconciliationContract", "reconciliationcontracts"),
    "kustomization": ("kustomize.toolkit.fluxcd.io/v1", "Kustomization", "kustomizations"),
    "source": ("source.toolkit.fluxcd.io/v1", "GitRepository", "gitrepositories"),
    "oci": ("source.toolkit.fluxcd.io/v1", "OCIRepository", "ocirepositories"),
    "bucket": ("source.toolkit.fluxcd.io/v1", "Bucket", "buckets"),
    "deployment": ("apps/v1", "Deployment", "deployments"),
    "configmap": ("v1", "ConfigMap", "configmaps"),
    "secret": ("v1", "Secret", "secrets"),
    "events": ("events.k8s.io/v1", "Event", "events"),
}
"""apiVersion, kind and plural by the short name used here."""
REQUESTED_AT = "reconcile.fluxcd.io/requestedAt"
PATIENCE = 90.0
"""Seconds for what takes a few; the machine may be busy."""
QUICK: Object = {"settle": "1s", "after": {"failures": 2}}
"""A rollback policy that does not keep a test waiting."""


def config_map(name: str = "settings", **data: str) -> str:
    """Write a ConfigMap as YAML."""
    return yaml.safe_dump({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data})


def deployment(tag: str, name: str = "web", replicas: int = 1) -> str:
    """Write a Deployment as YAML; with the tag `never-ready` its rollout fails after some seconds."""
    labels = {"app": name}
    container = {"name": name, "image": f"{name}:{tag}"}
    spec = {
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        # Flux gives a health check 30 s at least, unless the object says that it failed.
        "progressDeadlineSeconds": 3 if tag == NEVER_READY_TAG else 600,
    }
    return yaml.safe_dump({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


def manifest(kind: str, name: str, namespace: str, spec: Mapping[str, Any], **metadata: Any) -> Object:
    """Write one object of a kind in `GROUPS`."""
    version, title, _ = GROUPS[kind]
    meta = {"name": name, "namespace": namespace, **metadata}
    return {"apiVersion": version, "kind": title, "metadata": meta, "spec": dict(spec)}


def condition(thing: Mapping[str, Any], name: str) -> Object:
    """One condition out of an object or a status; empty where it is absent."""
    found = thing.get("status", thing).get("conditions") or []
    return next((dict(item) for item in found if item["type"] == name), {})


def moment(text: str) -> datetime:
    """Read a time stamp of Kubernetes."""
    return datetime.fromisoformat(text)


def assert_same_second(ours: str, flux: str) -> None:
    """Compare with a time stamp of Flux's, which is cut to whole seconds."""
    late = (moment(ours).replace(microsecond=0) - moment(flux)).total_seconds()
    assert 0 <= late <= 1, f"we say {ours}, Flux says {flux}"


def promise(status: Mapping[str, Any], name: str) -> Object:
    """What a status says of a promise of the current delivery; empty while there is nothing."""
    found = status.get("delivery", {}).get("promises") or []
    return next((item for item in found if item["name"] == name), {})


def verdict(status: Mapping[str, Any], name: str) -> str:
    """The verdict on a promise of the current delivery; empty while there is none."""
    return str(promise(status, name).get("verdict", ""))


def requested(thing: Mapping[str, Any]) -> str:
    """The last request to reconcile that Flux has taken up."""
    return str(thing.get("status", {}).get("lastHandledReconcileAt", ""))


class Workspace:
    """One namespace of a cluster."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self.cluster = cluster
        self.api = cluster.api
        self.namespace = namespace

    # Writing ------------------------------------------------------------------------------------------------------

    def repository(self, name: str, **options: Any) -> Repository:
        """Create a Git repository whose name no other test uses."""
        return self.cluster.git.repository(f"{self.namespace}-{name}", **options)

    def source(self, name: str, url: str, **spec: Any) -> Object:
        """Write a GitRepository that follows `main`."""
        return self.write("source", name, {"interval": "2s", "url": url, "ref": {"branch": "main"}, **spec})

    def kustomization(self, name: str, source: str = "", **spec: Any) -> Object:
        """Write a Kustomization that waits for health and does not wait long."""
        return self.write("kustomization", name, self.kustomization_spec(source or name, **spec))

    def kustomization_spec(self, source: str, **spec: Any) -> Object:
        """The spec of a Kustomization that delivers `deploy/` into this namespace."""
        return {
            "interval": "10m",
            "retryInterval": "2s",
            "timeout": "4s",
            "path": "./deploy",
            "prune": True,
            "wait": True,
            "targetNamespace": self.namespace,
            "sourceRef": {"kind": "GitRepository", "name": source},
            **spec,
        }

    def contract(self, name: str, kustomization: str = "", **spec: Any) -> Object:
        """Write a contract; its rollback is `QUICK` unless said otherwise."""
        ref = {"name": kustomization or name}
        return self.write("contract", name, {"kustomizationRef": ref, "rollback": QUICK, **spec})

    def follow(self, name: str, repository: Repository, **spec: Any) -> None:
        """Write a source, a Kustomization (with `spec`) and a contract, all of one name."""
        self.source(name, repository.url)
        self.kustomization(name, **spec)
        self.contract(name)

    def write(self, kind: str, name: str, spec: Mapping[str, Any]) -> Object:
        """Apply one object and return it as the API server has it."""
        return self.api.apply(self.path(kind, name), manifest(kind, name, self.namespace, spec))

    def change(self, kind: str, name: str, patch: Object) -> Object:
        """Merge-patch an object."""
        return self.api.merge(self.path(kind, name), patch)

    def request(self, kind: str, name: str) -> str:
        """Ask Flux to reconcile an object now and return the mark that it will echo."""
        mark = f"{time.time_ns()}"
        self.change(kind, name, {"metadata": {"annotations": {REQUESTED_AT: mark}}})
        return mark

    def reconcile(self, kind: str, name: str) -> Object:
        """Have Flux reconcile an object and wait until it has taken the request up and is done."""
        mark = self.request(kind, name)

        def handled() -> Object | None:
            found = self.get(kind, name)
            return (
                found if requested(found) == mark and condition(found, "Ready").get("status") != "Unknown" else None
            )

        return wait_until(handled, PATIENCE, f"Flux to reconcile {kind} {name}")

    def delete(self, kind: str, name: str) -> None:
        """Delete an object; absent is fine."""
        self.api.delete(self.path(kind, name))

    # Reading ------------------------------------------------------------------------------------------------------

    def path(self, kind: str, name: str = "") -> str:
        """Path of an object, or of all of a kind in this namespace."""
        version, _, plural = GROUPS[kind]
        root = "/apis" if "/" in version else "/api"
        return f"{root}/{version}/namespaces/{self.namespace}/{plural}{f'/{name}' if name else ''}"

    def get(self, kind: str, name: str) -> Object:
        """Read an object; raises `ApiError` where there is none."""
        return self.api.get(self.path(kind, name))

    def find(self, kind: str, name: str) -> Object | None:
        """Read an object, or None."""
        return self.api.find(self.path(kind, name))

    def all(self, kind: str) -> list[Object]:
        """Read all objects of a kind."""
        return list(self.api.get(self.path(kind))["items"])

    def contract_status(self, name: str) -> Object:
        """The status of a contract; empty while there is none."""
        found = self.find("contract", name) or {}
        return dict(found.get("status") or {})

    def version(self, kind: str, name: str) -> str:
        """The resourceVersion of an object."""
        return str(self.get(kind, name)["metadata"]["resourceVersion"])

    # Waiting ------------------------------------------------------------------------------------------------------

    def wait(self, name: str, predicate: Callable[[Object], Any], what: str, timeout: float = PATIENCE) -> Object:
        """Wait until a contract's status fulfils a predicate and return that status."""

        def fulfilled() -> Object | None:
            status = self.contract_status(name)
            return status if predicate(status) else None

        try:
            return wait_until(fulfilled, timeout, what)
        except WaitTimeoutError:
            raise AssertionError(self._account(name, what, timeout)) from None

    def wait_good(self, name: str, sha: str) -> Object:
        """Wait until a commit is the last known good revision of a contract."""
        return self.wait(name, lambda s: sha in s.get("lastGoodRevision", ""), f"{sha[:7]} to be good for {name}")

    def wait_state(self, name: str, state: str) -> Object:
        """Wait until the rollback of a contract is in a state; an empty one means that none is in force."""

        def there(status: Object) -> bool:
            return str(status.get("rollback", {}).get("state", "")) == state

        return self.wait(name, there, f"the rollback of {name} to be {state or 'over'}")

    def wait_reason(self, name: str, reason: str, kind: str = "Ready") -> Object:
        """Wait until a condition of a contract has a reason and return the condition."""
        status = self.wait(name, lambda s: condition(s, kind).get("reason") == reason, f"{name} to say {reason}")
        return condition(status, kind)

    def wait_gone(self, kind: str, name: str, timeout: float = PATIENCE) -> None:
        """Wait until an object is gone."""
        wait_until(lambda: self.find(kind, name) is None, timeout, f"{kind} {name} to be gone")

    def _account(self, name: str, what: str, timeout: float) -> str:
        """Say what was waited for and how everything of that name stands."""
        found = {kind: self.find(kind, name) or {} for kind in ("contract", "kustomization", "source")}
        shown = {kind: {"spec": thing.get("spec"), "status": thing.get("status")} for kind, thing in found.items()}
        return f"waited {timeout:g} s for {what}\n{yaml.safe_dump(shown, sort_keys=False)}"

    # Clearing -----------------------------------------------------------------------------------------------------

    def clear(self) -> None:
        """Remove what finalizers could keep: contracts first, then what they watch."""
        for kind in ("contract", "kustomization"):
            for thing in self.all(kind):
                name = thing["metadata"]["name"]
                try:
                    # The operator may be gone, and the objects that a Kustomization has made go with the namespace.
                    self.change(kind, name, {"metadata": {"finalizers": None}})
                    self.delete(kind, name)
                except ApiError as error:
                    if error.status != 404:
                        raise


@contextlib.contextmanager
def new_namespace(cluster: Cluster) -> Iterator[Workspace]:
    """Make a namespace with a name of its own; its removal is not waited for."""
    name = f"test-{uuid.uuid4().hex[:8]}"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": name}})
    workspace = Workspace(cluster, name)
    yield workspace
    workspace.clear()
    cluster.api.delete(f"/api/v1/namespaces/{name}")
