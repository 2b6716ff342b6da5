"""Both faces of the demo's narrator: plain lines for a pipe, a live display for a terminal."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import Any

import pytest
from rich.console import Console

from playground import demo
from playground.story.facts import Facts
from playground.story.narrator import NarratedProgress, Narrator, Plain, aligned
from playground.story.steps import STEPS
from playground.story.summary import NEXT
from playground.story.terminal import Terminal, narrowed
from tests.playground.demo_contract import COMMIT, contract

KUBECTL = f"""\
NAME   READY   STATUS                                          REVISION            AGE
shop   True    main@sha1:{COMMIT} healthy after 3.3s of 5m     main@sha1:{COMMIT}   11s
"""
NARROW = 80


def tell_everything(narrator: Narrator) -> None:
    """Use each of a narrator's means once."""
    narrator.title("Title")
    narrator.chapter("Step 1", "What happens.")
    narrator.say("A sentence.")
    with narrator.busy("Starting") as busy:
        busy.update("still starting")
    with narrator.board(["detected", "healthy"]) as board:
        board.wait()
        board.tick("detected", "after 1s of 1m")
    narrator.fact("Detection", "1s of 1m", "Kept")
    narrator.checked("it is there")
    narrator.block("$ kubectl get", KUBECTL)
    narrator.block("YAML:", "kind: X\n", "yaml")
    narrator.table(("Step", "Verdict"), [("1", "Kept"), ("", "Broken, rolled back")])
    narrator.conclude("Done.")
    narrator.failure(["Failed: step 1.", "Found: nothing."])


def plainly(tell: Callable[[Narrator], None]) -> str:
    """What a pipe gets."""
    stream = io.StringIO()
    tell(Plain(stream))
    return stream.getvalue()


def on_terminal(tell: Callable[[Narrator], None], *, terminal: bool, encoding: str = "utf-8") -> str:
    """What a terminal of 80 columns gets; without `terminal`, only what stays on it."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding, newline="")
    tell(Terminal(Console(file=stream, width=NARROW, force_terminal=terminal, highlight=False)))
    stream.flush()
    buffer: Any = stream.buffer
    return str(buffer.getvalue().decode(encoding))


def test_a_pipe_gets_only_plain_lines() -> None:
    """No colours, nothing rewritten, no blanks at the ends of lines, and kubectl's output as it is."""
    text = plainly(tell_everything)

    assert "\x1b" not in text
    assert "\r" not in text
    assert [line for line in text.splitlines() if line != line.rstrip()] == []
    assert f"  {KUBECTL.splitlines()[1]}" in text
    assert "  detected        after 1s of 1m\n" in text
    assert "  Detection       1s of 1m       Kept\n" in text
    assert text.endswith("\nFailed: step 1.\nFound: nothing.\n")


def test_a_terminal_is_told_the_same_in_colours() -> None:
    """A mark that is reached has its tick; one that never is stays without."""
    text = on_terminal(tell_everything, terminal=True)
    plain = on_terminal(tell_everything, terminal=False)

    assert "\x1b[" in text
    assert "✓ detected" in plain
    assert "✓ healthy" not in plain
    assert "Broken, rolled back" in plain


def test_a_terminal_without_unicode_gets_words() -> None:
    """Nothing is printed that its encoding lacks."""
    text = on_terminal(tell_everything, terminal=False, encoding="ascii")

    assert "ok detected" in text


def test_no_line_is_wider_than_the_terminal() -> None:
    """What kubectl prints is cut, not wrapped."""
    table = f"NAME   STATUS\nshop   {'kept ' * NARROW}.\n"

    plain = on_terminal(tell_everything, terminal=False)
    cut = on_terminal(lambda narrator: narrator.block("$ kubectl get", table), terminal=False)

    assert [line for line in plain.splitlines() if len(line) > NARROW] == []
    assert "shop   True    main@sha1:4bfc211 healthy after 3.3s of 5m" in plain
    assert [line[:8].strip() for line in cut.splitlines()] == ["$ kubect", "NAME", "shop"]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.title)
def test_the_sentences_of_a_step_fit_on_a_line(step: Any) -> None:
    """On a terminal of 80 columns nothing wraps."""
    promised = f"Promised: {step.promise(Facts(contract(), COMMIT))}."

    assert max(map(len, (step.scenario, promised, step.lesson, f"Pushed 1234567: {step.message}"))) <= NARROW


def test_the_sentences_around_the_story_fit_on_a_line() -> None:
    """Same."""
    assert max(map(len, (*demo.PROLOGUE, *NEXT))) <= NARROW


def test_hashes_are_shortened_and_columns_laid_out_anew() -> None:
    """So that the interesting part is seen on a terminal."""
    assert narrowed(KUBECTL) == [
        "NAME   READY   STATUS                                       REVISION            AGE",
        "shop   True    main@sha1:4bfc211 healthy after 3.3s of 5m   main@sha1:4bfc211   11s",
    ]


def test_a_command_is_shown_to_be_copied() -> None:
    """Longer than a line as it may be, no line break gets into it."""
    command = f"export KUBECONFIG=/tmp/{'x' * NARROW}/kubeconfig"

    text = on_terminal(lambda narrator: narrator.block("Try:", command, "shell"), terminal=False)

    assert command in text.splitlines()


def test_output_that_is_no_table_stays_as_it_is() -> None:
    """But for its hashes."""
    assert narrowed(f"found  two\n{COMMIT}\n") == ["found  two", "4bfc211"]


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    """With a rule under the head, and no blanks at the end."""
    assert aligned(("A", "Long"), [("wide", "x")]) == ["  A      Long", "  ----   ----", "  wide   x"]


def test_the_progress_of_the_cluster_is_told() -> None:
    """Lines that stay are told at once; a pipe is not told every moment of a build."""

    def start(narrator: Narrator) -> None:
        with narrator.busy("Starting") as busy:
            progress = NarratedProgress(narrator, busy)
            progress.update("building: 10 %")
            progress.clear()
            with progress.timed("Ready"):
                pass

    assert plainly(start) == "Starting ...\nReady: 0.0 s\n"


def test_a_pipe_gets_the_plain_face(monkeypatch: pytest.MonkeyPatch) -> None:
    """And so does a terminal that cannot move its cursor."""
    stream = io.StringIO()
    monkeypatch.setattr("sys.stdout", stream)

    assert isinstance(demo.choose_narrator(stream, "xterm"), Plain)

    monkeypatch.setattr(stream, "isatty", lambda: True)
    assert isinstance(demo.choose_narrator(stream, "dumb"), Plain)
    assert isinstance(demo.choose_narrator(stream, "xterm"), Terminal)
