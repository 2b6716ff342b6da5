"""Text on a screen: aligned, cut, coloured and harmless."""

from __future__ import annotations

import io

import pytest

from reconciliation_contract.cli.view.terminal import Cell, Screen, Tone, clean, columns, cut, paragraph, table

ROWS = [[Cell("NAME"), Cell("STATUS")], [Cell("shop"), Cell("x" * 40)], [Cell("a-longer-name"), Cell("")]]


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_a_pipe_gets_whole_aligned_lines() -> None:
    """Nothing is cut where a script reads, and no line ends in spaces."""
    assert table(Screen(), ROWS) == ["NAME           STATUS", f"shop           {'x' * 40}", "a-longer-name"]


def test_a_terminal_gets_lines_that_fit() -> None:
    """The last column is cut to what is left of the line, and shows that it was."""
    lines = table(Screen(width=30), ROWS)

    assert lines[1] == f"shop           {'x' * 14}…"
    assert max(map(columns, lines)) == 30


def test_another_column_can_be_the_one_that_is_cut() -> None:
    """In a history the subject gives way, not the last column."""
    rows = [[Cell("a1b2"), Cell("y" * 60), Cell("Healthy")]]

    assert table(Screen(width=40), rows, flexible=1) == [f"a1b2  {'y' * 24}…  Healthy"]


def test_nothing_is_cut_to_nothing() -> None:
    """Some columns are kept however narrow the terminal is."""
    assert table(Screen(width=10), ROWS)[1] == f"shop           {'x' * 11}…"


def test_no_rows_are_no_lines() -> None:
    """An empty table is empty."""
    assert table(Screen(), []) == []


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("shop", 4, "shop"),
        ("shopping", 4, "sho…"),
        ("日本語", 6, "日本語"),
        ("日本語", 5, "日本…"),
        ("e\u0301e\u0301", 2, "e\u0301e\u0301"),
    ],
)
def test_columns_are_counted_not_characters(text: str, width: int, expected: str) -> None:
    """A wide character takes two columns and an accent none."""
    assert cut(text, width) == expected


def test_wide_texts_are_aligned() -> None:
    """A column after wide characters begins where it should."""
    rows = [[Cell("日本"), Cell("x")], [Cell("shop"), Cell("y")]]

    assert table(Screen(), rows) == ["日本  x", "shop  y"]


def test_colour_does_not_count() -> None:
    """Colour codes stand around the text and do not move what follows."""
    rows = [[Cell("False", Tone.BAD), Cell("x")], [Cell("True", Tone.GOOD), Cell("y")]]

    assert table(Screen(80, colour=True), rows) == ["\x1b[31mFalse\x1b[0m  x", "\x1b[32mTrue\x1b[0m   y"]


@pytest.mark.parametrize(
    ("environment", "colour"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colour_can_be_refused(environment: dict[str, str], colour: bool) -> None:
    """A terminal is coloured unless its user does not want that, or it cannot."""
    assert Screen.of(Terminal(), environment).colour is colour


def test_a_pipe_has_neither_colour_nor_width() -> None:
    """What is piped is plain."""
    screen = Screen.of(io.StringIO(), {})

    assert (screen.width, screen.colour) == (None, False)


@pytest.mark.parametrize("hostile", ["\x1b[2J", "\x9b31m", "\u202eevil", "a\r\nb", "\x07", "\u2066x\u2069", "\x00"])
def test_nothing_of_the_cluster_steers_the_terminal(hostile: str) -> None:
    """Escape sequences, line breaks and bidirectional characters do not get through."""
    text = clean(hostile)

    assert text.isprintable()
    assert "\u202e" not in text


def test_a_paragraph_is_broken_for_a_terminal_only() -> None:
    """A person reads lines that fit, indented; a script reads one line."""
    text = "one two three four five"

    assert paragraph(Screen(width=16), text, "  ", "* ") == ["* one two three", "  four five"]
    assert paragraph(Screen(), text, "  ", "* ") == ["* one two three four five"]
