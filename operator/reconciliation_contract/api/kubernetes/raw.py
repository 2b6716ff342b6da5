"""Tolerant reading of raw objects: what has a wrong type reads as absent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from reconciliation_contract.core.values.text import cleaned

Raw = Mapping[str, Any]
LONGEST_LIST = 64
"""Items read of a list; the rest of a longer one is not looked at."""


def read_map(raw: Raw, key: str) -> Raw:
    """Read a mapping; empty where it is none."""
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def read_list(raw: Raw, key: str) -> Sequence[Raw]:
    """Read a list of mappings, at most its first 64 items."""
    value = raw.get(key)
    return [item for item in value[:LONGEST_LIST] if isinstance(item, Mapping)] if isinstance(value, list) else []


def read_text(raw: Raw, key: str) -> str:
    """Read a string; empty where it is none."""
    value = raw.get(key)
    return value if isinstance(value, str) else ""


def read_words(raw: Raw, key: str, limit: int = 4096, *, private: bool = False) -> str:
    """Read what is said to people, through the filter; empty where nothing is. ``private`` as for `cleaned`."""
    return cleaned(read_text(raw, key), limit, private=private)


def read_number(raw: Raw, key: str) -> int:
    """Read a whole number; 0 where it is none."""
    value = raw.get(key)
    return value if isinstance(value, int) else 0


def read_strings(raw: Raw) -> dict[str, str]:
    """Keep those entries whose value is a string."""
    return {key: value for key, value in raw.items() if isinstance(value, str)}


_YEARS: Final = range(1000, 9000)
"""From these a budget can be added or taken away; Go's zero time, which says nothing, is not among them."""


def moment(value: object) -> datetime | None:
    """Read an API time stamp (RFC 3339, UTC); None where it is none, or one too far off to be reckoned with."""
    if not isinstance(value, str) or len(value) > 40:  # noqa: PLR2004 - longer than any time stamp
        return None
    try:
        parsed = datetime.fromisoformat(value)
        return parsed.astimezone(UTC) if parsed.tzinfo and parsed.year in _YEARS else None
    except (ValueError, OverflowError):
        return None
