"""Text for a terminal or a pipe: aligned, bounded, safe to print, coloured only where somebody looks."""

from __future__ import annotations

import shutil
import textwrap
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final, TextIO

from reconciliation_contract.core.values.text import bounded

ABSENT: Final = "-"
"""Where there is nothing to show."""
GAP: Final = "  "
_NARROWEST: Final = 12
"""Columns that a cell keeps, however narrow the terminal is."""
_FULL: Final = 4000
"""Characters of a text that are shown at most."""


class Tone(StrEnum):
    """What a text means, as far as colour tells it; the value is the terminal's own code."""

    PLAIN = ""
    GOOD = "32"
    BAD = "31"
    WARNING = "33"
    FAINT = "2"
    STRONG = "1"


@dataclass(frozen=True, slots=True)
class Cell:
    """A text with its tone."""

    text: str
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Screen:
    """Where the text goes."""

    width: int | None = None
    """Columns; None for a pipe or a file, where no line is cut or broken."""
    colour: bool = False
    drawing: bool = True
    """Lines and dots can be drawn; otherwise ASCII has to do."""

    @staticmethod
    def of(stream: TextIO, environment: Mapping[str, str]) -> Screen:
        """Look at a stream. Colour needs a terminal and no ``NO_COLOR``, see https://no-color.org."""
        drawing = "utf" in (stream.encoding or "").lower()
        if not stream.isatty():
            return Screen(drawing=drawing)
        colour = not environment.get("NO_COLOR") and environment.get("TERM") != "dumb"
        return Screen(max(40, shutil.get_terminal_size().columns), colour, drawing)

    def paint(self, text: str, tone: Tone) -> str:
        """Colour a text that is not changed any more."""
        return f"\x1b[{tone}m{text}\x1b[0m" if self.colour and tone and text else text


def clean(text: str) -> str:
    """Make a text of the cluster safe to print: one line, no control or bidirectional characters."""
    return bounded(text, _FULL)


def columns(text: str) -> int:
    """How many columns a text takes on a terminal."""
    return sum(_columns(character) for character in text)


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in ("W", "F") else 1


def cut(text: str, width: int) -> str:
    """Shorten a text to some columns, and show that."""
    if columns(text) <= width:
        return text
    kept, used = "", 0
    for character in text:
        used += _columns(character)
        if used > width - 1:
            break
        kept += character
    return f"{kept}…"


def table(screen: Screen, rows: Sequence[Sequence[Cell]], indent: str = "", flexible: int = -1) -> list[str]:
    """Align rows of equal length. On a terminal the ``flexible`` column is cut to what is left of the line."""
    if not rows:
        return []
    rows = [[replace(cell, text=clean(cell.text)) for cell in row] for row in rows]
    widths = [max(columns(row[n].text) for row in rows) for n in range(len(rows[0]))]
    if screen.width is not None:
        excess = columns(indent) + sum(widths) + len(GAP) * (len(widths) - 1) - screen.width
        widths[flexible] = min(widths[flexible], max(_NARROWEST, widths[flexible] - max(0, excess)))
    return [(indent + GAP.join(_padded(screen, row, widths))).rstrip() for row in rows]


def _padded(screen: Screen, row: Sequence[Cell], widths: Sequence[int]) -> Iterator[str]:
    for cell, width in zip(row, widths, strict=True):
        text = cut(cell.text, width)
        yield screen.paint(text, cell.tone) + " " * (width - columns(text))


def paragraph(screen: Screen, text: str, indent: str = "", first: str | None = None) -> list[str]:
    """Break a text into lines of the terminal's width; a pipe gets one line. ``first`` begins the first line."""
    start = indent if first is None else first
    if screen.width is None:
        return [(start + text).rstrip()]
    lines = textwrap.wrap(text, screen.width, initial_indent=start, subsequent_indent=indent, break_on_hyphens=False)
    return [line.rstrip() for line in lines] or [start.rstrip()]
