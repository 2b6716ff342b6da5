"""What every command works with: the API server, a namespace, and a person."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TextIO

from reconciliation_contract.api.contract.parse import REQUESTED_AT
from reconciliation_contract.cli.client.connection import Connection
from reconciliation_contract.cli.client.errors import Absent, Exit, Problem
from reconciliation_contract.cli.commands.request_annotations import Annotations, Petition
from reconciliation_contract.cli.commands.wait_goals import Goal, Outcome, progress
from reconciliation_contract.cli.view.contract_view import View, brief, view_of
from reconciliation_contract.cli.view.terminal import Screen, Tone, paragraph
from reconciliation_contract.core.values.duration import spoken

_LISTED: Final = 10
"""Contracts that are named where one is not found."""


@dataclass(frozen=True, slots=True)
class Console:
    """A person, or a script."""

    out: TextIO
    err: TextIO
    answers: TextIO
    screen: Screen
    notes: Screen
    """The screen of what goes to ``err``."""

    def say(self, lines: Iterable[str]) -> None:
        """Write what was asked for."""
        for line in lines:
            print(line, file=self.out)
        self.out.flush()

    def note(self, text: str) -> None:
        """Write what only a person wants to know."""
        print(text, file=self.err, flush=True)

    def tell(self, when: str, text: str) -> None:
        """Write a step on the way."""
        self.note("\n".join(paragraph(self.notes, text, " " * (len(when) + 2), f"{when}  ")))

    def confirm(self, question: str) -> bool:
        """Ask a person; raises `Problem` where there is none."""
        if not self.answers.isatty():
            raise Problem("nobody is there to confirm it; add --yes")
        print(f"{question} [y/N] ", end="", file=self.err, flush=True)
        return self.answers.readline().strip().lower() in ("y", "yes")


@dataclass(frozen=True, slots=True)
class Session:
    """One call of the command line."""

    connection: Connection
    namespace: str
    console: Console
    program: str
    """How this command line is called."""
    now: Callable[[], datetime]

    def contract(self, name: str) -> View:
        """Read a contract; raises `Problem` with those that there are."""
        try:
            return view_of(self.connection.contract(self.namespace, name))
        except Absent as absent:
            raise Problem(self._not_found(name)) from absent

    def _not_found(self, name: str) -> str:
        names = sorted(str(raw["metadata"]["name"]) for raw in self.connection.contracts(self.namespace))
        if not names:
            return f"no contract {name} in namespace {self.namespace}, nor any other; name another with -n, or get -A"
        more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
        return f"no contract {name} in namespace {self.namespace}; there are: {', '.join(names[:_LISTED])}{more}"

    def write(self, view: View, annotations: Annotations) -> str:
        """Write annotations together with a mark, and return the mark: the operator echoes it in the status."""
        mark = f"{self.now().astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
        self.connection.annotate(view.raw, annotations | {REQUESTED_AT: mark})
        return mark

    def ask(self, view: View, petition: Petition) -> str:
        """Write a request, say so, and return its mark."""
        mark = self.write(view, petition.annotations)
        self.console.note(f"{view.name}: {petition.told}")
        return mark

    def follow(self, view: View, goal: Goal, seconds: float, *, quiet: bool = False) -> Outcome:
        """Wait for a goal and, unless ``quiet``, tell of the way there; the time may run out.

        Raises `Problem` where the contract is deleted meanwhile.
        """
        told = ""
        for seen in self.connection.watch(view.namespace, view.name, seconds):
            if seen.gone:
                raise Problem(f"{view.name} was deleted meanwhile")
            now = view_of(seen.raw)
            ended = goal(now)
            if ended is not None:
                return ended
            if (text := brief(progress(now))) != told:
                told = text
                if not quiet:
                    self.console.tell(f"{self.now():%H:%M:%S}", text)
        return Outcome(Exit.TIMED_OUT, f"timed out after {spoken(timedelta(seconds=seconds))}; {told}")

    def conclude(self, name: str, outcome: Outcome) -> Exit:
        """Say how waiting ended."""
        tone = {Exit.DONE: Tone.GOOD, Exit.TIMED_OUT: Tone.WARNING}.get(outcome.code, Tone.BAD)
        self.console.say([self.console.screen.paint(f"{name}: {brief(outcome.message)}", tone)])
        return outcome.code
