"""``metadata.managedFields`` of an object: who owns which of its fields."""

from __future__ import annotations

from typing import Final

from reconciliation_contract.api.kubernetes.raw import Raw, moment, read_map, read_text
from reconciliation_contract.core.facts.field_owners import Author, Entry

_MOST: Final = 64
"""Entries that are read."""


def entries(body: Raw) -> tuple[Entry, ...]:
    """Read all entries but those about the status; what makes no sense owns nothing."""
    found = read_map(body, "metadata").get("managedFields")
    rows = [row for row in found[:_MOST] if isinstance(row, dict)] if isinstance(found, list) else []
    return tuple(
        Entry(
            Author(read_text(row, "manager"), moment(row.get("time"))),
            read_text(row, "operation"),
            read_text(row, "subresource"),
            read_map(row, "fieldsV1"),
        )
        for row in rows
        if read_text(row, "subresource") != "status"
    )
