"""What people get wrong, or have not got yet: each says what to mend, and mends by itself."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from tests.support.flux_objects import Workspace, condition, config_map, deployment, promise, verdict
from tests.support.flux_objects_watch import Recorder
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).parents[2] / "deploy"
USER, PASSWORD = "reader", "not-a-secret"
SECRET = "git-credentials"
"""The name that the opt-in in `deploy/` grants."""


def settings(workspace: Workspace, name: str, value: str = "1") -> str:
    """Commit a ConfigMap."""
    return workspace.repository(name).commit(
        {"deploy/settings.yaml": config_map(name, value=value)}, f"Value {value}"
    )


def begin_private(workspace: Workspace) -> None:
    """Follow a repository that asks for a user and a password; only Flux knows them."""
    repository = workspace.repository("private", user=USER, password=PASSWORD)
    data = {
        key: base64.b64encode(text.encode()).decode() for key, text in (("username", USER), ("password", PASSWORD))
    }
    workspace.api.create(workspace.path("secret"), {"metadata": {"name": SECRET}, "data": data})
    settings(workspace, "private")
    workspace.source("private", repository.url, secretRef={"name": SECRET})
    workspace.kustomization("private")
    workspace.contract("private")


def grant_secret(workspace: Workspace, folder: Path) -> None:
    """Use the opt-in of `deploy/` that lets the operator read the credentials."""
    # kustomize wants the resources below or beside its own folder; it refuses absolute paths.
    up = "/".join(".." for _ in folder.resolve().parts[1:])
    component = f"{up}{DEPLOY}/components/git-secrets"
    (folder / "kustomization.yaml").write_text(
        "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n"
        f"namespace: {workspace.namespace}\ncomponents: [{component}]\n"
    )
    workspace.cluster.kubectl_run("apply", "-k", str(folder))


def reason(workspace: Workspace, name: str, kind: str = "Ready") -> tuple[str, str]:
    """Status and reason of a condition."""
    found = condition(workspace.contract_status(name), kind)
    return str(found.get("status")), str(found.get("reason"))


def test_what_is_missing_or_wrong_is_said_and_picked_up(
    operator: OperatorProcess, workspace: Workspace, tmp_path: Path
) -> None:
    """Each mistake has its reason and its mend in the message, ends when it is mended, and touches no other."""
    rest = settings(workspace, "bystander")
    workspace.follow("bystander", workspace.repository("bystander"))
    settings(workspace, "paused")
    workspace.follow("paused", workspace.repository("paused"))
    workspace.wait_good("bystander", rest)
    workspace.wait("bystander", lambda s: "seen" in s["delivery"]["stages"], "our own look at Git")
    workspace.wait("paused", lambda s: verdict(s, "Reconciliation") == "Kept", "the first delivery")

    with Recorder(workspace, "contract") as contracts:
        # Wrong from the beginning.
        workspace.contract("early")
        workspace.contract("sourceless")
        workspace.kustomization("sourceless", source="nowhere")
        workspace.contract("other")
        workspace.kustomization("other", sourceRef={"kind": "ExternalArtifact", "name": "charts"})
        begin_private(workspace)
        workspace.change("kustomization", "paused", {"spec": {"suspend": True}})
        waiting = settings(workspace, "paused", "2")

        assert "create it" in workspace.wait_reason("early", "KustomizationNotFound")["message"]
        assert "nowhere" in workspace.wait_reason("sourceless", "SourceNotFound")["message"]
        assert "ExternalArtifact" in workspace.wait_reason("other", "SourceNotSupported")["message"]
        status = workspace.wait("private", lambda s: verdict(s, "Reconciliation") == "Kept", "the private delivery")
        assert "committed" not in status["delivery"]["stages"]
        assert (promise(status, "Detection")["verdict"], promise(status, "Detection")["reason"]) == (
            "Unknown",
            "Unmeasured",
        )
        assert "secrets" in promise(status, "Detection")["message"]
        assert "from the artifact on" in promise(status, "Reconciliation")["message"]
        assert reason(workspace, "private") == ("True", "PartlyMeasured")
        assert PASSWORD not in str(workspace.all("contract")) + str(workspace.all("events"))
        status = workspace.wait(
            "paused",
            lambda s: waiting in s["delivery"]["revision"] and verdict(s, "Reconciliation") == "Unknown",
            "the paused delivery to be unjudged",
        )
        assert promise(status, "Reconciliation")["reason"] == "Suspended"
        assert reason(workspace, "paused", "Healthy") == ("Unknown", "Suspended")

        # Mended.
        early = settings(workspace, "early")
        workspace.source("early", workspace.repository("early").url)
        workspace.kustomization("early")
        workspace.source("nowhere", workspace.repository("early").url)
        workspace.kustomization("other", source="early")
        workspace.change("kustomization", "paused", {"spec": {"suspend": False}})
        grant_secret(workspace, tmp_path)
        readable = settings(workspace, "private", "2")

        for name in ("early", "sourceless", "other"):
            workspace.wait_good(name, early)
        workspace.wait_good("paused", waiting)
        status = workspace.wait_good("private", readable)
        assert (verdict(status, "Detection"), verdict(status, "Reconciliation")) == ("Kept", "Kept")
        assert status["delivery"]["stages"]["committed"]["source"] == "Git"
        assert reason(workspace, "paused", "Healthy") == ("True", "Healthy")

    assert [seen.kind for seen in contracts.sightings("bystander")] == ["ADDED"]
    assert reason(workspace, "bystander") == ("True", "PromisesKept")
    assert PASSWORD not in operator.log.read_text()


def test_a_repository_that_is_not_there_is_told_and_picked_up(
    operator: OperatorProcess, workspace: Workspace
) -> None:
    """Neither Flux nor the operator can read it; both do as soon as the address is right."""
    there = settings(workspace, "astray")
    address = workspace.repository("astray").url
    workspace.source("astray", address.replace("astray", "not-there"))
    workspace.kustomization("astray")
    workspace.contract("astray")

    assert workspace.wait_reason("astray", "SourceNotReady")["message"]
    blamed = workspace.wait_reason("astray", "DependencyFails", "DependenciesReady")["message"]
    assert "repository not found" in blamed

    workspace.change("source", "astray", {"spec": {"url": address}})
    workspace.wait_good("astray", there)
    assert reason(workspace, "astray", "DependenciesReady")[0] != "False"


def test_a_first_commit_that_fails_has_no_way_back(operator: OperatorProcess, workspace: Workspace) -> None:
    """Without a good revision nothing is rolled back, and the contract says so."""
    repository = workspace.repository("shop")
    repository.commit({"deploy/web.yaml": deployment("never-ready")}, "Bad from the beginning")
    workspace.follow("shop", repository)

    told = workspace.wait_reason("shop", "NoGoodRevision", "RolledBack")

    assert told["status"] == "False"
    assert "push a fix" in told["message"]
    assert workspace.get("kustomization", "shop")["spec"]["sourceRef"]["name"] == "shop"
    fix = repository.commit({"deploy/web.yaml": deployment("1")}, "Fix")
    workspace.wait_good("shop", fix)


def test_an_outage_rolls_nothing_back(operator: OperatorProcess, workspace: Workspace) -> None:
    """Repositories that all fail at once are not the fault of their commits: every contract waits and says so."""
    names = ("one", "two", "three")
    for name in names:
        settings(workspace, name)
        workspace.follow(name, workspace.repository(name))
    for name in names:
        workspace.wait_good(name, workspace.repository(name).head())

    with Recorder(workspace, "kustomization") as kustomizations:
        for name in names:
            workspace.repository(name).commit({"deploy/web.yaml": deployment("never-ready", name)}, "Bad")
        for name in names:
            workspace.wait_reason(name, "FleetBrake", "RolledBack")

    for name in names:
        assert kustomizations.values(name, lambda thing: thing["spec"]["sourceRef"]["name"]) == [name]
        assert "state" not in workspace.contract_status(name).get("rollback", {})
