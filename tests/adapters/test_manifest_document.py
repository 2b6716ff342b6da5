"""YAML is read as Flux reads it."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.adapters.manifests.document import (
    DocumentError,
    TooManyNodes,
    read_document,
    split_documents,
)

SCALARS: dict[str, Any] = {
    "y": True,
    "No": False,
    "on": True,
    "true": True,
    '"yes"': "yes",
    "": None,
    "~": None,
    "Null": None,
    "12": 12,
    "-7": -7,
    "0644": 420,
    "0o17": 15,
    "0x1F": 31,
    "0b11": 3,
    "1_000": 1000,
    "08": 8,
    "1.0": 1,
    "1.5": 1.5,
    "1e3": 1000,
    ".5": 0.5,
    "1:30": "1:30",
    "2020-01-01": "2020-01-01",
    "2020-01-01T00:00:00Z": "2020-01-01T00:00:00Z",
    "1.2.3": "1.2.3",
    "12abc": "12abc",
    "+": "+",
    "6e74912": "6e74912",
    "._5": "._5",
    "9223372036854775807": 9223372036854775807,
    "9223372036854775808": 9.223372036854775808e18,
    "1e21": 1e21,
    "=": "=",
    "!!str 3": "3",
    "!!binary aGk=": "aGk=",
}


@pytest.mark.parametrize(("written", "meant"), SCALARS.items())
def test_a_plain_scalar_means_what_it_means_in_go(written: str, meant: object) -> None:
    """The table follows go-yaml v2 and JSON in Go."""
    found = read_document(f"a: {written}")["a"]

    assert found == meant
    assert type(found) is type(meant)


def test_keys_are_text() -> None:
    """JSON has no others."""
    assert read_document("{2: a, yes: b, '': c}") == {"2": "a", "true": "b", "": "c"}


def test_a_merge_key_merges() -> None:
    """As in both parsers."""
    assert read_document("a: &x {k: 1}\nb: {<<: *x, l: 2}")["b"] == {"k": 1, "l": 2}


def test_aliases_are_counted_as_often_as_they_stand() -> None:
    """Nine lines that stand for a thousand million values are refused at once."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]

    with pytest.raises(TooManyNodes):
        read_document("\n".join(lines))


@pytest.mark.parametrize(
    "text",
    ["a: [", "\t", "a: .inf", "a: .nan", "? [1]\n: 2", "!!python/object:os.system x", "a: &a [*a]", "[" * 5000],
)
def test_what_is_no_document_is_an_error_that_quotes_nothing(text: str) -> None:
    """One kind of error, whatever is wrong."""
    with pytest.raises(DocumentError) as caught:
        read_document(text)

    assert text not in str(caught.value)


def test_documents_are_split_at_their_markers_only() -> None:
    """Three dashes within a text are text."""
    text = "a: |\n  ---\n  x\n---\nb: 1\n---\n"

    assert [read_document(part) for part in split_documents(text)] == [{"a": "---\nx\n"}, {"b": 1}]


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    """There is no third way."""
    with contextlib.suppress(DocumentError):
        json.dumps(read_document(text), allow_nan=False)
