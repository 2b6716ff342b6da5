"""An object that carries a Kustomization's labels, from its metadata."""

from __future__ import annotations

from typing import Final

from reconciliation_contract.api.kubernetes.managed_fields import entries
from reconciliation_contract.api.kubernetes.metadata import live
from reconciliation_contract.api.kubernetes.raw import Raw, moment, read_list, read_map, read_text
from reconciliation_contract.core.facts.field_owners import FLUX
from reconciliation_contract.core.facts.metadata_scan import Member, Place, Write
from reconciliation_contract.core.values.object_key import ObjectKey

_WRITING: Final = ("", "scale")
"""Subresources by which a spec is changed."""


def member(place: Place, raw: Raw) -> Member:
    """Read an item of a list, which does not say its own kind."""
    meta = read_map(raw, "metadata")
    found = live(meta)
    return Member(
        ObjectKey(place.group, place.kind, read_text(meta, "namespace"), read_text(meta, "name")),
        moment(meta.get("creationTimestamp")),
        bool(found.deleted_at or found.protection or read_list(meta, "ownerReferences")),
        tuple(
            Write(entry.author.manager, entry.operation, entry.author.at)
            for entry in entries(raw)
            if entry.author.manager != FLUX and entry.subresource in _WRITING
        ),
    )
