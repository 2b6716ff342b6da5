"""Whose rights an act uses: those of the service account that the contract, or the operator, names.

In the namespaces here the API server refuses every act on a Flux object that is the operator's own, so each act that
happens was done as somebody else.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.cluster import Cluster
from playground.repository import Repository
from tests.support.flux_objects import QUICK, Object, Workspace, condition, deployment, new_namespace
from tests.support.flux_objects_watch import Recorder
from tests.support.operator_process import ACCOUNT, OperatorProcess, StartOperator

pytestmark = pytest.mark.e2e

COMPONENT = Path(__file__).parents[2] / "deploy" / "components" / "impersonation"
MANAGER = "reconciliation-contract"
POLICIES = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicies"
BINDINGS = "/apis/admissionregistration.k8s.io/v1/validatingadmissionpolicybindings"
RIGHTS_SEEN = 45.0
"""Seconds in which a right that was granted is seen; rights are looked at every 15 s."""
RULES = [
    {"apiGroups": ["kustomize.toolkit.fluxcd.io"], "resources": ["kustomizations"], "verbs": ["patch"]},
    {"apiGroups": ["source.toolkit.fluxcd.io"], "resources": ["gitrepositories"], "verbs": ["create", "delete"]},
]
"""The rights that the component's text asks the account to have."""


@pytest.fixture
def fenced(workspace: Workspace) -> Iterator[Workspace]:
    """A namespace in which the operator itself may not touch Flux's objects, whatever its role says."""
    name, api = workspace.namespace, workspace.api
    rules = [
        {"apiGroups": [f"{group}.toolkit.fluxcd.io"], "apiVersions": ["*"], "operations": ["*"], "resources": ["*"]}
        for group in ("kustomize", "source")
    ]
    own = f"system:serviceaccount:{ACCOUNT}:{ACCOUNT}"
    spec: dict[str, Any] = {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": rules,
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": name}},
        },
        "validations": [{"expression": f"request.userInfo.username != '{own}'"}],
    }
    api.create(POLICIES, {"metadata": {"name": name}, "spec": spec})
    api.create(BINDINGS, {"metadata": {"name": name}, "spec": {"policyName": name, "validationActions": ["Deny"]}})
    yield workspace
    api.delete(f"{BINDINGS}/{name}")
    api.delete(f"{POLICIES}/{name}")


def make_account(workspace: Workspace, name: str) -> None:
    """Create a service account without any rights."""
    workspace.api.create(f"/api/v1/namespaces/{workspace.namespace}/serviceaccounts", {"metadata": {"name": name}})


def grant(workspace: Workspace, account: str, home: str = "") -> None:
    """Give an account, of this or of another namespace, the rights here that a rollback needs."""
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{workspace.namespace}"
    subject = {"kind": "ServiceAccount", "name": account, "namespace": home or workspace.namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account}
    workspace.api.create(f"{rbac}/roles", {"metadata": {"name": account}, "rules": RULES})
    workspace.api.create(
        f"{rbac}/rolebindings", {"metadata": {"name": account}, "roleRef": role, "subjects": [subject]}
    )


def allow_impersonation(workspace: Workspace, folder: Path, *accounts: str) -> None:
    """Apply the component of `deploy/` as its text says."""
    change = [{"op": "replace", "path": "/rules/0/resourceNames", "value": list(accounts)}]
    target = {"kind": "Role", "name": f"{ACCOUNT}-impersonation"}
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "namespace": workspace.namespace,
        "components": [os.path.relpath(COMPONENT, folder)],
        "patches": [{"target": target, "patch": yaml.safe_dump(change)}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(kustomization))
    workspace.cluster.kubectl_run("apply", "-k", str(folder))


def deliver(workspace: Workspace, name: str, account: str) -> Repository:
    """Bring a contract that names an account to a good revision, then push a bad one."""
    repository = workspace.repository(name)
    good = repository.commit({"deploy/web.yaml": deployment("1", name)}, "Good")
    workspace.source(name, repository.url)
    workspace.kustomization(name)
    workspace.contract(name, rollback=QUICK, **({"serviceAccountName": account} if account else {}))
    workspace.wait_good(name, good)
    repository.commit({"deploy/web.yaml": deployment("never-ready", name)}, "Bad")
    return repository


def source_of(thing: Object) -> str:
    """The name of the source that a Kustomization takes its manifests from."""
    return str(thing["spec"]["sourceRef"]["name"])


def managers(thing: Object, *path: str) -> set[str]:
    """The field managers that own a field."""
    found = set()
    for entry in thing["metadata"]["managedFields"]:
        fields = entry.get("fieldsV1", {})
        for step in path:
            fields = fields.get(f"f:{step}") if fields is not None else None
        if fields is not None:
            found.add(entry["manager"])
    return found


def test_acts_use_the_accounts_that_are_named(
    start_operator: StartOperator, fenced: Workspace, tmp_path: Path
) -> None:
    """A contract's own account and the operator's default one act; fields are written under our manager's name."""
    for account in ("deployer", "standard"):
        make_account(fenced, account)
        grant(fenced, account)
    allow_impersonation(fenced, tmp_path, "deployer", "standard")
    start_operator("--default-service-account=standard")

    with Recorder(fenced, "kustomization") as seen:
        repositories = {
            name: deliver(fenced, name, account) for name, account in (("own", "deployer"), ("plain", ""))
        }
        pins = {name: fenced.wait_state(name, "Active")["rollback"]["pinRef"]["name"] for name in repositories}
        held = {name: fenced.get("kustomization", name) for name in repositories}
        copies = {name: fenced.get("source", pin) for name, pin in pins.items()}
        for name, repository in repositories.items():
            fenced.wait_good(name, repository.commit({"deploy/web.yaml": deployment("2", name)}, "Fix"))

    for name, pin in pins.items():
        assert seen.values(name, source_of) == [name, pin, name]
        assert managers(held[name], "spec", "sourceRef", "name") == {MANAGER}
        assert managers(copies[name], "spec", "ref") == {MANAGER}
        released = fenced.get("kustomization", name)
        assert MANAGER not in {claim["manager"] for claim in released["metadata"]["managedFields"]}
        assert fenced.find("source", pin) is None


def test_a_right_that_is_lacking_is_named_and_waited_for(
    operator: OperatorProcess, fenced: Workspace, tmp_path: Path
) -> None:
    """Nothing happens without the right, the status names it, and granting it is all that a person has to do."""
    make_account(fenced, "powerless")
    allow_impersonation(fenced, tmp_path, "powerless")

    with Recorder(fenced, "kustomization") as seen:
        deliver(fenced, "shop", "powerless")
        refused = fenced.wait_reason("shop", "ActRefused", "RolledBack")
        lacking = fenced.wait_reason("shop", "DependencyFails", "DependenciesReady")
        switched = seen.values("shop", source_of)
        grant(fenced, "powerless")
        status = fenced.wait_state("shop", "Active")
        fenced.wait(
            "shop",
            lambda s: condition(s, "DependenciesReady")["reason"] != "DependencyFails",
            "the right to be seen",
            RIGHTS_SEEN,
        )

    user = f"system:serviceaccount:{fenced.namespace}:powerless"
    assert switched == ["shop"]
    assert "cannot create" in refused["message"]
    assert f'gitrepositories.source.toolkit.fluxcd.io is forbidden: User "{user}' in refused["message"]
    assert f"{user} may not patch kustomizations in {fenced.namespace}" in lacking["message"]
    assert condition(status, "RolledBack")["status"] == "True"
    assert seen.values("shop", source_of) == ["shop", status["rollback"]["pinRef"]["name"]]


def test_a_source_elsewhere_takes_an_account_with_rights_there(
    operator: OperatorProcess, cluster: Cluster, workspace: Workspace, tmp_path: Path
) -> None:
    """The operator lends its own rights to nobody in another namespace; an account that is named uses those it has."""
    with new_namespace(cluster) as infra:
        repository = workspace.repository("shop")
        good = repository.commit({"deploy/web.yaml": deployment("1")}, "Good")
        infra.source("shop", repository.url)
        reference = {"kind": "GitRepository", "name": "shop", "namespace": infra.namespace}
        workspace.kustomization("shop", sourceRef=reference)
        workspace.contract("shop")
        workspace.wait_good("shop", good)

        repository.commit({"deploy/web.yaml": deployment("never-ready")}, "Bad")
        refused = workspace.wait_reason("shop", "SourceNotPinnable", "RolledBack")
        before = [thing["metadata"]["name"] for thing in infra.all("source")]
        make_account(workspace, "deployer")
        allow_impersonation(workspace, tmp_path, "deployer")
        grant(workspace, "deployer")
        grant(infra, "deployer", workspace.namespace)
        workspace.change("contract", "shop", {"spec": {"serviceAccountName": "deployer"}})
        status = workspace.wait_state("shop", "Active")

        assert infra.namespace in refused["message"]
        assert before == ["shop"]
        assert infra.find("source", status["rollback"]["pinRef"]["name"]) is not None
        workspace.wait_good("shop", repository.commit({"deploy/web.yaml": deployment("2")}, "Fix"))
        infra.wait_gone("source", status["rollback"]["pinRef"]["name"])
