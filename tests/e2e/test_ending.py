"""What ends while a rollback is in force: the contract, the Kustomization, the whole namespace."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from playground.waiting import wait_until
from tests.support.flux_objects import PATIENCE, Workspace, condition, deployment, manifest
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

LIMIT = 30.0
"""Seconds in which a contract must be gone."""


def roll_back(workspace: Workspace, *names: str) -> None:
    """Bring contracts, side by side, to where their rollback is in force."""
    repositories = {name: workspace.repository(name) for name in names}
    good = {}
    for name, repository in repositories.items():
        good[name] = repository.commit({"deploy/web.yaml": deployment("1", name)}, "Good")
        workspace.follow(name, repository)
    for name in names:
        workspace.wait_good(name, good[name])
    for name, repository in repositories.items():
        repository.commit({"deploy/web.yaml": deployment("never-ready", name)}, "Bad")
    for name in names:
        workspace.wait_state(name, "Active")


def pins(workspace: Workspace, contract: str) -> list[str]:
    """The pinned copies that were made for a contract."""
    label = "reconciliation.dev/contract"
    found = [thing["metadata"] for thing in workspace.all("source")]
    return [meta["name"] for meta in found if meta.get("labels", {}).get(label) == contract]


def test_a_rollback_ends_with_what_it_belongs_to(
    operator: OperatorProcess, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """A deleted contract leaves the Kustomization as it was; a deleted Kustomization leaves no pinned copy."""
    roll_back(workspace, "leaving", "orphaned")
    assert (len(pins(workspace, "leaving")), len(pins(workspace, "orphaned"))) == (1, 1)

    began = time.monotonic()
    workspace.delete("contract", "leaving")
    workspace.delete("kustomization", "orphaned")
    workspace.wait_gone("contract", "leaving", LIMIT)

    measured(f"a contract that was rolled back was gone {time.monotonic() - began:.2f} s after its deletion")
    left = workspace.get("kustomization", "leaving")
    assert left["spec"]["sourceRef"] == {"kind": "GitRepository", "name": "leaving"}
    assert "reconciliation.dev/rolled-back-from" not in left["metadata"].get("annotations", {})
    assert pins(workspace, "leaving") == []
    status = workspace.wait_state("orphaned", "")
    assert condition(status, "Ready")["reason"] == "KustomizationNotFound"
    assert pins(workspace, "orphaned") == []
    workspace.wait(
        "orphaned",
        lambda _: not workspace.get("contract", "orphaned")["metadata"].get("finalizers"),
        "the finalizer to go",
    )
    workspace.delete("contract", "orphaned")
    workspace.wait_gone("contract", "orphaned", LIMIT)


def test_a_kustomization_that_is_made_anew_or_cannot_go_holds_up_nothing(
    operator: OperatorProcess, workspace: Workspace
) -> None:
    """One comes back with our copy, as from a backup, and is given back; another waits for a finalizer for ever."""
    roll_back(workspace, "restored", "stuck")
    held = "example.com/hold"
    kept = workspace.get("kustomization", "restored")
    marks = kept["metadata"]["annotations"]
    again = manifest("kustomization", "restored", workspace.namespace, kept["spec"], annotations=marks)

    operator.stop()  # it would see that the Kustomization is gone, and end the rollback
    workspace.delete("kustomization", "restored")
    workspace.wait_gone("kustomization", "restored")
    workspace.api.create(workspace.path("kustomization"), again)
    operator.start()
    workspace.change("kustomization", "stuck", {"metadata": {"finalizers": [held]}})
    workspace.delete("kustomization", "stuck")
    workspace.delete("contract", "stuck")

    workspace.wait_gone("contract", "stuck", LIMIT)
    assert pins(workspace, "stuck") == []
    wait_until(lambda: not pins(workspace, "restored"), PATIENCE, "the pinned copy to go")
    left = workspace.get("kustomization", "restored")
    assert left["spec"]["sourceRef"]["name"] == "restored"
    assert "reconciliation.dev/rolled-back-from" not in left["metadata"].get("annotations", {})
    assert "reconciliation-contract" not in {claim["manager"] for claim in left["metadata"]["managedFields"]}
    workspace.change("kustomization", "stuck", {"metadata": {"finalizers": None}})


def test_a_namespace_goes_although_it_is_rolled_back(operator: OperatorProcess, workspace: Workspace) -> None:
    """Nothing of ours keeps a namespace from being deleted in the middle of a rollback."""
    roll_back(workspace, "shop")

    workspace.api.delete(f"/api/v1/namespaces/{workspace.namespace}")

    workspace.wait_gone("contract", "shop", LIMIT)
    workspace.wait_gone("source", "shop")
    assert workspace.all("source") == []
