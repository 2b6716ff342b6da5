"""Text from outside, made fit for a status: bounded, one line, without control or bidirectional characters."""

from __future__ import annotations

import re
import unicodedata

LIMIT = 300
"""Longest message in a status, in characters."""

_USERINFO = re.compile(r"(?<=://)[^/\s]*@")
_ADDRESS = re.compile(r"://[^\s\"']*")
_CUT_OFF = re.compile(r"(?<=://)[^/\s]*$")
"""A URL that ends before it is known whether its beginning was a password."""
_HASH = re.compile(r"(?<![0-9a-f])([0-9a-f]{8})[0-9a-f]{32}(?![0-9a-f])")
_SHORTENED = 5
"""How many times shorter a text of hashes alone gets."""


def bounded(text: str, limit: int = LIMIT) -> str:
    """Make a text fit for people: as `cleaned`, and commit hashes as short as Flux's command line shows them."""
    return _cut(_HASH.sub(r"\1", cleaned(text, limit * _SHORTENED)), limit)


def cleaned(text: str, limit: int) -> str:
    """Make a text safe to show: secrets in URLs removed, one line, at most ``limit`` characters."""
    head = text[: limit * 16]
    seen = "".join(" " if ch in "\n\r\t" else ch for ch in head if ch in "\n\r\t" or _shown(ch))
    # What is invisible goes first: it could hide the parts of a URL from each other.
    safe = _ADDRESS.sub(_without_query, _USERINFO.sub("", seen))
    if len(head) < len(text):
        safe = _CUT_OFF.sub("", safe)
    return _cut(" ".join(safe.split()), limit)


def _without_query(address: re.Match[str]) -> str:
    return address[0].partition("?")[0]


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown(character: str) -> bool:
    """Whether a character is visible and does not reorder its neighbours."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
