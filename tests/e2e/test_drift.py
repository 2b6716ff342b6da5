"""What is changed in the cluster by hand is found, with field and author, and Flux is asked to put it right."""

from __future__ import annotations

import json
import time
from collections.abc import Callable

import pytest
import yaml

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_account import flux_build
from tests.support.flux_objects import Object, Workspace, condition, config_map, deployment, requested
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e

SECRET = yaml.safe_dump(
    {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "db"}, "stringData": {"password": "hunter2"}}
)


def drifted(status: Object) -> dict[str, Object]:
    """The objects with drift, by kind and name."""
    found = status.get("drift", {}).get("objects") or []
    return {"/".join([item["object"].split("/")[0], item["object"].split("/")[-1]]): item for item in found}


@pytest.mark.usefixtures("validation")
def test_drift_is_found_with_field_and_author(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace
) -> None:
    """A fresh cluster shows none; scaling, editing and deleting are found; no value of a Secret is anywhere."""
    operator = start_operator(flux_build(cluster))
    repository = workspace.repository("shop")
    files = {
        "deploy/web.yaml": deployment("1"),
        "deploy/a.yaml": config_map("a", color="blue"),
        "deploy/b.yaml": config_map("b", color="red"),
        "deploy/db.yaml": SECRET,
    }
    repository.commit(files, "First")
    workspace.source("shop", repository.url)
    workspace.kustomization("shop")
    workspace.contract("shop", promises={"drift": {"interval": "10s"}})
    status = workspace.wait("shop", lambda s: condition(s, "InSync").get("status"), "a comparison")
    assert condition(status, "InSync")["status"] == "True", status.get("drift")
    assert condition(status, "InSync")["message"] == "4 objects are as Git wants them"

    here = ("-n", workspace.namespace)
    cluster.kubectl_run(*here, "scale", "deployment", "web", "--replicas=3")
    cluster.kubectl_run(*here, "patch", "configmap", "a", "--type=merge", "-p", '{"data":{"color":"green","x":"y"}}')
    cluster.kubectl_run(*here, "patch", "secret", "db", "--type=merge", "-p", '{"stringData":{"password":"hunter3"}}')
    cluster.kubectl_run(*here, "delete", "configmap", "b")
    status = workspace.wait("shop", lambda s: len(drifted(s)) == 4, "all four to be found")

    found = drifted(status)
    assert found["ConfigMap/b"]["kind"] == "Missing"
    web, settings, secret = found["Deployment/web"], found["ConfigMap/a"], found["Secret/db"]
    assert web["fields"] == [{"path": "/spec/replicas", "want": "1", "have": "3"}]
    assert web["by"] == "kubectl"
    assert (settings["by"], bool(settings["at"])) == ("kubectl-patch", True)
    assert {"path": "/data/color", "want": "blue", "have": "green"} in settings["fields"]
    assert [field["path"] for field in settings["fields"]] == ["/data/color", "/data/x"]
    assert secret["fields"] == [{"path": "/data/password"}]
    assert condition(status, "InSync")["reason"] == "Drifted"
    told = json.dumps(status) + operator.tail(10_000)
    assert "hunter" not in told
    assert "aHVudGVy" not in told

    workspace.reconcile("kustomization", "shop")
    status = workspace.wait("shop", lambda s: condition(s, "InSync")["status"] == "True", "it to be in sync")

    assert "objects" not in status["drift"]


@pytest.mark.usefixtures("validation")
def test_a_change_and_an_orphan_are_found_long_before_the_interval(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """Nobody waits for the next comparison; what carries the labels and is in no inventory is named."""
    start_operator(flux_build(cluster))
    repository = workspace.repository("shop")
    repository.commit({"deploy/a.yaml": config_map("a", color="blue")}, "First")
    workspace.source("shop", repository.url)
    workspace.kustomization("shop")
    workspace.contract("shop", promises={"drift": {"interval": "10m"}})
    workspace.wait("shop", lambda s: condition(s, "InSync").get("status") == "True", "a comparison")
    here = ("-n", workspace.namespace)

    began = time.monotonic()
    cluster.kubectl_run(*here, "patch", "configmap", "a", "--type=merge", "-p", '{"data":{"color":"green"}}')
    status = workspace.wait("shop", lambda s: "ConfigMap/a" in drifted(s), "the edit to be found", 60)
    measured(f"edit found after {time.monotonic() - began:.0f} s")
    assert drifted(status)["ConfigMap/a"]["by"] == "kubectl-patch"

    workspace.reconcile("kustomization", "shop")
    workspace.wait("shop", lambda s: condition(s, "InSync").get("status") == "True", "it to be in sync", 90)
    labels = {
        f"kustomize.toolkit.fluxcd.io/{key}": value
        for key, value in (("name", "shop"), ("namespace", workspace.namespace))
    }
    began = time.monotonic()
    left = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "left", "labels": labels}}
    cluster.kubectl_run(*here, "create", "-f", "-", input=json.dumps(left))
    status = workspace.wait("shop", lambda s: "ConfigMap/left" in drifted(s), "the orphan to be found", 120)
    measured(f"orphan found after {time.monotonic() - began:.0f} s")

    assert drifted(status)["ConfigMap/left"]["kind"] == "Orphaned"
    assert "not in its inventory" in condition(status, "InSync")["message"]


@pytest.mark.usefixtures("validation")
def test_flux_is_asked_to_put_drift_right(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """With mode Correct it is Flux that applies, once asked; what is ignored stays as it is."""
    start_operator(flux_build(cluster))
    repository = workspace.repository("shop")
    repository.commit({"deploy/web.yaml": deployment("1"), "deploy/a.yaml": config_map("a", c="blue")}, "First")
    workspace.source("shop", repository.url)
    workspace.kustomization("shop")
    ignored = [{"kind": "Deployment", "paths": ["/spec/replicas"]}]
    workspace.contract("shop", promises={"drift": {"interval": "10s", "mode": "Correct", "ignore": ignored}})
    workspace.wait("shop", lambda s: condition(s, "InSync").get("status") == "True", "a comparison")

    here = ("-n", workspace.namespace)
    cluster.kubectl_run(*here, "scale", "deployment", "web", "--replicas=3")
    status = workspace.contract_status("shop")
    cluster.kubectl_run(*here, "patch", "configmap", "a", "--type=merge", "-p", '{"data":{"c":"green"}}')
    workspace.wait("shop", lambda s: "correction" in s.get("drift", {}), "the correction to be decided")
    status = workspace.wait("shop", lambda s: condition(s, "InSync")["status"] == "True", "it to be in sync")

    assert workspace.get("configmap", "a")["data"] == {"c": "blue"}
    asked = workspace.get("kustomization", "shop")
    mark = status["drift"]["correction"]["requestedAt"]
    assert asked["metadata"]["annotations"]["reconcile.fluxcd.io/requestedAt"] == mark
    wait_until(lambda: requested(workspace.get("kustomization", "shop")) == mark, 60, "Flux to have taken it up")
    measured(f"asked for at {mark}")


@pytest.mark.usefixtures("validation")
def test_corrections_that_do_not_hold_become_seldom(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """Git says one replica, an autoscaler three: the two are not set on each other for ever, and people are told."""
    start_operator(flux_build(cluster))
    workspace.repository("shop").commit({"deploy/web.yaml": deployment("1", replicas=1)}, "First")
    workspace.source("shop", workspace.repository("shop").url)
    workspace.kustomization("shop")
    workspace.contract("shop", promises={"drift": {"interval": "10s", "mode": "Correct"}})
    workspace.wait("shop", lambda s: condition(s, "InSync").get("status") == "True", "a comparison")

    began = time.monotonic()
    cluster.kubectl_run(
        "-n", workspace.namespace, "autoscale", "deployment", "web", "--min=3", "--max=5", "--cpu=50%"
    )
    status = workspace.wait(
        "shop", lambda s: "comes back" in condition(s, "InSync").get("message", ""), "the fight", 120
    )
    measured(f"told after {time.monotonic() - began:.0f} s: {condition(status, 'InSync')['message']}")

    assert status["drift"]["correction"]["times"] >= 2
    assert "Deployment" in condition(status, "InSync")["message"]
