"""The one place that sleeps."""

from __future__ import annotations

import pytest

from playground.waiting import WaitTimeoutError, wait_until


def test_the_first_truthy_value_is_returned() -> None:
    """The predicate's answer is often what one wants next."""
    answers = iter([None, "", "ready"])

    assert wait_until(lambda: next(answers), 60, "an answer", interval=0) == "ready"


def test_the_error_says_what_was_awaited_and_what_was_seen() -> None:
    """So that a failing test explains itself."""
    with pytest.raises(WaitTimeoutError, match=r"waited 0 s for the moon; last seen: ''"):
        wait_until(lambda: "", 0, "the moon")


def test_exceptions_pass_unless_they_mean_not_yet() -> None:
    """Only the named ones are waited out, and the last one is shown."""

    def fail() -> bool:
        raise ConnectionError("refused")

    with pytest.raises(ConnectionError):
        wait_until(fail, 60, "a server")
    with pytest.raises(WaitTimeoutError, match="refused"):
        wait_until(fail, 0, "a server", ignoring=(ConnectionError,))
