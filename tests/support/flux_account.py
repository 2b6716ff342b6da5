"""The account that Flux applies with in a real cluster, and the operator's right to try manifests as it."""

from __future__ import annotations

from pathlib import Path

from playground.cluster import Cluster

DEPLOY = Path(__file__).parents[2] / "deploy"
_RBAC = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/cluster-reconciler"


def let_validate(cluster: Cluster) -> None:
    """Bind kustomize-controller's account as `flux install` does, and add the opt-in to the deployment."""
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
    cluster.kubectl_run("apply", "-f", str(DEPLOY / "components" / "validation" / "role-validation.yaml"))


def kustomize(cluster: Cluster) -> str:
    """The option that names the kustomize built together with the cluster."""
    return f"--kustomize={cluster.kustomize}"
