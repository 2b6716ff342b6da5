"""Durations as people read them."""

from __future__ import annotations

from datetime import timedelta


def spoken(duration: timedelta) -> str:
    """Write a duration as Go does, rounded to what a person can use: ``480ms``, ``4.2s``, ``5m``, ``1h30m``."""
    milliseconds = round(duration / timedelta(milliseconds=1))
    if milliseconds < 0:
        return f"-{spoken(-duration)}"
    if milliseconds < 1000:  # noqa: PLR2004 - milliseconds of a second
        return f"{milliseconds}ms" if milliseconds else "0s"
    if milliseconds < 59_950:  # noqa: PLR2004 - what rounds to less than a minute
        return f"{milliseconds / 1000:.1f}".removesuffix(".0") + "s"
    minutes, seconds = divmod(round(milliseconds / 1000), 60)
    hours, minutes = divmod(minutes, 60)
    parts = ((hours, "h"), (minutes, "m"), (seconds, "s"))
    return "".join(f"{number}{unit}" for number, unit in parts if number)
