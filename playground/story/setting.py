"""Setting the scene: the operator with its deployed rights, the sample, the contract."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

from playground.cache import cache_directory
from playground.cluster import Cluster
from playground.health import Health
from playground.port import reserve
from playground.process import Process, Starter
from playground.story.evidence import OPERATOR_LOG
from playground.story.narrator import Narrator
from playground.story.play import show_contract
from playground.story.scene import NAME, NAMESPACE, SAMPLE, Scene, sample
from playground.story.steps import BASE
from playground.waiting import wait_until

DEPLOY = Path(__file__).parents[1] / "deploy"
OPERATOR = "reconciliation-contract"
"""Name of the operator's namespace, service account and Deployment in `deploy/`."""
TIMEOUT = 120.0
"""Seconds for each part of the setting; generous, for a machine that is busy with something else."""
PASSED_ON = ("PATH", "LANG", "HOME", "TMPDIR")
"""What the operator gets of our environment: nothing that could lead it to another cluster."""


def deploy(cluster: Cluster) -> None:
    """Apply `deploy/` with the opt-ins for what lives in the cluster: the CRD, the rights, the Deployment.

    The Deployment is then scaled to none: its pod would be a fake one.
    """
    cluster.kubectl_run("apply", "-k", str(DEPLOY))
    cluster.kubectl_run("scale", f"deployment/{OPERATOR}", "--namespace", OPERATOR, "--replicas=0")
    crd = "crd/reconciliationcontracts.reconciliation.dev"
    cluster.kubectl_run("wait", crd, "--for=condition=Established", f"--timeout={TIMEOUT:g}s")


@contextlib.contextmanager
def operator(cluster: Cluster) -> Iterator[Process]:
    """Run the operator as a process with the token of its service account, and so with exactly its rights."""
    with contextlib.ExitStack() as stack:
        ports = stack.enter_context(reserve(cache_directory() / "ports", ("health", "metrics")))
        addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        starter = Starter()
        stack.callback(starter.close)
        options = [f"--{name}-listen={address}" for name, address in addresses.items()]
        options += ["--allow-local-git", "--artifact-server=127.0.0.1", f"--flux-build={cluster.flux_build}"]
        kubeconfig = cluster.token_kubeconfig(OPERATOR, OPERATOR)
        process = Process(
            OPERATOR,
            [sys.executable, "-m", "reconciliation_contract.cli.operator", "run", *options],
            env={**_passed_on(), "KUBECONFIG": str(kubeconfig)},
            log=cluster.state / "logs" / OPERATOR_LOG,
            starter=starter,
        )
        # Killed at once, as the cluster is: nothing of it is needed any more.
        stack.callback(process.stop, grace=0)
        process.start()
        _await_ready(process, cluster, f"http://{addresses['health']}/readyz")
        yield process


def open_scene(cluster: Cluster, process: Process, narrator: Narrator) -> Scene:
    """Create the sample and its contract, and wait until what is there already counts as good."""
    scene = Scene(cluster, cluster.git.repository(NAME), process)
    commit = scene.repository.commit(BASE, "Add the Service")
    cluster.kubectl_run("create", "namespace", NAMESPACE)
    cluster.kubectl_run("apply", "-f", "-", input=sample("flux.yaml", url=scene.repository.url))
    with narrator.busy("Waiting for Flux to apply what is there already"):
        wait_until(lambda: _is_applied(scene, commit), TIMEOUT, "Flux to apply the first commit")
    cluster.kubectl_run("apply", "-f", str(SAMPLE / "contract.yaml"))
    narrator.block("The contract, with the defaults that the API server filled in:", contract_yaml(scene), "yaml")
    with narrator.busy("Waiting for the contract to take it over"):
        wait_until(lambda: _is_adopted(scene, commit), TIMEOUT, "the contract to take over what is there")
    show_contract(scene, narrator)
    return scene


def contract_yaml(scene: Scene) -> str:
    """The contract as a person would write it in full."""
    found = scene.find("ReconciliationContract") or {}
    shown = {
        "apiVersion": found.get("apiVersion"),
        "kind": found.get("kind"),
        "metadata": {key: found.get("metadata", {}).get(key) for key in ("name", "namespace")},
        "spec": found.get("spec"),
    }
    return yaml.safe_dump(shown, sort_keys=False)


def _passed_on() -> dict[str, str]:
    return {name: os.environ[name] for name in PASSED_ON if name in os.environ}


def _await_ready(process: Process, cluster: Cluster, url: str) -> None:
    health = Health(cluster.ca_file)

    def ready() -> bool:
        process.check()
        return health.is_ready(url)

    wait_until(ready, TIMEOUT, "the operator to be ready")


def _is_applied(scene: Scene, commit: str) -> bool:
    scene.cluster.check()
    status = (scene.find("Kustomization") or {}).get("status", {})
    return str(status.get("lastAppliedRevision", "")).endswith(commit)


def _is_adopted(scene: Scene, commit: str) -> bool:
    found = scene.look(commit)
    return found is not None and found[0].is_good
