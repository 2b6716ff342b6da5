"""An object that is still there, from its metadata."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from reconciliation_contract.api.kubernetes.raw import Raw, moment, read_list, read_map, read_strings, read_text
from reconciliation_contract.core.facts.pruning import Live

_FLUX: Final = "kustomize.toolkit.fluxcd.io"
_PROTECTIONS: Final = ((f"{_FLUX}/prune", "disabled"), (f"{_FLUX}/reconcile", "disabled"), (f"{_FLUX}/ssa", "ignore"))
"""Labels or annotations that keep Flux from deleting an object, with their values in lower case."""
_MOST: Final = 8
"""Finalizers that are told of one object."""


def parent_of(meta: Raw) -> str:
    """``namespace/name`` of the Kustomization that applies an object; empty where there is none."""
    labels = read_map(meta, "labels")
    name, namespace = read_text(labels, f"{_FLUX}/name"), read_text(labels, f"{_FLUX}/namespace")
    return f"{namespace}/{name}" if name and namespace else ""


def live(meta: Raw) -> Live:
    """Read the metadata of an object."""
    marks = read_strings(read_map(meta, "labels")) | read_strings(read_map(meta, "annotations"))
    protections = (f"{key}: {marks[key]}" for key, value in _PROTECTIONS if marks.get(key, "").lower() == value)
    return Live(
        owner=parent_of(meta),
        protection=next(protections, ""),
        deleted_at=moment(meta.get("deletionTimestamp")),
        finalizers=dict(_finalizers(meta)),
    )


def _finalizers(meta: Raw) -> Iterator[tuple[str, str]]:
    names = meta.get("finalizers")
    for name in names[:_MOST] if isinstance(names, list) else ():
        if isinstance(name, str):
            yield name, _manager(meta, f'v:"{name}"')


def _manager(meta: Raw, field: str) -> str:
    """The manager that owns a finalizer; see the API server's ``managedFields``."""
    for entry in read_list(meta, "managedFields"):
        owned = read_map(read_map(read_map(entry, "fieldsV1"), "f:metadata"), "f:finalizers")
        if field in owned:
            return read_text(entry, "manager")
    return ""
