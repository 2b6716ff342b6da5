"""What the status says of drift, as the CRD has it."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from reconciliation_contract.api.contract.fields import ATOMIC, Count, Flag, Revision, Text, Wire, Word
from reconciliation_contract.core.facts.comparison import FIELDS, NAMED, Kind


class DriftField(Wire):
    """One field that is not as Git wants it."""

    path: Text
    """Where it is, as a JSON pointer."""
    want: Text | None = None
    """What Git wants. Left out where it may be a secret."""
    have: Text | None = None
    """What the cluster has. Left out where it may be a secret."""


class DriftedObject(Wire):
    """One object that is not as Git wants it."""

    object: Word
    """Kind, namespace and name."""
    kind: Kind
    """Changed, Missing, or Orphaned where it is labelled as the Kustomization's but in no inventory."""
    fields: Annotated[list[DriftField], Field(max_length=FIELDS, json_schema_extra=ATOMIC)] | None = None
    """The first fields that differ."""
    more: Count | None = None
    """How many more fields differ."""
    by: Word | None = None
    """The field manager that changed it last, where that can be told."""
    at: AwareDatetime | None = None
    """When it did."""


class CorrectionStatus(Wire):
    """A request to Flux to put findings right."""

    requested_at: AwareDatetime
    """When it was decided; also the value of the annotation."""
    times: Count
    """How often the same places were asked for in a row: ever more seldom, and then no more."""


class DriftStatus(Wire):
    """How the cluster differed from Git at the last comparison."""

    revision: Revision
    """The revision it was compared with."""
    compared: Count
    """Objects that were compared."""
    drifted: Count
    """Objects that are not as Git wants them."""
    objects: Annotated[list[DriftedObject], Field(max_length=NAMED, json_schema_extra=ATOMIC)] | None = None
    """The first of them."""
    problem: Text | None = None
    """Why there was no comparison, with what to do."""
    paused: Flag | None = None
    """There is to be no comparison now, as the problem says."""
    uncompared: Text | None = None
    """How many objects could not be compared, and why."""
    unlisted: Text | None = None
    """The right for want of which orphans were not looked for everywhere."""
    correction: CorrectionStatus | None = None
    """The last request to Flux to put findings right (mode Correct)."""
