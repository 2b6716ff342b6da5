"""The states of a rollback and what leads from one to another, as a table; what it does not have changes nothing.

The drawing at the top of `state_machine` and the page ``docs/reference/rollback.md`` are made of it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Final

from reconciliation_contract.core.memory.memory import RollbackState

State = RollbackState | None
"""None: there is no rollback."""


class Event(StrEnum):
    """What may happen to a rollback, in words."""

    PERSISTS = "a failure persists, mode Automatic"
    PROPOSED = "a failure persists, mode Manual"
    ASKED = "a person asks for it"
    FOUND = "a switch is found that nothing remembers"
    APPROVED = "a person approves"
    WITHDRAWN = "the world or people's will changed"
    SERVED = "the copy serves the good revision"
    LOST = "the copy is gone"
    REVISED = "what the switch replaces changed"
    DIFFERS = "the copy is not what was decided on"
    UNSERVED = "the copy does not serve in time"
    ARRIVED = "Flux is Ready at the good revision"
    TARGET_FAILS = "the good revision fails too"
    HEAD = "a new commit is there"
    UNDONE = "somebody changed the source"
    GONE = "the Kustomization is gone"
    RELEASED = "a person releases"
    DELETED = "the contract is deleted"
    RETURNED = "everything is given back"
    ABANDONED = "it cannot be given back, and the contract goes"


_PROPOSED, _INTENDED, _SWITCHING = RollbackState.PROPOSED, RollbackState.INTENDED, RollbackState.SWITCHING
_ACTIVE, _RELEASING, _FAILED = RollbackState.ACTIVE, RollbackState.RELEASING, RollbackState.FAILED
_ENDS: Final = {Event.RELEASED: _RELEASING, Event.DELETED: _RELEASING, Event.ABANDONED: None}
_SWITCHED: Final = {Event.HEAD: _RELEASING, Event.UNDONE: _RELEASING, Event.GONE: _RELEASING}

BEGINS: Final[Mapping[Event, RollbackState]] = {
    Event.PERSISTS: _INTENDED,
    Event.PROPOSED: _PROPOSED,
    Event.ASKED: _INTENDED,
    Event.FOUND: _ACTIVE,
}
"""The state in which a rollback begins."""
TRANSITIONS: Final[Mapping[State, Mapping[Event, State]]] = {
    None: BEGINS,
    _PROPOSED: {Event.APPROVED: _INTENDED, Event.ASKED: _INTENDED, Event.WITHDRAWN: None, **_ENDS},
    _INTENDED: {
        Event.SERVED: _SWITCHING,
        Event.DIFFERS: _FAILED,
        Event.UNSERVED: _FAILED,
        Event.WITHDRAWN: None,
        **_ENDS,
    },
    _SWITCHING: {
        Event.ARRIVED: _ACTIVE,
        Event.REVISED: _SWITCHING,
        Event.LOST: _SWITCHING,
        Event.DIFFERS: _FAILED,
        Event.TARGET_FAILS: _FAILED,
        Event.WITHDRAWN: None,
        **_SWITCHED,
        **_ENDS,
    },
    _ACTIVE: {Event.TARGET_FAILS: _FAILED, **_SWITCHED, **_ENDS},
    _FAILED: {
        Event.SERVED: _INTENDED,
        Event.LOST: _INTENDED,
        Event.ARRIVED: _ACTIVE,
        Event.WITHDRAWN: None,
        **_SWITCHED,
        **_ENDS,
    },
    _RELEASING: {Event.RETURNED: None, Event.ABANDONED: None},
}
"""From each state, where each event leads."""


def after(state: State, event: Event) -> State:
    """The state after an event; the same where the event has no transition."""
    return TRANSITIONS[state].get(event, state)


def has(state: State, event: Event) -> bool:
    """Whether an event leads anywhere from a state."""
    return event in TRANSITIONS[state]


def drawn() -> Iterator[str]:
    """Draw the table, an arrow a line: events that lead the same way are one."""
    for state, events in TRANSITIONS.items():
        ways: dict[State, list[str]] = {}
        for event, then in events.items():
            ways.setdefault(then, []).append(event.value)
        for then, words in ways.items():
            for number, word in enumerate(words):
                arrow = f"──▶ {then or '(none)'}" if number == 0 else "  or"
                start = f"{state or '(none)'!s:<10}" if number == 0 else " " * 10
                yield f"{start} {arrow:<14} {word}"
