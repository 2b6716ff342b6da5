"""Keeps a status small, whatever it has to tell: ten thousand contracts live in one etcd and in every watch cache.

What people read goes first, then what is long over, and what they are to be told of an incident last. What decisions
rest on stays: names, revisions, times, verdicts, and the words in which Flux said why it failed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

Wire = dict[str, Any]

BUDGET: Final = 6656
"""Bytes of a status. With metadata, spec and the record of who owns which field an object has 8 KiB at most."""
TEXTS: Final = frozenset(
    {
        "message",
        "nextStep",
        "outcome",
        "subject",
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
_LIMITS: Final = (200, 120, 60, 40)
"""Bytes of a text, one step after the other."""
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
    for shorter in _shorter(wire):
        if measure(shorter) <= BUDGET:
            break
    return shorter


def _shorter(wire: Wire) -> Iterator[Wire]:
    yield wire
    yield (wire := _with_few_refused(wire))
    for limit in _LIMITS:
        yield _with_messages(_cut(wire, limit) | _told(wire), wire)
    for limit in _LIMITS:
        yield _with_messages(_cut(wire, _LIMITS[-1]) | _told(_cut(wire, limit)), wire)
    yield (bare := _with_messages(_plain(_cut(wire, _LIMITS[-1])), wire))
    history = bare.get("history", [])
    for kept in range(len(history) - 1, _LATEST - 1, -1):
        yield (bare := _with(bare, "history", history[:kept]))
    yield (bare := _without(_mute(bare), "requests"))
    for limit in _LIMITS:
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


def _with_few_refused(wire: Wire) -> Wire:
    """Name some refused manifests, and count the others: the first is in the verdict's words as well."""
    validation = wire.get("validation", {})
    refused = [_cut(found, _LIMITS[-2]) for found in validation.get("objects", [])[:_LATEST]]
    return wire | {"validation": validation | {"objects": refused}} if refused else wire


def _told(wire: Wire) -> Wire:
    """The conditions, which people read first: other texts are cut before theirs."""
    return {name: part for name, part in wire.items() if name == "conditions"}


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
    return wire | {name: items} if items else _without(wire, name)


def _plain(wire: Wire) -> Wire:
    """Leave out what other fields say as well: verdict, measure and limit of what is kept, and the conditions."""
    without = [_without_messages(part) for part in wire.get("dependencies", [])]
    delivery = wire.get("delivery", {})
    promises = [
        _without_messages(part) if part["verdict"] == _KEPT else part for part in delivery.get("promises", [])
    ]
    drift = wire.get("drift", {})
    objects = [_without(found, "fields") for found in drift.get("objects", [])]
    incidents = [_without(incident, "nextStep", "outcome") for incident in wire.get("incidents", [])]
    known = {
        "incidents": incidents,
        "requests": [taken for taken in wire.get("requests", []) if taken["name"] in wire.get("handledRequests", {})],
        "drift": drift | {"objects": objects[:_LATEST]} if objects else drift,
        "dependencies": without,
        "delivery": delivery | {"promises": promises} if promises else delivery,
    }
    return lean(wire | {name: part for name, part in known.items() if part or name in wire})


def _mute(wire: Wire) -> Wire:
    """Leave every promise to its verdict, measure and reason."""
    if "promises" not in wire.get("delivery", {}):
        return wire
    promises = [_without_messages(part) for part in wire["delivery"]["promises"]]
    return wire | {"delivery": wire["delivery"] | {"promises": promises}}


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
        known["delivery"] = _without(delivery, "subject", "announced")
    if undo := wire.get("rollback"):
        known["rollback"] = _without(undo, "message", "notUndone", "announced")
    if deletion := wire.get("deletion"):
        departed = {name: deletion[name] for name in ("pending", "overdue") if name in deletion}
        known["deletion"] = deletion | {name: [*map(_without_messages, those)] for name, those in departed.items()}
    if incidents := wire.get("incidents"):
        known["incidents"] = [_without_messages(incident) for incident in incidents]
    if validation := wire.get("validation"):
        known["validation"] = _without(validation, "objects")
    if drift := wire.get("drift"):
        named = [_without(found, "by", "at") for found in drift.get("objects", [])]
        # With a problem there was no comparison, so there is nothing to name.
        known["drift"] = _with(
            _without(drift, "unlisted", "uncompared"), "objects", [] if "problem" in drift else named
        )
    return known


def _without(part: Wire, *names: str) -> Wire:
    return {name: value for name, value in part.items() if name not in names}


def _without_messages(part: Wire) -> Wire:
    return _without(part, "message")


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
