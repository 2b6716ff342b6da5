"""How kustomize-controller was started, read from its Deployments."""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation_contract.api.flux.controller import Controllers, Started, argument, controllers, started


def deployment(*args: Any, image: str = "ghcr.io/fluxcd/kustomize-controller:v1.9.3") -> dict[str, Any]:
    return {"spec": {"template": {"spec": {"containers": [{"args": list(args), "image": image}]}}}}


OLD = "registry:5000/kustomize-controller:v1.8.4@sha256:00"
GATE = "--feature-gates=GroupChangeLog=true,StrictPostBuildSubstitutions="


@pytest.mark.parametrize(
    ("deployments", "told"),
    [
        ([], Started()),
        ([deployment()], Started("", True, True, False)),
        ([deployment(image=OLD)], Started("", True, False, False)),
        ([deployment(image="kustomize-controller:latest")], Started("", True, None, False)),
        ([deployment(f"{GATE}false")], Started("", True, False, False)),
        ([deployment(f"{GATE}true", image=OLD)], Started("", True, True, False)),
        ([deployment("--feature-gates", "CancelHealthCheckOnNewRevision=true")], Started("", True, True, True)),
        ([deployment("--default-service-account=tenant")], Started("tenant", True, True, False)),
        ([deployment("--default-service-account", "tenant")], Started("tenant", True, True, False)),
        ([deployment(), deployment(image=OLD)], Started("", True, None, False)),
        ([deployment("--default-service-account=a"), deployment()], Started(None, True, True, False)),
        ([{"spec": "nonsense"}], Started()),
    ],
)
def test_what_the_deployments_tell(deployments: list[dict[str, Any]], told: Started) -> None:
    """By arguments and gates, else by the version; what shards do not agree in is not known."""
    assert controllers(deployments).serving("") == told


def test_the_last_argument_counts() -> None:
    """As it does for the controller."""
    assert argument(deployment("--a=1", "--a=2", "--ab=3", 7), "a") == "2"
    assert argument(deployment("--b"), "a") == argument(deployment("--a"), "a") == ""


FLAGS: dict[str, tuple[list[Any], bool | None]] = {
    "none": ([], True),
    "the flag": (["--no-cross-namespace-refs"], False),
    "said to be on": (["--no-cross-namespace-refs=true"], False),
    "said to be on, shortly": (["--no-cross-namespace-refs=1"], False),
    "said to be off": (["--no-cross-namespace-refs=false"], True),
    "the last one counts": (["--no-cross-namespace-refs=false", "--no-cross-namespace-refs"], False),
    "a word that follows is none of its own": (["--no-cross-namespace-refs", "false"], False),
    "nonsense": (["--no-cross-namespace-refs=perhaps"], None),
    "filled in from the environment": (["--no-cross-namespace-refs=$(LOCKED)"], None),
}


@pytest.mark.parametrize("name", FLAGS)
def test_whether_references_cross_namespaces(name: str) -> None:
    """As Go reads a boolean flag; what cannot be read is not taken for open."""
    args, told = FLAGS[name]

    assert started(deployment(*args)).crosses_namespaces is told


UNREADABLE: dict[str, dict[str, Any]] = {
    "a shell": {"command": ["/bin/sh", "-c", "exec kustomize-controller --default-service-account=tenant"]},
    "words that are no list": {"args": "--default-service-account=tenant"},
    "a flag filled in from the environment": {"args": ["$(MORE_FLAGS)"]},
}


@pytest.mark.parametrize("name", UNREADABLE)
def test_flags_that_cannot_be_read_are_not_known(name: str) -> None:
    """Whatever serves an object, if one that may is not known nothing is."""
    unreadable = {"spec": {"template": {"spec": {"containers": [UNREADABLE[name]]}}}}

    assert started(unreadable) == Started()
    assert controllers([deployment(), unreadable]).serving("").default_service_account is None


def test_an_account_filled_in_from_the_environment_is_not_known() -> None:
    """Kubernetes puts in a value that the Deployment does not tell; of other flags it says nothing."""
    found = started(deployment("--events-addr=http://$(NAMESPACE)/", "--default-service-account=$(ACCOUNT)"))

    assert found.default_service_account is None
    assert started(deployment("--events-addr=http://$(NAMESPACE)/")).default_service_account == ""


def test_the_container_of_the_controller_counts() -> None:
    """What a sidecar is told is not told to the controller; of two without its name none is known to be it."""
    manager = {"name": "manager", "args": ["--default-service-account=tenant"]}
    sidecar = {"name": "proxy", "args": ["--default-service-account=other"]}

    def told(*containers: dict[str, Any]) -> str | None:
        return started({"spec": {"template": {"spec": {"containers": [*containers]}}}}).default_service_account

    assert told(manager, sidecar) == told(sidecar, manager) == "tenant"
    assert told({**manager, "name": "one"}, sidecar) is None


SHARDS: dict[str, tuple[str, str | None]] = {
    "no label": ("", ""),
    "the label of a shard": ("tenants", "tenant"),
    "the label of none": ("gone", None),
}


@pytest.mark.parametrize("name", SHARDS)
def test_the_shard_that_serves_an_object_counts(name: str) -> None:
    """One that nobody serves, as far as is known, is not taken for served by the others."""
    shard, account = SHARDS[name]
    key = "sharding.fluxcd.io/key"
    found = controllers(
        [
            deployment(f"--watch-label-selector=!{key}"),
            deployment(f"--watch-label-selector={key}=tenants", "--default-service-account=tenant"),
        ]
    )

    assert found.serving(shard).default_service_account == account
    assert Controllers().serving(shard) == Started()
