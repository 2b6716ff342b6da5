"""What befalls a whole cluster: Flux's controllers stand still or die, our definition goes, our rights go.

One operator lives through all of it. What concerns one contract only is in `test_rollback_faults`.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from playground.api_client import ApiError
from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_objects import PATIENCE, Object, Workspace, condition, config_map, deployment
from tests.support.flux_objects_watch import Recorder, Sighting
from tests.support.operator_process import OperatorProcess, fetch, operator_process

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CONTROLLERS = ("source-controller", "kustomize-controller")
STATES = ("Intended", "Switching", "Active", "Releasing")
"""States of a rollback in which Flux has something to do, or to miss."""
STILL = 3.0
"""Seconds for which controllers stand still."""
LONGEST = 180.0
"""Seconds for what several contracts do side by side on a busy machine."""
BINDING = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/reconciliation-contract-observe"
DEFINITION = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/reconciliationcontracts.reconciliation.dev"
HOSTILE = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2066-\u2069\ufeff]")
"""Control, bidirectional and invisible characters, but for the line feed."""


@pytest.fixture(scope="module")
def lone(
    cluster: Cluster, shared: OperatorProcess, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[OperatorProcess]:
    """The one operator at work; contracts that fail side by side are no outage to it."""
    shared.stop()
    log = tmp_path_factory.mktemp("faults") / "operator.log"
    with operator_process(cluster, log, "--fleet-brake=0") as process:
        process.start()
        yield process
        process.check()
        assert "Traceback" not in log.read_text()


def bad(name: str) -> dict[str, str]:
    """Manifests that the API server refuses at once, as their selector does not match."""
    found = yaml.safe_load(deployment("2", name))
    found["spec"]["selector"] = {"matchLabels": {"app": "another"}}
    return {"deploy/bad.yaml": yaml.safe_dump(found)}


def begin(space: Workspace, *names: str) -> None:
    """Bring contracts side by side to their first good revision."""
    good = {}
    for name in names:
        repository = space.repository(name)
        good[name] = repository.commit({"deploy/map.yaml": config_map(name)}, "Good")
        space.follow(name, repository)
    for name in names:
        space.wait_good(name, good[name])


def mend(space: Workspace, name: str) -> str:
    """Push a fix."""
    files = {"deploy/bad.yaml": None, "deploy/map.yaml": config_map(name, fixed="1")}
    return space.repository(name).commit(files, "Fix")


def source_of(thing: Object) -> str:
    """The name of the source that a Kustomization takes its manifests from."""
    return str(thing["spec"]["sourceRef"]["name"])


# Controllers ------------------------------------------------------------------------------------------------------


class Disturbance:
    """Stops, or kills, both controllers when a contract's rollback comes to the state that its name says."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._due = 0.0
        self.met: set[str] = set()

    def look(self, seen: Sighting) -> None:
        """Strike at once, in the thread that watches."""
        state = str(seen.status.get("rollback", {}).get("state", ""))
        number = signal.SIGKILL if seen.name.startswith("killed") else signal.SIGSTOP
        if not state or seen.name in self.met or not seen.name.endswith(state.lower()):
            return
        self._due = time.monotonic() + STILL
        self.met.add(seen.name)
        for controller in CONTROLLERS:
            if pid := self._cluster.pid(controller):
                os.killpg(pid, number)

    def put_right(self) -> None:
        """Let run on what stands still for long enough, and start what is dead."""
        if time.monotonic() < self._due:
            return
        for controller in CONTROLLERS:
            self._cluster.resume(controller)
            if self._cluster.pid(controller) is None:
                self._cluster.restart(controller, grace=0)


def test_controllers_that_stand_still_or_die_in_any_state_cost_time_only(
    cluster: Cluster, lone: OperatorProcess, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """Both controllers are stopped, and killed, in each state of a rollback: it is done once and taken back whole."""
    names = [f"{how}-{state.lower()}" for how in ("stopped", "killed") for state in STATES]
    begin(workspace, *names)
    disturbance, began = Disturbance(cluster), time.monotonic()

    def all_are(state: str) -> bool:
        disturbance.put_right()
        found = {thing["metadata"]["name"]: thing.get("status", {}).get("rollback", {}) for thing in all_contracts()}
        return all(found[name].get("state", "") == state and found[name].get("badRevisions") for name in names)

    def all_contracts() -> list[Object]:
        return workspace.all("contract")

    with (
        Recorder(workspace, "contract", disturbance.look),
        Recorder(workspace, "kustomization") as kustomizations,
        Recorder(workspace, "source") as sources,
    ):
        for name in names:
            workspace.repository(name).commit(bad(name), "Bad")
        wait_until(lambda: all_are("Active"), LONGEST, "every rollback to be in force")
        for name in names:
            mend(workspace, name)
        wait_until(lambda: all_are(""), LONGEST, "every rollback to be over")
        disturbance.put_right()
        wait_until(lambda: len(workspace.all("source")) == len(names), LONGEST, "the pinned copies to be gone")
        for name in names:
            workspace.wait_good(name, workspace.repository(name).head())

    assert disturbance.met == set(names)
    for name in names:
        switched = kustomizations.values(name, source_of)
        assert len(switched) == 3, f"{name}: {switched}"
        assert (switched[0], switched[2]) == (name, name)
        assert [seen.kind for seen in sources.sightings(switched[1])].count("ADDED") == 1
    measured(
        f"Flux stopped or killed in {len(names)} states of rollbacks: {len(names)} done once and taken back whole "
        f"in {time.monotonic() - began:.0f} s"
    )


# Messages ---------------------------------------------------------------------------------------------------------


def test_a_hostile_message_is_told_bounded_and_in_plain_characters(
    cluster: Cluster, lone: OperatorProcess, workspace: Workspace
) -> None:
    """30 kB of control and bidirectional characters from Flux: none leaves by status, Events, metrics, log or terminal."""
    begin(workspace, "shop", "till")
    message = "\u202eno\x1b[31m\x1b]8;;http://evil.example\x07 \u2066\x00way\r" * 1000
    message = message[:30_000].replace("\x00", "\x01")  # the API server takes no NUL
    cluster.pause("kustomize-controller")
    try:
        found = workspace.get("kustomization", "shop")
        known = [each for each in found["status"]["conditions"] if each["type"] != "Ready"]
        ready = {**condition(found, "Ready"), "status": "False", "reason": "HealthCheckFailed", "message": message}
        revision = found["status"]["lastAppliedRevision"][:-4] + "beef"
        status = {"conditions": [*known, ready], "lastAttemptedRevision": revision}
        path = workspace.path("kustomization", "shop")
        workspace.api.merge(f"{path}/status", {"status": status})
        told = workspace.wait(
            "shop", lambda s: "HealthCheckFailed" in condition(s, "Healthy").get("message", ""), "it to be told"
        )
        page = people(cluster, "get", "shop", "-n", workspace.namespace)
        seen = (
            *(condition(told, name).get("message", "") for name in ("Ready", "Healthy", "RolledBack")),
            *(event.get("note") or "" for event in workspace.all("events")),
            fetch(f"{lone.metrics}/metrics")[1],
            lone.log.read_text(),
            page,
        )
    finally:
        cluster.resume("kustomize-controller")

    assert [HOSTILE.findall(text) for text in seen if HOSTILE.search(text)] == []
    assert len(condition(told, "Healthy")["message"]) <= 1024
    assert condition(workspace.contract_status("till"), "Ready")["status"] == "True"


def people(cluster: Cluster, *words: str) -> str:
    """What the command line for people prints on a terminal that is none."""
    environment = {**os.environ, "KUBECONFIG": str(cluster.kubeconfig)}
    program = [sys.executable, "-m", "reconciliation_contract.cli.people", *words]
    done = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.stdout + done.stderr


# Rights -----------------------------------------------------------------------------------------------------------


def test_rights_that_are_taken_away_for_a_while_are_outlived(
    cluster: Cluster, lone: OperatorProcess, workspace: Workspace
) -> None:
    """Without any right to read or to tell nothing breaks, and what happened meanwhile is told after a restart of none."""
    begin(workspace, "shop")
    binding, pid = cluster.api.get(BINDING), lone.pid
    cluster.api.delete(BINDING)
    try:
        missed = workspace.repository("shop").commit({"deploy/map.yaml": config_map("shop", a="2")}, "Second")
        wait_until(lambda: "is forbidden" in lone.log.read_text(), PATIENCE, "the lack of rights to be met")
        wait_until(
            lambda: missed in workspace.get("kustomization", "shop")["status"]["lastAppliedRevision"],
            PATIENCE,
            "Flux to go on",
        )
        during = missed in workspace.contract_status("shop")["delivery"]["revision"]
    finally:
        restored = {key: value for key, value in binding["metadata"].items() if key in ("name", "labels")}
        cluster.api.create(BINDING.rpartition("/")[0], {**binding, "metadata": restored})

    workspace.wait_good("shop", missed)
    assert not during
    assert lone.pid == pid
    assert fetch(f"{lone.health}/healthz")[0] == 200


# The definition ---------------------------------------------------------------------------------------------------


def test_a_definition_that_goes_and_comes_again_takes_nothing_along(
    cluster: Cluster, lone: OperatorProcess, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """A rollback is given back before its contract goes; made anew, contracts are followed without a restart."""
    begin(workspace, "shop", "till")
    workspace.repository("shop").commit(bad("shop"), "Bad")
    workspace.wait_state("shop", "Active")
    pid = lone.pid

    cluster.api.delete(DEFINITION)
    try:
        wait_until(lambda: cluster.api.find(DEFINITION) is None, PATIENCE, "the definition to be gone")
        given_back = source_of(workspace.get("kustomization", "shop"))
        left = [thing["metadata"]["name"] for thing in workspace.all("source")]
    finally:
        cluster.kubectl_run("apply", "--server-side", "-f", str(ROOT / "crds" / "reconciliationcontracts.yaml"))
        cluster.kubectl_run("wait", "--for=condition=Established", "crd/reconciliationcontracts.reconciliation.dev")
    began = time.monotonic()
    fix = mend(workspace, "shop")
    for name in ("shop", "till"):
        wait_until(lambda name=name: made(workspace, name), PATIENCE, "the contract to be taken again")
    workspace.wait_good("shop", fix)
    workspace.wait_good("till", workspace.repository("till").head())

    measured(
        f"contracts made anew after their definition came again were followed in {time.monotonic() - began:.0f} s"
    )
    assert given_back == "shop"
    assert sorted(left) == ["shop", "till"]
    assert lone.pid == pid
    assert fetch(f"{lone.health}/readyz")[0] == 200


def made(workspace: Workspace, name: str) -> bool:
    """Make a contract, if the API server knows them again."""
    try:
        workspace.contract(name)
    except (ApiError, OSError):
        return False
    return True
