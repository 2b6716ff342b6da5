"""A Kubernetes object as Git wants it."""

from __future__ import annotations

import pytest

from reconciliation_contract.core.values.object_key import Manifest, ObjectKey


@pytest.mark.parametrize(
    ("api_version", "group"), [("v1", ""), ("apps/v1", "apps"), ("a.example/v1beta2", "a.example")]
)
def test_the_version_is_no_part_of_an_identity(api_version: str, group: str) -> None:
    """Two versions of an API serve the same object."""
    manifest = Manifest(api_version, "Thing", "shop", "web", {})

    assert manifest.key == ObjectKey(group, "Thing", "shop", "web")


def test_the_body_is_not_shown() -> None:
    """A Secret may not reach a log by way of the representation."""
    manifest = Manifest("v1", "Secret", "shop", "login", {"stringData": {"password": "hunter2"}})

    assert "hunter2" not in repr(manifest)
