"""What Flux's own reading of conditions makes of contracts, and how large one is in etcd."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest
import yaml

from playground.waiting import wait_until
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.api.status.size import BUDGET
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.facts.observation import Condition, Observation
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import InvalidContract
from tests.support.flux_objects import (
    PATIENCE,
    QUICK,
    REQUESTED_AT,
    Workspace,
    condition,
    deployment,
    manifest,
    requested,
)
from tests.support.operator_process import OperatorProcess, StartOperator

pytestmark = pytest.mark.e2e

BROKEN = {"Ready": Condition("False", "PromiseBroken", "not healthy within 5m")}
TELLTALE = 5
"""Seconds in which a parent that does not wait would long be Ready."""


def declared(workspace: Workspace, name: str, kustomization: str) -> str:
    """Write a contract as Git has it."""
    spec = {"kustomizationRef": {"name": kustomization}, "rollback": QUICK}
    return yaml.safe_dump(manifest("contract", name, workspace.namespace, spec))


def follow(workspace: Workspace, name: str, *, timeout: str = "60s", **files: str) -> str:
    """Deliver files by a Kustomization that waits for their health; return the commit."""
    repository = workspace.repository(name)
    commit = repository.commit({f"deploy/{file}.yaml": text for file, text in files.items()}, "Declare")
    workspace.source(name, repository.url)
    workspace.kustomization(name, timeout=timeout)
    return commit


def ready(workspace: Workspace, name: str, status: str) -> dict[str, str]:
    """Wait until a Kustomization is Ready, or is not."""
    return wait_until(
        lambda: (found := condition(workspace.get("kustomization", name), "Ready")).get("status") == status and found,
        PATIENCE,
        f"{name} to be Ready={status}",
    )


def test_a_parent_waits_for_a_contract_until_it_is_ready(
    operator: OperatorProcess, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """Current once it is Ready; `kubectl wait` ends; and the whole object with its owners is small."""
    follow(workspace, "shop", web=deployment("1", "web"))
    follow(workspace, "fleet", contract=declared(workspace, "shop", "shop"))

    ready(workspace, "fleet", "True")
    workspace.cluster.kubectl_run(
        "wait", "--for=condition=Ready", "contract/shop", "-n", workspace.namespace, "--timeout=60s"
    )
    printed = workspace.cluster.kubectl_run(
        "get", "contract", "shop", "-n", workspace.namespace, "-o", "json", "--show-managed-fields"
    )

    found = json.loads(printed)
    sizes = {name: len(json.dumps(part, separators=(",", ":"))) for name, part in found.items()}
    owners = len(json.dumps(found["metadata"]["managedFields"], separators=(",", ":")))
    measured(f"contract object: {sum(sizes.values())} bytes, of which the status {sizes['status']}, owners {owners}")
    assert sum(sizes.values()) - sizes["status"] <= 16 * 1024 - BUDGET


def test_requests_and_suspension_are_honoured(operator: OperatorProcess, workspace: Workspace) -> None:
    """The request is echoed, and a suspended contract says so and nothing else."""
    commit = follow(workspace, "shop", web=deployment("1", "web"))
    workspace.contract("shop")
    workspace.wait_good("shop", commit)

    mark = workspace.request("contract", "shop")
    workspace.wait("shop", lambda status: requested({"status": status}) == mark, f"{REQUESTED_AT} to be echoed")
    workspace.change("contract", "shop", {"spec": {"suspend": True}})
    suspended = workspace.wait_reason("shop", "Suspended")
    workspace.change("contract", "shop", {"spec": {"suspend": False}})
    resumed = workspace.wait("shop", lambda status: condition(status, "Ready").get("status") == "True", "it to go on")

    assert suspended["status"] == "Unknown"
    assert (
        condition(resumed, "Ready")["observedGeneration"]
        == workspace.get("contract", "shop")["metadata"]["generation"]
    )


def test_a_contract_inside_its_own_kustomization_does_not_deadlock_it(
    operator: OperatorProcess, workspace: Workspace
) -> None:
    """It is there, is Ready, and lets the next commit through; and it warns of where it is."""
    follow(workspace, "shop", web=deployment("1", "web"), contract=declared(workspace, "shop", "shop"))
    ready(workspace, "shop", "True")

    commit = workspace.repository("shop").commit({"deploy/web.yaml": deployment("2", "web")}, "Go on")

    workspace.wait_good("shop", commit)
    assert condition(workspace.get("kustomization", "shop"), "Ready")["status"] == "True"
    assert workspace.wait_reason("shop", "ContractInsideKustomization", "Feasible")["status"] == "False"


def test_without_an_operator_a_contract_is_under_way_and_a_stalled_one_failed(
    start_operator: StartOperator, workspace: Workspace
) -> None:
    """A parent waits for one that nobody has looked at, and gives up at once on one that makes no sense."""
    follow(workspace, "fleet", contract=declared(workspace, "shop", "absent"))
    wait_until(lambda: workspace.find("contract", "shop"), PATIENCE, "the contract")

    with pytest.raises(Exception, match="the parent not to wait"):
        wait_until(
            lambda: condition(workspace.get("kustomization", "fleet"), "Ready").get("status") in ("True", "False"),
            TELLTALE,
            "the parent not to wait",
        )
    invalid = InvalidContract(workspace.namespace, "shop", "uid", 1, "spec.promises.detection is not a duration")
    decision = evaluate(invalid, Memory(), Observation(), datetime.now(UTC))
    stalled = render_status(decision.memory, None, decision.conditions)
    workspace.api.merge(f"{workspace.path('contract', 'shop')}/status", {"status": stalled})

    failed = ready(workspace, "fleet", "False")
    assert failed["reason"] == "HealthCheckFailed"
    assert "ReconciliationContract" in failed["message"]
    assert "Failed" in failed["message"]


LENIENT = {
    "apiVersion": "reconciliation.dev/v1alpha1",
    "kind": "ReconciliationContract",
    "failed": "has(status.conditions) && status.conditions.exists(c, c.type == 'Stalled' && c.status == 'True')",
    "current": "true",
}
"""As docs/contract.md tells those who do not want a parent to wait for promises."""


def test_a_parent_may_be_told_not_to_wait_for_promises(start_operator: StartOperator, workspace: Workspace) -> None:
    """A broken promise keeps a parent that waits from being Ready, unless its health checks are told otherwise."""
    follow(workspace, "fleet", contract=declared(workspace, "shop", "absent"), timeout="5s")
    wait_until(lambda: workspace.find("contract", "shop"), PATIENCE, "the contract")
    broken = render_status(Memory(observed_generation=1), None, BROKEN)
    workspace.api.merge(f"{workspace.path('contract', 'shop')}/status", {"status": broken})

    assert ready(workspace, "fleet", "False")["reason"] == "HealthCheckFailed"
    workspace.change("kustomization", "fleet", {"spec": {"healthCheckExprs": [LENIENT]}})

    ready(workspace, "fleet", "True")
