"""One contract as the command line sees it: its object, read into the core's own values."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from reconciliation_contract.api.contract.annotations import hash_in
from reconciliation_contract.api.contract.parse import parse_contract
from reconciliation_contract.api.kubernetes.raw import read_map, read_number, read_text
from reconciliation_contract.api.status.parse import parse_conditions, parse_memory
from reconciliation_contract.cli.client.errors import Problem
from reconciliation_contract.cli.view.terminal import ABSENT, clean, cut
from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.memory.memory import Memory, Revision
from reconciliation_contract.core.memory.timeline import elapsed
from reconciliation_contract.core.rollback.start import proven
from reconciliation_contract.core.spec.contract import Declared
from reconciliation_contract.core.spec.requests import SHORTEST, names
from reconciliation_contract.core.values.duration import spoken

Raw = Mapping[str, Any]

SHORT: Final = 8
"""Characters of a hash that people see, as the flux command line shows it."""
_LONG_HASH: Final = re.compile(rf"(sha1:[0-9a-f]{{{SHORT}}})[0-9a-f]{{{40 - SHORT}}}")
_NAMED: Final = re.compile(r"(.*?)@?(sha(?:1|256):)([0-9a-f]*)", re.DOTALL)
_BRANCH: Final = 20
"""Characters of a branch that people see."""


@dataclass(frozen=True, slots=True)
class View:
    """A contract and what the operator found out about it."""

    raw: Raw
    contract: Declared
    memory: Memory
    conditions: Mapping[str, Condition]
    """What people are told."""
    handled: str
    """The last request to look that the operator has taken up."""

    @property
    def namespace(self) -> str:
        """Its namespace."""
        return self.contract.namespace

    @property
    def name(self) -> str:
        """Its name."""
        return self.contract.name

    @property
    def version(self) -> str:
        """Its resourceVersion."""
        return read_text(read_map(self.raw, "metadata"), "resourceVersion")

    @property
    def annotations(self) -> Raw:
        """Its annotations as they are."""
        return read_map(read_map(self.raw, "metadata"), "annotations")

    @property
    def seen(self) -> bool:
        """Whether the operator has looked at its present spec."""
        return self.memory.observed_generation >= self.contract.generation > 0

    def condition(self, name: str) -> Condition:
        """Return one of its conditions; Unknown where it is absent."""
        return self.conditions.get(name, Condition())

    def elapsed(self, stage: str) -> timedelta | None:
        """Return how long after the push a stage was reached; None where it was not, or nobody knows."""
        return elapsed(self.memory.delivery, stage) if self.memory.delivery else None


def view_of(raw: Raw) -> View:
    """Read a contract's object. What makes no sense in it reads as absent."""
    status = raw.get("status")
    handled = read_text(read_map(raw, "status"), "lastHandledReconcileAt")
    return View(raw, parse_contract(raw), parse_memory(status), parse_conditions(status), handled)


def generation_of(raw: Raw) -> int:
    """Return the generation of an object."""
    return read_number(read_map(raw, "metadata"), "generation")


# Words -------------------------------------------------------------------------------------------------------------


def short(revision: str) -> str:
    """Write a revision as people tell it apart: ``main@sha1:4f1c2d9e``."""
    found = _NAMED.fullmatch(clean(revision))
    if not found:
        return cut(clean(revision), _BRANCH + SHORT)
    name, digest = found.group(1), found.group(2) + found.group(3)[:SHORT]
    return f"{cut(name, _BRANCH)}@{digest}" if name else digest


def brief(text: str) -> str:
    """Make a message of the operator fit for people: safe to print, and with short hashes."""
    return _LONG_HASH.sub(r"\1", clean(text))


def abbreviated(revision: str) -> str:
    """Write only the hash of a revision, abbreviated; a dash where there is none."""
    hash_ = hash_in(revision)
    return hash_[:SHORT] or ABSENT


def took(duration: timedelta | None) -> str:
    """Write a duration; a dash where there is none."""
    return spoken(duration) if duration is not None else ABSENT


def clock(at: datetime) -> str:
    """Write a time of the day."""
    return f"{at:%H:%M:%S} UTC"


def date(at: datetime, now: datetime) -> str:
    """Write a time with how long ago it was."""
    return f"{at:%Y-%m-%d %H:%M:%S} UTC ({ago(at, now)})"


def ago(at: datetime, now: datetime) -> str:
    """Write how long ago a time was, as roughly as kubectl does."""
    seconds = int((now - at).total_seconds())
    if seconds < 0:
        return f"in {_rough(-seconds)}"
    return f"{_rough(seconds)} ago"


def _rough(seconds: int) -> str:
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "m")):
        if seconds >= 2 * size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


# Revisions ---------------------------------------------------------------------------------------------------------


def healthy_revisions(memory: Memory) -> tuple[Revision, ...]:
    """Return the revisions that were healthy under the contract, the last good one first, then the newest."""
    found = dict.fromkeys(_healthy(memory))
    return tuple(found)


def _healthy(memory: Memory) -> Iterator[Revision]:
    if memory.good:
        yield Revision(memory.good.revision, memory.good.hash)
    for past in proven(memory):
        yield Revision(past.revision, past.hash)


def resolve(text: str, known: Iterable[Revision], what: str) -> Revision:
    """Find the one revision that a person names; ``what`` says what the known ones are.

    Raises `Problem` with the list where it names none, or more than one.
    """
    candidates = {revision.hash: revision for revision in known}
    wanted = hash_in(text)
    if not wanted:
        raise Problem(f"'{clean(text)}' is no revision; write {SHORTEST} to 40 characters of a commit hash")
    found = [revision for hash_, revision in candidates.items() if names(wanted, hash_)]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(short(revision.name) for revision in candidates.values()) or "none"
    if found:
        matches = ", ".join(revision.hash for revision in found)
        raise Problem(f"'{clean(text)}' can mean {matches}; write more of the hash")
    raise Problem(f"{clean(text)} is none of {what}; there are: {listed}")
