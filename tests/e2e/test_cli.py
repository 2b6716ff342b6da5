"""The command line for people on the real cluster: what it shows is so, and what it asks for happens."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_objects import QUICK, Workspace, condition, deployment, manifest
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

OPERATOR = Path(__file__).parents[2] / "operator"
PATIENCE = "90s"
WHY = ("--why", "prices are wrong")


@dataclass(frozen=True)
class Result:
    """What a call came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


def call(kubeconfig: Path, namespace: str, *words: str) -> Result:
    """Run the command line as a person's shell does."""
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(OPERATOR)}
    program = [sys.executable, "-m", "reconciliation_contract.cli.people"]
    where = [] if words[0] == "__complete" else ["-n", namespace]
    done = subprocess.run(
        [*program, words[0], *where, *words[1:]],
        env=environment,
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    return Result(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def run(cluster: Cluster, workspace: Workspace) -> Run:
    """Run the command line as administrator, in the test's namespace."""
    return lambda *words: call(cluster.kubeconfig, workspace.namespace, *words)


def delivered(workspace: Workspace, name: str = "shop", **contract: object) -> tuple[Callable[[str], str], str]:
    """Deliver a first release; return how to push another one, and the first one's hash."""
    repository = workspace.repository(name)

    def push(tag: str) -> str:
        return repository.commit({"deploy/web.yaml": deployment(tag, name)}, f"Release {tag}")

    first = push("1")
    workspace.follow(name, repository)
    workspace.contract(name, **contract)
    workspace.wait_good(name, first)
    return push, first


def image(workspace: Workspace, name: str = "shop") -> str:
    """The image that the cluster is to run."""
    found = workspace.get("deployment", name)["spec"]["template"]["spec"]["containers"][0]["image"]
    return str(found)


def _detected(status: dict[str, Any], sha: str) -> bool:
    delivery = status.get("delivery", {})
    return delivery.get("revision", "").endswith(sha) and "detected" in delivery.get("stages", {})


def test_a_person_goes_back_and_lets_go(operator: OperatorProcess, workspace: Workspace, run: Run) -> None:
    """Rollback to a healthy revision, hold against a new commit, and let that through: all by command."""
    push, first = delivered(workspace)
    second = push("2")
    healthy = run("wait", "shop", "--for", "healthy", second, "--timeout", PATIENCE)

    back = run("rollback", "shop", "--to", first[:8], *WHY, "--yes")

    assert (healthy.code, healthy.out) == (0, f"shop: main@sha1:{second[:8]} is healthy\n")
    assert back.code == 0, back
    assert f"main@sha1:{first[:8]} runs instead of main@sha1:{second[:8]}" in back.out
    assert "Kustomization shop is pointed at a copy of its GitRepository shop" in back.err
    assert image(workspace) == "shop:1"
    assert run("wait", "shop", "--for", "healthy", second).code == 1

    held = run("hold", "shop", "--why", "audit")
    third = push("3")
    workspace.wait_reason("shop", "Held", "RolledBack")
    workspace.wait("shop", lambda status: _detected(status, third), "the third release to be detected")
    page = run("get", "shop").out

    assert held.code == 0
    assert "held by admin: audit" in " ".join(page.split())
    assert f"let main@sha1:{third[:8]} through now" in page
    assert image(workspace) == "shop:1"

    freed = run("unhold", "shop")
    through = run("wait", "shop", "--for", "healthy", third, "--timeout", PATIENCE)

    assert (freed.code, through.code) == (0, 0), through
    assert image(workspace) == "shop:3"
    assert [line.split()[0] for line in run("history", "shop").out.splitlines()[1:]] == [
        third[:8],
        second[:8],
        first[:8],
    ]


def test_a_person_ends_a_rollback(operator: OperatorProcess, workspace: Workspace, run: Run) -> None:
    """A release lets the bad revision return, once; going back again takes forgetting that it was bad."""
    push, first = delivered(workspace)
    second = push("2")
    workspace.wait_good("shop", second)
    run("rollback", "shop", "--to", first, *WHY, "--yes")

    released = run("release", "shop", "--why", "it was not that")
    returned = run("wait", "shop", "--for", "ready", "--timeout", PATIENCE)
    again = run("rollback", "shop", "--to", first, *WHY, "--yes")
    forgotten = run("forget", "shop", second[:7])
    at_last = run("rollback", "shop", "--to", first, *WHY, "--yes")

    assert (released.code, released.out) == (
        0,
        "shop: no rollback is in force; the Kustomization follows its own source\n",
    )
    assert returned.code in (0, 1)
    assert "was rolled back from once" in again.err
    assert (forgotten.code, forgotten.out) == (0, f"shop: sha1:{second[:8]} counts as bad no more\n")
    assert at_last.code == 0, at_last
    assert image(workspace) == "shop:1"


def test_a_person_approves(operator: OperatorProcess, workspace: Workspace, run: Run) -> None:
    """A proposal waits, is shown with the command that approves, and begins by it."""
    push, first = delivered(workspace, rollback={"mode": "Manual", **QUICK})
    bad = push("never-ready")
    workspace.wait_state("shop", "Proposed")

    page = run("get", "shop").out
    approved = run("approve", "shop", *WHY)

    assert f"flux-contract approve shop -n {workspace.namespace}" in page
    assert approved.code == 0, approved
    assert f"main@sha1:{first[:8]} runs instead of main@sha1:{bad[:8]}" in approved.out
    assert run("wait", "shop").code == 1


def test_a_pause_keeps_a_failure_from_being_rolled_back(
    operator: OperatorProcess, workspace: Workspace, run: Run
) -> None:
    """While it lasts nothing begins by itself; when it is ended the rollback begins."""
    push, _ = delivered(workspace)
    paused = run("pause", "shop", "--for", "1h", "--why", "I am at it")
    bad = push("never-ready")
    workspace.wait_reason("shop", "Paused", "RolledBack")

    page = run("get", "shop").out
    resumed = run("resume", "shop")

    assert (paused.code, resumed.code) == (0, 0)
    assert "Rollbacks are paused until" in page
    assert run("wait", "shop", "--for", "healthy", bad, "--timeout", PATIENCE).code == 1
    workspace.wait_state("shop", "Active")


def test_objects_tables_and_completion(operator: OperatorProcess, workspace: Workspace, run: Run) -> None:
    """What scripts and shells read: the object itself, a line for each contract, candidates."""
    _, first = delivered(workspace)

    table, everywhere, document = run("get"), run("get", "-A"), run("get", "shop", "-o", "json")
    candidates = run("__complete", "get", "-n", workspace.namespace, "")
    looked_at = run("reconcile", "shop")

    heading, line = table.out.splitlines()
    assert heading.split() == ["NAME", "READY", "REVISION", "DETECT", "APPLY", "HEALTHY", "LAST", "GOOD", "STATUS"]
    assert line.split()[2] == f"main@sha1:{first[:8]}"
    assert [workspace.namespace, "shop"] in [row.split()[:2] for row in everywhere.out.splitlines()]
    assert json.loads(document.out)["status"]["lastGoodRevision"] == f"main@sha1:{first}"
    assert candidates.out.splitlines()[-1] == ":4"
    assert candidates.out.startswith("shop\t")
    assert (looked_at.code, looked_at.out) == (0, f"shop: main@sha1:{first[:8]} is healthy\n")


def test_who_may_not_is_told_so(operator: OperatorProcess, cluster: Cluster, workspace: Workspace, run: Run) -> None:
    """The rights are those of the person: the admission policy's own words, and the right that is lacking."""
    push, _ = delivered(workspace)
    second = push("2")
    workspace.wait_good("shop", second)
    accounts = f"/api/v1/namespaces/{workspace.namespace}/serviceaccounts"
    bindings = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{workspace.namespace}/rolebindings"
    for name in ("view", "edit"):
        cluster.api.create(accounts, {"metadata": {"name": name}})
        role = {
            "apiGroup": "rbac.authorization.k8s.io",
            "kind": "ClusterRole",
            "name": f"reconciliation-contract-{name}",
        }
        subject = {"kind": "ServiceAccount", "name": name, "namespace": workspace.namespace}
        cluster.api.create(bindings, {"metadata": {"name": name}, "roleRef": role, "subjects": [subject]})
    cluster.api.create(
        bindings,
        {
            "metadata": {"name": "edit-sees"},
            "roleRef": {**role, "name": "reconciliation-contract-view"},
            "subjects": [subject],
        },
    )
    viewer, editor = (cluster.token_kubeconfig(workspace.namespace, name) for name in ("view", "edit"))
    wait_until(lambda: call(editor, workspace.namespace, "get").code == 0, 30, "the rights to be known")

    seen = call(viewer, workspace.namespace, "get", "shop")
    refused = call(viewer, workspace.namespace, "reconcile", "shop")
    denied = call(editor, workspace.namespace, "pause", "shop", "--for", "1h", *WHY)
    nowhere = call(editor, "default", "get")

    assert seen.code == 0
    assert refused.code == 1
    assert f"user system:serviceaccount:{workspace.namespace}:view may not patch" in refused.err
    assert denied.code == 1
    assert (
        f"refused: this contract can change Kustomization {workspace.namespace}/shop, and you may not" in denied.err
    )
    assert "may not list reconciliationcontracts.reconciliation.dev in namespace default" in nowhere.err


def test_a_contract_that_was_replaced_is_not_asked(
    operator: OperatorProcess, cluster: Cluster, workspace: Workspace
) -> None:
    """A request is about the very contract that was looked at, not about another of its name."""
    from reconciliation_contract.cli.client.connection import Connection
    from reconciliation_contract.cli.client.errors import Changed
    from reconciliation_contract.cli.client.kubeconfig import find

    connection = Connection(find(str(cluster.kubeconfig)).access)
    before = workspace.contract("shop")
    workspace.delete("contract", "shop")
    workspace.wait_gone("contract", "shop")
    workspace.contract("shop")

    with pytest.raises(Changed):
        connection.annotate(before, {"reconciliation.dev/hold": "x"})


def test_a_request_survives_git(operator: OperatorProcess, workspace: Workspace, run: Run) -> None:
    """A contract that Flux applies from Git keeps what a person asked for when Flux applies it again."""
    delivered(workspace)
    promised = manifest(
        "contract", "shop", workspace.namespace, {"kustomizationRef": {"name": "shop"}, "rollback": QUICK}
    )
    parent = workspace.repository("parent")
    parent.commit({"deploy/contract.yaml": json.dumps(promised)}, "Promise")
    workspace.source("parent", parent.url)
    workspace.kustomization("parent")
    wait_until(
        lambda: condition(workspace.get("kustomization", "parent"), "Ready").get("status") == "True", 60, "the parent"
    )

    paused = run("pause", "shop", "--for", "1h", *WHY)
    workspace.reconcile("kustomization", "parent")

    annotations = workspace.get("contract", "shop")["metadata"]["annotations"]
    assert paused.code == 0
    assert annotations["reconciliation.dev/pause-until"].endswith(": prices are wrong")
