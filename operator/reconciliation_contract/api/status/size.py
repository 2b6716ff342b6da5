"""Keeps a status small, whatever it has to tell: ten thousand contracts live in one etcd and in every watch cache.

What is said twice goes first, then what is over (old deliveries, incidents that all were told of, requests that stand
no more), and only then the length of texts: of the conditions, which people read first, after the others, and of what
they are to be told of an incident last. What decisions rest on stays:
names, revisions, times, verdicts, and the words in which Flux said why it failed.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any, Final

from reconciliation_contract.api.status.apart import split
from reconciliation_contract.api.status.repetition import is_explained, said_once, without

Wire = dict[str, Any]

BUDGET: Final = 14 << 10
"""Bytes of a status. With metadata, spec and the record of who owns which field an object has 16 KiB at most."""
TEXTS: Final = frozenset(
    {
        "message",
        "nextStep",
        "outcome",
        "subject",
        "because",
        "commitProblem",
        "requestedBy",
        "asked",
        "notUndone",
        "problem",
        "unlisted",
        "uncompared",
        "want",
        "have",
    }
)
"""Fields for people only. Not the cause of an incident: by that it is recognised."""
_KEPT: Final = "Kept"
"""What is kept needs no words beside its measure."""
_DECISIVE: Final = "failures"
"""Whether a rollback can cure a failure is read from its message."""
_READABLE: Final = (200, 120)
"""Bytes of a text that still tells what is wrong, one step after the other."""
_TERSE: Final = (60, 40)
"""Bytes of a text that only reminds of what is wrong."""
_HEADLINE: Final = 90
"""Bytes that the message of Ready keeps: it is the first, and in ``kubectl get`` the only one, that people read."""
_BARE: Final = 36
"""Bytes of every text, that one too, before anything goes that people may still have to hear of."""
_BAREST: Final = 16
"""Bytes of a text where nothing else helps."""
_WIDEST: Final = 6
"""Bytes of a character on the wire, at most."""
_LATEST: Final = 3
"""Deliveries that are kept as long as anything else can go; objects that are still named then."""


def measure(wire: object) -> int:
    """Bytes of a value on the wire."""
    return len(json.dumps(wire, separators=(",", ":"), ensure_ascii=False).encode())


def lean(wire: Wire) -> Wire:
    """Leave out what says nothing, so that equal memories give equal statuses."""
    return {key: value for key, value in wire.items() if value not in (None, "", [], {})}


def clip(text: str, limit: int) -> str:
    """Cut a text to so many bytes on the wire, escapes included."""
    if measure(text) - 2 <= limit:
        return text
    while text and (excess := measure(text + "…") - 2 - limit) > 0:
        text = text[: -1 - excess // _WIDEST]
    return text.rstrip() + "…"


def fit(wire: Wire) -> Wire:
    """The fullest form of a status that is within the budget, or the barest there is."""
    for form in _forms(wire):
        if measure(split(form)) <= BUDGET:
            break
    return form


def _forms(wire: Wire) -> Iterator[Wire]:
    for shorter in _shorter(wire):
        yield shorter
        yield said_once(shorter)


def _shorter(wire: Wire) -> Iterator[Wire]:
    yield wire
    for form in _forgetting(wire):
        yield (wire := form)
    short = wire
    for limit in _READABLE:
        yield (short := _with_messages(_cut(wire, limit) | _told(wire), wire))
    yield (short := short | _told(_cut(wire, _READABLE[0])))
    yield (short := _without_what_is_kept(short))
    bare = short
    for limit in _TERSE:
        yield (bare := _with_messages(_cut(short, limit) | _told(short), wire))
    for limit in (*_READABLE[1:], *_TERSE):
        yield (bare := bare | _told(_cut(short, limit)))
    yield (bare := _with_messages(_plain(bare), wire))
    yield (bare := without(_mute(bare), "requests"))
    for limit in (*_READABLE, *_TERSE):
        yield (bare := _cut(bare, limit))
    yield (bare := _cut(bare, _BARE))
    incidents = bare.get("incidents", [])
    # An end that some sink has not been told yet goes after those that all have.
    for over in sorted((incident for incident in incidents if "closedAt" in incident), key=_is_owed):
        incidents = [incident for incident in incidents if incident is not over]
        yield (bare := _with(bare, "incidents", incidents))
    yield (bare := _cut(bare, _BAREST))
    yield (bare := _with_one_object(bare))
    for kept in range(len(bare.get("history", [])) - 1, -1, -1):
        yield (bare := _with(bare, "history", bare["history"][:kept]))
    yield _decisive(bare)


def _forgetting(wire: Wire) -> Iterator[Wire]:
    """Let go of what is over, step by step, before a word about the present is cut."""
    history = wire.get("history", [])
    old = (without(past, "subject", "rolledBackTo", "because") for past in history[_LATEST:])
    history = [*history[:_LATEST], *old]
    for kept in range(len(history), _LATEST - 1, -1):
        yield (wire := _with(wire, "history", history[:kept]))
    standing = wire.get("handledRequests", {})
    yield (wire := _with(wire, "requests", [each for each in wire.get("requests", []) if each["name"] in standing]))
    incidents = wire.get("incidents", [])
    for over in [each for each in incidents if "closedAt" in each and not _is_owed(each)]:
        incidents = [each for each in incidents if each is not over]
        yield (wire := _with(wire, "incidents", incidents))
    yield _with_few_refused(wire)


def _with_few_refused(wire: Wire) -> Wire:
    """Name some refused manifests, and count the others: the first is in the verdict's words as well."""
    validation = wire.get("validation", {})
    refused = [_cut(found, _TERSE[0]) for found in validation.get("objects", [])[:_LATEST]]
    return wire | {"validation": validation | {"objects": refused}} if refused else wire


def _told(wire: Wire) -> Wire:
    """The conditions, which people read first, and what one of them is written of: other texts are cut before."""
    return {name: part for name, part in wire.items() if name in ("conditions", "standing")}


def _with_messages(shorter: Wire, wire: Wire) -> Wire:
    """Keep what people are to be told of incidents that last: it is sent from here, and the same again."""
    incidents = zip(shorter.get("incidents", []), wire.get("incidents", []), strict=True)
    kept = [cut if "closedAt" in whole else cut | {"message": whole.get("message", "")} for cut, whole in incidents]
    return shorter | {"incidents": kept} if kept else shorter


def _is_owed(incident: Wire) -> bool:
    """Whether a sink that took messages of an incident lacks a later one; or none took any."""
    least: int = min(incident.get("told", {}).values(), default=0)
    return least < int(incident.get("count", 0))


def _with(wire: Wire, name: str, items: list[Wire]) -> Wire:
    """The same with another list, or without an empty one, as `status` writes it."""
    return wire | {name: items} if items else without(wire, name)


def _plain(wire: Wire) -> Wire:
    """Leave out what other fields tell in short, or will tell again: fields that drifted, what happens next, why."""
    drift = wire.get("drift", {})
    objects = [without(found, "fields") for found in drift.get("objects", [])]
    incidents = [without(incident, "nextStep", "outcome") for incident in wire.get("incidents", [])]
    known = {
        "incidents": incidents,
        "requests": [taken for taken in wire.get("requests", []) if taken["name"] in wire.get("handledRequests", {})],
        "drift": drift | {"objects": objects[:_LATEST]} if objects else drift,
        "dependencies": [_without_messages(part) for part in wire.get("dependencies", [])],
    }
    return lean(wire | {name: part for name, part in known.items() if part or name in wire})


def _without_what_is_kept(wire: Wire) -> Wire:
    """Leave what is kept to its measure and limit."""
    return _mute(wire, lambda promise: promise["verdict"] == _KEPT)


def _mute(wire: Wire, chosen: Callable[[Wire], bool] = bool) -> Wire:
    """Leave promises to verdict, measure and reason."""
    delivery = wire.get("delivery", {})
    fewer = [_without_messages(promise) if chosen(promise) else promise for promise in delivery.get("promises", [])]
    return wire | {"delivery": delivery | {"promises": fewer}} if fewer else wire


def _with_one_object(wire: Wire) -> Wire:
    """Name one object that drifted, one that is refused and one that is not gone, and count the others."""
    parts = {name: wire[name] for name in ("drift", "validation", "deletion") if name in wire}
    for name in ("drift", "validation"):
        if len(objects := parts.get(name, {}).get("objects", [])) > 1:
            parts[name] = parts[name] | {"objects": objects[:1]}
    if len(pending := parts.get("deletion", {}).get("pending", [])) > 1:
        more = parts["deletion"].get("more", 0) + len(pending) - 1
        parts["deletion"] = parts["deletion"] | {"pending": pending[:1], "more": more}
    if len(overdue := parts.get("deletion", {}).get("overdue", [])) > 1:
        parts["deletion"] = parts["deletion"] | {"overdue": overdue[:1]}
    return wire | parts


def _decisive(wire: Wire) -> Wire:
    """Leave out what is well, texts of which little is left, and that milestones were taken.

    At most, those are announced again after a restart, under the same names. Nothing that follows from other fields:
    it would be written again as soon as the rest has become shorter.
    """
    failing = [part for part in wire.get("dependencies", []) if part.get("ready") != "True"]
    known = _with(wire, "dependencies", failing[:1])
    if delivery := wire.get("delivery"):
        known["delivery"] = without(delivery, "subject", "announced")
    if undo := wire.get("rollback"):
        known["rollback"] = without(undo, "notUndone", "announced", *(() if is_explained(wire) else ("message",)))
    if deletion := wire.get("deletion"):
        departed = {name: deletion[name] for name in ("pending", "overdue") if name in deletion}
        known["deletion"] = deletion | {name: [*map(_without_messages, those)] for name, those in departed.items()}
    if incidents := wire.get("incidents"):
        known["incidents"] = [_without_messages(incident) for incident in incidents]
    if validation := wire.get("validation"):
        known["validation"] = without(validation, "objects")
    if drift := wire.get("drift"):
        named = [without(found, "by", "at") for found in drift.get("objects", [])]
        # With a problem there was no comparison, so there is nothing to name.
        known["drift"] = _with(
            without(drift, "unlisted", "uncompared"), "objects", [] if "problem" in drift else named
        )
    return known


def _without_messages(part: Wire) -> Wire:
    return without(part, "message")


def _cut(value: Any, limit: int, key: str = "") -> Any:
    match value:
        case dict():
            if value.get("type") == "Ready" and limit > _BARE:
                limit = max(limit, _HEADLINE)
            return {name: part if name == _DECISIVE else _cut(part, limit, name) for name, part in value.items()}
        case list():
            return [_cut(part, limit, key) for part in value]
        case str() if key in TEXTS:
            return clip(value, limit)
        case _:
            return value
