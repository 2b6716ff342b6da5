"""Text from outside, made fit for a status: bounded, one line, without control or bidirectional characters."""

from __future__ import annotations

import re
import unicodedata

LIMIT = 300
"""Longest message in a status, in characters."""

_USERINFO = re.compile(r"(\w+://)[^/@\s]*@")
_QUERY = re.compile(r"(\w+://[^\s?\"']*)\?[^\s\"']*")


def bounded(text: str, limit: int = LIMIT) -> str:
    """Make a text safe to show: secrets in URLs removed, one line, at most ``limit`` characters."""
    text = _QUERY.sub(r"\1", _USERINFO.sub(r"\1", text[: limit * 16]))
    text = "".join(" " if ch in "\n\r\t" else ch for ch in text if ch in "\n\r\t" or _shown(ch))
    text = " ".join(text.split())
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown(character: str) -> bool:
    """Whether a character is visible and does not reorder its neighbours."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
