"""Flux's inventories: read, packed small, and compared."""

from __future__ import annotations

import pytest

from reconciliation_contract.core.facts.inventory import Entry, Inventory, entry
from reconciliation_contract.core.values.object_key import ObjectKey

IDS: dict[str, tuple[str, ObjectKey]] = {
    "of the core group": ("apps_settings__ConfigMap", ObjectKey("", "ConfigMap", "apps", "settings")),
    "of a group": ("apps_web_apps_Deployment", ObjectKey("apps", "Deployment", "apps", "web")),
    "of the whole cluster": ("_apps__Namespace", ObjectKey("", "Namespace", "", "apps")),
    "with a colon in its name": (
        "_system__web_rbac.authorization.k8s.io_ClusterRole",
        ObjectKey("rbac.authorization.k8s.io", "ClusterRole", "", "system:web"),
    ),
}


@pytest.mark.parametrize(("id_", "key"), IDS.values(), ids=IDS)
def test_an_entry_is_read_and_written_as_flux_does(id_: str, key: ObjectKey) -> None:
    """The id names group, kind, namespace and name, there and back."""
    found = entry(id_, "v1")

    assert found == Entry(key, "v1")
    assert found.id == id_


@pytest.mark.parametrize("id_", ["", "web", "a_b", "a_b_c", "____", "apps__apps_Deployment"])
def test_what_is_no_entry_reads_as_none(id_: str) -> None:
    """Anybody who may write a status may write nonsense; it is left out."""
    assert entry(id_, "v1") is None
    assert Inventory.of([(id_, "v1")]).entries() == ()


def test_an_inventory_without_another_is_what_left() -> None:
    """A new version of its API does not make another object."""
    before = Inventory.of([("apps_a__ConfigMap", "v1"), ("apps_b__ConfigMap", "v1"), ("apps_c_x_Kind", "v1beta1")])
    after = Inventory.of([("apps_b__ConfigMap", "v1"), ("apps_c_x_Kind", "v1")])

    left = before.without(after)

    assert [each.key.name for each in left] == ["a"]


def test_the_same_entries_in_any_order_are_the_same_inventory() -> None:
    """What is known is given back, so that nothing is packed twice."""
    known = Inventory.of([("apps_a__ConfigMap", "v1"), ("apps_b__ConfigMap", "v1")])

    again = Inventory.of([("apps_b__ConfigMap", "v1"), ("apps_a__ConfigMap", "v1")], known)

    assert again is known
    assert Inventory.of([("apps_b__ConfigMap", "v1")], known).digest != known.digest


def test_a_thousand_entries_take_a_few_kilobytes() -> None:
    """There may be as many Kustomizations."""
    many = Inventory.of((f"apps_object-{number}_apps_Deployment", "v1") for number in range(1000))

    assert len(many.packed) < 10_000
    assert len(many.entries()) == 1000
