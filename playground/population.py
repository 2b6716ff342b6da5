"""What a fresh cluster contains: namespaces, nodes, Flux's CRDs."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from playground.api_client import ApiClient
from playground.assets import FLUX_CRDS, read_assets
from playground.binaries import Binaries
from playground.component import FLUX_NAMESPACE
from playground.waiting import wait_until

CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
ESTABLISHED_TIMEOUT = 60.0


def create_namespaces(api: ApiClient) -> None:
    """Create Flux's namespace, which its tools and our operator expect."""
    api.apply(
        f"/api/v1/namespaces/{FLUX_NAMESPACE}",
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": FLUX_NAMESPACE}},
    )


def create_nodes(api: ApiClient, count: int) -> None:
    """Create fake nodes `node-1` to `node-N`; kwok makes them Ready."""
    for number in range(1, count + 1):
        name = f"node-{number}"
        labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux"}
        metadata = {"name": name, "labels": labels}
        api.apply(f"/api/v1/nodes/{name}", {"apiVersion": "v1", "kind": "Node", "metadata": metadata})


def install_flux_crds(api: ApiClient, binaries: Binaries) -> None:
    """Create Flux's CRDs and wait until the API server serves them."""
    install_crds(api, read_assets(binaries.asset(FLUX_CRDS)))


def install_crds(api: ApiClient, crds: Sequence[dict[str, Any]]) -> None:
    """Create CRDs and wait until the API server serves them."""
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda crd: api.apply(f"{CRDS}/{crd['metadata']['name']}", crd), crds))
    wanted = {crd["metadata"]["name"] for crd in crds}

    def established() -> bool:
        return wanted <= {crd["metadata"]["name"] for crd in api.get(CRDS)["items"] if _is_established(crd)}

    wait_until(established, ESTABLISHED_TIMEOUT, "the CRDs to be established")
    # Established comes a moment before the API is served; a controller that asks in between dies.
    for crd in crds:
        wait_until(partial(api.find, _collection(crd)), ESTABLISHED_TIMEOUT, f"{_collection(crd)} to be served")


def declare_controller(api: ApiClient, name: str, arguments: Sequence[str]) -> None:
    """Create the Deployment that a controller of Flux has in a real installation, and which tells how it was started.

    The controller itself is a process of ours; kwok makes the pod.
    """
    labels = {"app": name}
    container = {"name": "manager", "image": f"ghcr.io/fluxcd/{name}:playground", "args": list(arguments)}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    metadata = {"name": name, "namespace": FLUX_NAMESPACE, "labels": labels}
    api.apply(
        f"/apis/apps/v1/namespaces/{FLUX_NAMESPACE}/deployments/{name}",
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec},
    )


def is_complete(api: ApiClient, nodes: int) -> bool:
    """Tell whether pods can be created and scheduled: nodes Ready and free of taints, service accounts made."""
    ready = [node for node in api.get("/api/v1/nodes")["items"] if _is_usable(node)]
    accounts = [
        api.find(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
        for namespace in ("default", FLUX_NAMESPACE)
    ]
    return len(ready) >= nodes and all(accounts)


def _collection(crd: dict[str, Any]) -> str:
    spec = crd["spec"]
    stored = next(version["name"] for version in spec["versions"] if version["storage"])
    return f"/apis/{spec['group']}/{stored}/{spec['names']['plural']}?limit=1"


def _is_established(crd: dict[str, Any]) -> bool:
    # Null until the API server has looked at it.
    conditions = crd.get("status", {}).get("conditions") or []
    return any(found["type"] == "Established" and found["status"] == "True" for found in conditions)


def _is_usable(node: dict[str, Any]) -> bool:
    conditions = node.get("status", {}).get("conditions", [])
    ready = any(found["type"] == "Ready" and found["status"] == "True" for found in conditions)
    return ready and not node["spec"].get("taints")
