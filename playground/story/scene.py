"""Where the story takes place: the cluster, the repository, the operator, and looks at each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from typing import Any

from playground.api_client import ApiError
from playground.cluster import Cluster
from playground.process import Process
from playground.repository import Repository
from playground.story.facts import Facts

SAMPLE = Path(__file__).parents[1] / "sample"
NAMESPACE = "apps"
NAME = "shop"
"""Of the contract, the Kustomization, the source and the repository."""
COLLECTIONS = {
    "ConfigMap": f"/api/v1/namespaces/{NAMESPACE}/configmaps",
    "Service": f"/api/v1/namespaces/{NAMESPACE}/services",
    "Pod": f"/api/v1/namespaces/{NAMESPACE}/pods",
    "GitRepository": f"/apis/source.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/gitrepositories",
    "Kustomization": f"/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/{NAMESPACE}/kustomizations",
    "ReconciliationContract": f"/apis/reconciliation.dev/v1alpha1/namespaces/{NAMESPACE}/reconciliationcontracts",
}

Object = Mapping[str, Any]


def sample(file: str, **values: str) -> str:
    """Read a manifest of the sample with its placeholders filled in."""
    return Template((SAMPLE / file).read_text()).substitute(values)


@dataclass(frozen=True)
class Scene:
    """One run of the story."""

    cluster: Cluster
    repository: Repository
    operator: Process

    def find(self, kind: str, name: str = NAME) -> Object | None:
        """Return an object of the story's namespace, or None if there is none."""
        return self.cluster.api.find(f"{COLLECTIONS[kind]}/{name}")

    def every(self, kind: str) -> list[Object]:
        """Return all objects of a kind in the story's namespace."""
        found: list[Object] = self.cluster.api.get(COLLECTIONS[kind])["items"]
        return found

    def ready_images(self) -> list[str]:
        """The image of each pod that is Ready and not on its way out."""
        return [
            pod["spec"]["containers"][0]["image"]
            for pod in self.every("Pod")
            if "deletionTimestamp" not in pod["metadata"] and _is_ready(pod)
        ]

    def look(self, commit: str) -> tuple[Facts, int] | None:
        """Read the contract and count the Ready pods; None if the API server does not answer right now.

        Raises `ProcessDiedError` if a part of the cluster, or the operator, has ended.
        """
        self.cluster.check()
        self.operator.check()
        try:
            contract = self.find("ReconciliationContract") or {}
            return Facts(contract, commit), len(self.ready_images())
        except (OSError, ApiError):
            return None

    def kubectl(self, *arguments: str) -> str:
        """Run kubectl in the story's namespace and return what it prints."""
        return self.cluster.kubectl_run(*arguments, "--namespace", NAMESPACE)


def _is_ready(pod: Object) -> bool:
    found = pod.get("status", {}).get("conditions", [])
    return any(each["type"] == "Ready" and each["status"] == "True" for each in found)
