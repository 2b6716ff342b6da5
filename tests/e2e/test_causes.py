"""Failures of every kind on a real cluster: only those that older manifests cure are rolled back."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.waiting import wait_until
from reconciliation_contract.core.facts.failure_cause import classify
from tests.support.flux_objects import PATIENCE, Object, Workspace, condition, config_map, deployment
from tests.support.flux_objects_watch import Recorder
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e

MESSAGES = yaml.safe_load(Path(__file__).parents[1].joinpath("core", "flux_messages.yaml").read_text())
WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
SOURCE = "shared"
"""All contracts here share one source, which counts once for the fleet's brake."""
SERVICE = yaml.safe_dump(
    {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "quota"}, "spec": {"ports": [{"port": 80}]}}
)
SECRET = yaml.safe_dump({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "forbidden"}})
GUARDED = yaml.safe_dump(
    {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "webhook", "labels": {"guarded": "yes"}}}
)
BAD: dict[str, str] = {
    "webhook": GUARDED,
    "quota": SERVICE,
    "forbidden": SECRET,
    "build": "this: is: no YAML",
    "invalid": deployment("1", "invalid", replicas=-1),
    "immutable": deployment("2", "immutable").replace("app: immutable", "app: another"),
}
"""What the second commit brings to the path of each contract."""
CAPTURED = {
    "webhook": "a webhook does not answer",
    "quota": "a quota is exceeded",
    "forbidden": "the service account has no right",
    "build": "a file is no YAML",
    "invalid": "a value is out of range",
    "immutable": "a selector is immutable",
}
"""The message of `flux_messages.yaml` that each repeats."""
REMEDIES = {"webhook": "webhook does not answer", "quota": "resource quota is used up", "forbidden": "lacks a right"}


def source_of(thing: Object) -> str:
    """The name of the source that a Kustomization takes its manifests from."""
    return str(thing["spec"]["sourceRef"]["name"])


@pytest.fixture
def obstacles(workspace: Workspace) -> Iterator[str]:
    """A namespace with a webhook that does not answer, a quota without Services and an account with few rights."""
    api, namespace = workspace.api, workspace.namespace
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    rules = [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["*"]}]
    subject = {"kind": "ServiceAccount", "name": "weak", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "weak"}
    api.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": "weak"}})
    api.create(f"{rbac}/roles", {"metadata": {"name": "weak"}, "rules": rules})
    api.create(f"{rbac}/rolebindings", {"metadata": {"name": "weak"}, "roleRef": role, "subjects": [subject]})
    quotas = f"/api/v1/namespaces/{namespace}/resourcequotas"
    api.create(quotas, {"metadata": {"name": "few"}, "spec": {"hard": {"services": "0"}}})
    wait_until(lambda: api.get(f"{quotas}/few").get("status", {}).get("hard"), PATIENCE, "the quota to be in force")
    api.create(WEBHOOKS, dead_webhook(workspace))
    yield namespace
    api.delete(f"{WEBHOOKS}/{namespace}")


def dead_webhook(workspace: Workspace) -> dict[str, Any]:
    """A webhook where nobody listens; it is asked about this namespace's guarded ConfigMaps only."""
    authority = b64encode(workspace.cluster.ca_file.read_bytes()).decode()
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["*"], "resources": ["configmaps"]}
    webhook = {
        "name": "guard.example.org",
        "clientConfig": {"url": "https://127.0.0.1:1/validate", "caBundle": authority},
        "rules": [rule],
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
        "timeoutSeconds": 2,
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": workspace.namespace}},
        "objectSelector": {"matchLabels": {"guarded": "yes"}},
    }
    return {"metadata": {"name": workspace.namespace}, "webhooks": [webhook]}


def test_only_what_older_manifests_cure_is_rolled_back(
    operator: OperatorProcess, workspace: Workspace, obstacles: str
) -> None:
    """A missing right, a quota, a webhook and a build lead to no act but to a remedy; a webhook's repair heals."""
    repository = workspace.repository(SOURCE)
    files = {f"{name}/good.yaml": config_map(f"{name}-good") for name in BAD}
    files["immutable/bad.yaml"] = deployment("1", "immutable")
    good = repository.commit(files, "Good")
    workspace.source(SOURCE, repository.url)
    for name in BAD:
        account = {"serviceAccountName": "weak"} if name == "forbidden" else {}
        workspace.kustomization(name, SOURCE, path=f"./{name}", **account)
        workspace.contract(name)
    for name in BAD:
        workspace.wait_good(name, good)

    with Recorder(workspace, "kustomization") as seen:
        bad = repository.commit({f"{name}/bad.yaml": text for name, text in BAD.items()}, "Bad")
        told = {name: workspace.wait_reason(name, "NotCurable", "RolledBack") for name in REMEDIES}
        told["build"] = workspace.wait_reason("build", "NothingReached", "RolledBack")
        for name in ("invalid", "immutable"):
            workspace.wait_state(name, "Active")
        workspace.api.delete(f"{WEBHOOKS}/{obstacles}")
        workspace.wait_good("webhook", bad)

    sources = {name: seen.values(name, source_of) for name in BAD}
    assert {name: len(found) - 1 for name, found in sources.items()} == {
        "webhook": 0,
        "quota": 0,
        "forbidden": 0,
        "build": 0,
        "invalid": 1,
        "immutable": 1,
    }
    assert all(told[name]["status"] == "False" for name in told)
    assert all(words in told[name]["message"] for name, words in REMEDIES.items()), told
    assert "push a fix" in told["build"]["message"]
    assert "immutable" in str(workspace.contract_status("immutable")["rollback"]["notUndone"])
    for name, captured in CAPTURED.items():
        failures = [
            ready for item in seen.sightings(name) if (ready := condition(item.thing, "Ready"))["status"] == "False"
        ]
        assert {ready["reason"] for ready in failures} == {MESSAGES[captured]["reason"]}
        curable = MESSAGES[captured]["cured_by"] == "commit"
        assert [classify(ready["reason"], ready["message"]).curable for ready in failures] == [curable] * len(
            failures
        )
