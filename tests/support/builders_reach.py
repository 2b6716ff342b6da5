"""What a pass reaches besides the API server, for model tests: nothing but Git's head is ever found there."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from reconciliation_contract.core.facts.observation import Commit, Git, Head, Source
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.observers.environment import Facts
from reconciliation_contract.observers.store import Key
from tests.support.builders import sha
from tests.support.builders_world import World


class Blind:
    """Stands in for what follows objects and deliveries beside the passes; it finds nothing."""

    def facts(self, *_: object) -> None:
        """What was found for a contract."""

    validation = drift = due = facts

    def attend(self, *_: object) -> None:
        """Go on after a pass."""

    def forget(self, key: Key) -> None:
        """Follow nothing for a contract any more."""


class Clear:
    """Surroundings in which nothing is wrong, and no right is known to lack."""

    facts = Facts()

    def lacking(self, _: Contract) -> str:
        """The right that acts for a contract lack."""
        return ""


class Silent:
    """A notifier without sinks."""

    sinks: tuple[str, ...] = ()

    def told(self, _: Key) -> Mapping[str, Any]:
        """What sinks took."""
        return {}

    storms = told

    def announced(self, _: Key) -> frozenset[str]:
        """What recorders took."""
        return frozenset()

    def note(self, *_: object) -> None:
        """Take a contract's incidents."""

    def announce(self, *_: object) -> None:
        """Take what a pass has changed."""

    def forget(self, key: Key) -> None:
        """Forget a contract that is gone."""


class Watchful:
    """Sees Git's head at every look."""

    def __init__(self, world: World) -> None:
        self._world = world

    def facts(self, _: Key, source: Source | None, __: str) -> Git:
        """The head and when its commits were made; nothing where no source is known."""
        if source is None:
            return Git()
        world = self._world
        head = Head(sha(world.head), world.now, None, world.now)
        return Git(head, {sha(name): Commit(world.now, name) for name in world.fate})

    def forget(self, key: Key) -> None:
        """Stop looking on behalf of a contract."""


class Strict:
    """Metrics that count nothing, and raise where a pass has failed by a fault of its own."""

    def passing(self) -> AbstractContextManager[object]:
        """Time a pass."""
        return nullcontext()

    def failed(self, kind: str) -> None:
        """Hear of a pass that failed: a broken rule must not pass for a contract that is tried again later."""
        if kind == "bug":
            raise AssertionError("a pass failed") from sys.exc_info()[1]

    def needless(self, part: str) -> None:
        """Hear of a look for which there was no cause; the pace of a busy history alone is none of its faults."""
        if part != "pass":
            raise AssertionError(f"{part} was due in the past")

    def wrote(self) -> None:
        """Count a write."""

    def passed(self, *_: object) -> None:
        """Count what a pass has changed."""

    def forgot(self, key: Key) -> None:
        """Forget a contract that is gone."""


class Told:
    """Events, of which only what a rollback leaves behind is of interest."""

    def __init__(self, hear: Callable[[str], None]) -> None:
        self._hear = hear

    def emit(self, contract: Contract, effect: EmitEvent) -> None:
        """Tell of a transition."""

    def lament(self, _: Contract, message: str) -> None:
        """Tell what is left behind."""
        self._hear(message)
