"""Text from outside, made fit for a status: bounded, one line, without control or bidirectional characters."""

from __future__ import annotations

import re
import unicodedata

LIMIT = 300
"""Longest message in a status, in characters."""

_ESCAPED = re.compile(r":\\?/\\?/")
"""The beginning of a URL, also as JSON may write it."""
_ACCOUNT = re.compile(r"(?<![^\s\"'=(])[^\s:@/\"']{1,64}:[^\s:@/\"']{1,256}@(?=[\w.-])")
"""``user:password@host`` without a scheme."""
_ADDRESS = re.compile(r"://[^\s\"']*")
_AUTHORIZATION = re.compile(
    r"(?i)(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:[a-z]{1,16}\s{1,4})?)[^\s\"',;]{1,4096}"
)
_BEARER = re.compile(r"(?i)\b((?:bearer|basic)\s{1,4})[a-z0-9._~+/=-]{8,4096}")
_NAMED = re.compile(
    r"(?i)((?:token|password|passwd|secret|api[_-]?key)[\"']?\s{0,4}=\s{0,4}[\"']?)[^\s\"'&,;]{1,4096}"
)
"""A value given to what is named like a secret."""
_HIDDEN = r"\1***"
_CUT_OFF = re.compile(r"(?<=://)[^/\s]*$")
"""A URL that ends before it is known whether its beginning was a password."""
_HASH = re.compile(r"(?<![0-9a-f])([0-9a-f]{8})[0-9a-f]{32}(?![0-9a-f])")
_SHORTENED = 5
"""How many times shorter a text of hashes alone gets."""


def bounded(text: str, limit: int = LIMIT) -> str:
    """Make a text fit for people: as `cleaned`, and commit hashes as short as Flux's command line shows them."""
    return _cut(_HASH.sub(r"\1", cleaned(text, limit * _SHORTENED)), limit)


def cleaned(text: str, limit: int) -> str:
    """Make a text safe to show: without what can be told as secret, one line, at most ``limit`` characters."""
    head = text[: limit * 16]
    seen = "".join(" " if ch in "\n\r\t" else ch for ch in head if ch in "\n\r\t" or _shown(ch))
    # What is invisible goes first: it could hide the parts of a URL from each other.
    safe = _ADDRESS.sub(_open, _ESCAPED.sub("://", seen))
    for pattern in (_AUTHORIZATION, _BEARER, _NAMED):
        safe = pattern.sub(_HIDDEN, safe)
    safe = _ACCOUNT.sub("", safe)
    if len(head) < len(text):
        safe = _CUT_OFF.sub("", safe)
    return _cut(" ".join(safe.split()), limit)


def _open(address: re.Match[str]) -> str:
    """Leave of a URL what is no secret: no user, no password (which may hold a slash), no query, no fragment."""
    rest = address[0][3:].partition("?")[0].partition("#")[0]
    before, at, after = rest.rpartition("@")
    host, slash, _ = before.partition("/")
    port = host.partition(":")[2]
    in_path = bool(slash) and "@" not in host and (not port or port.isdecimal())
    return f"://{after if at and not in_path else rest}"


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def _shown(character: str) -> bool:
    """Whether a character is visible and does not reorder its neighbours."""
    return unicodedata.category(character) not in {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
