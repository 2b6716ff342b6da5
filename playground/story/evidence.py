"""What is kept of a story that failed: logs and objects, in a directory that outlives the cluster."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from playground.api_client import ApiError
from playground.cluster import Cluster, KubectlError
from playground.process import last_lines
from playground.story.facts import conditions
from playground.story.failure import errors_in
from playground.story.scene import COLLECTIONS, NAME, NAMESPACE

OPERATOR_LOG = "operator.log"
LINES = 500
"""At the end of the operator's log, in which errors are looked for."""
PREFIX = "reconciliation-contract-demo-"
OBJECTS = "reconciliationcontracts,kustomizations,gitrepositories,deployments,pods,configmaps"
SAYERS = {"ReconciliationContract": "Contract says:", "Kustomization": "Flux says:"}


def said(cluster: Cluster) -> list[str]:
    """The conditions of the contract and of the Kustomization, as far as they can still be read."""
    lines: list[str] = []
    for kind, heading in SAYERS.items():
        try:
            found = conditions(cluster.api.find(f"{COLLECTIONS[kind]}/{NAME}"))
        except (OSError, ApiError) as error:
            found = [f"cannot be read: {error}"]
        lines += [heading, *(f"  {line}" for line in found or ["nothing yet"])]
    errors = errors_in(last_lines(cluster.state / "logs" / OPERATOR_LOG, LINES))
    return [*lines, "The operator's log says:", *(f"  {line}" for line in errors)] if errors else lines


def keep(cluster: Cluster) -> Path:
    """Copy the logs of every program, and write what the objects look like; return the directory."""
    directory = Path(tempfile.mkdtemp(prefix=PREFIX))
    shutil.copytree(cluster.state / "logs", directory, dirs_exist_ok=True)
    for file, arguments in (
        ("objects.yaml", ("get", OBJECTS, "-o", "yaml")),
        ("events.txt", ("get", "events", "--sort-by=.lastTimestamp")),
    ):
        try:
            text = cluster.kubectl_run(*arguments, "--namespace", NAMESPACE, "--request-timeout=10s")
        except KubectlError as error:
            text = f"{error}\n"
        (directory / file).write_text(text)
    return directory
