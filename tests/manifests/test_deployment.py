"""The operator's pod, how it is reached, and how a user adapts it."""

from __future__ import annotations

import copy
import tomllib
from typing import Any

import pytest

from reconciliation_contract.adapters.manifests.program import Limits
from tests.manifests.conftest import Overlay
from tests.manifests.rendering import NAME, ROOT, Manifest, Rendering


def listens(container: Manifest) -> dict[str, str]:
    """Return where the operator is told to listen, by what is served there."""
    pairs = [argument.removeprefix("--").split("=", 1) for argument in container["args"] if "-listen=" in argument]
    return {name.removesuffix("-listen"): address for name, address in pairs}


def without(document: Manifest, argument: str) -> Manifest:
    """Copy a Deployment with one argument of its container left out."""
    changed = copy.deepcopy(document)
    (container,) = changed["spec"]["template"]["spec"]["containers"]
    container["args"].remove(argument)
    return changed


def test_the_operator_understands_its_command_line(variant: Rendering) -> None:
    """Command and arguments of the container are accepted by the operator's own parser."""
    from reconciliation_contract.cli.operator import parser

    line: list[str] = variant.container["command"] + variant.container["args"]

    parsed = parser().parse_args(line[1:])

    assert line[0] == NAME
    assert parsed.observe_only == ("--observe-only" in line)


def test_the_variants_differ_in_one_argument(full: Rendering, observe: Rendering) -> None:
    """The observing variant tells the operator not to act, and is otherwise the same Deployment."""
    deployment = observe.one("Deployment")

    assert "--observe-only" not in full.container["args"]
    assert without(deployment, "--observe-only") == full.one("Deployment")


def test_the_namespace_demands_restricted_pods(variant: Rendering) -> None:
    """Pod Security refuses, reports and warns of anything less than `restricted`."""
    labels = variant.one("Namespace")["metadata"]["labels"]

    assert {mode: labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")} == {
        "enforce": "restricted",
        "audit": "restricted",
        "warn": "restricted",
    }


def test_the_pod_is_as_confined_as_restricted_demands(variant: Rendering) -> None:
    """The pod runs as nobody in particular, without privileges, on a root file system it cannot write."""
    pod = variant.pod["spec"]
    security = pod["securityContext"] | variant.container["securityContext"]

    assert security == {
        "runAsNonRoot": True,
        "runAsUser": 65532,
        "runAsGroup": 65532,
        "seccompProfile": {"type": "RuntimeDefault"},
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert not {"hostNetwork", "hostPID", "hostIPC", "initContainers"} & pod.keys()
    assert [set(volume) for volume in pod["volumes"]] == [{"name", "emptyDir"}]


def test_only_the_pod_carries_the_token(variant: Rendering) -> None:
    """Another pod that uses the service account gets its token only by asking for it."""
    account, pod = variant.one("ServiceAccount"), variant.pod["spec"]

    assert account["automountServiceAccountToken"] is False
    assert pod["automountServiceAccountToken"] is True
    assert pod["serviceAccountName"] == account["metadata"]["name"]


def test_every_listener_is_a_declared_port(variant: Rendering) -> None:
    """What the arguments open is what the container declares, under the same names, on all addresses."""
    declared = {port["name"]: port["containerPort"] for port in variant.container["ports"]}

    opened = listens(variant.container)

    assert opened == {name: f"0.0.0.0:{port}" for name, port in declared.items()}


@pytest.mark.parametrize(("probe", "path"), [("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")])
def test_probes_ask_the_health_port(variant: Rendering, probe: str, path: str) -> None:
    """Each probe asks its own path on a port that exists."""
    asked = variant.container[probe]["httpGet"]

    assert asked == {"path": path, "port": "health"}
    assert asked["port"] in {port["name"] for port in variant.container["ports"]}


def test_selectors_meet_the_pod(variant: Rendering) -> None:
    """Deployment, Service and NetworkPolicy all select the operator's pod, and name ports that it has."""
    service, policy = variant.one("Service")["spec"], variant.one("NetworkPolicy")["spec"]
    labels = variant.pod["metadata"]["labels"].items()
    ports = {port["name"] for port in variant.container["ports"]}

    for selector in (
        variant.one("Deployment")["spec"]["selector"]["matchLabels"],
        service["selector"],
        policy["podSelector"]["matchLabels"],
    ):
        assert selector.items() <= labels
    assert {port["targetPort"] for port in service["ports"]} <= ports
    assert {port["port"] for rule in policy["ingress"] for port in rule["ports"]} <= ports


def test_metrics_are_read_only_from_chosen_namespaces(variant: Rendering) -> None:
    """Nothing reaches the pod but a reader of metrics in a namespace that somebody labelled for it."""
    policy = variant.one("NetworkPolicy")["spec"]

    (rule,) = policy["ingress"]

    assert policy["policyTypes"] == ["Ingress"]
    assert [port["port"] for port in rule["ports"]] == ["metrics"]
    assert rule["from"] == [{"namespaceSelector": {"matchLabels": {"reconciliation.dev/metrics": "allowed"}}}]


def test_two_operators_never_run_at_once(variant: Rendering) -> None:
    """A rollout stops the old pod before it starts the new one."""
    spec = variant.one("Deployment")["spec"]

    assert (spec["replicas"], spec["strategy"]) == (1, {"type": "Recreate"})
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] == 10


def test_memory_is_bounded_and_cpu_is_not_throttled(variant: Rendering) -> None:
    """Requests are modest, memory has a limit, and no CPU quota falsifies what is measured."""
    resources = variant.container["resources"]

    assert resources["requests"] == {"cpu": "50m", "memory": "64Mi"}
    assert resources["limits"].keys() == {"memory"}
    assert resources["limits"]["memory"] == "1Gi"


def test_memory_holds_the_builds_at_their_worst() -> None:
    """Each build may take all that it is given, beside the operator."""
    builds = Limits().at_once * Limits().memory
    operator = 220 << 20  # with ten thousand contracts

    assert builds + operator <= 1 << 30


def test_everything_is_labelled_as_ours_and_not_as_flux(variant: Rendering) -> None:
    """Every object says what it belongs to; `flux uninstall` would delete CRDs that are part of Flux."""
    parts = {found["metadata"]["labels"].get("app.kubernetes.io/part-of") for found in variant.objects}
    names = {found["metadata"]["labels"].get("app.kubernetes.io/name") for found in variant.objects}

    assert variant.one("CustomResourceDefinition")["metadata"]["name"] == "reconciliationcontracts.reconciliation.dev"
    assert parts == {NAME}
    assert names == {NAME}


def test_the_image_has_the_version_of_the_package(variant: Rendering) -> None:
    """A release changes the version in one place, and this test names the other."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

    assert variant.container["image"] == f"{NAME}:{project['version']}"


@pytest.mark.parametrize("base", ["../deploy", "../deploy/observe"])
def test_a_user_can_name_another_image(base: str, overlay: Overlay) -> None:
    """The image is set by its name in an overlay, whatever the base says about the tag."""
    image = {"name": NAME, "newName": "registry.example/team/contract", "newTag": "mine"}

    rendering = overlay({"resources": [base], "images": [image]})

    assert rendering.container["image"] == "registry.example/team/contract:mine"


@pytest.mark.parametrize("base", ["../deploy", "../deploy/observe"])
def test_a_user_can_choose_another_namespace(base: str, overlay: Overlay) -> None:
    """An overlay's namespace moves everything, the subjects of the bindings included."""
    rendering = overlay({"namespace": "elsewhere", "resources": [base]})

    bindings = rendering.of_kind("RoleBinding", "ClusterRoleBinding")
    subjects: list[dict[str, Any]] = [subject for binding in bindings for subject in binding["subjects"]]
    assert {subject["namespace"] for subject in subjects} == {"elsewhere"}
    assert {namespace for _, namespace, _ in rendering.identities()} == {"", "elsewhere"}
    assert rendering.one("Namespace")["metadata"]["name"] == "elsewhere"
