"""How a step fails, and how that is told."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from playground.process import ProcessDiedError, last_lines
from playground.waiting import WaitTimeoutError

ERROR: Final = re.compile(r"[0-9:]+ (error|critical) ")
"""The beginning of a line in the operator's text log."""
TAIL: Final = 3
"""Lines of a log that are shown when it is kept."""
WIDEST: Final = 160
"""Characters of such a line."""


class NotYet(Exception):
    """A check of the cluster does not hold, or does not hold yet."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected = expected
        self.found = found
        super().__init__(f"expected {expected}; found {found}")


class StepFailed(Exception):
    """A step of the story did not happen as it should; the story ends."""

    def __init__(self, expected: str, found: str) -> None:
        self.expected = expected
        """What should have happened."""
        self.found = found
        """What happened instead."""
        super().__init__(f"expected {expected}; {found}")


def explain(doing: str, error: Exception, status: Sequence[str], kept: Path | None) -> list[str]:
    """Tell what failed, what was expected, what the objects say, and where the logs are kept; one line each."""
    lines = [f"Failed: {doing}.", *_reason(error, kept), *status]
    return lines if kept is None else [*lines, f"Logs and objects are kept in {kept}"]


def _reason(error: Exception, kept: Path | None) -> list[str]:
    match error:
        case StepFailed():
            return [f"Expected: {error.expected}.", f"Found:    {error.found}."]
        case WaitTimeoutError():
            return [f"Expected: {error.what}.", f"Found:    not so after {error.timeout:g} s."]
        case ProcessDiedError() if kept is not None:
            # Its own message shows more of the log, and names a file that is about to go.
            log = kept / error.log.name
            tail = [f"  {line[:WIDEST]}" for line in last_lines(log, TAIL)]
            return [f"Found:    {error.name} has ended, with code {error.code}; the end of its log:", *tail]
        case _:
            return str(error).splitlines()


def errors_in(log: Sequence[str], count: int = 3) -> list[str]:
    """Return the last few errors in the operator's log, without their tracebacks."""
    return [line for line in log if ERROR.match(line)][-count:]
