"""Contracts in the report and in the metrics of the real Flux Operator, by the opt-in `flux-visible`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_objects import PATIENCE, Object, Workspace, deployment
from tests.support.flux_operator import FluxOperator, flux_operator
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).parents[2] / "deploy"
KIND = "ReconciliationContract"


@pytest.fixture
def flux(cluster: Cluster, tmp_path: Path) -> Iterator[FluxOperator]:
    """Flux Operator, in a cluster with the opt-in; without both at the end."""
    # kustomize refuses absolute paths.
    deploy = os.path.relpath(DEPLOY.resolve(), tmp_path.resolve())
    overlay = {"resources": [deploy], "components": [f"{deploy}/components/flux-visible"]}
    (tmp_path / "kustomization.yaml").write_text(yaml.safe_dump(overlay))
    cluster.kubectl_run("apply", "-k", str(tmp_path))
    with flux_operator(cluster, tmp_path) as running:
        yield running
    cluster.kubectl_run("apply", "-k", str(DEPLOY))


def wait_told(flux: FluxOperator, stats: dict[str, int], **labels: str) -> dict[str, str]:
    """Wait until the report has these numbers of contracts and the contract's series these labels; return all labels."""
    reported: Object = {"apiVersion": "reconciliation.dev/v1alpha1", "kind": KIND, "stats": stats}
    wait_until(lambda: labels.items() <= flux.labels(KIND, "shop").items(), PATIENCE, f"the metric to say {labels}")
    wait_until(lambda: flux.reported(KIND) == reported, PATIENCE, f"the report to say {stats}")
    return flux.labels(KIND, "shop")


def test_a_contract_is_counted_and_measured_as_flux_objects_are(
    operator: OperatorProcess, workspace: Workspace, flux: FluxOperator
) -> None:
    """Healthy, rolled back, suspended: each in the report's numbers and in the labels of `flux_resource_info`."""
    repository = workspace.repository("shop")
    good = repository.commit({"deploy/web.yaml": deployment("1")}, "Good")
    workspace.follow("shop", repository)
    workspace.wait_good("shop", good)
    labels = wait_told(flux, {"running": 1, "failing": 0, "suspended": 0}, ready="True")
    assert labels == {
        "kind": KIND,
        "name": "shop",
        "exported_namespace": workspace.namespace,
        "uid": workspace.get("contract", "shop")["metadata"]["uid"],
        "ready": "True",
        "reason": "PromisesKept",
        "suspended": "False",
        "revision": f"main@sha1:{good}",
        # What a contract has not.
        **dict.fromkeys(("path", "ref", "source_name", "url"), ""),
    }

    repository.commit({"deploy/web.yaml": deployment("never-ready")}, "Bad")
    workspace.wait_state("shop", "Active")
    wait_told(flux, {"running": 1, "failing": 1, "suspended": 0}, ready="False", reason="PersistentFailure")

    workspace.change("contract", "shop", {"spec": {"suspend": True}})
    wait_told(flux, {"running": 0, "failing": 0, "suspended": 1}, suspended="True", reason="Suspended")
