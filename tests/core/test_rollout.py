"""How the replicas of a workload are followed: what counts as a drop, how deep and how long."""

from __future__ import annotations

from datetime import timedelta

import pytest

from reconciliation_contract.core.facts.replicas import Drop, Replicas, Workload
from reconciliation_contract.core.spec.contract import Minimum
from reconciliation_contract.core.values.object_key import ObjectKey
from tests.support.builders import at

WEB = ObjectKey("apps", "Deployment", "apps", "web")
ALL = Minimum(100, percent=True)
Look = tuple[int, int] | None
"""Replicas wanted and available; None while it is gone."""


def followed(*looks: Look, there: bool = True, minimum: Minimum = ALL) -> Workload:
    """A workload, looked at once a second."""
    first = looks[0]
    assert first is not None
    workload = Workload.first(WEB, Replicas(*first), there=there)
    for second, look in enumerate(looks[1:], 1):
        workload = workload.note(Replicas(*look) if look else None, at(second), minimum)
    return workload


FINE: dict[str, tuple[tuple[Look, ...], Minimum]] = {
    "nothing happens": (((3, 3), (3, 3)), ALL),
    "a surge": (((3, 3), (3, 4), (3, 3)), ALL),
    "scaled down on purpose": (((3, 3), (1, 3), (1, 1)), ALL),
    "scaled up, and slow": (((1, 1), (5, 1), (5, 3)), ALL),
    "scaled to nothing": (((2, 2), (0, 2), (0, 0)), ALL),
    "not all there at the beginning": (((3, 1), (3, 1), (3, 2)), ALL),
    "down at the beginning": (((3, 0), (3, 0)), ALL),
    "no lower than the stated number": (((4, 4), (4, 3), (4, 4)), Minimum(3)),
    "no lower than the stated part": (((4, 4), (4, 3), (4, 4)), Minimum(75, percent=True)),
    "more stated than was there": (((4, 2), (4, 2)), Minimum(3)),
    "nothing stated at all": (((4, 4), (4, 0), None, (4, 0)), Minimum(0)),
}


@pytest.mark.parametrize(("looks", "minimum"), FINE.values(), ids=FINE)
def test_no_drop(looks: tuple[Look, ...], minimum: Minimum) -> None:
    """What was never there cannot be lost, and what is given up on purpose is not."""
    assert followed(*looks, minimum=minimum).drops == ()


DROPS: dict[str, tuple[tuple[Look, ...], Minimum, Drop]] = {
    "for a second": (((3, 3), (3, 1), (3, 3)), ALL, Drop(WEB, 1, 3, at(1), at(2))),
    "and still": (((3, 3), (3, 2), (3, 1), (3, 2)), ALL, Drop(WEB, 1, 3, at(1))),
    "below what was there, not what is wanted": (((3, 2), (3, 1), (3, 2)), ALL, Drop(WEB, 1, 2, at(1), at(2))),
    "below the stated number": (((4, 4), (4, 3), (4, 2), (4, 3)), Minimum(3), Drop(WEB, 2, 3, at(2), at(3))),
    "below the stated part, rounded up": (
        ((3, 3), (3, 2), (3, 3)),
        Minimum(70, percent=True),
        Drop(WEB, 2, 3, at(1), at(2)),
    ),
    "scaled down, and further": (((3, 3), (2, 3), (2, 1), (2, 2)), ALL, Drop(WEB, 1, 2, at(2), at(3))),
    "gone and back": (((2, 2), None, (2, 2)), ALL, Drop(WEB, 0, 2, at(1), at(2), absent=True)),
    "back without replicas": (((2, 2), None, (2, 0), (2, 2)), ALL, Drop(WEB, 0, 2, at(1), at(3))),
    "the deeper of two": (((3, 3), (3, 2), (3, 3), (3, 1), (3, 3)), ALL, Drop(WEB, 1, 3, at(3), at(4))),
    "the longer of two": (((3, 3), (3, 2), (3, 3), (3, 2), (3, 2), (3, 3)), ALL, Drop(WEB, 2, 3, at(3), at(5))),
}


@pytest.mark.parametrize(("looks", "minimum", "expected"), DROPS.values(), ids=DROPS)
def test_a_drop(looks: tuple[Look, ...], minimum: Minimum, expected: Drop) -> None:
    """The fewest, of how many, from when to when."""
    assert followed(*looks, minimum=minimum).drops == (expected,)


def test_a_new_workload_is_held_to_nothing() -> None:
    """What was not there at the beginning may take its time, and may fail."""
    assert followed((3, 0), (3, 2), (3, 0), None, there=False).drops == ()


def test_a_drop_is_told_with_its_workload_its_replicas_and_its_time() -> None:
    """One sentence for a person."""
    drop = Drop(WEB, 1, 3, at(0), at(2.3))
    lasting = Drop(WEB, 0, 3, at(5))

    assert drop.told() == "Deployment/apps/web had 1 of 3 available for 2.3s"
    assert lasting.told() == "Deployment/apps/web had 0 of 3 available since 12:00:05 UTC"
    assert (drop.lasted, lasting.lasted) == (timedelta(seconds=2.3), None)
