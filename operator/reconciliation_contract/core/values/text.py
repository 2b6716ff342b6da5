"""Words of others, made fit to be shown: without secrets, bounded, one line, nothing invisible. The one filter."""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from reconciliation_contract.core.values.redaction import redacted

LIMIT: Final = 300
"""Longest message in a status, in characters."""
_CUT_OFF: Final = re.compile(r"(?<=://)[^/\s]*$")
"""A URL that ends before it is known whether its beginning was a password."""
_HASH: Final = re.compile(r"(?<![0-9a-f])([0-9a-f]{8})[0-9a-f]{32}(?![0-9a-f])")
_SHORTENED: Final = 5
"""How many times shorter a text of hashes alone gets."""
_SHORT: Final = 1024
"""Characters of a text that is remembered: the same few are told again and again."""


def bounded(text: str, limit: int = LIMIT) -> str:
    """Make a text fit for people: as `cleaned`, and commit hashes as short as Flux's command line shows them."""
    return _cut(_HASH.sub(r"\1", cleaned(text, limit * _SHORTENED)), limit)


def cleaned(text: str, limit: int, *, private: bool = False) -> str:
    """Make a text safe to show: without what may be a secret, one line, at most ``limit`` characters.

    ``private`` as for `redacted`.
    """
    head = text[: limit * 16]
    line = (_remembered if len(head) <= _SHORT else _line)(head, private, len(head) < len(text))
    return _cut(line, limit)


def _line(head: str, private: bool, more: bool) -> str:
    if not (head.isascii() and head.isprintable()):
        # What is invisible goes first: it could hide the parts of a URL from each other.
        head = "".join(" " if ch in "\n\r\t" else ch for ch in head if ch in "\n\r\t" or _shown(ch))
    line = redacted(" ".join(head.split()), private=private)
    return " ".join((_CUT_OFF.sub("", line) if more else line).split())


_remembered = lru_cache(4096)(_line)


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown(character: str) -> bool:
    """Whether a character is visible and does not reorder its neighbours."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
