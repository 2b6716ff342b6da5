"""What may be a secret in the words of others, left out: credentials, and values that the API server repeats.

A secret looks like any word, so what counts is the place: userinfo and query of a URL, what follows a name such as
``password``, what stands behind ``Invalid value:``, what a webhook quotes when it denies.
Forms of the API server's words: ``k8s.io/apimachinery`` ``field.Error``, and structured-merge-diff's ``got``.
"""

from __future__ import annotations

import re
from itertools import pairwise
from typing import Final

HIDDEN: Final = "***"
"""Stands where something was left out."""

_ESCAPED: Final = re.compile(r":\\?/\\?/")
"""The beginning of a URL, also as JSON may write it."""
_ADDRESS: Final = re.compile(r"://[^\s\"']*")
_HOOK: Final = re.compile(r"(?i)^([^/]*hook[^/]*)/.*|^(.*?/[^/]*hook[^/]*)/.*")
"""An address of a webhook: what follows in its path is its password."""
_ACCOUNT: Final = re.compile(r"(?<![^\s\"'=(])[^\s:@/\"']{1,64}:[^\s:@/\"']{1,256}@(?=[\w.-])")
"""``user:password@host`` without a scheme."""

_NAMES: Final = r"(?:token|passw(?:or)?d|passphrase|secret|credential|(?:api|private|access)[_-]?key|-key-data)"
_TYPE: Final = (
    r"(?:Invalid|Duplicate|Unsupported|Required) value|Forbidden|Not found|Too \w+|Internal error"
    r"|expected |must |may |should |field "
)
"""What a complaint about a field begins with."""
_SPOKEN: Final = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?i)(authorization[\"']?\s{0,4}[:=]\s{0,4}[\"']?(?:[a-z]{1,16}\s{1,4})?)[^\s\"',;]{1,4096}",
        r"(?i)\b((?:bearer|basic)\s{1,4})[a-z0-9._~+/=-]{8,4096}",
        rf"(?i)({_NAMES}[\w-]{{0,32}}[\"']?\s{{0,4}}=\s{{0,4}}[\"']?)[^\s\"'&,;]{{1,4096}}",
        rf"(?i)({_NAMES}[\w-]{{0,32}}[\"']?\s{{0,4}}:\s{{0,4}}[\"'])[^\"']{{1,4096}}",
        rf"(?i)({_NAMES}[\w-]{{0,32}}\s{{0,4}}:\s{{1,4}})(?!{_TYPE})(?=[a-z_+/=.-]{{0,64}}[0-9$%&#!])[^\s\"'&,;]{{1,4096}}",
        rf"(?i)(passw(?:or)?d\s{{0,4}}:\s{{1,4}})(?!{_TYPE})[^\s\"'&,;]{{1,4096}}",
        r"(-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----).*?(?=-----END|$)",
        r"(?i)(\bAGE-SECRET-KEY-)[a-z0-9-]{1,200}",
        r"(\b(?:gh[pousr]_|github_pat_|glpat-|xox[a-z]-|AKIA|eyJ))[\w.-]{8,4096}",
    )
)
"""Credentials by what stands before them, which is kept."""

_KIND: Final = r"\"(?:object|array|string|integer|number|boolean)\": "
"""What a schema or a rule of a CustomResourceDefinition has in the place of a value: only its type."""
_ECHO: Final = re.compile(
    rf"(?:Invalid|Duplicate|Unsupported) value: (?!{_KIND})"
    r"|\bNot found: |\bgot (?=[&{\[\"'`]|map\[)|\bin object (?=\{)"
    r"|cannot unmarshal (?:!!\w{1,32} |number )|\b(?:parsing|duration|quantity|time) (?=\")"
    r"|(?:patch from|config:) (?=[\[`])|(?:with base \d{1,2}|to float|isoformat string): (?=')"
)
"""What stands before a value that is repeated out of a manifest."""
_PAIRS: Final = {'"': '": ', "'": "': ", "`": "` ", "{": "}: ", "[": "]: "}
"""How a value ends, by how it begins."""
_QUOTED: Final = re.compile(r'(?:"(?:[^"\\]|\\.)*"|\'[^\']*\'|`[^`]*`)(?![^\s:,\]…])')
_SCALAR: Final = re.compile(r"\*{3}(?![^\s:,\]…])|(?:(?!: |, | into )[^\]])*")
_COMPOSED: Final = re.compile(r"[&*\w.\[\]]{0,128}?[{\[]")

_DENIAL: Final = re.compile(
    r"\bdenied (?:the )?request: "
    rf"|Invalid value: {_KIND}(?!\S{{0,256}} in body )"
)
"""What stands before the words of a policy's author, who may repeat whatever the manifest holds."""
_REPEATED: Final = re.compile(
    r"(?<!\w)\"+[^\"]*(?:\"+|$)|(?<!\w)'+[^']*(?:'+(?!\w)|$)|`[^`]*(?:`|$)|<(?!nil>)[^<>]*(?:>|$)"
)
_OF_SECRET: Final = re.compile(r"\bSecret[/. ]|\bsecrets? \"")


def redacted(line: str, *, private: bool = False) -> str:
    """Leave out of one visible line what may be a secret; of what has been left out once, nothing more goes.

    ``private`` says that the words are about what holds values of Secrets: then a policy's own words go as a whole.
    """
    # What is repeated goes first: other patterns could take away what stands before it.
    line = _without_echoes(_ADDRESS.sub(_open, _ESCAPED.sub("://", line)))
    for pattern in _SPOKEN:
        line = pattern.sub(rf"\1{HIDDEN}", line)
    return _without_quotes(_ACCOUNT.sub("", line), private=private)


def _open(address: re.Match[str]) -> str:
    """Leave of a URL what is no secret: no user, no password (which may hold a slash), no query, no fragment."""
    rest = address[0][3:].partition("?")[0].partition("#")[0]
    before, at, after = rest.rpartition("@")
    host, slash, _ = before.partition("/")
    port = host.partition(":")[2]
    in_path = bool(slash) and "@" not in host and (not port or port.isdecimal())
    return "://" + _HOOK.sub(rf"\1\2/{HIDDEN}", after if at and not in_path else rest)


def _without_quotes(line: str, *, private: bool) -> str:
    """Leave out what a policy repeats in its denial."""
    denial = _DENIAL.search(line)
    if denial is None:
        return line
    head, words = line[: denial.end()], line[denial.end() :]
    if private or _OF_SECRET.search(head):
        return head + HIDDEN
    while (fewer := _REPEATED.sub(HIDDEN, words)) != words:  # quotes that had no partner may have one now
        words = fewer
    return head + words


def _without_echoes(line: str) -> str:
    """Leave out the values that the API server repeats."""
    marks = [mark.end() for mark in _ECHO.finditer(line)]
    kept, at = [], 0
    for start, end in pairwise([*marks, len(line)]):
        kept += [line[at:start], HIDDEN] if at < start else []
        at = start + _length(line[start:end])
    return "".join((*kept, line[at:]))


def _length(region: str) -> int:
    """How much of a text, which reaches up to the next value at most, is the value that it begins with.

    A value may hold anything, so where its end is in doubt, the last one that it can have is taken.
    """
    composed = _COMPOSED.match(region)
    first = composed[0][-1] if composed else region[:1]
    if first not in _PAIRS:
        scalar = _SCALAR.match(region)
        return scalar.end() if scalar else 0
    last = region.rfind(_PAIRS[first])
    if last > 0:
        return last + 1
    quoted = _QUOTED.match(region)
    return quoted.end() if quoted else len(region)
