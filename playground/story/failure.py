"""How a step fails, and how that is told."""

from __future__ import annotations

from collections.abc import Sequence


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


def explain(doing: str, error: Exception, status: Sequence[str], logs: str) -> list[str]:
    """Tell what failed, what was expected, what the objects say, and where the logs are; one line each."""
    lines = [f"Failed: {doing}."]
    if isinstance(error, StepFailed):
        lines += [f"Expected: {error.expected}.", f"Found:    {error.found}."]
    else:
        lines += [f"Reason: {error}"]
    lines += status
    return [*lines, f"Logs and objects: {logs}"] if logs else lines
