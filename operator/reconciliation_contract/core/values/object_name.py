"""What Kubernetes takes for a name; each function says what is wrong with a text, in words, or nothing.

The rules are those of k8s.io/apimachinery, ``pkg/util/validation`` and ``pkg/api/validation/path``.
"""

from __future__ import annotations

import re
from typing import Final

_LABEL: Final = r"[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_IS_LABEL: Final = re.compile(_LABEL)
_IS_SUBDOMAIN: Final = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_IS_QUALIFIED: Final = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]*[A-Za-z0-9])?")
LONGEST_LABEL: Final = 63
"""Characters of a DNS label, of a label's value, and of the name part of its key."""
LONGEST_NAME: Final = 253
"""Characters of a DNS subdomain."""


def flaw_of_label(text: str) -> str:
    """What keeps a text from being a DNS label (RFC 1123), as the name of a namespace is one."""
    if not text:
        return "it is empty"
    if len(text) > LONGEST_LABEL:
        return f"it is longer than {LONGEST_LABEL} characters"
    return "" if _IS_LABEL.fullmatch(text) else "only a-z, 0-9 and - between them may stand in it"


def flaw_of_subdomain(text: str) -> str:
    """What keeps a text from being a DNS subdomain (RFC 1123), as the names of most kinds and of groups are."""
    if not text:
        return "it is empty"
    if len(text) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} characters"
    return "" if _IS_SUBDOMAIN.fullmatch(text) else "only a-z, 0-9, and - or . between them may stand in it"


def flaw_of_segment(text: str) -> str:
    """What keeps a text from being one segment of a path, as the names of all kinds are, ``system:node`` for one."""
    if not text:
        return "it is empty"
    if text in (".", ".."):
        return "it leads to another path"
    if len(text) > LONGEST_NAME:
        return f"it is longer than {LONGEST_NAME} characters"
    return (
        "" if text.isprintable() and not {*text} & {"/", "%"} else "no / or % and nothing invisible may stand in it"
    )


def flaw_of_label_value(text: str) -> str:
    """What keeps a text from being the value of a label."""
    if len(text) > LONGEST_LABEL:
        return f"it is longer than {LONGEST_LABEL} characters"
    return "" if not text or _IS_QUALIFIED.fullmatch(text) else "only letters, digits, and -, _ or . may stand in it"


def flaw_of_label_key(text: str) -> str:
    """What keeps a text from being the key of a label or annotation: ``NAME`` or ``PREFIX/NAME``."""
    prefix, slash, name = text.rpartition("/")
    if slash and (flaw := flaw_of_subdomain(prefix)):
        return f"before its / {flaw}"
    return (flaw_of_label_value(name) if name else "it is empty") or ""
