"""Who changed a field, by what the API server keeps in ``metadata.managedFields``.

The form of ``fieldsV1`` is that of structured-merge-diff: ``f:NAME`` a field, ``k:{...}`` the item of a list with
these keys, ``v:VALUE`` an item of a set, ``i:N`` an item by place, ``.`` the thing itself. A field that was removed
has no owner any more, so nobody is named for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from reconciliation_contract.core.values.diff import DEEPEST, Path, Step

FLUX: Final = "kustomize-controller"
"""Flux's field manager."""
_TAKEN_OVER: Final = (
    ("kubectl", "Apply"),
    ("kubectl", "Update"),
    ("before-first-apply", "Update"),
    (FLUX, "Update"),
)
"""Managers, by the beginning of their names, whose fields kustomize-controller takes over and so removes."""
_ABSENT: Final = object()


@dataclass(frozen=True, slots=True)
class Author:
    """A field manager, and when it last changed something."""

    manager: str
    at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry of ``managedFields``."""

    author: Author
    operation: str
    subresource: str
    fields: Mapping[str, Any]

    @property
    def is_flux(self) -> bool:
        """Whether it is what Flux applied."""
        return self.author.manager == FLUX and self.operation == "Apply"

    def is_taken_over(self, overrides: Sequence[str] = ()) -> bool:
        """Whether Flux removes what only this entry owns; ``overrides`` as of `surplus`."""
        more = [(name, operation) for name in overrides for operation in ("Apply", "Update")]
        return not self.subresource and any(
            self.operation == operation and self.author.manager.startswith(name)
            for name, operation in (*_TAKEN_OVER, *more)
        )


def author_of(path: Path, live: Any, entries: Sequence[Entry]) -> Author | None:
    """The last one other than Flux that owns what is at a path of the live object; None where nobody does."""
    owners = [entry.author for entry in entries if not entry.is_flux and owns(entry.fields, path, live)]
    return _newest(owners)


def _newest(authors: Sequence[Author]) -> Author | None:
    dated = [author for author in authors if author.at is not None]
    if dated:
        return max(dated, key=lambda author: (author.at, author.manager))
    return authors[0] if authors else None


def owns(fields: Any, path: Path, live: Any) -> bool:
    """Whether a tree of ``fieldsV1`` names what is at a path, something below it, or the whole that it is in."""
    for step in path:
        if not isinstance(fields, Mapping):
            return False
        if not any(key != "." for key in fields):
            return True  # a leaf: it is owned as a whole, with all below it
        fields, live = _below(fields, step, live)
        if fields is _ABSENT:
            return False
    return isinstance(fields, Mapping)


def _below(fields: Mapping[str, Any], step: Step, live: Any) -> tuple[Any, Any]:
    if isinstance(step, str):
        return fields.get(f"f:{step}", _ABSENT), live.get(step) if isinstance(live, Mapping) else None
    item = live[step] if isinstance(live, list) and 0 <= step < len(live) else None
    for key, below in fields.items():
        if _names_item(key, step, item):
            return below, item
    return _ABSENT, item


def _names_item(key: str, place: int, item: Any) -> bool:
    kind, _, text = key.partition(":")
    if kind == "i":
        return text == str(place)
    if kind not in ("k", "v"):
        return False
    try:
        said = json.loads(text)
    except (ValueError, RecursionError):
        return False
    if kind == "v":
        return bool(said == item)
    return (
        isinstance(item, Mapping)
        and isinstance(said, Mapping)
        and all(item.get(name, _ABSENT) == value for name, value in said.items())
    )


def surplus(
    manifest: Mapping[str, Any], live: Mapping[str, Any], entries: Sequence[Entry], overrides: Sequence[str] = ()
) -> Iterator[Path]:
    """Fields that Git does not have and Flux removes, since only a manager that it takes over owns them.

    ``overrides`` are the managers that kustomize-controller was told to take over besides (``--override-manager``).
    """
    others = [entry for entry in entries if not entry.is_taken_over(overrides) and not entry.is_flux]
    for entry in entries:
        if not entry.is_taken_over(overrides):
            continue
        for path in _leaves((), entry.fields, live):
            if not _has(manifest, live, path) and not any(owns(other.fields, path, live) for other in others):
                yield path


def _leaves(path: Path, fields: Any, live: Any) -> Iterator[Path]:
    """Paths in the live object that a tree of ``fieldsV1`` owns."""
    below = {key: value for key, value in fields.items() if key != "."} if isinstance(fields, Mapping) else {}
    if not below or len(path) >= DEEPEST:
        if path and live is not None:
            yield path
        return
    for key, value in below.items():
        if key.startswith("f:"):
            if isinstance(live, Mapping) and key[2:] in live:
                yield from _leaves((*path, key[2:]), value, live[key[2:]])
        elif isinstance(live, list):
            for place, item in enumerate(live):
                if _names_item(key, place, item):
                    yield from _leaves((*path, place), value, item)


def _has(manifest: Any, live: Any, path: Path) -> bool:
    """Whether a manifest has what is at a path of the live object; items of lists are matched by their names."""
    for step in path:
        if isinstance(step, str):
            if not isinstance(manifest, Mapping) or step not in manifest:
                return False
            manifest, live = manifest[step], live[step]
            continue
        live = live[step]
        if not isinstance(manifest, list):
            return False
        name = live.get("name") if isinstance(live, Mapping) else None
        if name is None:
            return True  # without a name nobody can tell which item it is
        manifest = next((item for item in manifest if isinstance(item, Mapping) and item.get("name") == name), None)
        if manifest is None:
            return False
    return True
