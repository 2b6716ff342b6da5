"""The metadata of an object that is still there."""

from __future__ import annotations

import pytest

from reconciliation_contract.api.kubernetes.metadata import live
from tests.support.builders import at, stamp

OWNED = {"kustomize.toolkit.fluxcd.io/name": "shop", "kustomize.toolkit.fluxcd.io/namespace": "apps"}


def test_owner_and_deletion_are_read() -> None:
    """Flux's labels name the Kustomization; the API server says since when it is being deleted."""
    found = live({"labels": OWNED, "deletionTimestamp": stamp(at(5))})

    assert (found.owner, found.deleted_at, found.protection) == ("apps/shop", at(5), "")


@pytest.mark.parametrize("place", ["labels", "annotations"])
@pytest.mark.parametrize(
    ("key", "value"), [("prune", "disabled"), ("prune", "Disabled"), ("reconcile", "disabled"), ("ssa", "Ignore")]
)
def test_what_keeps_flux_from_deleting_is_read(place: str, key: str, value: str) -> None:
    """Flux heeds them as labels and as annotations, in any case."""
    found = live({place: {f"kustomize.toolkit.fluxcd.io/{key}": value}})

    assert found.protection == f"kustomize.toolkit.fluxcd.io/{key}: {value}"


def test_other_values_protect_nothing() -> None:
    """Only the values that Flux knows."""
    assert live({"labels": {"kustomize.toolkit.fluxcd.io/prune": "enabled"}}).protection == ""


def test_each_finalizer_is_told_with_who_set_it() -> None:
    """The API server knows which field manager owns which finalizer."""
    managed = [
        {"manager": "kubectl", "fieldsV1": {"f:data": {}}},
        {"manager": "holder", "fieldsV1": {"f:metadata": {"f:finalizers": {".": {}, 'v:"x.example/y"': {}}}}},
    ]

    found = live({"finalizers": ["x.example/y", "z"], "managedFields": managed})

    assert found.finalizers == {"x.example/y": "holder", "z": ""}


@pytest.mark.parametrize(
    "meta", [{"finalizers": 3, "labels": [], "managedFields": "x"}, {"finalizers": [{}], "managedFields": [3]}]
)
def test_nonsense_reads_as_nothing(meta: dict[str, object]) -> None:
    """A hostile object is just an object."""
    assert live(meta).finalizers == {}
