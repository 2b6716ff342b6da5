"""The order in which Flux applies objects: in stages, and by kind within each.

As fluxcd/pkg ``ssa`` does it in `ApplyAllStaged` and `ReconcileOrder`.
"""

from __future__ import annotations

from typing import Final

from reconciliation_contract.core.values.object_key import ObjectKey

_FIRST: Final = (  # noqa: SIM905 - reads better than a line each
    "CustomResourceDefinition Namespace ClusterRole ClusterClass RuntimeClass PriorityClass StorageClass "
    "VolumeSnapshotClass IngressClass GatewayClass ClusterRoleBinding ResourceQuota ServiceAccount Role RoleBinding "
    "ConfigMap Secret Service LimitRange Deployment StatefulSet CronJob PodDisruptionBudget"
).split()
_LAST: Final = ("MutatingWebhookConfiguration", "ValidatingWebhookConfiguration")
_RANK: Final = {kind: n - len(_FIRST) for n, kind in enumerate(_FIRST)} | {kind: n for n, kind in enumerate(_LAST, 1)}
_DEFINITIONS: Final = frozenset(
    {
        ("apiextensions.k8s.io", "customresourcedefinition"),
        ("", "namespace"),
        ("rbac.authorization.k8s.io", "clusterrole"),
    }
)


def place(key: ObjectKey) -> tuple[int, int, str, str, str, str]:
    """Where an object comes: definitions, then classes, then all others."""
    is_definition = (key.group, key.kind.lower()) in _DEFINITIONS
    stage = 0 if is_definition else 1 if key.kind.endswith("Class") else 2
    return (stage, _RANK.get(key.kind, 0), key.group, key.kind, key.namespace, key.name)
