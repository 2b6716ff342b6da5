"""The monitoring component: it finds the pods, and carries rules and dashboards as they are in the repository."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from tests.manifests.conftest import Overlay
from tests.manifests.rendering import DEPLOY, ROOT, Rendering


def test_the_component_scrapes_the_deployed_pods(overlay: Overlay) -> None:
    """The PodMonitor selects the operator's pods and a port that they have."""
    rendering = overlay({"resources": ["../deploy"], "components": ["../deploy/monitoring"]})

    monitor = rendering.one("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert monitor["metadata"]["namespace"] == rendering.one("Deployment")["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= rendering.pod["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in rendering.container["ports"]}


def test_prometheus_has_a_token_that_is_good_for_metrics_only(overlay: Overlay) -> None:
    """The PodMonitor names it, and the account behind it may do nothing else."""
    rendering = overlay({"resources": ["../deploy"], "components": ["../deploy/monitoring"]})

    (endpoint,) = rendering.one("PodMonitor")["spec"]["podMetricsEndpoints"]
    secret = rendering.one("Secret")
    account = secret["metadata"]["annotations"]["kubernetes.io/service-account.name"]
    bound = [
        binding["roleRef"]["name"]
        for binding in rendering.of_kind("RoleBinding", "ClusterRoleBinding")
        if account in [subject["name"] for subject in binding["subjects"]]
    ]
    rules = [rule for role, rule in rendering.rules() if role["metadata"]["name"] in bound]
    assert endpoint["authorization"]["credentials"] == {"name": secret["metadata"]["name"], "key": "token"}
    assert rules == [{"nonResourceURLs": ["/metrics"], "verbs": ["get"]}]


def test_the_component_carries_rules_and_dashboards(overlay: Overlay) -> None:
    """All dashboards in one ConfigMap that Grafana's sidecar finds, well below its limit of 1 MiB."""
    rendering = overlay({"resources": ["../deploy"], "components": ["../deploy/monitoring"]})

    (config,) = [found for found in rendering.of_kind("ConfigMap") if "dashboards" in found["metadata"]["name"]]
    files = {path.name for path in (DEPLOY / "monitoring" / "dashboards").glob("*.json")}
    assert config["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert set(config["data"]) == files
    assert all(json.loads(text)["panels"] for text in config["data"].values())
    assert sum(len(text) for text in config["data"].values()) < 500_000
    assert rendering.one("PrometheusRule")["spec"]["groups"]


def runbooks(rendering: Rendering) -> list[str]:
    """The address that each alert gives."""
    rules: list[dict[str, Any]] = [
        rule for group in rendering.one("PrometheusRule")["spec"]["groups"] for rule in group["rules"]
    ]
    return [rule["annotations"]["runbook_url"] for rule in rules if "alert" in rule]


def test_runbooks_can_be_given_an_address(overlay: Overlay, tmp_path: Path) -> None:
    """As the component says in its comment: every alert leads to a page, and nothing else changes."""
    text = (DEPLOY / "monitoring/runbooks/kustomization.yaml").read_text()
    example, config = (block.replace("#   ", "") for block in re.findall(r"(?:^#   .*\n)+", text, re.MULTILINE))
    (tmp_path / "runbooks").mkdir()
    (tmp_path / "runbooks" / "runbooks.yaml").write_text(config)
    (tmp_path / "runbooks" / "kustomization.yaml").write_text("resources: [runbooks.yaml]")
    mine = yaml.safe_load(example)
    mine["resources"] = [name.replace("runbooks.yaml", "../runbooks") for name in mine["resources"]]

    rendering = overlay(mine)

    docs = yaml.safe_load(config)["data"]["docs"]
    assert all((ROOT / "docs" / url.removeprefix(f"{docs}/")).is_file() for url in runbooks(rendering))
    assert {url.removeprefix(docs) for url in runbooks(rendering)} == {
        f"/runbooks/{page.name}" for page in (ROOT / "docs/runbooks").glob("*.md")
    }
    assert not [found for found in rendering.of_kind("ConfigMap") if "runbooks" in found["metadata"]["name"]]
