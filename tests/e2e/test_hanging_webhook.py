"""A webhook that never answers, and a Secret that only Flux can decrypt: what they cost, and whom."""

from __future__ import annotations

import base64
import contextlib
import re
import socket
import threading
from collections.abc import Iterator

import pytest
import yaml

from playground.cluster import Cluster
from tests.support.certificate import issue
from tests.support.flux_account import flux_build
from tests.support.flux_objects import (
    QUICK,
    Workspace,
    condition,
    config_map,
    new_namespace,
    promise,
    verdict,
)
from tests.support.operator_process import StartOperator

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("validation")]

HOOKS = "/apis/admissionregistration.k8s.io/v1/validatingwebhookconfigurations"
WITHIN = "3s"
FIRST = {f"deploy/{name}.yaml": config_map(name, a="1") for name in "abcd"}
SECOND = {f"deploy/{name}.yaml": config_map(name, a="2") for name in "abcd"}


@contextlib.contextmanager
def silent() -> Iterator[int]:
    """A port on loopback that takes connections and never says a word."""
    held: list[socket.socket] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def take() -> None:
            with contextlib.suppress(OSError):
                while True:
                    held.append(server.accept()[0])

        threading.Thread(target=take, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)
    for each in held:
        each.close()


@contextlib.contextmanager
def hook(cluster: Cluster, namespace: str, port: int) -> Iterator[None]:
    """Have every ConfigMap of a namespace asked for there, for up to half a minute."""
    name = f"silent-{namespace}"
    rule = {
        "apiGroups": [""],
        "apiVersions": ["v1"],
        "operations": ["CREATE", "UPDATE"],
        "resources": ["configmaps"],
    }
    webhook = {
        "name": "silent.validation.example",
        "clientConfig": {
            "url": f"https://127.0.0.1:{port}/",
            "caBundle": base64.b64encode(issue("hook", address="127.0.0.1").certificate_pem.encode()).decode(),
        },
        "rules": [rule],
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "timeoutSeconds": 30,
        "failurePolicy": "Fail",
        "sideEffects": "None",
        "admissionReviewVersions": ["v1"],
    }
    body = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingWebhookConfiguration",
        "metadata": {"name": name},
        "webhooks": [webhook],
    }
    cluster.api.create(HOOKS, body)
    try:
        yield
    finally:
        cluster.api.delete(f"{HOOKS}/{name}")


def test_a_webhook_that_hangs_costs_only_whom_it_is_for(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace
) -> None:
    """Its contract's manifests are late and not rolled back; a neighbour is validated and delivered meanwhile."""
    with new_namespace(cluster) as neighbour, silent() as port:
        start_operator(flux_build(cluster))
        repositories = {}
        for place in (workspace, neighbour):
            repositories[place.namespace] = repository = place.repository("shop")
            first = repository.commit(FIRST, "First")
            place.source("shop", repository.url)
            place.kustomization("shop")
            within = WITHIN if place is workspace else "30s"
            place.contract("shop", promises={"validation": {"within": within}}, rollback=QUICK)
            place.wait_good("shop", first)

        with hook(cluster, workspace.namespace, port):
            second = repositories[workspace.namespace].commit(SECOND, "Second")
            workspace.wait("shop", lambda s: second in s.get("delivery", {}).get("revision", ""), "its detection")
            beside = repositories[neighbour.namespace].commit(SECOND, "Second")
            neighbour.wait_good("shop", beside)
            neighbour.wait("shop", lambda s: verdict(s, "Validation") == "Kept", "the neighbour's verdict")
            stuck = workspace.wait("shop", lambda s: verdict(s, "Validation") == "Broken", "the verdict")

        assert promise(stuck, "Validation")["reason"] == "BudgetExceeded", stuck
        assert re.search(r"took more than 3(\.\d)?s of 3s", condition(stuck, "Validated")["message"]), stuck
        assert second in stuck["delivery"]["revision"]
        assert "state" not in stuck.get("rollback", {})
        workspace.wait_good("shop", second)


def test_what_sops_encrypts_is_left_to_flux(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace
) -> None:
    """The operator has no key: the Secret is counted as not checkable, and the rest is validated."""
    start_operator(flux_build(cluster))
    repository = workspace.repository("shop")
    first = repository.commit({"deploy/a.yaml": config_map("a", a="1")}, "First")
    workspace.source("shop", repository.url)
    workspace.kustomization("shop", decryption={"provider": "sops"})
    workspace.contract("shop", rollback=QUICK)
    workspace.wait_good("shop", first)

    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "db"},
        "stringData": {"password": "ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]"},
        "sops": {"mac": "ENC[AES256_GCM,data:AAAA,iv:AAAA,tag:AAAA,type:str]", "version": "3.10.2"},
    }
    second = repository.commit({"deploy/db.yaml": yaml.safe_dump(secret)}, "A Secret")
    status = workspace.wait(
        "shop",
        lambda s: second in s["delivery"]["revision"] and verdict(s, "Validation") not in ("", "Pending"),
        "the verdict",
    )

    message = condition(status, "Validated")["message"]
    assert verdict(status, "Validation") == "Kept", message
    assert message.startswith("1 valid, the slowest ConfigMap/"), message
    assert f"1 not checkable: Secret/{workspace.namespace}/db: it is encrypted with SOPS" in message, message
    assert "ENC[" not in str(status)
    assert condition(status, "Validated")["status"] == "True"
