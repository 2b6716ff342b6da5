"""Incidents whose end is easily mistaken: over when measured, hidden by a suspension, outlived by the next commit."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator

import pytest
import yaml

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.e2e.conftest import DEPLOY
from tests.support.flux_account import flux_build
from tests.support.flux_objects import Object, Workspace, config_map, deployment
from tests.support.operator_process import StartOperator
from tests.support.receiver import Receiver, receiving_elsewhere

pytestmark = pytest.mark.e2e

LIVE = DEPLOY / "components" / "live" / "role-live.yaml"
READ = (
    '[{"op": "add", "path": "/rules/-", "value": {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["get"]}}]'
)
LONGER_THAN_THE_HOLD = 75.0
"""Seconds; the operator looks for a minute before it believes that something is well."""


@pytest.fixture
def role(validation: None, cluster: Cluster) -> Iterator[None]:
    """The rights to look at objects."""
    cluster.kubectl_run("apply", "-f", str(LIVE))
    cluster.kubectl_run("patch", "clusterrole", "reconciliation-contract-live", "--type=json", "--patch", READ)
    yield
    cluster.kubectl_run("delete", "-f", str(LIVE))


def recreated(tag: str) -> str:
    """A Deployment that loses all pods with every update."""
    thing = yaml.safe_load(deployment(tag, replicas=3))
    thing["spec"]["strategy"] = {"type": "Recreate"}
    return str(yaml.safe_dump(thing))


def held() -> str:
    """A ConfigMap that does not go when it is deleted."""
    thing = yaml.safe_load(config_map("held"))
    thing["metadata"]["finalizers"] = ["example.com/hold"]
    return str(yaml.safe_dump(thing))


def incidents(bus: Receiver) -> list[Object]:
    """What a reader of CloudEvents heard that is not of deliveries."""
    return [event for event in bus.taken if ".service." not in event["type"]]


def told(bus: Receiver) -> dict[str, list[str]]:
    """The same by promise, in short."""
    heard = defaultdict(list)
    for event in incidents(bus):
        heard[event["data"]["customData"]["promise"]].append(event["type"].split(".")[3])
    return dict(heard)


def open_for(status: Object) -> dict[str, Object]:
    """The incidents of a status that people know of and that are not over, by key."""
    return {one["key"]: one for one in status.get("incidents") or [] if "closedAt" not in one and one.get("count")}


@pytest.mark.usefixtures("role")
def test_nothing_recovers_before_it_is_seen_to(
    cluster: Cluster, workspace: Workspace, start_operator: StartOperator, measured: Callable[[str], None]
) -> None:
    """A drop that is over, an object that hangs and an edit: one opening and one true recovery each.

    The next commit does not free the object, and a suspension does not take the edit back.
    """
    space, both = workspace, ["detected", "resolved"]
    with receiving_elsewhere(200) as bus:
        start_operator(flux_build(cluster), f"--cloudevents={bus.url}")
        repository = space.repository("shop")
        first = {"web": recreated("1.0.0"), "a": config_map("a", color="blue"), "held": held()}
        good = repository.commit({f"deploy/{name}.yaml": text for name, text in first.items()}, "First")
        space.source("shop", repository.url)
        space.kustomization("shop")
        space.contract("shop", promises={"deletion": {"within": "5s"}, "drift": {"interval": "10s"}})
        space.wait_good("shop", good)

        repository.commit({"deploy/web.yaml": recreated("1.1.0"), "deploy/held.yaml": None}, "Second")
        space.wait("shop", lambda status: "Deletion" in open_for(status), "the object to hang")
        third = repository.commit({"deploy/b.yaml": config_map("b")}, "Third")
        space.wait_good("shop", third)
        patch = ("--type=merge", "-p", '{"data":{"color":"green"}}')
        cluster.kubectl_run("-n", space.namespace, "patch", "configmap", "a", *patch)
        space.wait("shop", lambda status: "Drift" in open_for(status), "the edit to be told")
        space.change("kustomization", "shop", {"spec": {"suspend": True}})
        suspended = time.monotonic()
        space.wait("shop", lambda status: "unclearSince" in open_for(status)["Drift"], "the edit to be hidden")
        wait_until(lambda: time.monotonic() - suspended > LONGER_THAN_THE_HOLD, 100, "the hold to be over")

        hidden = told(bus)
        space.change("configmap", "held", {"metadata": {"finalizers": None}})
        space.change("kustomization", "shop", {"spec": {"suspend": False}})
        every = {"Availability": both, "Deletion": both, "Drift": both}
        wait_until(lambda: sum(map(len, told(bus).values())) >= sum(map(len, every.values())), 150, "the recoveries")

        assert hidden == {"Availability": both, "Deletion": ["detected"], "Drift": ["detected"]}
        assert told(bus) == every
        for event in incidents(bus):
            measured(f"told: {event['data']['subject']['content']['description']}")


FINER_THAN_THE_API_SERVER_READS = "8760h0.0000000001s"
"""Over the longest duration by less than the nanosecond in which the CRD's rule counts."""


def test_a_contract_that_makes_no_sense_is_told_once(workspace: Workspace, start_operator: StartOperator) -> None:
    """One opening with what to mend, and one recovery, though the operator is killed in between."""
    space = workspace
    with receiving_elsewhere(200) as bus:
        operator = start_operator(f"--cloudevents={bus.url}")
        repository = space.repository("shop")
        good = repository.commit({"deploy/a.yaml": config_map("a")}, "First")
        space.follow("shop", repository)
        space.wait_good("shop", good)

        within = {"reconciliation": {"within": FINER_THAN_THE_API_SERVER_READS}}
        space.change("contract", "shop", {"spec": {"promises": within}})
        stalled = space.wait_reason("shop", "InvalidSpec", "Stalled")
        wait_until(lambda: incidents(bus), 60, "the opening")
        operator.kill()
        operator.start()
        space.change("contract", "shop", {"spec": {"promises": None}})
        space.wait("shop", lambda status: "Spec" not in open_for(status), "the end", LONGER_THAN_THE_HOLD + 60)
        wait_until(lambda: len(incidents(bus)) > 1, 60, "the recovery")

        assert told(bus) == {"Spec": ["detected", "resolved"]}
        assert stalled["message"] in incidents(bus)[0]["data"]["subject"]["content"]["description"]
        assert "write a duration from" in stalled["message"]
        space.wait_reason("shop", "PromisesKept")


def test_reminders_count_on_in_one_event(workspace: Workspace, start_operator: StartOperator) -> None:
    """`kubectl get events` shows one line for an incident, however long it lasts."""
    space = workspace
    start_operator()
    space.source("shop", space.repository("shop").url)
    space.kustomization("shop")
    within = {"reconciliation": {"within": FINER_THAN_THE_API_SERVER_READS}}
    space.contract("shop", promises=within, alerts={"remindEvery": "5s"})

    def told() -> list[Object]:
        return [event for event in space.all("events") if event["reason"] == "IncidentOpened"]

    wait_until(lambda: any(event.get("series", {}).get("count", 0) >= 3 for event in told()), 90, "three reminders")

    (event,) = told()
    assert (event["regarding"]["kind"], event["regarding"]["name"]) == ("ReconciliationContract", "shop")
    assert event["series"]["lastObservedTime"] > event["eventTime"]
    assert "write a duration from" in event["note"]
