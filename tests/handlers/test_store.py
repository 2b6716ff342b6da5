"""What is known: versions, who cares about what, and that nothing dangles."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from itertools import permutations
from typing import Any

import pytest

from reconciliation_contract.core.facts.observation import Observation, SourceRef
from reconciliation_contract.core.memory.memory import Memory, Revision, Rollback, RollbackState
from reconciliation_contract.core.spec.contract import Contract, InvalidContract
from reconciliation_contract.observers.store import Store, newer
from tests.support.api_server_flux import A, revision
from tests.support.virtual_time import START, stamp

KEY = ("apps", "shop")
OWNER = "reconciliation.dev/contract-uid"
SOURCE = SourceRef("GitRepository", "apps", "shop")


def meta(name: str, version: int, uid: str = "uid-1", **more: Any) -> dict[str, Any]:
    """Metadata of an object in `apps`."""
    return {
        "namespace": "apps",
        "name": name,
        "uid": uid,
        "resourceVersion": str(version),
        "generation": 1,
        "creationTimestamp": stamp(START),
        **more,
    }


def contract(version: int = 1, uid: str = "uid-1", name: str = "shop", **more: Any) -> dict[str, Any]:
    """A raw contract on the Kustomization `shop`."""
    return {"metadata": meta(name, version, uid), "spec": {"kustomizationRef": {"name": "shop"}}, **more}


def kustomization(source: str = "shop", uid: str = "k-1", version: str = "1") -> dict[str, Any]:
    """A raw Kustomization `shop`."""
    spec = {"sourceRef": {"kind": "GitRepository", "name": source}}
    return {"metadata": meta("shop", 1, uid) | {"resourceVersion": version}, "spec": spec}


def source(name: str = "shop", owner: str = "", uid: str = "s-1") -> dict[str, Any]:
    """A raw GitRepository, pinned for a contract where an owner is given."""
    annotations = {"annotations": {OWNER: owner}} if owner else {}
    return {"metadata": meta(name, 1, uid, **annotations), "spec": {"url": "https://git.example/shop"}}


def suspended(raw: dict[str, Any]) -> dict[str, Any]:
    """An object that somebody has suspended."""
    return raw | {"spec": raw["spec"] | {"suspend": True}}


def filled() -> Store:
    """A store with a contract, its Kustomization and its source, looked at once."""
    store = Store()
    store.put_contract(contract())
    store.put_kustomization(kustomization(), START, live=False)
    store.put_source(source(), START, live=False)
    look(store)
    return store


def look(store: Store, memory: Memory | None = None) -> Observation:
    """Observe for the contract `shop`, as a pass does."""
    known = store.contracts[KEY].contract
    assert isinstance(known, Contract)
    return store.observe(known, memory or Memory(), acts=True, refused="")


@pytest.mark.parametrize(
    ("elder", "corrector"),
    [
        ({"promises": {"drift": {"mode": "Correct"}}}, "elder"),
        ({"promises": {"drift": {"mode": "Correct"}}, "rollback": {"mode": "Disabled"}}, "elder"),
        ({"promises": {"drift": {"mode": "Detect"}}}, ""),
        ({"promises": {"drift": {"mode": "Correct"}}, "suspend": True}, ""),
    ],
)
def test_the_oldest_that_may_has_drift_corrected(elder: dict[str, Any], corrector: str) -> None:
    """Whatever either of them thinks of rollbacks."""
    store = filled()
    raw = contract(uid="uid-0", name="elder")
    raw["metadata"]["creationTimestamp"] = stamp(START - timedelta(hours=1))
    raw["spec"] |= elder
    store.put_contract(raw)

    assert look(store).operator.corrector == corrector


def rolled_back(pin: str) -> Memory:
    """The memory of a rollback to a pinned copy."""
    good = Revision(revision(A), A)
    undo = Rollback(RollbackState.ACTIVE, good, good, "", "k-1", SOURCE, replace(SOURCE, name=pin), START)
    return Memory(rollback=undo)


# Versions ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("version", "than", "expected"),
    [("10", "9", True), ("9", "10", False), ("9", "9", False), ("", "9", True), ("x", "9", True), ("9", "x", True)],
)
def test_versions_are_compared_as_numbers(version: str, than: str, expected: bool) -> None:
    """What is no number may be newer, so it is taken."""
    assert newer(version, than) is expected


def test_an_older_version_of_a_contract_is_ignored() -> None:
    """An event that comes after the answer to our own write does not take the store back."""
    store = Store()
    store.put_contract(contract(10, status={"observedGeneration": 2}))

    told = [store.put_contract(contract(version, status={})) for version in (9, 10)]

    assert told == [set(), set()]
    assert store.contracts[KEY].status == {"observedGeneration": 2}


def test_a_newer_version_of_a_contract_is_taken() -> None:
    """And its contract is to be looked at."""
    store = Store()
    store.put_contract(contract(10))

    assert store.put_contract(contract(11, status={"observedGeneration": 3})) == {KEY}
    assert store.contracts[KEY].resource_version == "11"


def test_a_contract_made_anew_is_taken() -> None:
    """Another uid is another contract; nothing of the old one stays, its pinned copies included."""
    store = filled()
    store.put_source(source("pin", owner="uid-1", uid="s-2"), START, live=True)

    told = store.put_contract(contract(2, uid="uid-2"))

    assert told == {KEY}
    assert store.contracts[KEY].contract.uid == "uid-2"
    assert store.put_source(source("pin", owner="uid-1", uid="s-2"), START, live=True) == set()
    assert look(store).flux.strays == ()


OUTDATED = {
    "an older version by the watch": ("9", True, "shop"),
    "the same version": ("10", True, "other"),
    "a newer version": ("11", True, "other"),
    "an older version by a list, as after a restored backup": ("9", False, "other"),
    "a version that cannot be compared": ("x9", True, "other"),
}


@pytest.mark.parametrize("case", OUTDATED)
def test_the_newest_version_of_a_kustomization_stays(case: str) -> None:
    """What the watch brings late changes nothing; a list is the last word."""
    version, live, expected = OUTDATED[case]
    store = Store()
    store.put_kustomization(kustomization("shop", version="10"), START, live=True)

    store.put_kustomization(kustomization("other", version=version), START, live=live)

    assert store.kustomizations[KEY].source.name == expected


@pytest.mark.parametrize("case", OUTDATED)
def test_the_newest_version_of_a_source_stays(case: str) -> None:
    """The same holds for sources."""
    version, live, expected = OUTDATED[case]
    store, raw = Store(), {"metadata": meta("shop", 10), "spec": {"url": "shop"}}
    store.put_source(raw, START, live=True)

    store.put_source(
        {"metadata": meta("shop", 1) | {"resourceVersion": version}, "spec": {"url": "other"}}, START, live=live
    )

    assert store.sources["GitRepository"][KEY].url == expected


def test_a_kustomization_made_anew_has_no_past() -> None:
    """What was seen of the old one is not counted for one of another uid."""
    store = Store()
    old = kustomization()
    old["status"] = {"lastAttemptedRevision": revision(A)}
    store.put_kustomization(old, START, live=True)
    first = store.kustomizations[KEY].attempted

    store.put_kustomization({**old, "metadata": meta("shop", 2, "k-2")}, START, live=True)

    assert first is not None
    assert first.exact is False
    assert store.kustomizations[KEY].attempted == first


ORDERS = sorted(
    {
        tuple(order)
        for order in permutations(("edited", "gone", "made"))
        if order.index("edited") < order.index("gone")
    }
)
"""Events of one object come in their order; those of another uid at any time."""


@pytest.mark.parametrize("live", [True, False], ids=["by watch", "by list"])
@pytest.mark.parametrize("order", ORDERS, ids="-".join)
@pytest.mark.parametrize("kind", ["contract", "kustomization", "source"])
def test_an_object_made_anew_survives_the_events_of_the_old_one(
    kind: str, order: tuple[str, ...], live: bool
) -> None:
    """Whatever comes first, the new one is known at the end, and whoever cares is told of it."""
    store = filled()
    bring, drop, known = feeds(store, live=live)[kind]
    events: dict[str, Callable[[], set[tuple[str, str]]]] = {
        "edited": lambda: bring("old", 10),
        "gone": lambda: drop("old"),
        "made": lambda: bring("new", 12),
    }
    bring("old", 5)

    told = {event: events[event]() for event in order}

    assert known() == "new"
    assert told["made"] == {KEY}


def feeds(store: Store, *, live: bool) -> dict[str, Any]:
    """By kind: how to bring an object of a uid and version, how to drop it, and which is known."""
    return {
        "contract": (
            lambda uid, version: store.put_contract(contract(version, uid)),
            lambda uid: store.drop_contract(KEY, uid),
            lambda: store.contracts[KEY].contract.uid,
        ),
        "kustomization": (
            lambda uid, version: store.put_kustomization(
                kustomization(uid=uid, version=str(version)), START, live=live
            ),
            lambda uid: store.drop_kustomization(KEY, uid),
            lambda: store.kustomizations[KEY].uid,
        ),
        "source": (
            lambda uid, version: store.put_source(
                {**source(), "metadata": meta("shop", version, uid)}, START, live=live
            ),
            lambda uid: store.drop_source(KEY, uid),
            lambda: store.sources["GitRepository"][KEY].uid,
        ),
    }


# Interests --------------------------------------------------------------------------------------------------------


def test_a_contract_hears_of_its_kustomization_and_of_its_source() -> None:
    """And of no others."""
    store = filled()

    assert store.put_kustomization(suspended(kustomization(version="2")), START, live=True) == {KEY}
    assert store.put_source(suspended(source()), START, live=True) == {KEY}
    assert store.put_source(source("other"), START, live=True) == set()


def test_what_changes_nothing_is_news_to_nobody() -> None:
    """Another version that says the same is known from then on, and nobody has to look."""
    store = filled()

    assert store.put_kustomization(kustomization(version="2"), START, live=True) == set()
    assert store.put_source(source(), START, live=False) == set()
    assert store.kustomizations[KEY].resource_version == "2"


def test_a_contract_that_was_just_written_still_hears_of_its_source() -> None:
    """A new version of the contract does not make it deaf until its next pass."""
    store = filled()

    store.put_contract(contract(2))

    assert store.put_source(suspended(source()), START, live=True) == {KEY}
    assert store.put_kustomization(suspended(kustomization(version="2")), START, live=True) == {KEY}


def test_several_contracts_may_care_for_the_same() -> None:
    """All of them are told."""
    store = filled()
    store.put_contract(contract(uid="uid-2", name="other"))

    found = suspended(kustomization(version="2"))
    assert store.put_kustomization(found, START, live=True) == {KEY, ("apps", "other")}


def test_a_contract_follows_its_kustomization_to_another_source() -> None:
    """From the pass on that saw the change, the old source is no more its concern."""
    store = filled()
    store.put_kustomization(kustomization("new"), START, live=True)
    look(store)

    assert store.put_source(source("new", uid="s-2"), START, live=True) == {KEY}
    assert store.put_source(suspended(source()), START, live=True) == set()


def test_during_a_rollback_the_source_is_still_the_original_one() -> None:
    """A fix arrives there while the Kustomization points at the pinned copy."""
    store = filled()
    store.put_kustomization(kustomization("pin"), START, live=True)

    seen = look(store, rolled_back("pin"))

    assert seen.flux.source is not None
    assert seen.flux.source.name == "shop"
    assert store.put_source(suspended(source()), START, live=True) == {KEY}


def test_a_contract_that_is_gone_hears_of_nothing() -> None:
    """And leaves nothing behind."""
    store = filled()

    store.drop_contract(KEY)
    store.drop_contract(KEY)

    assert store.contracts == {}
    assert store.put_kustomization(suspended(kustomization(version="2")), START, live=True) == set()
    assert store.put_source(suspended(source()), START, live=True) == set()


def test_a_contract_that_makes_no_sense_hears_of_nothing_until_it_does() -> None:
    """It is known, but bound to nothing."""
    store = filled()
    store.put_contract({**contract(2), "spec": {}})
    senseless = store.contracts[KEY].contract
    deaf = store.put_kustomization(suspended(kustomization(version="2")), START, live=True)

    store.put_contract(contract(3))

    assert isinstance(senseless, InvalidContract)
    assert deaf == set()
    assert store.put_kustomization(kustomization(version="3"), START, live=True) == {KEY}


def test_what_is_dropped_is_told_once() -> None:
    """A deletion that both the watch and the sweep find is one piece of news."""
    store = filled()

    assert [store.drop_kustomization(KEY) for _ in range(2)] == [{KEY}, set()]
    assert [store.drop_source(KEY) for _ in range(2)] == [{KEY}, set()]
    assert look(store).flux.source is None


# Pinned copies ----------------------------------------------------------------------------------------------------


def test_a_pinned_copy_belongs_to_the_contract_of_its_uid() -> None:
    """The one that the rollback needs is the pin, others are strays, whatever their names."""
    store = filled()
    told = [store.put_source(source(name, owner="uid-1", uid=name), START, live=True) for name in ("pin", "left")]
    store.put_source(source("foreign", owner="uid-9", uid="f"), START, live=True)

    seen = look(store, rolled_back("pin"))

    assert told == [{KEY}, {KEY}]
    assert seen.flux.pin is not None
    assert seen.flux.pin.name == "pin"
    assert [stray.name for stray in seen.flux.strays] == ["left"]


@pytest.mark.parametrize("owner", ["", "uid-9"], ids=["no owner any more", "another owner"])
def test_a_pinned_copy_that_changes_hands_is_not_ours_any_more(owner: str) -> None:
    """Its old owner is told, and its end later on harms nobody."""
    store = filled()
    store.put_source(source("pin", owner="uid-1", uid="p"), START, live=True)

    told = store.put_source(source("pin", owner=owner, uid="p"), START, live=True)
    store.drop_source(("apps", "pin"))

    assert told == {KEY}
    assert look(store).flux.strays == ()


def test_a_pinned_copy_that_goes_is_told_to_its_owner() -> None:
    """It may have to be made again."""
    store = filled()
    store.put_source(source("pin", owner="uid-1", uid="p"), START, live=True)

    assert store.drop_source(("apps", "pin")) == {KEY}
    assert look(store, rolled_back("pin")).flux.pin is None
