"""What the operator serves: probes and metrics."""

from __future__ import annotations

import base64
import re
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_objects import Workspace, config_map
from tests.support.operator_process import ACCOUNT, OperatorProcess, StartOperator, fetch
from tests.support.virtual_time_port import free_port

pytestmark = pytest.mark.e2e

SCRAPER = Path(__file__).parents[2] / "deploy/monitoring/scraper.yaml"
NAMES = {
    "flux_contract_ready",
    "flux_contract_promise_kept",
    "flux_contract_rolled_back",
    "flux_contract_stage_timestamp_seconds",
    "flux_contract_stage_duration_seconds",
    "flux_contract_deliveries",
    "flux_contract_rollbacks",
    "flux_contract_rollback_duration_seconds",
    "flux_contract_verdicts",
    "flux_contract_pass_duration_seconds",
    "flux_contract_held",
    "flux_contract_info",
    "flux_contract_api_requests",
    "flux_contract_status_writes",
    "flux_contract_errors",
}
"""Metrics that others may rely on, without the endings of counters."""


def test_probes_answer(operator: OperatorProcess) -> None:
    """Both probes say that all is well, and nothing else is served beside them."""
    answers = [fetch(f"{operator.health}/{path}") for path in ("healthz", "readyz", "metrics")]

    assert answers[:2] == [(200, "ok\n"), (200, "ok\n")]
    assert answers[2][0] == 404


def test_metrics_tell_of_a_contract(operator: OperatorProcess, workspace: Workspace) -> None:
    """A scrape has what was measured, agrees with the status, and names no commit, URL or message."""
    repository = workspace.repository("shop")
    sha = repository.commit({"deploy/settings.yaml": config_map(a="1")}, "A subject to look for")
    workspace.follow("shop", repository)
    status = workspace.wait_good("shop", sha)

    code, text = fetch(f"{operator.metrics}/metrics")

    labels = {"exported_namespace": workspace.namespace, "name": "shop"}
    families = set(re.findall(r"^# TYPE (\S+?)(?:_total)? ", text, re.MULTILINE))
    assert code == 200
    assert families >= NAMES
    assert operator.sample("flux_contract_ready", **labels) == 1
    assert operator.sample("flux_contract_promise_kept", promise="Reconciliation", **labels) == 1
    healthy = operator.sample("flux_contract_stage_timestamp_seconds", stage="healthy", **labels)
    detected = operator.sample("flux_contract_stage_timestamp_seconds", stage="detected", **labels)
    assert healthy is not None
    assert detected is not None
    assert 0 <= healthy - detected < 60
    assert (operator.sample("flux_contract_status_writes_total") or 0) >= 1
    assert (operator.sample("flux_contract_errors_total", kind="bug") or 0) == 0
    for secret in (sha, repository.url, "A subject to look for", status["delivery"]["revision"]):
        assert secret not in text
    mine = [line for line in text.splitlines() if f'exported_namespace="{workspace.namespace}"' in line]
    assert len(mine) <= 20


def scrape(url: str, token: str = "") -> int:
    """The status with which the metrics are answered."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=headers), timeout=5) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_beyond_loopback_metrics_are_for_those_who_may(cluster: Cluster, start_operator: StartOperator) -> None:
    """With the token that deploy/monitoring makes for Prometheus; not with the operator's own, nor without one."""
    cluster.kubectl_run("apply", "-f", str(SCRAPER))
    path = f"/api/v1/namespaces/{ACCOUNT}/secrets/{ACCOUNT}-scraper"
    secret = wait_until(lambda: (cluster.api.find(path) or {}).get("data", {}).get("token"), 30, "its token")
    own = cluster.api.create(
        f"/api/v1/namespaces/{ACCOUNT}/serviceaccounts/{ACCOUNT}/token",
        {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
    )["status"]["token"]
    port = free_port()
    start_operator(f"--metrics-listen=0.0.0.0:{port}")

    url = f"http://127.0.0.1:{port}/metrics"
    answers = [scrape(url, token) for token in (base64.b64decode(secret).decode(), own, "nobody", "")]

    assert answers == [200, 403, 401, 401]
