"""What a PromQL expression reads: names of metrics with the labels that are asked of them.

Promtool says whether an expression is valid; this only finds names, in expressions whose strings hold no braces.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_SELECTOR = re.compile(r"([\w:]*(?:flux_contract|process_)[\w:]*)(?:\{([^}]*)\})?")
_LABEL = re.compile(r"(\w+)\s*(?:=~|!~|!=|=)")
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")


def selectors(expression: str) -> Iterator[tuple[str, set[str]]]:
    """Each metric that is read, with the labels in its braces."""
    for name, braces in _SELECTOR.findall(expression):
        yield name, set(_LABEL.findall(braces))


def groupings(expression: str) -> set[str]:
    """All labels that are grouped or matched by."""
    found = _GROUPING.findall(expression)
    return {label.strip() for labels in found for label in labels.split(",") if label.strip()}
