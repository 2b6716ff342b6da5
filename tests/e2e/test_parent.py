"""A Kustomization that comes from Git itself, by a parent Kustomization that would put every change right."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import yaml

from playground.repository import Repository
from playground.waiting import wait_until
from tests.support.flux_objects import (
    PATIENCE,
    QUICK,
    Object,
    Workspace,
    condition,
    deployment,
    manifest,
    requested,
)
from tests.support.flux_objects_watch import Recorder
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

HOLD = "kustomize.toolkit.fluxcd.io/ssa"
MARK = "reconciliation.dev/rolled-back-from"
RECONCILES = 3
"""How often a parent looks at its child during the rollback."""


@dataclass(frozen=True)
class Family:
    """A parent with its repository, and the child of the same name with its own."""

    name: str
    workspace: Workspace
    fleet: Repository
    shop: Repository

    @property
    def parent(self) -> str:
        """The name of the parent's source and Kustomization."""
        return f"{self.name}-fleet"

    def declare(self, **spec: object) -> str:
        """Commit the child's source, Kustomization (with `spec`) and contract, for the parent to apply."""
        space = self.workspace
        source = {"interval": "2s", "url": self.shop.url, "ref": {"branch": "main"}}
        contract = {"kustomizationRef": {"name": self.name}, "rollback": QUICK}
        objects = [
            manifest("source", self.name, space.namespace, source),
            manifest("kustomization", self.name, space.namespace, space.kustomization_spec(self.name, **spec)),
            manifest("contract", self.name, space.namespace, contract),
        ]
        return self.fleet.commit({"deploy/child.yaml": yaml.safe_dump_all(objects)}, "Declare the child")

    def release(self, tag: str) -> str:
        """Commit a Deployment of the child."""
        return self.shop.commit({"deploy/web.yaml": deployment(tag, self.name)}, f"Release {tag}")

    def found(self, workspace: Workspace, wait: bool) -> None:
        """Let the parent begin."""
        workspace.source(self.parent, self.fleet.url)
        workspace.kustomization(self.parent, interval="1h", wait=wait)

    def look_again(self) -> None:
        """Have the parent apply the child once more."""
        mark = self.workspace.request("kustomization", self.parent)
        wait_until(
            lambda: requested(self.workspace.get("kustomization", self.parent)) == mark, PATIENCE, "the parent's turn"
        )


def owners(child: Object) -> set[str]:
    """The field managers that own the name of a Kustomization's source."""
    claims = child["metadata"]["managedFields"]
    return {claim["manager"] for claim in claims if "f:name" in _at(claim, "spec", "sourceRef")}


def _at(claim: Object, *path: str) -> Object:
    fields = claim.get("fieldsV1", {})
    for step in path:
        fields = fields.get(f"f:{step}", {})
    return dict(fields)


def family(workspace: Workspace, name: str) -> Family:
    """A family that is not in the cluster yet."""
    return Family(name, workspace, workspace.repository(f"{name}-fleet"), workspace.repository(name))


def test_a_rollback_holds_against_a_parent(operator: OperatorProcess, workspace: Workspace) -> None:
    """While it is rolled back the parent leaves the child alone; afterwards the child belongs to the parent again.

    One parent waits for its child's health, which takes Flux 30 s a turn while the child's contract is not Ready.
    """
    easy, waiting = families = [family(workspace, "easy"), family(workspace, "waiting")]
    good = {one.name: one.release("1") for one in families}
    for one in families:
        one.declare()
        one.found(workspace, wait=one is waiting)
    for one in families:
        workspace.wait_good(one.name, good[one.name])
    before = {one.name: workspace.get("kustomization", one.name) for one in families}

    with Recorder(workspace, "kustomization") as seen:
        for one in families:
            one.release("never-ready")
        pins = {one.name: workspace.wait_state(one.name, "Active")["rollback"]["pinRef"]["name"] for one in families}
        waiting.workspace.request("kustomization", waiting.parent)
        for _ in range(RECONCILES):
            easy.look_again()
            # A new commit of the parent's too, which does not touch the child.
            easy.fleet.commit({"README.md": "unchanged\n"}, "Nothing for the child")
        waiting.look_again()

    for one in families:
        child = workspace.get("kustomization", one.name)
        assert child["spec"]["sourceRef"]["name"] == pins[one.name]
        assert child["metadata"]["annotations"][HOLD] == "Ignore"
        names = seen.values(one.name, lambda thing: thing["spec"]["sourceRef"]["name"])
        assert names == [one.name, pins[one.name]], "the parent took the child back"
        assert condition(workspace.contract_status(one.name), "RolledBack")["status"] == "True"

    fixes = {one.name: one.release("2") for one in families}
    for one in families:
        workspace.wait_good(one.name, fixes[one.name])
    for one in families:
        after = workspace.get("kustomization", one.name)
        assert after["spec"] == before[one.name]["spec"]
        assert after["metadata"].get("annotations", {}) == before[one.name]["metadata"].get("annotations", {})
        assert "reconciliation-contract" not in owners(after), "our claim outlives the rollback"
        one.declare(interval="7m")
        workspace.request("source", one.parent)
    for one in families:
        wait_until(
            lambda name=one.name: workspace.get("kustomization", name)["spec"]["interval"] == "7m",
            PATIENCE,
            f"an edit of {one.name} in Git to arrive",
        )
        workspace.reconcile("kustomization", one.parent)
        assert condition(workspace.get("kustomization", one.parent), "Ready")["status"] == "True"
        assert owners(workspace.get("kustomization", one.name)) == {"kustomize-controller"}
