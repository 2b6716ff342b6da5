"""What has left an inventory: who is awaited, how long it took, what is remembered."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciliation_contract.core.facts.inventory import Entry, Inventory
from reconciliation_contract.core.facts.pruning import NAMED, Departure, Departures, Fate, Live, Took, fate
from tests.support.builders import at
from tests.support.stories_live import OWNER, config_map

FIVE = timedelta(minutes=5)
LEFT = Departure(config_map("settings"), at(0))
PROTECTED = "kustomize.toolkit.fluxcd.io/prune: disabled"
DELETED = Live(OWNER, deleted_at=at(1))
LOOKS: dict[str, tuple[Live | None, Fate, str]] = {
    "gone": (None, Fate.GONE, ""),
    "not deleted by anybody": (Live(OWNER), Fate.AWAITED, "nobody has deleted it"),
    "deleted, without finalizers": (DELETED, Fate.AWAITED, "waits for its contents or its grace period"),
    "a finalizer of somebody's": (
        replace(DELETED, finalizers={"example.com/hold": "holder"}),
        Fate.AWAITED,
        "deleted at 12:00:01, waits for finalizer example.com/hold, set by holder",
    ),
    "a finalizer of nobody's": (
        replace(DELETED, finalizers={"example.com/hold": ""}),
        Fate.AWAITED,
        "waits for finalizer example.com/hold",
    ),
    "a finalizer of Kubernetes'": (
        replace(DELETED, finalizers={"foregroundDeletion": "kube-apiserver"}),
        Fate.AWAITED,
        "foregroundDeletion (the garbage collector, once what it owns is gone)",
    ),
    "protected": (Live(OWNER, PROTECTED), Fate.SPARED, PROTECTED),
    "protected, but deleted by somebody": (replace(DELETED, protection=PROTECTED), Fate.AWAITED, "deleted at"),
    "recreated by somebody": (Live(), Fate.SPARED, "belongs to nobody in Flux now"),
    "another Kustomization's": (Live("apps/other"), Fate.SPARED, "belongs to apps/other now"),
    "another's, and on its way out": (replace(DELETED, owner="apps/other"), Fate.SPARED, "belongs to apps/other now"),
}


@pytest.mark.parametrize(("live", "expected", "account"), LOOKS.values(), ids=LOOKS)
def test_a_look_tells_how_an_object_stands(live: Live | None, expected: Fate, account: str) -> None:
    """Only what is this Kustomization's, and not protected, has to go."""
    found = fate(LEFT, live, OWNER, at(2))

    assert found.fate is expected
    assert account in found.account


def left(*names: str, seconds: float = 0) -> Departures:
    """A delivery that began at 0, with which these left."""
    known = Departures("digest", at(0))
    return known.leave(tuple(config_map(name) for name in names), at(seconds), prunes=True)


def looked(departures: Departures, name: str, live: Live | None, seconds: float) -> Departures:
    """Look at one of them."""
    found = next(each for each in departures.pending if each.entry == config_map(name))
    return departures.look({found.entry.key: fate(found, live, OWNER, at(seconds))})


def test_the_slowest_one_counts() -> None:
    """Each is measured between the last look that found it and the first that did not."""
    known = left("a", "b")

    known = looked(known, "a", None, 1)
    known = looked(known, "b", DELETED, 7)
    known = looked(known, "b", None, 9)

    assert known.pending == ()
    assert known.slowest == Took(timedelta(seconds=7), timedelta(seconds=9))


def test_what_comes_back_was_never_deleted() -> None:
    """An object that is in the inventory again is awaited no more, and not counted."""
    known = left("a", "b")

    back = known.come_back(Inventory.of([(config_map("a").id, "v1")]))

    assert [each.entry for each in back.pending] == [config_map("b")]
    assert back.left == 1


def test_without_pruning_nothing_is_awaited() -> None:
    """`spec.prune: false` leaves everything alone."""
    known = Departures().leave((config_map("a"),), at(0), prunes=False)

    assert (known.left, known.spared, known.pending) == (1, 1, ())


def test_a_new_delivery_awaits_what_is_not_overdue() -> None:
    """A push must not hide what the one before deleted; what is overdue is not held against the new one."""
    known = left("old").leave((config_map("young"),), at(280), prunes=True)

    begun = known.count_for(at(301), FIVE, at(301))

    assert [each.entry for each in begun.pending] == [config_map("young")]
    assert begun.left == 1
    assert [each.entry for each in begun.overdue] == [config_map("old")]
    assert begun.count_for(at(301), FIVE, at(900)) is begun


@pytest.mark.parametrize(("live", "left_over"), [(None, 0), (Live("apps/other"), 0), (DELETED, 1)])
def test_what_is_overdue_is_awaited_on(live: Live | None, left_over: int) -> None:
    """Over every further delivery, until it is gone or is nobody's business any more."""
    known = left("old").count_for(at(301), FIVE, at(301)).count_for(at(302), FIVE, at(302))

    after = known.look({config_map("old").key: fate(known.overdue[0], live, OWNER, at(303))})

    assert len(after.overdue) == left_over


def test_what_is_overdue_and_wanted_again_is_not_awaited() -> None:
    """A commit that brings it back is answer enough."""
    known = left("old").count_for(at(301), FIVE, at(301))

    assert known.come_back(Inventory.of([(config_map("old").id, "v1")])).overdue == ()


@pytest.mark.parametrize(("noticed", "kept"), [(10, True), (9, False)])
def test_what_nobody_saw_is_of_the_delivery_under_way(noticed: float, kept: bool) -> None:
    """After a restart the change may be the new delivery's; one that was noticed before it began is not."""
    known = replace(left(), unseen_at=at(noticed))

    begun = known.count_for(at(10), FIVE, at(10))

    assert (begun.unseen_at is not None) is kept


def test_a_thousand_pending_are_remembered_by_a_few() -> None:
    """The status is small; the rest is counted, so that nobody takes silence for being gone."""
    entries: tuple[Entry, ...] = tuple(config_map(f"object-{number}") for number in range(1000))

    kept = Departures().leave(entries, at(0), prunes=True).kept()

    assert len(kept.pending) == NAMED
    assert kept.more == 1000 - NAMED
    assert kept.left == 1000
