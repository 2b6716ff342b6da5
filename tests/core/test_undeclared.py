"""Which fields the API server does not know, and what an object is without them."""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation_contract.core.facts.unknown_fields import drops, undeclared, without
from reconciliation_contract.core.values.diff import Path, pointer
from reconciliation_contract.core.values.object_key import ObjectKey

BODY: dict[str, Any] = {
    "top": 1,
    "spec": {
        "foo": 1,
        "a.b": {"c": 1},
        "ports": [{"containerPort": 80, "bad": 1}, {"containerPort": 81, "protocol": "UDP", "bad": 2}],
        "containers": [{"name": "side"}, {"name": "we,b", "resource": {"limits": {}}}],
    },
}
SEVERAL = """errors:
  .spec.containers[name="we,b"].resource: field not declared in schema
  .spec.foo: field not declared in schema
  .spec.replicas: expected numeric, got string"""


@pytest.mark.parametrize(
    ("said", "paths"),
    [
        (".spec.foo: field not declared in schema", [("spec", "foo")]),
        (".top: field not declared in schema", [("top",)]),
        (
            SEVERAL,
            [("spec", "containers", 1, "resource"), ("spec", "foo")],
        ),
        (
            '.spec.ports[containerPort=81,protocol="UDP"].bad: field not declared in schema',
            [("spec", "ports", 1, "bad")],
        ),
        (
            '.spec.ports[containerPort=80,protocol="TCP"].bad: field not declared in schema',
            [("spec", "ports", 0, "bad")],
        ),
        (".spec.ports[1].bad: field not declared in schema", [("spec", "ports", 1, "bad")]),
        (".spec.a.b.c: field not declared in schema", [("spec", "a.b", "c")]),
        (".spec.ports[7].bad: field not declared in schema", []),
        (".spec.nothing: field not declared in schema", []),
        (".spec.ports[0]: field not declared in schema", []),
        (".spec.replicas: expected numeric (int or float), got string", []),
    ],
)
def test_fields_are_found_by_what_the_api_server_says(said: str, paths: list[Path]) -> None:
    """In its own form of paths; what leads to no field of the object is nothing."""
    found = undeclared(f"failed to create typed patch object (apps/a; v1, Kind=A): {said}", BODY)

    assert list(found) == paths


def test_an_object_without_them_is_another_one() -> None:
    """What was built stays as it is, whatever lies in what."""
    left = without(BODY, (("spec", "a.b"), ("spec", "a.b", "c"), ("spec", "ports", 1, "bad")))

    assert left["spec"]["ports"][1] == {"containerPort": 81, "protocol": "UDP"}
    assert "a.b" not in left["spec"]
    assert pointer(("spec", "a.b", "c")) == "/spec/a.b/c"
    assert BODY["spec"]["a.b"] == {"c": 1}


@pytest.mark.parametrize(
    ("group", "kind", "dropped"),
    [
        ("", "Service", True),
        ("apps", "Deployment", True),
        ("rbac.authorization.k8s.io", "RoleBinding", True),
        ("rbac.authorization.k8s.io", "Role", False),
        ("rbac.authorization.k8s.io", "ClusterRole", False),
        ("apiextensions.k8s.io", "CustomResourceDefinition", False),
        ("example.org", "Widget", False),
    ],
)
def test_flux_drops_them_from_what_it_has_types_for(group: str, kind: str, *, dropped: bool) -> None:
    """Of other kinds the API server refuses them."""
    assert drops(ObjectKey(group, kind, "apps", "a")) is dropped
