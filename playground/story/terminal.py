"""The narrator for a person at a terminal: colours, and marks that tick while one looks."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group, OverflowMethod, RenderableType
from rich.live import Live
from rich.padding import Padding
from rich.spinner import Spinner
from rich.syntax import Syntax
from rich.table import Table
from rich.text import Text

from playground.progress import elapsed
from playground.story.facts import SHORT
from playground.story.narrator import Board, Busy, aligned

STYLES = {"Kept": "green", "Broken": "red", "Pending": "yellow", "Unknown": "yellow"}
REFRESH = 8
"""Frames a second."""
PATIENCE = 2.0
"""Seconds after which a wait shows how long it has lasted."""
HASH = re.compile(r"\b([0-9a-f]{40})\b")


class Terminal:
    """The story on a terminal of any width."""

    def __init__(self, console: Console) -> None:
        self._console = console
        ascii_only = console.options.ascii_only
        self._tick = "ok" if ascii_only else "\N{CHECK MARK}"
        self._overflow: OverflowMethod = "crop" if ascii_only else "ellipsis"

    def title(self, text: str) -> None:
        """Begin the story."""
        self._console.rule(Text(text, style="bold"), align="left")

    def chapter(self, text: str, scenario: str) -> None:
        """Begin a step, after an empty line."""
        self._console.print()
        self._console.rule(Text(text, style="bold cyan"), align="left", style="cyan")
        self._print(Text(scenario))

    def say(self, text: str) -> None:
        """Tell a sentence."""
        self._print(Text(text))

    def fact(self, label: str, text: str, verdict: str = "") -> None:
        """Tell something that was read or measured."""
        style = STYLES.get(verdict, "")
        self._print(Text.assemble("  ", (f"{label:<15} ", "bold"), f"{text:<14} ", (verdict, f"bold {style}")))

    def checked(self, text: str) -> None:
        """Tell what was found in the cluster itself."""
        self._print(Text.assemble("  ", (self._tick, "green"), f" {text}"))

    def conclude(self, text: str) -> None:
        """End a step that went well."""
        self._print(Text(text, style="bold green"))

    def block(self, heading: str, text: str, language: str = "") -> None:
        """Show a manifest, lines to be copied (`shell`), or a table of kubectl, which is cut where it is too wide."""
        self._print(Text(heading if language else f"{heading}  (hashes shortened)", style="dim"))
        if language == "shell":
            self._console.print(Text(text), soft_wrap=True)
            return
        if language:
            shown: RenderableType = Syntax(text.rstrip(), language, theme="ansi_dark", background_color="default")
        else:
            shown = Text("\n".join(narrowed(text)), no_wrap=True, overflow=self._overflow)
        self._console.print(Padding(shown, (0, 0, 0, 2)))

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        """Show a table; the verdicts in the last column are coloured."""
        table = Table(*columns, box=box.SIMPLE_HEAD, pad_edge=False)
        for row in rows:
            table.add_row(*row[:-1], Text(row[-1], style=STYLES.get(row[-1].partition(",")[0], "")))
        self._console.print(table)

    def failure(self, lines: Sequence[str]) -> None:
        """Tell what went wrong, after an empty line."""
        self._console.print()
        for number, line in enumerate(lines):
            # A path is to be copied: the terminal may wrap it, but no line break comes into it.
            self._console.print(Text(line, style="" if number else "bold red"), soft_wrap=True)

    @contextmanager
    def board(self, labels: Sequence[str]) -> Iterator[Board]:
        """Show marks that are waited for; they stay when the step is over."""
        board = _LiveBoard(labels, self._tick)
        with Live(board, console=self._console, refresh_per_second=REFRESH):
            try:
                yield board
            finally:
                board.close()

    @contextmanager
    def busy(self, text: str) -> Iterator[Busy]:
        """Show what is under way and for how long; it vanishes when it is over."""
        busy = _LiveBusy(text)
        with Live(busy, console=self._console, refresh_per_second=REFRESH, transient=True):
            yield busy

    def _print(self, text: Text) -> None:
        self._console.print(text)


class _LiveBusy:
    def __init__(self, text: str) -> None:
        self._text = text
        self._spinner = Spinner("line")
        self._started = time.monotonic()

    def update(self, text: str) -> None:
        """Say what it is at."""
        self._text = text

    def __rich__(self) -> RenderableType:
        """Draw one frame."""
        self._spinner.update(text=Text(f"{self._text}{_since(self._started)}", no_wrap=True, overflow="crop"))
        return self._spinner


class _LiveBoard:
    def __init__(self, labels: Sequence[str], tick: str) -> None:
        self._texts: dict[str, str | None] = dict.fromkeys(labels)
        self._tick = tick
        self._spinner = Spinner("line")
        self._started = time.monotonic()
        self._closed = False

    def tick(self, label: str, text: str) -> None:
        """Tick a mark."""
        self._texts[label] = text

    def wait(self) -> None:
        """Nothing: the display moves by itself."""

    def close(self) -> None:
        """Stop showing that something is waited for."""
        self._closed = True

    def __rich__(self) -> RenderableType:
        """Draw one frame."""
        lines: list[RenderableType] = []
        awaited = not self._closed
        for label, text in self._texts.items():
            if text is not None:
                lines.append(Text.assemble("  ", (self._tick, "green"), f" {label:<13} {text}"))
            elif awaited:
                awaited = False
                self._spinner.update(text=Text(f"{label}{_since(self._started)}"))
                lines.append(Padding(self._spinner, (0, 0, 0, 2)))
            else:
                lines.append(Text(f"    {label}", style="dim"))
        return Group(*lines)


def narrowed(text: str) -> list[str]:
    """Make a table of kubectl narrower: hashes are shortened and the columns laid out anew."""
    shortened = HASH.sub(lambda found: found.group(1)[:SHORT], text)
    rows = [re.split(r" {2,}", line.strip()) for line in shortened.splitlines() if line.strip()]
    if len({len(row) for row in rows}) != 1:
        return shortened.splitlines()
    head, _rule, *rest = aligned(rows[0], rows[1:])
    return [line.strip() for line in (head, *rest)]


def _since(started: float) -> str:
    seconds = time.monotonic() - started
    return f"  ({elapsed(seconds)})" if seconds >= PATIENCE else ""
