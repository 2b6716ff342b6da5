"""When Flux is asked again, and when that is given up."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.core.facts.correction import MOST_PLACES, MOST_TIMES, Correction, Spacing, following
from tests.support.builders import at

SPACING = Spacing(timedelta(minutes=10), timedelta(hours=1))
ASKED = Correction(("a",), at(0))
GIVEN_UP = Correction(("a",), at(0), MOST_TIMES)
FULL = Correction(tuple(f"p{n}" for n in range(MOST_PLACES)), at(0))


@pytest.mark.parametrize(
    ("last", "places", "held", "minutes", "due"),
    [
        (None, ["a"], False, 1, Correction(("a",), at(60))),
        (ASKED, ["a"], False, 9, None),
        (ASKED, ["a"], False, 10, Correction(("a",), at(600), 2)),
        (ASKED, ["a"], True, 19, Correction(("a",), at(19 * 60), 2)),
        (ASKED, ["a"], True, 20, Correction(("a",), at(20 * 60))),
        (ASKED, ["a"], False, 20, Correction(("a",), at(20 * 60), 2)),
        (ASKED, ["b"], False, 1, Correction(("a", "b"), at(60))),
        (ASKED, ["a", "b"], True, 1, Correction(("a", "b"), at(60))),
        (Correction(("a",), at(0), 3), ["a"], False, 39, None),
        (Correction(("a",), at(0), 3), ["a"], False, 40, Correction(("a",), at(2400), 4)),
        (GIVEN_UP, ["a"], False, 10_000, None),
        (GIVEN_UP, ["a", "b"], False, 1, Correction(("a", "b"), at(60), MOST_TIMES)),
        (GIVEN_UP, ["a"], True, 119, None),
        (GIVEN_UP, ["a"], True, 120, Correction(("a",), at(7200))),
        (FULL, ["b"], False, 1, None),
    ],
    ids=[
        "the first time: at once",
        "the same within the interval: not yet",
        "the same after the interval: once more",
        "it held, but not for long: the series goes on",
        "it held for twice its spacing: a new series",
        "it never held: the series goes on",
        "another place: at once, and both are known from then on",
        "one more place: at once",
        "the third time: not before four intervals",
        "the third time: after four intervals",
        "the fifth time: never again",
        "given up, but something new: at once",
        "given up, and quiet for less than two hours: not yet",
        "given up, and quiet for two hours: a new series",
        "more places than are remembered: none is new",
    ],
)
def test_when_flux_is_asked_again(
    last: Correction | None,
    places: list[str],
    held: bool,
    minutes: int,
    due: Correction | None,
) -> None:
    """What is new at once, what comes back ever more seldom, and in the end not at all."""
    assert following(last, places, SPACING, at(minutes * 60), held=held) == due


@given(st.lists(st.tuples(st.integers(1, 600), st.sets(st.sampled_from("abcdef"), min_size=1)), max_size=300))
def test_a_fight_is_bounded(found: list[tuple[int, set[str]]]) -> None:
    """However two writers alternate: without peace, one request for each place and four for what comes back."""
    last, now, asked = None, 0, 0
    for pause, places in found:
        now += pause
        if due := following(last, sorted(places), SPACING, at(now), held=False):
            last, asked = due, asked + 1

    assert asked <= len("abcdef") + MOST_TIMES - 1
