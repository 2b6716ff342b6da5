"""Which requests have been taken up, when, from whom and why.

An annotation may stand for ever: in Git nobody takes it out. What it asks to be done is therefore done once; the same
annotation asks again only after it was seen to be gone, or when it is written anew, with another time or reason.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import datetime
from typing import Final

from reconciliation_contract.core.memory.memory import Memory, Taken
from reconciliation_contract.core.spec.requests import NAMES, Requests, names
from reconciliation_contract.core.values.text import bounded

_HOLDING: Final = ("release", "hold", "pause")
"""Requests that hold for as long as they stand: they are noted, and not used up."""
_LONGEST: Final = 200
"""Characters of a request that are kept."""
_COMMIT: Final = "the hash of a commit, 7 digits or more"
_WANTED: Final = {
    "approve": _COMMIT,
    "rollback": "<head>..<good>, the hashes of two commits",
    "release": _COMMIT,
    "forget": _COMMIT,
    "pause": "a time such as 2026-11-28T18:00:00Z",
}


def follow(memory: Memory, requests: Requests, now: datetime) -> Memory:
    """Note what is asked for from now on, or cannot be understood; what stands no more may be asked for again."""
    standing = {name: digest for name, digest in memory.handled.items() if digest == _digest(requests, name)}
    memory = replace(memory, handled=standing)
    for name in NAMES:
        if requests.written(name) and (name in _HOLDING or name in requests.unclear):
            memory = take(memory, requests, name, now)
    return memory


def is_taken(memory: Memory, requests: Requests, name: str) -> bool:
    """Whether a request was taken up as it stands."""
    return memory.handled.get(name) == _digest(requests, name)


def take(memory: Memory, requests: Requests, name: str, now: datetime) -> Memory:
    """Take a request up, once; of each kind the last one is kept."""
    if is_taken(memory, requests, name):
        return memory
    problem = f"asks for nothing; write {_WANTED[name]}" if name in requests.unclear else ""
    new = Taken(name, bounded(requests.written(name), _LONGEST), now, problem)
    others = (each for each in memory.taken if each.name != name)
    return replace(memory, taken=(*others, new), handled={**memory.handled, name: _digest(requests, name)})


def forget(memory: Memory, requests: Requests, now: datetime) -> Memory:
    """Lift the ban on a second rollback where a person asks for it, but not during the first."""
    asked, undo = requests.forget, memory.rollback
    waits = undo is not None and names(asked, undo.bad.hash)
    if not asked or waits or is_taken(memory, requests, "forget"):
        return memory
    kept = tuple(hash_ for hash_ in memory.bad if not names(asked, hash_))
    return take(replace(memory, bad=kept), requests, "forget", now)


def taken_at(memory: Memory, name: str) -> datetime | None:
    """When the last request of a kind was taken up, if that is still known."""
    return next((each.at for each in memory.taken if each.name == name), None)


def _digest(requests: Requests, name: str) -> str:
    return hashlib.sha256(requests.written(name).encode()).hexdigest()[:8]
