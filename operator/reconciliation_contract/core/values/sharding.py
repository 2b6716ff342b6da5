"""Which of Flux's controllers look at an object, where the work is divided into shards by a label.

A controller started with ``--watch-label-selector`` sees only what matches it; an object that no controller sees is
never reconciled, and nothing says so. See https://fluxcd.io/flux/installation/configuration/sharding/.
"""

from __future__ import annotations

import re
from typing import Final

KEY: Final = "sharding.fluxcd.io/key"
"""The label by which Flux's documentation and the Flux Operator divide."""

_REQUIREMENT: Final = re.compile(
    r"(?P<absent>!?)\s*(?P<key>[\w./-]+)\s*(?:(?P<relation>==?|!=|in\b|notin\b)\s*(?:\((?P<set>[^)]*)\)|(?P<one>[\w.-]*)))?"
)
"""One part of a label selector, in Kubernetes' own syntax."""


def may_watch(selector: str, shard: str) -> bool:
    """Whether a controller with this selector can see an object of this shard; an empty shard is no label.

    What is asked of other labels counts as met, for only this one is known.
    """
    return all(_meets(part, shard) for part in _REQUIREMENT.finditer(selector) if part["key"] == KEY)


def _meets(part: re.Match[str], shard: str) -> bool:
    named = {value.strip() for value in (part["set"] or part["one"] or "").split(",")}
    match part["relation"]:
        case None:
            return bool(shard) != bool(part["absent"])
        case "!=" | "notin":
            return not shard or shard not in named
        case _:
            return bool(shard) and shard in named
