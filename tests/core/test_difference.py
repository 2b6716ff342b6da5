"""Where two trees differ: the places and nothing else, bounded, and equal where Kubernetes sees no difference."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.core.values.diff import Difference, comparable, differences, pointer, steps, trimmed

SCALARS = st.one_of(st.none(), st.booleans(), st.integers(-5, 5), st.text(max_size=4))
TREES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(st.text(max_size=4), inner, max_size=4)),
    max_leaves=20,
)


def places(want: Any, have: Any) -> list[str]:
    return [found.pointer for found in differences(want, have, 100)]


@pytest.mark.parametrize(
    ("want", "have", "expected"),
    [
        ({"spec": {"replicas": 1}}, {"spec": {"replicas": 3}}, ["/spec/replicas"]),
        ({"a": {}}, {}, []),
        ({"a": None}, {"a": []}, []),
        ({"a": 1}, {"a": 1.0}, []),
        ({"a": 1}, {"a": True}, ["/a"]),
        ({"a": "1"}, {"a": 1}, ["/a"]),
        ({"a": 0}, {}, ["/a"]),
        ({"a": False}, {}, ["/a"]),
        ({"a": ""}, {}, ["/a"]),
        ({"a/b": {"c~d": 1}}, {"a/b": {"c~d": 2}}, ["/a~1b/c~0d"]),
        ([1, 2], [1], ["/1"]),
        ([{"name": "a", "v": 1}, {"name": "b", "v": 2}], [{"name": "b", "v": 2}, {"name": "a", "v": 1}], []),
        ([{"name": "a"}], [{"name": "b"}, {"name": "a"}], ["/0"]),
        ([{"name": "a"}, {"name": "b"}], [{"name": "a"}], ["/1"]),
        ({"z": 1, "a": 1}, {"z": 2, "a": 2}, ["/a", "/z"]),
    ],
)
def test_the_places_that_differ_are_named(want: Any, have: Any, expected: list[str]) -> None:
    """Values, absent and empty ones, types, and items of lists with and without names."""
    assert places(want, have) == expected


@given(TREES)
def test_a_tree_does_not_differ_from_its_copy(tree: Any) -> None:
    """What is equal is never reported."""
    assert places(tree, copy.deepcopy(tree)) == []


@given(TREES, TREES)
def test_both_ways_differ_at_once_or_not_at_all(left: Any, right: Any) -> None:
    """There is a difference one way exactly where there is one the other way."""
    assert bool(places(left, right)) == bool(places(right, left))


@given(st.dictionaries(st.text(max_size=4), TREES, max_size=4), st.text(max_size=4), st.integers(10, 20))
def test_one_change_is_found_at_its_place(tree: dict[str, Any], key: str, value: int) -> None:
    """A changed value is the one place that is reported."""
    changed = {**tree, key: value}

    assert places(tree, changed) == [pointer((key,))]


@given(TREES, TREES, st.integers(0, 5))
def test_no_more_is_told_than_asked(left: Any, right: Any, limit: int) -> None:
    """The list is bounded, whatever the trees are."""
    assert len(differences(left, right, limit)) <= limit


@given(st.lists(st.text(max_size=5), min_size=1, max_size=4))
def test_a_pointer_is_read_as_it_was_written(path: list[str]) -> None:
    """Slashes and tildes in names survive."""
    assert steps(pointer(tuple(path))) == tuple(path)


def test_a_very_deep_tree_is_compared_without_going_deeper() -> None:
    """Below the bound, two values are equal or not, as one."""
    want: Any = 1
    have: Any = 2
    for _ in range(200):
        want, have = {"a": want}, {"a": have}

    assert places(want, have) == ["/a" * 64]


def test_only_what_flux_compares_counts() -> None:
    """Status, versions and owners are left out; labels and annotations are not."""
    body = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "a", "uid": "1", "managedFields": [1], "labels": {"a": "b"}},
        "status": {"ready": True},
        "data": {"a": "b"},
    }

    assert comparable(body) == {"metadata": {"labels": {"a": "b"}}, "data": {"a": "b"}}


@pytest.mark.parametrize(
    ("difference", "ignored", "left"),
    [
        (Difference(("spec", "replicas"), 1, 3), "/spec/replicas", None),
        (Difference(("spec", "replicas"), 1, 3), "/spec", None),
        (Difference(("spec", "replicas"), 1, 3), "/spec/replica", Difference(("spec", "replicas"), 1, 3)),
        (Difference(("spec", "c", 0, "image"), "a", "b"), "/spec/c/*/image", None),
        (Difference(("spec",), {"a": 1, "b": 2}, None), "/spec/a", Difference(("spec",), {"b": 2}, None)),
        (Difference(("spec",), {"a": 1}, None), "/spec/a", None),
        (Difference(("l",), [{"a": 1}], None), "/l/*/a", None),
        (Difference(("spec",), 1, 2), "/spec/a", Difference(("spec",), 1, 2)),
    ],
)
def test_what_is_ignored_is_taken_out(difference: Difference, ignored: str, left: Difference | None) -> None:
    """At the pointer, below it, and inside of a subtree that differs as one."""
    assert trimmed(difference, steps(ignored)) == left
