"""Incidents with the real notification-controller: what a reader behind a Provider gets, and what a Git host is told."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.cluster import Cluster
from playground.waiting import wait_until
from reconciliation_contract.api.status.apart import join
from tests.support.alertmanager import alertmanager
from tests.support.flux_objects import Workspace, deployment
from tests.support.operator_process import StartOperator
from tests.support.receiver import TOKEN, Post, Receiver, receiving_elsewhere

pytestmark = pytest.mark.e2e

NOTIFICATION = "notification.toolkit.fluxcd.io/v1beta3"
EXAMPLES = Path(__file__).parents[2] / "examples"
KINDS = ("incident", "service")
"""What CDEvents are about here."""
RECOVERY = 180.0
"""Seconds in which a fix is delivered and has stayed well for the minute after which it is told."""


@dataclass(frozen=True)
class Readers:
    """Whoever is told, each with a server of its own."""

    alert: Receiver
    """A generic webhook behind Flux's Alert."""
    git_host: Receiver
    """In the place of a Git host's API."""
    bus: Receiver
    """Takes CloudEvents."""
    pager: Receiver
    """A webhook behind Alertmanager."""
    alertmanager: str
    """URL of Alertmanager."""


@pytest.fixture
def readers(tmp_path: Path) -> Iterator[Readers]:
    """All of them, ready."""
    with ExitStack() as stack:
        alert, git_host, bus, pager = (stack.enter_context(receiving_elsewhere(200)) for _ in range(4))
        url = stack.enter_context(alertmanager(tmp_path, pager.url))
        yield Readers(alert, git_host, bus, pager, url)


def apply(cluster: Cluster, space: Workspace, thing: dict[str, Any]) -> None:
    """Write an object into the namespace."""
    cluster.kubectl_run("apply", "-n", space.namespace, "-f", "-", input=json.dumps(thing))


def notify(cluster: Cluster, space: Workspace, name: str, provider: dict[str, Any], **alert: Any) -> None:
    """Make a Provider and an Alert for all Kustomizations of the namespace."""
    sources = [{"kind": "Kustomization", "name": "*"}]
    spec = {"providerRef": {"name": name}, "eventSeverity": "info", "eventSources": sources, **alert}
    for kind, body in (("Provider", provider), ("Alert", spec)):
        apply(cluster, space, {"apiVersion": NOTIFICATION, "kind": kind, "metadata": {"name": name}, "spec": body})


def statuses_of(git_host: Receiver) -> list[Post]:
    """What set a commit status."""
    return [post for post in git_host.came if isinstance(post.body, dict) and "context" in post.body]


def statuses(git_host: Receiver) -> Counter[tuple[str, str]]:
    """Commit statuses that were set: commit and description."""
    return Counter((post.path.rpartition("/")[2], post.body["description"]) for post in statuses_of(git_host))


def contexts(git_host: Receiver) -> set[tuple[str, str, str]]:
    """Name, commit and state of the commit statuses that were set."""
    return {
        (post.body["context"], post.path.rpartition("/")[2], post.body["state"]) for post in statuses_of(git_host)
    }


def test_a_reader_gets_one_opening_and_one_recovery(
    cluster: Cluster, workspace: Workspace, start_operator: StartOperator, readers: Readers
) -> None:
    """Behind Alert, Alertmanager and CloudEvents there are exactly two messages each, though the operator is killed in between.

    What was under way at the kill may come again to CloudEvents, whose readers know it by its id.
    The Git host hears of the commit from Flux alone: our verdict does not overwrite Flux's.
    """
    space = workspace
    notify(
        cluster, space, "reader", {"type": "generic", "address": readers.alert.url}, inclusionList=[r"^\[contract/"]
    )
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "git-host"}, "stringData": {"token": "t"}}
    apply(cluster, space, secret)
    address = f"{readers.git_host.url}owner/shop"
    notify(cluster, space, "git-host", {"type": "github", "address": address, "secretRef": {"name": "git-host"}})
    operator = start_operator(
        f"--flux-events={cluster.events_url}",
        f"--alertmanager={readers.alertmanager}",
        f"--cloudevents={readers.bus.url}",
    )
    repository = space.repository("shop")
    good = repository.commit({"deploy/web.yaml": deployment("1")}, "Release 1")
    space.source("shop", repository.url)
    space.kustomization("shop")
    space.contract("shop")
    space.wait_good("shop", good)

    bad = repository.commit({"deploy/web.yaml": deployment("never-ready")}, "Release 2")
    space.wait_state("shop", "Active")
    wait_until(lambda: readers.alert.taken, 60, "the opening")
    operator.kill()
    operator.start()
    fix = repository.commit({"deploy/web.yaml": deployment("3")}, "Release 3")
    space.wait_good("shop", fix)
    wait_until(lambda: len(readers.alert.taken) > 1, RECOVERY, "the recovery")
    everywhere = {"alertmanager": 2, "cloudevents": 2, "flux": 2}
    wait_until(lambda: _told(space) == everywhere, 60, "the status to say so")
    wait_until(lambda: len(readers.pager.taken) > 1, 60, "the resolved alert")

    bodies = readers.alert.taken
    assert [body["reason"] for body in bodies] == ["ContractOpened", "ContractRecovered"]
    assert [body["severity"] for body in bodies] == ["error", "info"]
    assert bad[:12] in bodies[0]["message"]
    assert '"Release 2"' in bodies[0]["message"]
    assert [body["status"] for body in readers.pager.taken] == ["firing", "resolved"]
    everything = [[body for body in readers.bus.taken if body["type"].split(".")[2] == about] for about in KINDS]
    incidents, services = ([*{body["id"]: body for body in bodies}.values()] for bodies in everything)
    assert [body["type"].split(".")[3] for body in incidents] == ["detected", "resolved"]
    assert [body["type"].split(".")[3] for body in services] == ["deployed", "rolledback", "upgraded"]
    artifacts = [body["data"]["subject"]["content"]["artifactId"] for body in services]
    assert [artifact.partition("?")[0].rpartition("@")[2] for artifact in artifacts] == [good, good, fix]
    for bodies, once in zip(everything, (incidents, services), strict=True):  # each kind has a queue of its own
        assert len(bodies) <= len(once) + 1
    said = {description for _, description in statuses(readers.git_host)}
    assert not [words for words in said if "contract" in words]
    assert (bad, "health check failed") in statuses(readers.git_host)


def test_a_git_host_has_our_status_beside_that_of_flux(
    cluster: Cluster, workspace: Workspace, start_operator: StartOperator
) -> None:
    """With the example, a Git host is told of both, each under its own name, at the commit that it is about."""
    space = workspace
    with receiving_elsewhere(200) as git_host:
        secret = {
            "apiVersion": "v1",
            "kind": "Secret",
            "metadata": {"name": "git-host"},
            "stringData": {"token": "t"},
        }
        apply(cluster, space, secret)
        provider = {"type": "github", "address": f"{git_host.url}owner/shop", "secretRef": {"name": "git-host"}}
        notify(cluster, space, "flux", provider, exclusionList=[r"^\[contract/"])
        for found in yaml.safe_load_all((EXAMPLES / "flux-commit-status.yaml").read_text()):
            found["metadata"]["namespace"] = space.namespace
            if found["kind"] == "Provider":
                found["spec"] |= provider
            apply(cluster, space, found)
        start_operator(f"--flux-events={cluster.events_url}", "--flux-commit-statuses")
        repository = space.repository("shop")
        good = repository.commit({"deploy/web.yaml": deployment("1")}, "Release 1")
        space.follow("shop", repository)
        space.wait_good("shop", good)

        bad = repository.commit({"deploy/web.yaml": deployment("never-ready")}, "Release 2")
        ours = f"contract/{space.namespace}/shop"
        wait_until(lambda: (ours, bad, "failure") in contexts(git_host), 90, "our status")

        found = {(name, commit, state) for name, commit, state in contexts(git_host) if name != ours}
        assert {name.rpartition("/")[0] for name, _, _ in found} == {"kustomization/shop"}
        assert {state for _, commit, state in found if commit == bad} == {"failure"}
        assert "success" in {state for _, commit, state in found if commit == good}
        assert not [entry for entry in contexts(git_host) if entry[0] == ours and entry[1] != bad]


def test_what_comes_twice_is_read_once(cluster: Cluster, workspace: Workspace) -> None:
    """The controller drops an event of ours that it has had, by our token; another message of the incident passes."""
    space = workspace
    about = {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization"}
    event = {
        "involvedObject": {**about, "namespace": space.namespace, "name": "shop"},
        "severity": "error",
        "timestamp": "2026-11-23T04:00:00Z",
        "message": "[contract/shop] broken",
        "reason": "ContractOpened",
        "reportingController": "reconciliation-contract",
    }

    with receiving_elsewhere(200) as reader:
        notify(cluster, space, "reader", {"type": "generic", "address": reader.url}, inclusionList=[r"^\[contract/"])
        answers = [
            _post(cluster.events_url, {**event, "metadata": {TOKEN: token}}) for token in ("a-1", "a-1", "a-2")
        ]

        wait_until(lambda: len(reader.taken) >= 2, 30, "both messages")

    assert answers == [202, 429, 202]
    assert len(reader.taken) == 2


def _told(space: Workspace) -> Any:
    found = join(space.contract_status("shop")).get("incidents") or [{}]
    return found[0].get("told")


def _post(url: str, body: Any) -> int:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    try:
        with opener.open(request, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code
