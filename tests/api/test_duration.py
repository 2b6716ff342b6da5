"""Durations: Go's strings in, `timedelta` out, and back."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciliation_contract.api.duration import (
    LONGEST,
    PATTERN,
    SHORTEST,
    InvalidDuration,
    format_duration,
    parse_duration,
)

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The first text that hypothesis makes costs seconds on a busy machine."""

READ = {
    "250ms": timedelta(milliseconds=250),
    "4.231s": timedelta(seconds=4.231),
    "30s": timedelta(seconds=30),
    "90s": timedelta(seconds=90),
    "1m": timedelta(minutes=1),
    "1m0s": timedelta(minutes=1),
    "1.5h": timedelta(minutes=90),
    "1h30m": timedelta(minutes=90),
    "1h2m3.5s": timedelta(hours=1, minutes=2, seconds=3.5),
    "1s1s": timedelta(seconds=2),
    "30m1h": timedelta(minutes=90),
    "1ms": SHORTEST,
    "8760h": LONGEST,
    "525600m": LONGEST,
    "0000000000001s": timedelta(seconds=1),
    "1.0009999ms": timedelta(microseconds=1000),
}

REFUSED = {
    "no unit": ("5", "is not a duration"),
    "a number instead of a text": (5, "is not a duration"),
    "nothing": (None, "is not a duration"),
    "a list": (["1m"], "is not a duration"),
    "an empty text": ("", "is not a duration"),
    "a sign": ("-1m", "is not a duration"),
    "an exponent": ("1e99h", "is not a duration"),
    "an unknown unit": ("1d", "is not a duration"),
    "microseconds, which Flux's pattern does not know": ("1us", "is not a duration"),
    "a unit in words": ("5 minutes", "is not a duration"),
    "a point without digits": ("1.s", "is not a duration"),
    "a line break at the end": ("1m\n", "is not a duration"),
    "digits of another script": ("\u0661m", "is not a duration"),
    "a text of 10 kB": ("1s" * 5000, "is not a duration"),
    "ISO 8601": ("PT1M", "is not a duration"),
    "nothing at all": ("0s", "is too short"),
    "nothing in many parts": ("0h0m0.0s0ms", "is too short"),
    "less than a millisecond": ("0.999ms", "is too short"),
    "more than a year": ("8760h1ms", "is too long"),
    "just more than a year": ("8760.0000000000000001h", "is too long"),
    "more than any clock holds": ("99999999999h", "is too long"),
    "a number of fifty digits": ("9" * 50 + "h", "is too long"),
}

WRITTEN = {
    timedelta(0): "0s",
    timedelta(microseconds=499): "0s",
    timedelta(milliseconds=250): "250ms",
    timedelta(microseconds=999_600): "1s",
    timedelta(seconds=4.231): "4.231s",
    timedelta(seconds=1.5): "1.5s",
    timedelta(seconds=1.05): "1.05s",
    timedelta(seconds=59.9999): "1m",
    timedelta(minutes=1): "1m",
    timedelta(seconds=90): "1m30s",
    timedelta(minutes=1, milliseconds=4): "1m0.004s",
    timedelta(hours=1, seconds=5): "1h5s",
    timedelta(days=2): "48h",
    LONGEST: "8760h",
}


@pytest.mark.parametrize("text", READ)
def test_a_duration_is_read(text: str) -> None:
    """Every form that Flux's pattern allows is read exactly, down to a microsecond."""
    assert parse_duration(text) == READ[text]


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_no_duration_is_refused(case: str) -> None:
    """A refusal says what is wrong and what to write, in a message of bounded length."""
    value, problem = REFUSED[case]

    with pytest.raises(InvalidDuration) as refusal:
        parse_duration(value)

    assert refusal.value.problem == problem
    assert str(refusal.value).endswith("; write a duration from 1ms to 8760h, such as 30s or 1h30m")
    assert len(str(refusal.value)) < 150


@pytest.mark.parametrize(
    ("text", "problem"), [("9s", "is too short"), ("61m", "is too long"), ("x", "is not a duration")]
)
def test_bounds_can_be_others(text: str, problem: str) -> None:
    """A field with bounds of its own names them, whatever is wrong."""
    with pytest.raises(InvalidDuration) as refusal:
        parse_duration(text, timedelta(seconds=10), timedelta(hours=1))

    assert str(refusal.value) == f"'{text}' {problem}; write a duration from 10s to 1h, such as 30s or 1h30m"


def test_a_measured_duration_may_be_nothing() -> None:
    """With a lower bound of nothing, nothing is a duration."""
    assert parse_duration("0s", shortest=timedelta(0)) == timedelta(0)


@pytest.mark.parametrize("duration", WRITTEN, ids=str)
def test_a_duration_is_written(duration: timedelta) -> None:
    """A duration is written in Go's form, without zero parts, rounded to a millisecond."""
    assert format_duration(duration) == WRITTEN[duration]


def test_a_negative_duration_cannot_be_written() -> None:
    """There is no sign on the wire, so a negative duration is a mistake of the caller."""
    with pytest.raises(ValueError, match="negative"):
        format_duration(timedelta(seconds=-1))


@PATIENT
@given(st.integers(min_value=1, max_value=LONGEST // SHORTEST))
def test_a_written_duration_reads_back(milliseconds: int) -> None:
    """What is written matches Flux's pattern, reads back to the same value, and is written the same again."""
    duration = timedelta(milliseconds=milliseconds)

    text = format_duration(duration)

    assert re.fullmatch(PATTERN, text)
    assert parse_duration(text) == duration
    assert format_duration(parse_duration(text)) == text


@PATIENT
@given(st.text() | st.from_regex(PATTERN))
def test_any_text_is_a_duration_or_refused(text: str) -> None:
    """No text does anything else than give a duration within the bounds or a refusal."""
    try:
        duration = parse_duration(text)
    except InvalidDuration:
        return

    assert SHORTEST <= duration <= LONGEST
