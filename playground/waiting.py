"""Waiting for something to become true: the one place that sleeps."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class WaitTimeoutError(Exception):
    """What was waited for did not come true in time."""

    def __init__(self, what: str, timeout: float, last: object) -> None:
        self.what = what
        """What was waited for, as given by the caller."""
        self.timeout = timeout
        """The limit that passed, in seconds."""
        self.last = last
        """The last value of the predicate, or the last exception that was ignored."""
        super().__init__(f"waited {timeout:g} s for {what}; last seen: {last!r}")


def wait_until(
    predicate: Callable[[], T | None],
    timeout: float,
    what: str,
    *,
    interval: float = 0.05,
    ignoring: tuple[type[Exception], ...] = (),
) -> T:
    """Return the first truthy value of the predicate, asked every `interval` seconds.

    Raises `WaitTimeoutError` after `timeout` seconds. Exceptions of the types in `ignoring` count as "not yet";
    any other exception of the predicate passes through at once.
    """
    deadline = time.monotonic() + timeout
    last: object = None
    while True:
        try:
            value = predicate()
            if value:
                return value
            last = value
        except ignoring as error:
            last = error
        if time.monotonic() >= deadline:
            raise WaitTimeoutError(what, timeout, last)
        time.sleep(interval)
