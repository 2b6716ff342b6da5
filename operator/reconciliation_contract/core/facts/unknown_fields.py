"""Fields that no schema knows: Flux drops them silently from the kinds that it has Go types for.

The API server names them in the form of structured-merge-diff, ``.spec.containers[name="web"].resource: field not
declared in schema``. Such a path cannot be read by itself, as names may hold dots; it is read along the object.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from reconciliation_contract.core.values.diff import Path
from reconciliation_contract.core.values.object_key import ObjectKey

_NATIVE: Final = frozenset(
    (
        *("", "admissionregistration.k8s.io", "apps", "authentication.k8s.io", "authorization.k8s.io", "autoscaling"),
        *("batch", "certificates.k8s.io", "coordination.k8s.io", "discovery.k8s.io", "events.k8s.io", "extensions"),
        *("flowcontrol.apiserver.k8s.io", "internal.apiserver.k8s.io", "networking.k8s.io", "node.k8s.io", "policy"),
        *("rbac.authorization.k8s.io", "resource.k8s.io", "scheduling.k8s.io", "storage.k8s.io"),
        "storagemigration.k8s.io",
    )
)
"""Groups of the types of client-go, through which Flux reads (fluxcd/pkg ``ssa/normalize``)."""
_AS_WRITTEN: Final = frozenset({"Role", "ClusterRole"})
"""Kinds of ``rbac.authorization.k8s.io`` that Flux applies as they are written."""
_NAMED: Final = re.compile(r"(?:^|: |\n)\s*(\.\S.*?): field not declared in schema")
_STEP: Final = re.compile(r"\[([^\]]*)\]")
_PAIR: Final = re.compile(r'([\w.-]+)=("(?:[^"\\]|\\.)*"|[^,]+)')


def drops(key: ObjectKey) -> bool:
    """Whether Flux drops unknown fields of an object instead of having the API server refuse it."""
    return key.group in _NATIVE and not (key.group == "rbac.authorization.k8s.io" and key.kind in _AS_WRITTEN)


def undeclared(said: str, body: Mapping[str, Any]) -> tuple[Path, ...]:
    """The fields of an object that the API server's words say it does not know."""
    found = (_along(text, body) for text in _NAMED.findall(said))
    return tuple(dict.fromkeys(path for path in found if path))


def without(body: Mapping[str, Any], paths: tuple[Path, ...]) -> dict[str, Any]:
    """An object without these fields; what it is made of stays as it was."""
    copy: dict[str, Any] = json.loads(json.dumps(body))
    for path in sorted(paths, key=len, reverse=True):
        parent: Any = copy
        for step in path[:-1]:
            parent = parent[step]
        parent.pop(path[-1], None)
    return copy


def _along(text: str, body: Any) -> Path | None:
    """Read a path along a body; None where it leads nowhere, or not to a field."""
    path: list[str | int] = []
    while text:
        step, text = _step(text, body)
        if step is None:
            return None
        path.append(step)
        body = body[step]
    return tuple(path) if path and isinstance(path[-1], str) else None


def _step(text: str, body: Any) -> tuple[str | int | None, str]:
    """The first step of a path, and the rest of it."""
    if isinstance(body, Mapping):
        # The longest name first: one may begin as another does.
        for name in sorted(body, key=len, reverse=True):
            rest = text.removeprefix(f".{name}")
            if rest != text and rest[:1] in ("", ".", "["):
                return name, rest
    if isinstance(body, list) and (found := _STEP.match(text)):
        return next(_items(found[1], body), None), text[found.end() :]
    return None, ""


def _items(said: str, items: list[Any]) -> Iterator[int]:
    """The places of the items that are meant: by place, or by what their keys say."""
    if said.isdecimal():
        yield from [int(said)] if int(said) < len(items) else []
        return
    wanted = {name: value.strip('"') for name, value in _PAIR.findall(said)}
    for place, item in enumerate(items):
        # A key that is absent stands for its default, as the protocol of a port does.
        if isinstance(item, Mapping) and all(str(item.get(name, value)) == value for name, value in wanted.items()):
            yield place
