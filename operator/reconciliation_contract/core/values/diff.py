"""Where two trees of JSON differ, as a bounded list of JSON pointers (RFC 6901).

What Kubernetes treats as equal is equal here: an absent value, null, an empty list and an empty mapping. Items of a
list are compared by their place, unless they carry names (containers, ports, variables): then by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

DEEPEST: Final = 64
"""Levels that are looked into; below, two values are only equal or not."""
_EMPTY: Final[tuple[Any, ...]] = (None, [], {})

Step = str | int
Path = tuple[Step, ...]


@dataclass(frozen=True, slots=True)
class Difference:
    """One place where two trees differ; None stands for a value that is absent."""

    path: Path
    want: Any
    have: Any

    @property
    def pointer(self) -> str:
        """The place as a JSON pointer."""
        return pointer(self.path)


def pointer(path: Path) -> str:
    """Write a path as a JSON pointer."""
    return "".join(f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in path)


def steps(text: str) -> tuple[str, ...]:
    """Read a JSON pointer; one without the slash at its beginning is read as if it had it."""
    if not text:
        return ()
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in text.removeprefix("/").split("/"))


def differences(want: Any, have: Any, limit: int) -> tuple[Difference, ...]:
    """The first places where two trees differ, at most ``limit``, in the order of their paths."""
    return tuple(islice(_compare((), want, have), limit))


def _compare(path: Path, want: Any, have: Any) -> Iterator[Difference]:
    if _is_empty(want) and _is_empty(have):
        return
    if len(path) < DEEPEST:
        if isinstance(want, Mapping) and isinstance(have, Mapping):
            for key in sorted({*want, *have}, key=str):
                yield from _compare((*path, key), want.get(key), have.get(key))
            return
        if isinstance(want, list) and isinstance(have, list):
            for place, (left, right) in _paired(want, have):
                yield from _compare((*path, place), left, right)
            return
    if type(want) is not type(have) or want != have:
        if _is_number(want) and _is_number(have) and want == have:
            return
        yield Difference(path, want, have)


def _is_empty(value: Any) -> bool:
    return any(value is empty or (type(value) is type(empty) and value == empty) for empty in _EMPTY)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _paired(want: Sequence[Any], have: Sequence[Any]) -> list[tuple[int, tuple[Any, Any]]]:
    """Pair the items of two lists; the place is that in ``have``, or for what is not there in ``want``."""
    names, others = _names(want), _names(have)
    if names is None or others is None:
        longest = max(len(want), len(have))
        pad = [None] * longest
        return list(enumerate(zip([*want, *pad][:longest], [*have, *pad][:longest], strict=True)))
    wanted = dict(zip(names, want, strict=True))
    pairs = [(place, (wanted.get(name), item)) for place, (name, item) in enumerate(zip(others, have, strict=True))]
    known = set(others)
    return pairs + [
        (place, (item, None)) for place, (name, item) in enumerate(zip(names, want, strict=True)) if name not in known
    ]


def _names(items: Sequence[Any]) -> list[str] | None:
    """The items' names; None where one has none, or two share theirs."""
    names = [item.get("name") if isinstance(item, Mapping) else None for item in items]
    found = [name for name in names if isinstance(name, str)]
    return found if len(found) == len(items) == len(set(found)) else None


def comparable(body: Mapping[str, Any]) -> Mapping[str, Any]:
    """What of an object counts: all but its status and its metadata, of which labels and annotations do.

    This is what Flux compares (fluxcd/pkg ``ssa``, `hasDrifted`).
    """
    meta = body.get("metadata")
    meta = meta if isinstance(meta, Mapping) else {}
    kept = {key: meta[key] for key in ("labels", "annotations") if key in meta}
    rest = {key: value for key, value in body.items() if key not in ("metadata", "status", "apiVersion", "kind")}
    return rest | ({"metadata": kept} if kept else {})


def under(found: Difference, prefix: Sequence[str]) -> bool:
    """Whether a difference lies at or below a pointer, in which ``*`` stands for any one step."""
    path = [str(step) for step in found.path]
    return len(path) >= len(prefix) and all(asked in ("*", step) for asked, step in zip(prefix, path, strict=False))


def trimmed(found: Difference, prefix: Sequence[str]) -> Difference | None:
    """A difference without what lies below a pointer; None where nothing else differs.

    A whole subtree that is absent on one side differs as one: what is ignored inside of it must not count.
    """
    if under(found, prefix):
        return None
    path = [str(step) for step in found.path]
    inside = prefix[len(path) :]
    if not inside or not all(asked in ("*", step) for asked, step in zip(prefix, path, strict=False)):
        return found
    left, right = _without(found.want, inside), _without(found.have, inside)
    if _is_empty(left) and _is_empty(right):
        return None
    return replace(found, want=left, have=right)


def _without(value: Any, inside: Sequence[str]) -> Any:
    """A value without what a relative pointer names; emptied mappings go, too."""
    head, rest = inside[0], inside[1:]
    if isinstance(value, Mapping):
        kept = {
            key: item if head not in ("*", str(key)) else (_without(item, rest) if rest else None)
            for key, item in value.items()
        }
        return {key: item for key, item in kept.items() if not _is_empty(item)}
    if isinstance(value, list):
        trimmed_items = [
            item if head not in ("*", str(place)) else (_without(item, rest) if rest else None)
            for place, item in enumerate(value)
        ]
        return [item for item in trimmed_items if not _is_empty(item)]
    return value
