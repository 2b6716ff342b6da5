"""Durations on the wire: strings as Go writes them, such as ``30s``, ``1m30s`` or ``4.231s``."""

from __future__ import annotations

import re
from datetime import timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final

from reconciliation_contract.api.quote import excerpt
from reconciliation_contract.core.values.text import bounded

PATTERN: Final = r"^([0-9]+(\.[0-9]+)?(ms|s|m|h))+$"
"""Flux's own pattern for durations."""
SHORTEST: Final = timedelta(milliseconds=1)
LONGEST: Final = timedelta(hours=8760)
MAX_LENGTH: Final = 64
"""Characters; a duration in every unit takes half of them."""

_WHOLE = re.compile(PATTERN.removeprefix("^").removesuffix("$"))
_PART = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h)")
_MICROSECONDS = {"ms": 1_000, "s": 1_000_000, "m": 60_000_000, "h": 3_600_000_000}


class InvalidDuration(ValueError):
    """A text is not a duration, or is one out of bounds; the message says what to write instead."""

    def __init__(self, value: object, problem: str, mend: str) -> None:
        self.value = value
        self.problem = problem
        super().__init__(bounded(f"{excerpt(value)} {problem}; {mend}"))


def parse_duration(value: object, shortest: timedelta = SHORTEST, longest: timedelta = LONGEST) -> timedelta:
    """Read a duration between ``shortest`` and ``longest``, both included; finer than 1 µs is cut off.

    The default bounds are those of a contract's spec. Raises `InvalidDuration` for everything else.
    """
    if not isinstance(value, str) or len(value) > MAX_LENGTH or not _WHOLE.fullmatch(value):
        raise InvalidDuration(value, "is not a duration", hint(shortest, longest))
    exact = _exact(value)
    if exact < _microseconds(shortest):
        raise InvalidDuration(value, "is too short", hint(shortest, longest))
    if exact > _microseconds(longest):
        raise InvalidDuration(value, "is too long", hint(shortest, longest))
    return timedelta(microseconds=int(exact))


def format_duration(duration: timedelta) -> str:
    """Write a duration in Go's form without zero parts, rounded to 1 ms: ``250ms``, ``4.231s``, ``1m30s``, ``1m``.

    Raises ValueError for a negative one: the pattern has no sign.
    """
    total = round(duration / timedelta(milliseconds=1))
    if total < 0:
        raise ValueError(f"a negative duration cannot be written: {duration}")
    if total < 1000:  # noqa: PLR2004 - milliseconds of a second
        return f"{total}ms" if total else "0s"
    minutes, milliseconds = divmod(total, 60_000)
    hours, minutes = divmod(minutes, 60)
    seconds, rest = divmod(milliseconds, 1000)
    fraction = f".{rest:03}".rstrip("0") if rest else ""
    parts = ((hours, f"{hours}h"), (minutes, f"{minutes}m"), (milliseconds, f"{seconds}{fraction}s"))
    return "".join(text for number, text in parts if number)


def hint(shortest: timedelta, longest: timedelta) -> str:
    """Say what to write for a duration within these bounds."""
    return f"write a duration from {format_duration(shortest)} to {format_duration(longest)}, such as 30s or 1h30m"


@lru_cache(maxsize=512)  # every contract has seven, and most have the same ones
def _exact(text: str) -> Fraction:
    """Microseconds, unrounded: a sum just over a bound is over it, and a number of any size is only a number."""
    return sum((Fraction(number) * _MICROSECONDS[unit] for number, unit in _PART.findall(text)), Fraction())


def _microseconds(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)
