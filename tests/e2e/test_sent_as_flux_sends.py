"""What Flux applies through Go's types is tried as Flux sends it, not as it is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from playground.cluster import Cluster
from tests.support.flux_account import flux_build
from tests.support.flux_objects import Workspace, condition, config_map, promise, verdict
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e

POD = {"restartPolicy": "Never", "containers": [{"name": "seed", "image": "seed:1"}]}
RANGE = {"limits": [{"type": "Container", "defaultRequest": {"cpu": "10m"}, "default": {"cpu": "100m"}}]}


def thing(kind: str, name: str, version: str, spec: object) -> str:
    return yaml.safe_dump({"apiVersion": version, "kind": kind, "metadata": {"name": name}, "spec": spec})


FILES = {
    "deploy/job.yaml": thing("Job", "seed", "batch/v1", {"template": {"spec": POD}}),
    "deploy/labelled.yaml": thing(
        "Job", "labelled", "batch/v1", {"template": {"metadata": {"labels": {"app": "labelled"}}, "spec": POD}}
    ),
    "deploy/nightly.yaml": thing(
        "CronJob",
        "nightly",
        "batch/v1",
        {"schedule": "0 3 * * *", "jobTemplate": {"spec": {"template": {"spec": POD}}}},
    ),
    "deploy/range.yaml": thing("LimitRange", "range", "v1", RANGE),
    "deploy/pod.yaml": thing("Pod", "alone", "v1", {"containers": [{"name": "a", "image": "a:1"}]}),
}


@pytest.mark.usefixtures("validation")
def test_what_is_defaulted_and_generated_is_no_difference(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace, tmp_path: Path
) -> None:
    """Jobs without a template's metadata, a pod under a LimitRange: valid and in sync, also before the merge."""
    start_operator(flux_build(cluster))
    repository = workspace.repository("shop")
    repository.commit({**FILES, "deploy/cm.yaml": config_map("knobs", v="1")}, "First")
    workspace.follow("shop", repository)
    first = workspace.wait("shop", lambda s: "lastGoodRevision" in s, "the first revision to be good")
    second = repository.commit({"deploy/cm.yaml": config_map("knobs", v="2")}, "Only the ConfigMap")
    status = workspace.wait(
        "shop",
        lambda s: (
            second in s.get("drift", {}).get("revision", "") and verdict(s, "Validation") not in ("", "Pending")
        ),
        "the second to be tried and compared",
    )

    assert first["lastGoodRevision"]
    assert verdict(status, "Validation") == "Kept", promise(status, "Validation")
    assert condition(status, "InSync")["status"] == "True", condition(status, "InSync")
    assert condition(status, "Ready")["status"] == "True", condition(status, "Ready")

    found = workspace.get("kustomization", "shop")
    saved = tmp_path / "shop.json"
    saved.write_text(json.dumps(found))
    for name, text in {**FILES, "deploy/cm.yaml": config_map("knobs", v="2")}.items():
        (tmp_path / "checkout" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "checkout" / name).write_text(text)
    program = Path(sys.executable).with_name("flux-contract")
    where = [f"--kubeconfig={cluster.kubeconfig}", f"--namespace={workspace.namespace}", flux_build(cluster)]
    tried = subprocess.run(
        [program, "validate", tmp_path / "checkout", f"--kustomization-file={saved}", *where],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
