"""The demo's story: a commit is followed until it is healthy, a bad one is rolled back, a fix is let through."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from playground.waiting import wait_until
from reconciliation_contract.core.memory.timeline import STAGES
from tests.support.flux_objects import (
    PATIENCE,
    Object,
    Workspace,
    assert_same_second,
    condition,
    config_map,
    deployment,
    moment,
    verdict,
)
from tests.support.flux_objects_watch import Recorder
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

LABEL = "reconciliation.dev/contract"
GENEROUS = 5.0
"""Seconds for what is to take 2; the machine may be busy."""


def image(workspace: Workspace) -> str:
    """The image that the Deployment `web` asks for."""
    containers = workspace.get("deployment", "web")["spec"]["template"]["spec"]["containers"]
    return str(containers[0]["image"])


def failed_attempt(thing: Object) -> bool:
    """Tell whether a version of a Kustomization says that an attempt failed."""
    return condition(thing, "Ready").get("status") == "False"


def test_a_commit_is_followed_until_it_is_healthy(operator: OperatorProcess, workspace: Workspace) -> None:
    """What is added, changed and deleted in Git arrives, and every stage has the time that Flux and Git say."""
    repository = workspace.repository("shop")
    first = repository.commit({"deploy/web.yaml": deployment("1")}, "First release")
    workspace.follow("shop", repository)
    workspace.wait_good("shop", first)
    assert condition(workspace.contract_status("shop"), "Ready")["status"] == "True"

    added_at = datetime.now(UTC).replace(microsecond=0)
    with Recorder(workspace, "kustomization") as kustomizations:
        added = repository.commit({"deploy/settings.yaml": config_map(color="blue")}, "Add settings", when=added_at)
        status = workspace.wait_good("shop", added)
    begun = kustomizations.first("shop", lambda thing: added in thing["status"].get("lastAttemptedRevision", ""))
    made = workspace.get("configmap", "settings")["metadata"]["creationTimestamp"]

    source, kustomization = workspace.get("source", "shop"), workspace.get("kustomization", "shop")
    stages = status["delivery"]["stages"]
    assert workspace.get("configmap", "settings")["data"] == {"color": "blue"}
    assert status["delivery"]["subject"] == "Add settings"
    assert (stages["committed"]["source"], moment(stages["committed"]["at"])) == ("Git", added_at)
    assert_same_second(stages["detected"]["at"], source["status"]["artifact"]["lastUpdateTime"])
    assert_same_second(stages["attempted"]["at"], condition(begun.thing, "Ready")["lastTransitionTime"])
    assert_same_second(stages["applied"]["at"], made)
    assert_same_second(stages["healthy"]["at"], condition(kustomization, "Ready")["lastTransitionTime"])
    assert_same_second(stages["healthy"]["at"], kustomization["status"]["history"][0]["lastReconciled"])
    times = [moment(stages[name]["at"]) for name in STAGES if name not in ("seen", "validated")]
    assert times == sorted(times)
    assert {stages[name]["source"] for name in ("attempted", "built", "applied", "healthy")} == {"Watch"}
    assert (verdict(status, "Detection"), verdict(status, "Reconciliation")) == ("Kept", "Kept")

    updated = repository.commit(
        {"deploy/web.yaml": deployment("2"), "deploy/settings.yaml": config_map(color="red")}, "Update"
    )
    workspace.wait_good("shop", updated)

    assert workspace.get("configmap", "settings")["data"] == {"color": "red"}
    assert image(workspace) == "web:2"

    deleted = repository.commit({"deploy/settings.yaml": None}, "Remove settings")
    status = workspace.wait_good("shop", deleted)

    assert workspace.find("configmap", "settings") is None
    assert [past["result"] for past in status["history"]] == ["Healthy", "Healthy", "Healthy"]
    assert operator.sample("flux_contract_ready", exported_namespace=workspace.namespace, name="shop") == 1


def test_a_bad_commit_is_rolled_back_and_a_fix_let_through(
    operator: OperatorProcess, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """The last good revision runs again seconds after the last failed attempt, and a fix ends the rollback."""
    repository = workspace.repository("shop")
    good = repository.commit({"deploy/web.yaml": deployment("1")}, "Good")
    workspace.follow("shop", repository)
    workspace.change("kustomization", "shop", {"metadata": {"annotations": {"example.org/team": "shop"}}})
    workspace.wait_good("shop", good)
    before = workspace.get("kustomization", "shop")

    with Recorder(workspace, "contract") as contracts, Recorder(workspace, "kustomization") as kustomizations:
        bad = repository.commit(
            {"deploy/web.yaml": deployment("never-ready"), "deploy/extra.yaml": config_map("extra", a="1")}, "Bad"
        )
        status = workspace.wait_state("shop", "Active")

    failed = [seen for seen in kustomizations.sightings("shop") if failed_attempt(seen.thing)]
    decided = contracts.first("shop", lambda thing: "state" in thing["status"].get("rollback", {}))
    switched = kustomizations.first("shop", lambda thing: thing["spec"]["sourceRef"]["name"] != "shop")
    returned = kustomizations.sightings("shop")[-1]
    last = max(seen.at for seen in failed if seen.at <= decided.at)
    to_start, to_switch, to_end = ((at - last).total_seconds() for at in (decided.at, switched.at, returned.at))
    measured(
        f"after the last failed attempt: decided {to_start:.2f} s, switched {to_switch:.2f} s, back {to_end:.2f} s"
    )
    assert to_start <= GENEROUS
    undo = status["rollback"]
    assert (undo["from"], undo["to"], undo["reason"]) == (
        f"main@sha1:{bad}",
        f"main@sha1:{good}",
        "HealthCheckFailed",
    )
    assert undo["badRevisions"] == [f"sha1:{bad}"]
    assert (verdict(status, "Reconciliation"), verdict(status, "Rollback")) == ("Broken", "Kept")
    assert condition(status, "Ready")["status"] == "False"
    assert condition(status, "RolledBack")["status"] == "True"
    pin = workspace.get("source", undo["pinRef"]["name"])
    assert pin["metadata"]["labels"][LABEL] == "shop"
    assert pin["spec"]["ref"] == {"branch": "main", "commit": good}
    assert workspace.get("kustomization", "shop")["spec"]["sourceRef"]["name"] == undo["pinRef"]["name"]
    assert image(workspace) == "web:1"
    assert workspace.find("configmap", "extra") is None
    assert operator.sample("flux_contract_rolled_back", exported_namespace=workspace.namespace, name="shop") == 1
    assert (operator.sample("flux_contract_rollbacks_total", result="completed") or 0) >= 1

    fix = repository.commit({"deploy/web.yaml": deployment("2")}, "Fix")
    status = workspace.wait_good("shop", fix)

    workspace.wait_gone("source", undo["pinRef"]["name"])
    after = workspace.get("kustomization", "shop")
    assert after["spec"] == before["spec"]
    assert after["metadata"]["annotations"] == before["metadata"]["annotations"]
    assert image(workspace) == "web:2"
    assert workspace.get("configmap", "extra")["data"] == {"a": "1"}
    assert condition(status, "Ready")["status"] == "True"
    assert "state" not in status["rollback"]
    assert status["rollback"]["badRevisions"] == [f"sha1:{bad}"]
    assert [past["result"] for past in status["history"]] == ["RolledBack", "Healthy"]
    wait_until(
        lambda: not workspace.get("contract", "shop")["metadata"].get("finalizers"), PATIENCE, "the finalizer to go"
    )
    assert verdict(status, "Reconciliation") == "Kept"
