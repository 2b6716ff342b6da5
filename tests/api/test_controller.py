"""How kustomize-controller was started, read from its Deployments."""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation_contract.api.flux.controller import Started, argument, started


def deployment(*args: Any, image: str = "ghcr.io/fluxcd/kustomize-controller:v1.9.3") -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"args": list(args), "image": image}]}}}}


OLD = "registry:5000/kustomize-controller:v1.8.4@sha256:00"
GATE = "--feature-gates=GroupChangeLog=true,StrictPostBuildSubstitutions="


@pytest.mark.parametrize(
    ("deployments", "told"),
    [
        ([], Started()),
        ([deployment()], Started("", True, False)),
        ([deployment(image=OLD)], Started("", False, False)),
        ([deployment(image="kustomize-controller:latest")], Started("", None, False)),
        ([deployment(f"{GATE}false")], Started("", False, False)),
        ([deployment(f"{GATE}true", image=OLD)], Started("", True, False)),
        ([deployment("--feature-gates", "CancelHealthCheckOnNewRevision=true")], Started("", True, True)),
        ([deployment("--default-service-account=tenant")], Started("tenant", True, False)),
        ([deployment("--default-service-account", "tenant")], Started("tenant", True, False)),
        ([deployment(), deployment(image=OLD)], Started("", None, False)),
        ([deployment("--default-service-account=a"), deployment()], Started("", True, False)),
        ([{"spec": "nonsense"}], Started("", None, False)),
    ],
)
def test_what_the_deployments_tell(deployments: list[dict[str, Any]], told: Started) -> None:
    """By arguments and gates, else by the version; what shards do not agree in is not known."""
    assert started(deployments) == told


def test_the_last_argument_counts() -> None:
    """As it does for the controller."""
    assert argument(deployment("--a=1", "--a=2", "--ab=3", 7), "a") == "2"
    assert argument(deployment("--b"), "a") == argument(deployment("--a"), "a") == ""
