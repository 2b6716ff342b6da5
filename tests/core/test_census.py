"""Which objects with a Kustomization's labels are orphans, and what makes a comparison worth it."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.metadata_scan import (
    NAMESPACES,
    Member,
    Place,
    Write,
    mark,
    orphans,
    places,
)
from reconciliation_contract.core.values.object_key import ObjectKey
from reconciliation_contract.core.values.timing import TIMING
from tests.support.builders import at

KEPT, STRAY = (ObjectKey("", "ConfigMap", "apps", name) for name in ("kept", "stray"))
INVENTORY = Inventory.of([("apps_kept__ConfigMap", "v1")])
EDIT = Write("kubectl-edit", "Update", at(40))
MEMBER = Member(KEPT, at(0), writes=(EDIT,))
NOW = at(3600)


def test_each_kind_is_looked_for_in_its_namespaces() -> None:
    """Or everywhere, where they are many or it belongs to the whole cluster."""
    many = [(f"n{number}_a__Secret", "v1") for number in range(NAMESPACES + 1)]
    lines = [
        ("apps_a__ConfigMap", "v1"),
        ("apps_b__ConfigMap", "v1"),
        ("apps_web_apps_Deployment", "v1"),
        ("shop_web_apps_Deployment", "v1"),
        ("_apps__Namespace", "v1"),
    ]

    found = places(Inventory.of(lines + many))

    assert found == (
        Place("", "v1", "ConfigMap", "apps"),
        Place("", "v1", "Namespace", ""),
        Place("", "v1", "Secret", ""),
        Place("apps", "v1", "Deployment", "apps"),
        Place("apps", "v1", "Deployment", "shop"),
    )
    assert [place.api_version for place in found][2:4] == ["v1", "apps/v1"]
    assert places(None) == ()


@pytest.mark.parametrize(
    ("member", "stray"),
    [
        (Member(STRAY, at(0)), True),
        (MEMBER, False),
        (Member(STRAY, at(0), spared=True), False),
        (Member(STRAY, None), False),
        (Member(STRAY, NOW - TIMING.young_object), False),
        (Member(STRAY, NOW - TIMING.young_object - timedelta(seconds=1)), True),
    ],
)
def test_what_nothing_explains_is_an_orphan(member: Member, stray: bool) -> None:
    """It is in no inventory, is to stay, is nobody else's, and is not as new as what Flux applies just now."""
    assert orphans([member], INVENTORY, NOW, TIMING.young_object) == ((STRAY,) if stray else ())


def test_without_an_inventory_all_are_orphans() -> None:
    """Flux has made none of them."""
    assert orphans([MEMBER], None, NOW, TIMING.young_object) == (KEPT,)


@pytest.mark.parametrize(
    ("members", "strays"),
    [
        ([replace(MEMBER, writes=(EDIT._replace(at=at(41)),))], ()),
        ([replace(MEMBER, writes=(EDIT, Write("helm", "Update", None)))], ()),
        ([replace(MEMBER, writes=())], ()),
        ([], ()),
        ([MEMBER], (STRAY,)),
    ],
)
def test_what_changes_makes_another_mark(members: list[Member], strays: tuple[ObjectKey, ...]) -> None:
    """Another write or writer, Flux's taking over, an object that is gone, an orphan."""
    assert mark(members, INVENTORY, strays) != mark([MEMBER], INVENTORY, ())


@pytest.mark.parametrize(
    "members", [[replace(MEMBER, created_at=at(9), spared=True)], [MEMBER, Member(STRAY, at(0), writes=(EDIT,))]]
)
def test_what_matters_to_nobody_makes_no_other_mark(members: list[Member]) -> None:
    """Objects outside of the inventory count once they are orphans; nor does the order of a list count."""
    assert mark(members, INVENTORY, ()) == mark(members[::-1], INVENTORY, ()) == mark([MEMBER], INVENTORY, ())
