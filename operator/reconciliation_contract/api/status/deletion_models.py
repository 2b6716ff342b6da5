"""What the status says of the objects of an inventory; part of `status_models`."""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from reconciliation_contract.api.contract.fields import ATOMIC, Count, Elapsed, Revision, Text, Wire, Word
from reconciliation_contract.core.facts.pruning import LATE, NAMED


class DepartureStatus(Wire):
    """An object that left the inventory and is not gone yet."""

    id: Revision
    """Namespace, name, group and kind, as in the Kustomization's inventory."""
    v: Word
    """Version of its API."""
    left_at: AwareDatetime
    """When it left the inventory."""
    message: Text | None = None
    """What it waits for and who should act."""


class DeletionStatus(Wire):
    """What has left the Kustomization's inventory with the current delivery."""

    inventory: Word | None = None
    """Digest of the inventory up to which this is."""
    left: Count | None = None
    """Objects that left."""
    spared: Count | None = None
    """Those of them that Flux leaves alone, or that are somebody else's by now."""
    shortest: Elapsed | None = None
    """Time until the last look that still found the object that took longest."""
    longest: Elapsed | None = None
    """Time until the first look that found it gone."""
    pending: Annotated[list[DepartureStatus], Field(max_length=NAMED, json_schema_extra=ATOMIC)] | None = None
    """Those that are not gone yet, at most 5."""
    more: Count | None = None
    """Further ones that are not gone yet."""
    overdue: Annotated[list[DepartureStatus], Field(max_length=LATE, json_schema_extra=ATOMIC)] | None = None
    """What earlier deliveries should have been rid of in time and is still there, at most 2."""
    unseen_at: AwareDatetime | None = None
    """When the inventory was found to have changed while the operator did not run."""
