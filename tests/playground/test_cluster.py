"""The whole cluster: what it delivers, and that nothing of it remains."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from playground.api_client import ApiClient, ApiError
from playground.cluster import Cluster, KubectlError
from playground.component import CONTROL_PLANE, FLUX, KUBERNETES
from playground.credential import Access
from playground.repository import Repository
from playground.waiting import wait_until
from tests.playground.running import pids_of

pytestmark = [
    pytest.mark.e2e,
    # The first cluster on a machine builds the programs.
    pytest.mark.timeout(1800),
]

ROOT = Path(__file__).parents[2]
LIMIT = 180.0
"""Seconds for what takes a few; the machine may be busy."""
GIT_REPOSITORY = "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/gitrepositories"
KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/default/kustomizations"


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as running:
        yield running


def deployment(name: str, image: str) -> str:
    labels = {"app": name}
    container = {
        "name": "app",
        "image": image,
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    return json.dumps({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec})


def deliver(cluster: Cluster, repository: Repository, name: str) -> None:
    """Create a GitRepository and a Kustomization that checks health."""
    source = {"interval": "2s", "url": repository.url, "ref": {"branch": "main"}}
    cluster.api.apply(
        f"{GIT_REPOSITORY}/{name}",
        {
            "apiVersion": "source.toolkit.fluxcd.io/v1",
            "kind": "GitRepository",
            "metadata": {"name": name},
            "spec": source,
        },
    )
    spec = {
        "interval": "2s",
        "retryInterval": "2s",
        "timeout": "5s",
        "wait": True,
        "prune": True,
        "path": "./deploy",
        "targetNamespace": "default",
        "sourceRef": {"kind": "GitRepository", "name": name},
    }
    cluster.api.apply(
        f"{KUSTOMIZATION}/{name}",
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": {"name": name},
            "spec": spec,
        },
    )


def status_of(cluster: Cluster, name: str) -> dict[str, Any]:
    status: dict[str, Any] = cluster.api.get(f"{KUSTOMIZATION}/{name}").get("status") or {}
    return status


def has_applied(cluster: Cluster, name: str, sha: str) -> bool:
    return str(status_of(cluster, name).get("lastAppliedRevision", "")).endswith(sha)


def ready_reason(cluster: Cluster, name: str) -> str:
    conditions = status_of(cluster, name).get("conditions", [])
    return next((found["reason"] for found in conditions if found["type"] == "Ready"), "")


def test_everything_runs_and_is_ready(cluster: Cluster) -> None:
    """All components have a process, the node is Ready, Flux's CRDs are served, kubectl works."""
    assert tuple(cluster.components) == (*CONTROL_PLANE, *KUBERNETES, *FLUX)
    assert len(pids_of(cluster)) == len(cluster.components)
    assert "Ready" in cluster.kubectl_run("get", "nodes")
    assert "No resources found" not in cluster.kubectl_run("get", "crd")
    assert cluster.api.get(KUSTOMIZATION)["items"] == []
    with pytest.raises(KubectlError, match="NotFound"):
        cluster.kubectl_run("get", "pod", "none")


def test_a_commit_is_delivered(cluster: Cluster) -> None:
    """A GitRepository and a Kustomization bring a commit to the cluster, and pruning takes it away again."""
    shop = cluster.git.repository("delivered")
    sha = shop.commit({"deploy/app.yaml": deployment("delivered", "shop:1.0")}, "First")

    deliver(cluster, shop, "delivered")

    wait_until(lambda: has_applied(cluster, "delivered", sha), LIMIT, "the commit to be applied")
    found = cluster.api.get("/apis/apps/v1/namespaces/default/deployments/delivered")
    assert found["status"]["readyReplicas"] == 2
    cluster.api.delete(f"{KUSTOMIZATION}/delivered")
    pods = "/api/v1/namespaces/default/pods?labelSelector=app%3Ddelivered"
    wait_until(lambda: not cluster.api.get(pods)["items"], LIMIT, "the pods to be deleted")


def test_a_never_ready_image_fails_the_health_check(cluster: Cluster) -> None:
    """The pods run and stay unready, so that the Kustomization's health check fails."""
    shop = cluster.git.repository("broken")
    good = shop.commit({"deploy/app.yaml": deployment("broken", "shop:1.0")}, "Good")
    deliver(cluster, shop, "broken")
    wait_until(lambda: has_applied(cluster, "broken", good), LIMIT, "the good commit to be applied")

    shop.commit({"deploy/app.yaml": deployment("broken", "shop:never-ready")}, "Bad")

    wait_until(
        lambda: ready_reason(cluster, "broken") == "HealthCheckFailed",
        LIMIT,
        "the health check to fail",
        interval=0.02,
    )
    assert has_applied(cluster, "broken", good)
    pods = cluster.api.get("/api/v1/namespaces/default/pods?labelSelector=app%3Dbroken")["items"]
    bad = [pod for pod in pods if pod["spec"]["containers"][0]["image"] == "shop:never-ready"]
    assert bad
    assert all(pod["status"]["phase"] == "Running" for pod in bad)
    assert not any(pod["status"]["containerStatuses"][0]["ready"] for pod in bad)
    cluster.api.delete(f"{KUSTOMIZATION}/broken")
    wait_until(
        lambda: not cluster.api.get("/api/v1/namespaces/default/pods?labelSelector=app%3Dbroken")["items"],
        LIMIT,
        "never-ready pods to be deleted",
    )


def test_a_source_with_credentials_is_delivered(cluster: Cluster) -> None:
    """Flux reads a repository that asks for a user and a password."""
    closed = cluster.git.repository("closed", user="flux", password="secret")
    closed.commit({"deploy/app.yaml": deployment("closed", "shop:1.0")}, "First")
    cluster.kubectl_run(
        "create", "secret", "generic", "closed", "--from-literal=username=flux", "--from-literal=password=secret"
    )
    deliver(cluster, closed, "closed")

    def source_status() -> str:
        conditions = cluster.api.get(f"{GIT_REPOSITORY}/closed").get("status", {}).get("conditions") or []
        return " ".join(f"{found['type']}={found['status']} {found['reason']}" for found in conditions)

    # Ready is Unknown most of the time while Flux tries again; this condition stays.
    wait_until(lambda: "FetchFailed=True" in source_status(), LIMIT, "the refusal")
    cluster.api.merge(f"{GIT_REPOSITORY}/closed", {"spec": {"secretRef": {"name": "closed"}}})

    wait_until(lambda: "Ready=True" in source_status(), LIMIT, "the source to become ready")
    cluster.api.delete(f"{KUSTOMIZATION}/closed")


def test_a_service_account_kubeconfig_has_exactly_its_rights(cluster: Cluster) -> None:
    """A token of a service account without roles may not list pods; with a role it may."""
    cluster.kubectl_run("create", "serviceaccount", "reader")
    path = cluster.token_kubeconfig("default", "reader")
    token = json.loads(path.read_text())["users"][0]["user"]["token"]
    reader = ApiClient(Access(cluster.server, cluster.ca_file), token)

    with pytest.raises(ApiError) as refused:
        reader.get("/api/v1/namespaces/default/pods")
    cluster.kubectl_run("create", "rolebinding", "reader", "--clusterrole=view", "--serviceaccount=default:reader")

    assert refused.value.status == 403
    assert path.stat().st_mode & 0o077 == 0
    wait_until(
        lambda: reader.get("/api/v1/namespaces/default/pods") is not None,
        LIMIT,
        "the role to take effect",
        ignoring=(ApiError,),
    )


def test_pod_security_admission_is_on(cluster: Cluster) -> None:
    """A privileged pod is refused in a namespace that asks for restricted ones."""
    cluster.kubectl_run("create", "namespace", "strict")
    cluster.kubectl_run("label", "namespace", "strict", "pod-security.kubernetes.io/enforce=restricted")

    with pytest.raises(KubectlError, match="violates PodSecurity"):
        cluster.kubectl_run("run", "pod", "--image=shop:1.0", "--privileged", "-n", "strict")


def test_a_component_can_be_frozen_and_restarted(cluster: Cluster) -> None:
    """A frozen controller does nothing until resumed; a restarted API server keeps what it knew."""
    shop = cluster.git.repository("frozen")
    shop.commit({"deploy/app.yaml": deployment("frozen", "shop:1.0")}, "First")
    cluster.pause("kustomize-controller")
    deliver(cluster, shop, "frozen")
    wait_until(
        lambda: (cluster.api.get(f"{GIT_REPOSITORY}/frozen").get("status") or {}).get("artifact"),
        LIMIT,
        "the artifact of the source",
    )
    assert status_of(cluster, "frozen").get("lastAppliedRevision") is None

    cluster.restart("kube-apiserver", grace=0)
    cluster.resume("kustomize-controller")

    wait_until(lambda: has_applied(cluster, "frozen", shop.head()), LIMIT, "the commit to be applied")
    cluster.check()
    cluster.api.delete(f"{KUSTOMIZATION}/frozen")
