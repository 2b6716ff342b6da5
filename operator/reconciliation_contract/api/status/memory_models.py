"""What the operator has to remember besides what people read, as the CRD has it; see `apart`.

It is no interface: what is here may change with every version, which is why it has a number of its own.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import AwareDatetime, Field

from reconciliation_contract.api.contract.fields import ATOMIC, Count, Flag, Path, Revision, Text, Wire, Word
from reconciliation_contract.api.status.deletion_models import DeletionStatus
from reconciliation_contract.core.memory.budget import PromiseName
from reconciliation_contract.core.memory.memory import HISTORY, INCIDENTS
from reconciliation_contract.core.spec.requests import NAMES


class SourceRef(Wire):
    """A Flux source."""

    kind: Word
    """Kind of the source, such as GitRepository."""
    namespace: Word
    """Namespace of the source."""
    name: Word
    """Name of the source."""


class LastGood(Wire):
    """The revision to which a rollback goes, with what must still be so for that."""

    revision: Revision
    """The revision, as Flux names it."""
    since: AwareDatetime
    """When it had stayed Ready long enough to count as good."""
    kustomization_uid: Word
    """UID of the Kustomization at which it was good."""
    source_ref: SourceRef
    """The source from which it came."""
    path: Path | None = None
    """The path in the source from which it was built."""
    health_checked: bool | None = None
    """Whether Flux checked its health. Otherwise it was merely applied."""
    manifests: Word | None = None
    """Flux's digest of the manifests that were built from it."""
    spec_digest: Word | None = None
    """Digest of the Kustomization's own spec then, without its source and intervals."""


class PinnedCopy(Wire):
    """A pinned copy as it was decided on and made."""

    content: Word | None = None
    """Digest of its spec, without its ref and interval: that of its source."""
    uid: Word | None = None
    """UID of the object, from the decision to switch on."""
    artifact: Word | None = None
    """Digest of what it serves, likewise."""


class StandingMemory(Wire):
    """What was said last of rollbacks."""

    rolled_back: Flag | None = None
    """One is in force."""
    reason: Word | None = None
    """Why one is in force, or none begins, or how the last one ended."""
    message: Text | None = None
    """The same for people."""


class TransitionMemory(Wire):
    """The status of a condition."""

    status: Word
    """What it was last."""
    at: AwareDatetime
    """When it last changed."""


class FailuresMemory(Wire):
    """Of the failed attempts."""

    spec_digest: Word | None = None
    """Digest of the Kustomization's own spec with which they happened."""


class DeliveryMemory(Wire):
    """Of the delivery."""

    binding: Word | None = None
    """Digest of the Kustomization and the source that it was last followed by."""
    undetected_since: AwareDatetime | None = None
    """Since when Flux has not detected any newer commit: from then on the promise of detection counts."""
    unhealthy_since: AwareDatetime | None = None
    """Since when no newer commit has become healthy: from then on the promise of reconciliation counts."""
    counted_from: AwareDatetime | None = None
    """Failed attempts before it do not count: the contract was resumed then, or the Kustomization changed."""
    reported: Annotated[list[Word], Field(max_length=len(PromiseName), json_schema_extra=ATOMIC)] | None = None
    """Broken promises that people were told of by an incident, or need not be."""
    announced: bool | None = None
    """The sink for CloudEvents has taken that it is healthy."""
    failures: FailuresMemory | None = None
    """Of the failed attempts."""


class PastMemory(Wire):
    """Of a finished delivery."""

    footing: Word | None = None
    """Digest of the Kustomization, source and path for which it proved good. Only to such a revision, and only
    while they are the same, can a person ask to go back."""


class RollbackMemory(Wire):
    """Of rollbacks."""

    kustomization_uid: Word | None = None
    """UID of the Kustomization that is rolled back."""
    pin: PinnedCopy | None = None
    """What that copy was decided to be. One that differs is not switched to, and told."""
    restore: Annotated[dict[str, Path], Field(max_length=16)] | None = None
    """Annotations of the Kustomization that the rollback replaced, with the values to put back. An empty
    value stands for an annotation that was not there."""
    spec_digest: Word | None = None
    """Digest of the Kustomization's own spec, without its source and intervals, on which it was decided."""
    generation: Count | None = None
    """The Kustomization's generation on which the switch was decided."""
    announced: bool | None = None
    """The sink for CloudEvents has taken that it is complete."""
    begun: Annotated[list[AwareDatetime], Field(max_length=20, json_schema_extra=ATOMIC)] | None = None
    """When the last rollbacks began that nobody asked for, oldest first. The budget is counted from them."""


class CorrectionMemory(Wire):
    """Of the last request to Flux to put drift right."""

    places: Word | None = None
    """Digests of the objects and fields that it is about, whatever their values: four characters each."""


class DriftMemory(Wire):
    """Of drift."""

    correction: CorrectionMemory | None = None
    """Of the last request to Flux to put it right."""


class IncidentMemory(Wire):
    """Of an incident."""

    failing: bool | None = None
    """Attempts failed when it was told, but no promise was broken: not yet, or not any more."""
    plea: Word | None = None
    """What only a person can do, and was told to."""
    relapses: Count | None = None
    """How often it seemed to be over and was not."""
    told: Annotated[dict[str, Count], Field(max_length=16)] | None = None
    """How many of the messages each sink has taken."""
    storms: Annotated[dict[str, Word], Field(max_length=16)] | None = None
    """Under which name each sink was told of it together with others of the same cause."""


class MemoryStatus(Wire):
    """What the operator has to remember besides what people read."""

    version: Count
    """Version of the form of this memory."""
    last_good: LastGood | None = None
    """The same revision with all that a way back to it needs."""
    handled_requests: Annotated[dict[str, Word], Field(max_length=len(NAMES))] | None = None
    """Digests of the requests whose annotations stand as they were taken up, by name: they do not act again."""
    deletion: DeletionStatus | None = None
    """What has left the Kustomization's inventory with the current delivery."""
    suspended: bool | None = None
    """The contract is suspended. When it is resumed, failed attempts are counted anew."""
    standing: StandingMemory | None = None
    """What was said last of rollbacks."""
    transitions: Annotated[dict[str, TransitionMemory], Field(max_length=32)] | None = None
    """When the status of each condition last changed."""
    failing_since: AwareDatetime | None = None
    """Since when something that delivery depends on has failed without a pause."""
    delivery: DeliveryMemory | None = None
    """Of the delivery."""
    history: Annotated[list[PastMemory], Field(max_length=HISTORY, json_schema_extra=ATOMIC)] | None = None
    """Of the finished deliveries, in the same order."""
    rollback: RollbackMemory | None = None
    """Of rollbacks."""
    drift: DriftMemory | None = None
    """Of drift."""
    incidents: Annotated[list[IncidentMemory], Field(max_length=INCIDENTS, json_schema_extra=ATOMIC)] | None = None
    """Of the incidents, in the same order."""
