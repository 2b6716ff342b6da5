"""What only the operator needs of a status lies under ``memory``, apart from what people read.

Nothing stands twice: what people read is in fields of its own, and the operator goes on from there; what they have
no use for is here. Conditions and figures are only written. ``split`` takes a whole status apart and ``join`` puts it
together again; one of the version before, which had everything in one, is whole as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from reconciliation_contract.api.kubernetes.raw import LONGEST_LIST, Raw, read_list, read_map

Wire = dict[str, Any]
Rules = Mapping[str, Any]
"""By field: None for one that is the operator's alone, else the rules for its parts; of a list those of each item."""

MEMORY: Final = "memory"
VERSION: Final = 1
"""Of the form of the memory; raised when what is written cannot be read as before."""
MINE: Final[Rules] = {
    "lastGood": None,
    "handledRequests": None,
    "suspended": None,
    "deletion": None,
    "standing": None,
    "transitions": None,
    "failingSince": None,
    "delivery": {
        "binding": None,
        "undetectedSince": None,
        "unhealthySince": None,
        "countedFrom": None,
        "reported": None,
        "announced": None,
        "failures": {"specDigest": None},
    },
    "history": [{"footing": None}],
    "rollback": {
        "kustomizationUID": None,
        "pin": None,
        "restore": None,
        "specDigest": None,
        "generation": None,
        "announced": None,
        "begun": None,
    },
    "drift": {"correction": {"places": None}},
    "incidents": [{"told": None, "storms": None, "plea": None, "failing": None, "relapses": None}],
}


def split(wire: Wire) -> Wire:
    """Take a whole status apart."""
    shown, mine = _split(wire, MINE)
    return shown | {MEMORY: {"version": VERSION} | mine}


def join(status: Raw) -> Raw:
    """Put a status together again, whatever somebody made of it."""
    mine = read_map(status, MEMORY)
    return _join(status, mine, MINE) if mine else status


def is_apart(status: Raw) -> bool:
    """Whether a status has a memory of its own; that of an older version has not."""
    return bool(read_map(status, MEMORY))


def _split(wire: Wire, rules: Rules) -> tuple[Wire, Wire]:
    shown, mine = dict(wire), dict[str, Any]()
    for name in rules.keys() & wire.keys():
        rule, value = rules[name], shown.pop(name)
        if rule is None:
            mine[name] = value
        elif isinstance(rule, list):
            pairs = [_split(each, rule[0]) for each in value]
            shown[name] = [each for each, _ in pairs]
            mine |= {name: [each for _, each in pairs]} if any(each for _, each in pairs) else {}
        else:
            kept, own = _split(value, rule)
            shown |= {name: kept} if kept else {}
            mine |= {name: own} if own else {}
    return shown, mine


def _join(shown: Raw, mine: Raw, rules: Rules) -> Wire:
    whole = {name: value for name, value in shown.items() if name != MEMORY and rules.get(name, shown) is not None}
    for name in rules.keys() & mine.keys():
        rule = rules[name]
        if rule is None:
            whole[name] = mine[name]
        elif isinstance(rule, list):
            own = [*read_list(mine, name), *([{}] * LONGEST_LIST)]
            whole[name] = [
                _join(each, part, rule[0]) for each, part in zip(read_list(shown, name), own, strict=False)
            ]
        else:
            whole[name] = _join(read_map(shown, name), read_map(mine, name), rule)
    return whole
