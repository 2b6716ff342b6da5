"""The monitoring component: it finds the pods, and carries rules and dashboards as they are in the repository."""

from __future__ import annotations

import json

from tests.manifests.conftest import Overlay
from tests.manifests.rendering import DEPLOY


def test_the_component_scrapes_the_deployed_pods(overlay: Overlay) -> None:
    """The PodMonitor selects the operator's pods and a port that they have."""
    rendering = overlay({"resources": ["../deploy"], "components": ["../deploy/monitoring"]})

    monitor = rendering.one("PodMonitor")
    (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
    assert monitor["metadata"]["namespace"] == rendering.one("Deployment")["metadata"]["namespace"]
    assert monitor["spec"]["selector"]["matchLabels"].items() <= rendering.pod["metadata"]["labels"].items()
    assert endpoint["port"] in {port["name"] for port in rendering.container["ports"]}


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
