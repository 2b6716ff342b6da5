"""Who tells the story: the protocol of both faces, and the one for pipes and logs, in plain lines."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol, TextIO

from playground.progress import Progress, elapsed

INTERVAL = 10.0
"""Seconds without news after which a pipe is told that the wait goes on."""
INDENT = "  "


class Board(Protocol):
    """The marks of a step, ticked as they are reached."""

    def tick(self, label: str, text: str) -> None:
        """A mark is reached."""

    def wait(self) -> None:
        """Nothing new; called several times a second."""


class Busy(Protocol):
    """Something that takes more than a moment."""

    def update(self, text: str) -> None:
        """Say what it is at."""


class Narrator(Protocol):
    """Tells the story. Lines are short; none carries a line break."""

    def title(self, text: str) -> None:
        """Begin the story."""

    def chapter(self, text: str, scenario: str) -> None:
        """Begin a step."""

    def say(self, text: str) -> None:
        """Tell a sentence."""

    def fact(self, label: str, text: str, verdict: str = "") -> None:
        """Tell something that was read or measured; `verdict` is `Kept`, `Broken` or another word."""

    def checked(self, text: str) -> None:
        """Tell what was found in the cluster itself."""

    def conclude(self, text: str) -> None:
        """End a step that went well."""

    def block(self, heading: str, text: str, language: str = "") -> None:
        """Show the output of a command or a manifest as it is."""

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table; the last column holds verdicts."""

    def failure(self, lines: Sequence[str]) -> None:
        """Tell what went wrong."""

    def board(self, labels: Sequence[str]) -> AbstractContextManager[Board]:
        """Show marks that are waited for."""

    def busy(self, text: str) -> AbstractContextManager[Busy]:
        """Show that something is under way."""


class Plain:
    """A line for everything, when it happens; no colours, no line is ever rewritten."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def title(self, text: str) -> None:
        """Begin the story."""
        self._lines(text, "=" * len(text))

    def chapter(self, text: str, scenario: str) -> None:
        """Begin a step, after an empty line."""
        self._lines("", text, "-" * len(text), scenario)

    def say(self, text: str) -> None:
        """Tell a sentence."""
        self._lines(text)

    def fact(self, label: str, text: str, verdict: str = "") -> None:
        """Tell something that was read or measured."""
        self._lines(f"{INDENT}{label:<15} {text:<14} {verdict}".rstrip())

    def checked(self, text: str) -> None:
        """Tell what was found in the cluster itself."""
        self._lines(f"{INDENT}checked: {text}")

    def conclude(self, text: str) -> None:
        """End a step that went well."""
        self._lines(text)

    def block(self, heading: str, text: str, language: str = "") -> None:  # noqa: ARG002 - colours are for terminals
        """Show the output of a command or a manifest as it is."""
        self._lines(heading, *(f"{INDENT}{line}".rstrip() for line in text.splitlines()))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table in columns of equal width."""
        self._lines(*aligned(columns, rows))

    def failure(self, lines: Sequence[str]) -> None:
        """Tell what went wrong, after an empty line."""
        self._lines("", *lines)

    @contextmanager
    def board(self, labels: Sequence[str]) -> Iterator[Board]:
        """Show marks that are waited for."""
        yield _PlainBoard(self, labels)

    @contextmanager
    def busy(self, text: str) -> Iterator[Busy]:
        """Say what is under way, and now and then how far it is."""
        self._lines(f"{text} ...")
        yield _PlainBusy(self)

    def _lines(self, *lines: str) -> None:
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()


class _PlainBusy:
    def __init__(self, narrator: Narrator) -> None:
        self._narrator = narrator
        self._told = time.monotonic()

    def update(self, text: str) -> None:
        """Tell it if nothing was told for a while."""
        now = time.monotonic()
        if now - self._told >= INTERVAL:
            self._told = now
            self._narrator.say(f"{INDENT}{text}")


class _PlainBoard:
    def __init__(self, narrator: Narrator, labels: Sequence[str]) -> None:
        self._narrator = narrator
        self._open = list(labels)
        self._started = time.monotonic()
        self._busy = _PlainBusy(narrator)

    def tick(self, label: str, text: str) -> None:
        """Tell it."""
        self._open.remove(label)
        self._narrator.fact(label, text)

    def wait(self) -> None:
        """Tell now and then what is still waited for."""
        if self._open:
            self._busy.update(f"... {elapsed(time.monotonic() - self._started)}, waiting for: {self._open[0]}")


class NarratedProgress(Progress):
    """The progress of building and starting a cluster, told by the narrator."""

    def __init__(self, narrator: Narrator, busy: Busy) -> None:
        super().__init__(quiet=True)
        self._narrator = narrator
        self._busy = busy

    def say(self, message: str) -> None:
        """Tell a line that stays."""
        self._narrator.say(message)

    def update(self, message: str) -> None:
        """Tell the present state."""
        self._busy.update(message)


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lay a table out in lines, with a rule under its head."""
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    rule = ["-" * width for width in widths]
    return [
        INDENT + "   ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in (columns, rule, *rows)
    ]
