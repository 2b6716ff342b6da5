"""Who may have the operator act: on a real API server, with users who have exactly the rights that a test gives."""

from __future__ import annotations

import json
from typing import Any

import pytest

from playground.cluster import Cluster, KubectlError
from playground.waiting import wait_until
from tests.support.flux_objects import Workspace, condition, deployment, manifest
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

POLICY = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies/reconciliation-contract-author"
CONTRACTS = ("reconciliation.dev", "reconciliationcontracts", "")
KUSTOMIZATIONS = ("kustomize.toolkit.fluxcd.io", "kustomizations", "")
SOURCES = ("source.toolkit.fluxcd.io", "gitrepositories", "")
COLLECTOR = "system:serviceaccount:kube-system:generic-garbage-collector"
WRITING = ["get", "create", "update", "patch", "delete"]
DISABLED = {"rollback": {"mode": "Disabled"}}
PATCH = "ask for the right to patch kustomizations.kustomize.toolkit.fluxcd.io there"
CREATE = "ask for the right to create gitrepositories.source.toolkit.fluxcd.io there"
SETTLING = 20.0
"""Seconds until the API server must have noticed roles and the policy; it takes about one."""

Grant = tuple[tuple[str, str, str], list[str]]
"""Group, plural and name (empty: any) of what may be done, with the verbs."""


class Users:
    """People with rights in one namespace, and what they try to do there."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self.namespace = namespace

    def grant(self, user: str, *grants: Grant, account: str = "") -> None:
        """Give a user rights (or the service account of that user name) and wait until the API server knows."""
        rules = [
            {
                "apiGroups": [group],
                "resources": [plural],
                "verbs": verbs,
                **({"resourceNames": [name]} if name else {}),
            }
            for (group, plural, name), verbs in grants
        ]
        root, named = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{self.namespace}", {"metadata": {"name": user}}
        role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": user}
        subject = {"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": account or user}
        self._cluster.api.create(f"{root}/roles", {**named, "rules": rules})
        self._cluster.api.create(f"{root}/rolebindings", {**named, "roleRef": role, "subjects": [subject]})
        wait_until(
            lambda: all(self._can(account or user, grant) for grant in grants), SETTLING, f"the rights of {user}"
        )

    def _can(self, user: str, grant: Grant) -> bool:
        (group, plural, name), verbs = grant
        what = f"{plural}.{group}" + (f"/{name}" if name else "")
        try:
            return self.run(user, "auth", "can-i", verbs[-1], what).strip() == "yes"
        except KubectlError:
            return False

    def run(self, user: str, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - as in subprocess
        """Run kubectl as a user; raises `KubectlError` with what the API server says."""
        return self._cluster.kubectl_run(f"--as={user}", "-n", self.namespace, *arguments, input=input)

    def create(
        self, user: str, name: str, *arguments: str, annotations: dict[str, str] | None = None, **spec: Any
    ) -> str:
        """Create a contract about the Kustomization of its own name."""
        contract = {
            "apiVersion": "reconciliation.dev/v1alpha1",
            "kind": "ReconciliationContract",
            "metadata": {"name": name, "namespace": self.namespace, "annotations": annotations or {}},
            "spec": {"kustomizationRef": {"name": name}, **spec},
        }
        return self.run(user, "create", "-f", "-", *arguments, input=json.dumps(contract))

    def patch(self, user: str, name: str, patch: dict[str, Any]) -> str:
        """Merge-patch a contract."""
        return self.run(user, "patch", "contract", name, "--type=merge", "-p", json.dumps(patch))

    def annotate(self, user: str, name: str, **annotations: str | None) -> str:
        """Set request annotations of a contract, or remove them."""
        written = {f"reconciliation.dev/{key.replace('_', '-')}": value for key, value in annotations.items()}
        return self.patch(user, name, {"metadata": {"annotations": written}})


@pytest.fixture
def users(cluster: Cluster, namespace: str) -> Users:
    """Three people: the author writes contracts only, the owner may all, the halfway may not create sources."""
    users = Users(cluster, namespace)
    users.grant("author", (CONTRACTS, WRITING))
    users.grant("owner", (CONTRACTS, WRITING), (KUSTOMIZATIONS, ["patch"]), (SOURCES, ["create"]))
    users.grant("halfway", (CONTRACTS, WRITING), (KUSTOMIZATIONS, ["patch"]))
    wait_until(lambda: refusal(users, "author"), SETTLING, "the policy to be in force")
    return users


def refusal(users: Users, user: str, name: str = "shop", **spec: Any) -> str:
    """Why a user may not create a contract; empty if he may. Nothing is created."""
    try:
        users.create(user, name, "--dry-run=server", **spec)
    except KubectlError as error:
        return error.stderr
    return ""


def test_the_policy_has_no_flaw(cluster: Cluster, users: Users) -> None:
    """The API server has checked the types of every expression against the CRD and warns of none."""
    status = wait_until(
        lambda: (
            (cluster.api.get(POLICY).get("status") or {}).get("typeChecking") is not None
            and cluster.api.get(POLICY)["status"]
        ),
        SETTLING,
        "the types to be checked",
    )

    assert status["typeChecking"] == {}


@pytest.mark.parametrize("spec", [{}, {"rollback": {"mode": "Manual"}}, {"suspend": True}], ids=str)
def test_an_author_without_rights_is_refused(users: Users, spec: dict[str, Any]) -> None:
    """Who may not patch the Kustomization may not have the operator do it, and is told what to ask for."""
    told = refusal(users, "author", **spec)

    assert f"this contract can change Kustomization {users.namespace}/shop, and you may not" in told
    assert f"{PATCH}, or set spec.rollback.mode: Disabled" in told


def test_a_contract_that_only_observes_is_free(users: Users) -> None:
    """Without rollback a contract changes nothing, so nothing is demanded; making it act later is refused."""
    users.create("author", "shop", **DISABLED)

    with pytest.raises(KubectlError, match=PATCH):
        users.patch("author", "shop", {"spec": {"rollback": {"mode": "Automatic"}}})
    with pytest.raises(KubectlError, match=PATCH):
        users.patch("author", "shop", {"spec": {"rollback": None}})
    users.patch("author", "shop", {"spec": {"promises": {"detection": {"within": "2m"}}}})


def test_to_correct_drift_takes_the_right_to_patch(users: Users) -> None:
    """Having Flux asked is a patch of the Kustomization; it creates no source, so that right is not demanded."""
    correcting = {**DISABLED, "promises": {"drift": {"mode": "Correct"}}}

    told = refusal(users, "author", **correcting)

    assert f"{PATCH}, or set spec.rollback.mode: Disabled and spec.promises.drift.mode: Detect" in told
    assert refusal(users, "halfway", **correcting) == ""


def test_both_rights_are_needed(users: Users) -> None:
    """The pinned copy of a source is created for the author as well."""
    told = refusal(users, "halfway")

    assert f"this contract can have a GitRepository created in namespace {users.namespace}" in told
    assert f"{CREATE}, or set spec.rollback.mode: Disabled" in told


def test_who_has_the_rights_passes(users: Users) -> None:
    """With both rights a contract is written, changed and asked of as ever."""
    users.create("owner", "shop", serviceAccountName="deployer")

    users.patch("owner", "shop", {"spec": {"rollback": {"mode": "Manual"}}})
    users.annotate("owner", "shop", approve=f"{'a3' * 20} by owner: it is fine")
    users.annotate("owner", "shop", approve=None)


def test_a_right_on_one_kustomization_is_one_on_that_only(users: Users) -> None:
    """The name of the Kustomization counts, as it does for the author's own patches."""
    kustomization = (*KUSTOMIZATIONS[:2], "shop")
    users.grant("narrow", (CONTRACTS, WRITING), (kustomization, ["patch"]), (SOURCES, ["create"]))

    allowed, refused = refusal(users, "narrow", "shop"), refusal(users, "narrow", "web")

    assert allowed == ""
    assert f"Kustomization {users.namespace}/web, and you may not" in refused


def test_a_right_elsewhere_does_not_count(cluster: Cluster, users: Users, workspace: Workspace) -> None:
    """The namespace of the contract counts, not that the author owns another one."""
    other = f"{workspace.namespace}-other"
    cluster.api.create("/api/v1/namespaces", {"metadata": {"name": other}})
    Users(cluster, other).grant("author", (KUSTOMIZATIONS, ["patch"]), (SOURCES, ["create"]))

    told = refusal(users, "author")

    cluster.api.delete(f"/api/v1/namespaces/{other}")
    assert PATCH in told


@pytest.mark.parametrize(
    "asked",
    [
        {"rollback": f"{'a3' * 20}..{'b4' * 20}"},
        {"approve": "a3" * 20},
        {"release": "a3" * 20},
        {"forget": "a3" * 20},
        {"pause_until": "2999-01-01T00:00:00Z"},
        {"hold": None},
        {"hold": "for ever"},
    ],
    ids=str,
)
def test_requests_of_others_are_refused(users: Users, asked: dict[str, str | None]) -> None:
    """To set, change or remove a request takes the same rights, whatever the mode of the contract."""
    users.create("owner", "shop", annotations={"reconciliation.dev/hold": "audit"})
    users.create("owner", "web", annotations={"reconciliation.dev/hold": "audit"}, **DISABLED)

    for name in ("shop", "web"):
        with pytest.raises(KubectlError, match=PATCH) as refused:
            users.annotate("author", name, **asked)
        assert "or leave the annotations reconciliation.dev/... as they are" in refused.value.stderr


def test_a_request_in_a_new_contract_is_one(users: Users) -> None:
    """A contract that asks for something from the beginning is not free, even if it only observes."""
    with pytest.raises(KubectlError, match=PATCH):
        users.create("author", "shop", annotations={"reconciliation.dev/rollback": "a..b"}, **DISABLED)


def test_what_changes_nothing_of_the_contract_is_free(users: Users) -> None:
    """Labels, other annotations and asking for a look need no right on the Kustomization; the spec does."""
    users.create("owner", "shop")

    users.patch("author", "shop", {"metadata": {"labels": {"team": "checkout"}}})
    users.patch("author", "shop", {"metadata": {"annotations": {"reconcile.fluxcd.io/requestedAt": "now"}}})
    with pytest.raises(KubectlError, match=PATCH):
        users.patch("author", "shop", {"spec": {"rollback": {"after": {"failures": 1}}}})
    users.patch("author", "shop", {"spec": DISABLED})


def roll_back(workspace: Workspace, name: str, state: str) -> None:
    """Say in a contract's status that its rollback is in a state; nobody else writes it here."""
    status = {"rollback": {"state": state}} if state else {}
    workspace.api.merge(f"{workspace.path('contract', name)}/status", {"status": status})


def test_ending_a_rollback_by_deleting_its_contract_takes_the_same_right(
    users: Users, workspace: Workspace, shared: OperatorProcess
) -> None:
    """A deletion releases, so it is refused to who may not patch the Kustomization, but only during a rollback."""
    shared.stop()
    for name in ("shop", "web", "till"):
        users.create("owner", name)
    roll_back(workspace, "shop", "Active")
    roll_back(workspace, "web", "Proposed")

    with pytest.raises(KubectlError, match=PATCH) as refused:
        users.run("author", "delete", "contract", "shop", "--wait=false")
    users.run("author", "delete", "contract", "web", "till")
    users.run("owner", "delete", "contract", "shop", "--wait=false")

    assert "or wait until the rollback is over" in refused.value.stderr
    for name in ("shop", "web", "till"):
        workspace.wait_gone("contract", name)


def test_the_garbage_collector_passes(users: Users, workspace: Workspace) -> None:
    """Taking an owner off a contract, as the garbage collector does, needs no right on Kustomizations."""
    owner = workspace.api.create(workspace.path("configmap"), {"metadata": {"name": "owner"}})
    reference = {"apiVersion": "v1", "kind": "ConfigMap", "name": "owner", "uid": owner["metadata"]["uid"]}
    users.create("owner", "shop")
    workspace.change("contract", "shop", {"metadata": {"ownerReferences": [reference]}})

    users.patch(COLLECTOR, "shop", {"metadata": {"ownerReferences": None}})

    assert "ownerReferences" not in workspace.get("contract", "shop")["metadata"]


def test_the_operator_is_not_in_its_own_way(operator: OperatorProcess, users: Users, workspace: Workspace) -> None:
    """The operator's finalizer comes and goes: a rollback begins, and its contract can be deleted."""
    repository = workspace.repository("shop")
    good = repository.commit({"deploy/web.yaml": deployment("1", "shop")}, "Good")
    workspace.follow("shop", repository)
    workspace.wait_good("shop", good)

    repository.commit({"deploy/web.yaml": deployment("never-ready", "shop")}, "Bad")
    workspace.wait_state("shop", "Active")
    held = workspace.get("contract", "shop")["metadata"].get("finalizers")
    workspace.delete("contract", "shop")

    assert held == ["reconciliation.dev/rollback"]
    workspace.wait_gone("contract", "shop")


def deliver_contract(workspace: Workspace, name: str, **spec: Any) -> str:
    """Have a parent Kustomization apply a contract from Git, and return what it says of that."""
    contract = manifest("contract", "shop", workspace.namespace, {"kustomizationRef": {"name": "shop"}})
    repository = workspace.repository(name)
    repository.commit({"deploy/contract.yaml": json.dumps(contract)}, "Promise")
    workspace.source(name, repository.url)
    workspace.kustomization(name, wait=False, **spec)

    def told() -> str:
        found = workspace.get("kustomization", name)
        tried = found.get("status", {}).get("lastAttemptedRevision")
        ready = condition(found, "Ready")
        return str(ready["message"]) if tried and ready["status"] in ("True", "False") else ""

    return wait_until(told, 60, f"Flux to apply {name}")


def test_flux_applies_contracts_as_a_cluster_administrator(workspace: Workspace, users: Users) -> None:
    """A contract that lives in Git is applied by kustomize-controller, which may all."""
    said = deliver_contract(workspace, "platform")

    assert "Applied revision" in said
    assert workspace.find("contract", "shop")


def test_a_tenant_gains_nothing_through_flux(cluster: Cluster, workspace: Workspace, users: Users) -> None:
    """Applied with the rights of a tenant's account, a contract needs the same rights of that account."""
    account = f"system:serviceaccount:{workspace.namespace}:tenant"
    cluster.api.create(f"/api/v1/namespaces/{workspace.namespace}/serviceaccounts", {"metadata": {"name": "tenant"}})
    users.grant("tenant", (CONTRACTS, [*WRITING, "list", "watch"]), account=account)

    said = deliver_contract(workspace, "tenant", serviceAccountName="tenant")

    assert f"this contract can change Kustomization {workspace.namespace}/shop, and you may not" in said
    assert workspace.find("contract", "shop") is None
