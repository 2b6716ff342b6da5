"""What an author wrote, cut short to be quoted in a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from reconciliation_contract.core.values.text import bounded

LENGTH: Final = 40
_TELLABLE: Final = 1e15
"""Numbers beyond this are not spelled out; Python refuses to for the largest."""


def excerpt(value: object) -> str:
    """Quote a value of a raw object: a text in quotes, a number as it is, anything larger by its type."""
    match value:
        case None:
            return "empty"
        case str():
            return f"'{bounded(value, LENGTH)}'"
        case bool():
            return str(value).lower()
        case int() | float() if abs(value) < _TELLABLE:
            return str(value)
        case int() | float():
            return "too large a number"
        case Mapping():
            return "a mapping"
        case _:
            return "a list"
