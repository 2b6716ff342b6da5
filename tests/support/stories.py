"""The language of the stories under ``tests/scenarios/stories``: read, and refused where it makes no sense.

A story is a list of steps. Each step has a time (``at``, counted from the story's beginning) and says who did or
showed what; `ACTORS` lists the words. What is expected stands in a step as well, after what happened in it::

    - at: 1m
      push: B
    - at: 1m4s
      source: B
    - at: 1m9s
      kustomization: [building B, ready B]
      expect:
        verdicts: {Detection: Kept, Reconciliation: Kept}
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import yaml

from reconciliation_contract.api.duration import parse_duration
from tests.support.builders import PHASES

ACTORS: Mapping[str, tuple[str, ...]] = {
    "push": ("COMMIT",),
    "git": ("readable", "unreadable", "branch deleted", "branch restored"),
    "source": ("COMMIT", "torn COMMIT", "failing", "created", "deleted", "suspended", "resumed", "elsewhere COMMIT"),
    "kustomization": (
        *(f"{phase} COMMIT" for phase in PHASES),
        "created",
        "deleted",
        "recreated",
        "suspended",
        "resumed",
    ),
    "neighbour": tuple(f"{phase} COMMIT" for phase in PHASES),
    "pin": ("ready", "failing", "deleted"),
    "object": (
        "COMMIT leaves",
        "COMMIT comes back",
        "COMMIT is there",
        "COMMIT hangs",
        "COMMIT is gone",
        "COMMIT is protected",
        "COMMIT is recreated",
        "COMMIT may not be read",
    ),
    "inspection": (
        "validates COMMIT",
        "refuses COMMIT",
        "cannot validate COMMIT",
        "finds COMMIT in sync",
        "finds COMMIT drifted",
    ),
    "controller": ("COMMIT dies", "COMMIT is back"),
    "right": ("is lacking", "is granted"),
    "chain": ("waits for COMMIT", "stands"),
    "workloads": ("steady", "short", "back"),
    "person": (
        "undoes the rollback",
        "approves COMMIT",
        "releases COMMIT",
        "forgets COMMIT",
        "pauses rollbacks",
        "deletes the contract",
        "suspends the contract",
        "resumes the contract",
        "spoils the contract",
        "mends the contract",
        "changes the path",
    ),
    "parent": ("reverts",),
    "operator": ("stops", "starts", "is refused", "is allowed", "loses sight", "sees again"),
    "contract": ("created", "gone"),
}
"""What each actor can do or show; ``COMMIT`` is a word that names a commit, or an object of the inventory."""
ORDER = (
    "push",
    "git",
    "source",
    "pin",
    "controller",
    "right",
    "chain",
    "object",
    "kustomization",
    "inspection",
    "workloads",
    "neighbour",
    "person",
    "parent",
    "operator",
    "contract",
)
"""Within one step, things happen in this order."""
EXPECTATIONS = frozenset(
    [
        "ready",
        "detected",
        "healthy",
        "rolledBack",
        "stalled",
        "dependenciesReady",
        "validated",
        "inSync",
        "says",
        "verdicts",
        "measured",
        "elapsed",
        "delivery",
        "good",
        "rollback",
        "bad",
        "history",
        "events",
        "effects",
        "source",
        "annotations",
        "contract",
        "flagged",
    ]
)
_PARTS = frozenset({"title", "why", "contract", "kustomization", "source", "commits", "operator", "story"})


class BadStory(ValueError):
    """A story cannot be told; the message names the place and what is wrong."""


@dataclass(frozen=True)
class Happening:
    """One actor's one deed."""

    actor: str
    deed: str
    commit: str = ""


@dataclass(frozen=True)
class Step:
    """What happens at one time, and what is expected then."""

    offset: timedelta
    happenings: tuple[Happening, ...]
    expect: Mapping[str, Any] | None
    where: str


@dataclass(frozen=True)
class Story:
    """A whole story."""

    title: str
    why: str
    steps: tuple[Step, ...]
    contract: Mapping[str, Any] = field(default_factory=dict)
    """The contract's spec, without the reference to the Kustomization."""
    kustomization: Mapping[str, Any] = field(default_factory=dict)
    """The Kustomization's spec where it differs, and ``parent: true`` for one that is itself applied from Git."""
    source: Mapping[str, Any] = field(default_factory=dict)
    """The source's spec where it differs, and ``namespace`` for one in another."""
    made: Mapping[str, str] = field(default_factory=dict)
    """When commits claim to be made: an offset, or a time stamp. Else they are made when they are pushed."""
    acts: bool = True
    """The operator may act, unless the story has ``operator: observes``."""


def load(path: Path) -> Story:
    """Read a story from its file; raises `BadStory`."""
    return read(yaml.safe_load(path.read_text("utf-8")), path.name)


def read(raw: object, name: str = "story") -> Story:
    """Read a story; raises `BadStory` for anything that is not one."""
    if not isinstance(raw, dict) or not raw.keys() >= {"title", "why", "story"}:
        raise BadStory(f"{name}: a story has a title, a why and a story")
    unknown = raw.keys() - _PARTS
    if unknown:
        raise BadStory(f"{name}: unknown part {min(unknown)!r}; known are {', '.join(sorted(_PARTS))}")
    steps = tuple(_step(item, f"{name}, step {number}") for number, item in enumerate(raw["story"], 1))
    for earlier, later in pairwise(steps):
        if later.offset < earlier.offset:
            raise BadStory(f"{later.where}: time goes backwards, from {earlier.offset} to {later.offset}")
    if not any(step.expect for step in steps):
        raise BadStory(f"{name}: nothing is expected, so the story cannot fail")
    return Story(
        title=raw["title"],
        why=raw["why"],
        steps=steps,
        contract=raw.get("contract") or {},
        kustomization=raw.get("kustomization") or {},
        source=raw.get("source") or {},
        made={commit: str(when) for commit, when in (raw.get("commits") or {}).items()},
        acts=raw.get("operator", "acts") != "observes",
    )


def _step(raw: object, where: str) -> Step:
    if not isinstance(raw, dict) or "at" not in raw:
        raise BadStory(f"{where}: a step is a mapping with the time in 'at'")
    unknown = raw.keys() - ACTORS.keys() - {"at", "expect"}
    if unknown:
        raise BadStory(f"{where}: unknown actor {min(unknown)!r}; known are {', '.join(sorted(ACTORS))}")
    happenings = tuple(
        _happening(actor, text, where)
        for actor in ORDER
        if actor in raw
        for text in (raw[actor] if isinstance(raw[actor], list) else [raw[actor]])
    )
    expect = raw.get("expect")
    wrong = (expect or {}).keys() - EXPECTATIONS
    if wrong:
        raise BadStory(f"{where}: cannot expect {min(wrong)!r}; known are {', '.join(sorted(EXPECTATIONS))}")
    return Step(offset(str(raw["at"]), where), happenings, expect, where)


def _happening(actor: str, text: object, where: str) -> Happening:
    for known in ACTORS[actor]:
        found = re.fullmatch(known.replace("COMMIT", r"([A-Za-z][\w-]*)"), str(text))
        if found and not (known == "COMMIT" and text in ACTORS[actor]):
            return Happening(actor, known, found.group(1) if found.groups() else "")
    raise BadStory(f"{where}: {actor} cannot be {text!r}; known are {', '.join(ACTORS[actor])}")


def offset(text: str, where: str = "a time") -> timedelta:
    """Read ``90s``, ``1m30s`` or ``-2h``."""
    zero = timedelta(0)
    try:
        span = parse_duration(text.removeprefix("-"), zero, timedelta.max)
    except ValueError as error:
        raise BadStory(f"{where}: {error}") from error
    return -span if text.startswith("-") else span


def made_at(text: str, beginning: datetime) -> datetime:
    """When a commit claims to be made: a time stamp, or an offset from the story's beginning."""
    if "T" in text:
        return datetime.fromisoformat(text).astimezone(UTC)
    return beginning + offset(text)


def words(value: object) -> Sequence[str]:
    """One word or several, always as several."""
    return [str(item) for item in value] if isinstance(value, list) else [str(value)]
