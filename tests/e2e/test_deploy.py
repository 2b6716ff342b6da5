"""The manifests on a real API server: accepted, admitted, and granting what they are meant to grant."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import yaml

from playground.cluster import Cluster, KubectlError
from playground.waiting import WaitTimeoutError, wait_until

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = "reconciliation-contract"
CONTRACTS = "reconciliation.dev/reconciliationcontracts"
KUSTOMIZATIONS = "kustomize.toolkit.fluxcd.io/kustomizations"
SOURCES = "source.toolkit.fluxcd.io/gitrepositories"
TIMEOUT = 60.0
SETTLING = 10.0
"""Seconds until the API server must have noticed new roles; it takes well under one."""

Question = tuple[str, str, str]
"""Verb, group/resource[/subresource] and namespace (empty: all namespaces, or not namespaced)."""

OBSERVING: dict[Question, bool] = {
    ("watch", CONTRACTS, ""): True,
    ("patch", f"{CONTRACTS}/status", "apps"): True,
    ("watch", KUSTOMIZATIONS, ""): True,
    ("list", SOURCES, ""): True,
    ("watch", "apiextensions.k8s.io/customresourcedefinitions", ""): True,
    ("create", "events.k8s.io/events", "apps"): True,
    # What nobody needs, acting or not.
    ("create", "coordination.k8s.io/leases", NAME): False,
    ("update", CONTRACTS, "apps"): False,
    ("create", CONTRACTS, "apps"): False,
    ("delete", CONTRACTS, "apps"): False,
    ("delete", KUSTOMIZATIONS, "apps"): False,
    ("patch", f"{KUSTOMIZATIONS}/status", "apps"): False,
    ("patch", SOURCES, "apps"): False,
    ("get", "/secrets", "apps"): False,
    ("list", "/secrets", ""): False,
    ("get", "/secrets", NAME): False,
    ("impersonate", "/serviceaccounts", "apps"): False,
    ("create", "/pods", NAME): False,
    ("get", "apps/deployments", "apps"): False,
    ("list", "/namespaces", ""): False,
    ("create", "rbac.authorization.k8s.io/clusterrolebindings", ""): False,
    ("patch", "apiextensions.k8s.io/customresourcedefinitions", ""): False,
}
ACTS: tuple[Question, ...] = (
    ("patch", CONTRACTS, "apps"),
    ("patch", KUSTOMIZATIONS, "apps"),
    ("create", SOURCES, "apps"),
    ("delete", SOURCES, "apps"),
)
"""What only the acting role grants."""


def review(question: Question) -> str:
    """Ask, as `kubectl auth can-i` does, what the operator's service account may do."""
    verb, what, namespace = question
    group, resource, *subresource = what.split("/")
    attributes = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
    attributes["subresource"] = subresource[0] if subresource else ""
    user = f"system:serviceaccount:{NAME}:{NAME}"
    groups = ["system:authenticated", "system:serviceaccounts", f"system:serviceaccounts:{NAME}"]
    return yaml.safe_dump(
        {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SubjectAccessReview",
            "spec": {"user": user, "groups": groups, "resourceAttributes": attributes},
        }
    )


def answers(cluster: Cluster, questions: Iterable[Question]) -> dict[Question, bool]:
    """Ask all questions with one call; the answers come in the order of the questions."""
    asked = list(questions)
    printed = cluster.kubectl_run("create", "-f", "-", "-o", "yaml", input="---\n".join(map(review, asked)))
    reviews = [found for document in yaml.safe_load_all(printed) for found in document.get("items", [document])]
    return {
        question: found["status"]["allowed"] and not found["status"].get("evaluationError")
        for question, found in zip(asked, reviews, strict=True)
    }


def assert_rights(cluster: Cluster, expected: dict[Question, bool]) -> None:
    """Compare with what the API server answers, given a moment to notice new roles."""
    given: dict[Question, bool] = {}

    def settled() -> bool:
        given.update(answers(cluster, expected))
        return given == expected

    # Which answers are wrong is told by the comparison below.
    with contextlib.suppress(WaitTimeoutError):
        wait_until(settled, SETTLING, "the rights")
    assert given == expected


def apply(cluster: Cluster, variant: str) -> list[str]:
    """Apply a variant and return what kubectl says of each object."""
    return cluster.kubectl_run("apply", "-k", str(DEPLOY / variant)).splitlines()


@pytest.fixture
def observing(cluster: Cluster) -> Iterator[Cluster]:
    """A cluster with the observing variant, reached from the full one as the README tells, and back."""
    cluster.kubectl_run("delete", "clusterrolebinding", f"{NAME}-act", "--ignore-not-found")
    apply(cluster, "observe")
    yield cluster
    apply(cluster, ".")


@pytest.fixture
def acting(cluster: Cluster) -> Cluster:
    """A cluster with the full variant."""
    apply(cluster, ".")
    return cluster


@pytest.mark.parametrize("variant", [".", "observe"])
def test_applying_again_changes_nothing(cluster: Cluster, variant: str) -> None:
    """The API server accepts every object and adds nothing that a second apply would fight over."""
    apply(cluster, variant)

    lines = apply(cluster, variant)

    assert len(lines) > 10
    assert [line for line in lines if not line.endswith(" unchanged")] == []


@pytest.mark.parametrize("variant", [".", "observe"])
def test_the_api_server_finds_nothing_to_correct(cluster: Cluster, variant: str) -> None:
    """No field is unknown, misspelt, repeated or deprecated, and Pod Security has no warning."""
    rendered = cluster.kubectl_run("kustomize", str(DEPLOY / variant))
    # Objects in a namespace can only be checked when it exists.
    apply(cluster, variant)

    cluster.kubectl_run(
        "apply", "--dry-run=server", "--validate=strict", "--warnings-as-errors", "-f", "-", input=rendered
    )


def test_the_pod_is_admitted_as_restricted(acting: Cluster) -> None:
    """The namespace lets only restricted pods in, and it lets the operator's pod in."""
    pods = ("get", "pods", "-n", NAME, "-l", f"app.kubernetes.io/name={NAME}", "-o", "json")

    (pod,) = wait_until(lambda: json.loads(acting.kubectl_run(*pods))["items"], TIMEOUT, "the operator's pod")

    assert pod["spec"]["serviceAccountName"] == NAME
    with pytest.raises(KubectlError, match='violates PodSecurity "restricted'):
        acting.kubectl_run("run", "careless", "-n", NAME, "--image=careless")


def test_the_observing_variant_cannot_act(observing: Cluster) -> None:
    """Without the acting role the operator sees everything and can write no contract and no Flux object."""
    assert_rights(observing, OBSERVING | dict.fromkeys(ACTS, False))


def test_the_full_variant_can_act_and_nothing_more(acting: Cluster) -> None:
    """With the acting role it can roll back, and what it had no right to before it still has none to."""
    assert_rights(acting, OBSERVING | dict.fromkeys(ACTS, True))


def test_people_with_the_clusters_own_roles_get_contracts(acting: Cluster) -> None:
    """The cluster's view and edit roles come to include contracts, but never their status."""

    def verbs(role: str, resource: str) -> set[str]:
        rules = json.loads(acting.kubectl_run("get", "clusterrole", role, "-o", "json"))["rules"]
        return {verb for rule in rules if resource in rule.get("resources", ()) for verb in rule["verbs"]}

    wait_until(lambda: verbs("edit", "reconciliationcontracts"), TIMEOUT, "the roles to be aggregated")

    assert verbs("view", "reconciliationcontracts") == {"get", "list", "watch"}
    assert verbs("edit", "reconciliationcontracts") >= {"get", "create", "patch", "delete"}
    assert verbs("admin", "reconciliationcontracts/status") == set()
