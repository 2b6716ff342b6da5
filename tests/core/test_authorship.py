"""Who changed a field, read from managedFields as the API server writes them."""

from __future__ import annotations

from typing import Any

import pytest

from reconciliation_contract.core.facts.field_owners import Author, Entry, author_of, owns, surplus
from tests.support.builders import at

LIVE: dict[str, Any] = {
    "metadata": {"labels": {"app": "web", "who": "me"}},
    "spec": {
        "replicas": 3,
        "template": {"containers": [{"name": "web", "image": "web:2"}, {"name": "proxy", "image": "p:1"}]},
    },
    "set": ["a", "b"],
}
IMAGE = {"f:spec": {"f:template": {"f:containers": {'k:{"name":"web"}': {".": {}, "f:image": {}}}}}}


def entry(manager: str, fields: Any, seconds: float = 0, operation: str = "Update", subresource: str = "") -> Entry:
    return Entry(Author(manager, at(seconds)), operation, subresource, fields)


@pytest.mark.parametrize(
    ("fields", "path", "expected"),
    [
        ({"f:spec": {"f:replicas": {}}}, ("spec", "replicas"), True),
        ({"f:spec": {"f:replicas": {}}}, ("spec", "template"), False),
        ({"f:spec": {"f:replicas": {}}}, ("spec",), True),
        ({"f:spec": {}}, ("spec", "replicas"), True),
        (IMAGE, ("spec", "template", "containers", 0, "image"), True),
        (IMAGE, ("spec", "template", "containers", 1, "image"), False),
        ({"f:set": {'v:"b"': {}}}, ("set", 1), True),
        ({"f:set": {'v:"b"': {}}}, ("set", 0), False),
        ({"f:set": {"i:0": {}}}, ("set", 0), True),
        ({"f:set": {"k:not json": {}}}, ("set", 0), False),
        ({"f:spec": "nonsense"}, ("spec", "replicas"), False),
        ([], ("spec",), False),
    ],
)
def test_a_field_is_found_in_what_a_manager_owns(fields: Any, path: Any, expected: bool) -> None:
    """Fields, items by key, items of sets, and things owned as a whole; nonsense owns nothing."""
    assert owns(fields, path, LIVE) is expected


def test_the_last_other_manager_is_the_author() -> None:
    """Flux owns what it applied, too, but did not change it."""
    mine = {"f:spec": {"f:replicas": {}}}
    entries = [
        entry("kustomize-controller", mine, 90, "Apply"),
        entry("kubectl-edit", mine, 10),
        entry("kubectl", mine, 50, subresource="scale"),
    ]

    assert author_of(("spec", "replicas"), LIVE, entries) == Author("kubectl", at(50))
    assert author_of(("metadata", "labels", "who"), LIVE, entries) is None


def test_what_flux_would_remove_is_surplus() -> None:
    """Only fields that a manager whose fields Flux takes over owns alone, and that Git does not have."""
    owned = {"f:metadata": {"f:labels": {"f:who": {}, "f:app": {}}}, "f:spec": {"f:replicas": {}}}
    manifest = {"metadata": {"labels": {"app": "web"}}, "spec": {}}
    scaler = entry("hpa", {"f:spec": {"f:replicas": {}}})

    assert list(surplus(manifest, LIVE, [entry("kubectl-edit", owned), scaler])) == [("metadata", "labels", "who")]
    assert list(surplus(manifest, LIVE, [entry("somebody", owned)])) == []
    for operation in ("Apply", "Update"):
        told = [entry("somebody-else", owned, operation=operation), scaler]
        assert list(surplus(manifest, LIVE, told, ["somebody"])) == [("metadata", "labels", "who")]
    assert list(surplus(manifest, LIVE, [entry("kubectl", owned, subresource="scale")])) == []


def test_items_with_names_are_matched_by_them() -> None:
    """A container that Git has at another place is no surplus."""
    manifest = {"spec": {"template": {"containers": [{"name": "sidecar"}, {"name": "web", "image": "web:1"}]}}}

    assert list(surplus(manifest, LIVE, [entry("kubectl-edit", IMAGE)])) == []
