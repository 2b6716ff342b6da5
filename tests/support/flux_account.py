"""The account that Flux applies with in a real cluster, and the operator's right to try manifests as it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.cluster import Cluster

ROLE = Path(__file__).parents[2] / "deploy" / "components" / "validation" / "role-validation.yaml"
_RBAC = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cluster-reconciler"


@contextmanager
def validating(cluster: Cluster) -> Iterator[None]:
    """Bind kustomize-controller's account as `flux install` does, and add the opt-in to the deployment; then undo it."""
    cluster.api.apply(
        _RBAC,
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "cluster-reconciler"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"kind": "ServiceAccount", "name": "kustomize-controller", "namespace": "flux-system"}],
        },
    )
    cluster.kubectl_run("apply", "-f", str(ROLE))
    yield
    cluster.kubectl_run("delete", "-f", str(ROLE))
    cluster.api.delete(_RBAC)


def flux_build(cluster: Cluster) -> str:
    """The option that names the program that builds manifests."""
    return f"--flux-build={cluster.flux_build}"
