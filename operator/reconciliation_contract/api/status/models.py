"""The contract's status as the CRD has it; `status` writes it and `recall` reads it.

Only what is always written is required. Nothing has a default: a default would be filled in by the API server and
read back as a difference. A docstring under a field is its description for users.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AwareDatetime, Field, StringConstraints

from reconciliation_contract.api.contract.fields import (
    ATOMIC,
    Count,
    Elapsed,
    Revision,
    Text,
    Wire,
    Word,
    list_map,
)
from reconciliation_contract.api.status.drift_models import DriftStatus
from reconciliation_contract.api.status.memory_models import MemoryStatus, SourceRef
from reconciliation_contract.api.status.validation import ValidationStatus
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import BAD_REVISIONS, HISTORY, INCIDENTS, Result, RollbackState
from reconciliation_contract.core.memory.timeline import Witness
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.spec.requests import NAMES


class Condition(Wire):
    """One aspect of the contract's state."""

    type: Annotated[str, StringConstraints(min_length=1, max_length=316)]
    """Name of the condition, such as Ready, Detected, Healthy or RolledBack."""
    status: Literal["True", "False", "Unknown"]
    """Whether the condition holds."""
    reason: Annotated[
        str, StringConstraints(min_length=1, max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    ]
    """One word for why, stable enough for scripts."""
    message: Annotated[str, StringConstraints(max_length=32768)]
    """The same for people, with what to do."""
    last_transition_time: AwareDatetime
    """When the status last changed."""
    observed_generation: Count | None = None
    """Generation of the spec that this is about."""


class Sighting(Wire):
    """When the commit was made or first seen."""

    at: AwareDatetime
    """When it happened, or the latest time at which it can have."""
    source: Witness
    """Who says so. Git and Receiver tell of the push, Artifact is Flux's own time stamp, Watch is an event seen as
    it happened, Status is read after the fact."""
    earliest: AwareDatetime | None = None
    """The earliest time at which it can have happened, where that differs."""


class Stage(Sighting):
    """One stage of a delivery by Flux."""

    elapsed: Elapsed | None = None
    """Time since the commit reached Git, or since its detection where that is not known; left out where room is short
    and no column of kubectl shows it."""


class Stages(Wire):
    """What a delivery has been through so far."""

    committed: Sighting | None = None
    """The commit was made, by its own time stamp."""
    seen: Sighting | None = None
    """The operator found the commit in Git."""
    detected: Stage | None = None
    """Flux's source serves the commit."""
    validated: Stage | None = None
    """All manifests of the commit had passed a server-side dry-run, by the operator."""
    attempted: Stage | None = None
    """Flux began to apply the commit."""
    built: Stage | None = None
    """Flux built the manifests of the commit."""
    applied: Stage | None = None
    """All manifests of the commit are applied."""
    healthy: Stage | None = None
    """The Kustomization is Ready at the commit."""


class Failures(Wire):
    """The failed attempts at a revision."""

    count: Count
    """How many there were."""
    first_at: AwareDatetime
    """When the first one failed."""
    last_at: AwareDatetime
    """When the last one failed."""
    reason: Word | None = None
    """Flux's reason for the last one."""
    message: Text | None = None
    """Flux's message for the last one."""


class Promise(Wire):
    """How one promise stands for one delivery."""

    name: PromiseName
    """Name of the promise."""
    verdict: Verdict
    """Kept, Broken, Pending while its deadline is ahead, Unknown where it could not be measured, Superseded where
    a newer revision came first."""
    measured: Elapsed | None = None
    """The time that was measured."""
    within: Elapsed | None = None
    """The longest time that was promised."""
    reason: Word | None = None
    """One word for why, stable enough for scripts."""
    message: Text | None = None
    """The same for people; left to the condition that says it as well where room is short."""
    deadline: AwareDatetime | None = None
    """When a pending promise will be broken."""


class DeliveryStatus(Wire):
    """The way of the newest revision from commit to healthy."""

    revision: Revision
    """The revision, as Flux names it."""
    subject: Text | None = None
    """First line of the commit's message."""
    started_at: AwareDatetime
    """When the operator began to follow it."""
    adopted: bool | None = None
    """The revision was there before the contract was, so its promises are not judged."""
    resumed: bool | None = None
    """Followed anew after another commit came and went unnoticed by Flux; what it had reached is no new sample."""
    commit_problem: Text | None = None
    """Why the time of the commit is not known, or not believed."""
    stages: Stages | None = None
    """What it has been through so far."""
    failures: Failures | None = None
    """Failed attempts at this revision."""
    promises: (
        Annotated[list[Promise], Field(max_length=len(PromiseName), json_schema_extra=list_map("name"))] | None
    ) = None
    """How each promise stands for this revision."""


class Past(Wire):
    """A finished delivery."""

    revision: Revision
    """The revision, as Flux names it."""
    subject: Text | None = None
    """First line of the commit's message."""
    result: Result
    """How it ended. Adopted means that it was there before the contract was."""
    ended_at: AwareDatetime
    """When it ended."""
    latency: Elapsed | None = None
    """Time from the commit to healthy."""
    broken: Annotated[list[PromiseName], Field(max_length=len(PromiseName), json_schema_extra=ATOMIC)] | None = None
    """Names of the promises that were broken."""
    failed_at: AwareDatetime | None = None
    """When its first attempt failed."""
    recovered_at: AwareDatetime | None = None
    """When a rollback had the cluster healthy again."""
    rolled_back_to: Revision | None = None
    """The revision that a rollback from it went to."""
    because: Text | None = None
    """Why it was rolled back: Flux's reason, or who asked for it and why."""


class StatisticsStatus(Wire):
    """Figures over the deliveries of the history, with DORA's definitions."""

    deliveries: Count
    """Finished deliveries counted, at most 10. Adopted ones, and those overtaken before anything failed, are not."""
    kept: Count
    """Those that became healthy with no promise broken."""
    failures: Count
    """Those that were rolled back or broke a promise with a failed attempt. Divide by deliveries for the change
    failure rate."""
    lead_time_median: Elapsed | None = None
    """Median time from the commit to healthy."""
    lead_time_p95: Elapsed | None = None
    """95th percentile of the same."""
    recovery_time_median: Elapsed | None = None
    """Median time from the first failed attempt to the cluster being healthy again."""


class DependencyStatus(Wire):
    """Something that delivery depends on."""

    name: Word
    """What it is."""
    ready: Literal["True", "False", "Unknown"]
    """Whether it works. Unknown means it cannot be looked at."""
    message: Text | None = None
    """What is wrong and what to do."""


class RollbackStatus(Wire):
    """The rollback in force, and the revisions rolled back from so far."""

    state: RollbackState | None = None
    """Where the rollback stands. Proposed waits for approval, Intended prepares the good revision, Switching goes
    back to it, Active runs it, Releasing returns to the source, Failed needs a person."""
    from_: Revision | None = None
    """The revision that kept failing."""
    to: Revision | None = None
    """The good revision that runs instead."""
    reason: Word | None = None
    """One word for why, stable enough for scripts."""
    message: Text | None = None
    """The same for people."""
    started_at: AwareDatetime | None = None
    """When it was decided."""
    completed_at: AwareDatetime | None = None
    """When the good revision was Ready again."""
    duration: Elapsed | None = None
    """Time from the decision to the good revision being Ready again."""
    bad_revisions: Annotated[list[Revision], Field(max_length=BAD_REVISIONS, json_schema_extra=ATOMIC)] | None = None
    """Revisions that were rolled back from, oldest first. None of them is rolled back twice."""
    source_ref: SourceRef | None = None
    """The Kustomization's own source, to which it returns."""
    pin_ref: SourceRef | None = None
    """The copy of the source that is pinned to the good revision."""
    requested_by: Text | None = None
    """Who asked for the rollback or approved it, and why. Absent where nobody did."""
    not_undone: Annotated[list[Text], Field(max_length=8, json_schema_extra=ATOMIC)] | None = None
    """What the rollback does not undo, as far as that can be seen."""


class RequestStatus(Wire):
    """A person's request that was taken up."""

    name: Word
    """What was asked for, by the name of its annotation without reconciliation.dev/; pause is pause-until."""
    asked: Text | None = None
    """About what it was, who asked, when and why."""
    at: AwareDatetime
    """When the operator took it up."""
    message: Text | None = None
    """Why it asks for nothing, where it was not understood."""


class IncidentStatus(Wire):
    """A time in which something is truly broken, for one cause."""

    key: Word
    """What tells causes apart, whatever the revision. Delivery is the way of the newest revision, Dependency/NAME
    something that delivery depends on, Spec the contract itself, anything else is the promise of that name."""
    promise: Word
    """Name of the promise that is broken first."""
    reason: Word
    """One word for why, stable enough for scripts."""
    severity: Severity
    """How much it matters."""
    opened_at: AwareDatetime
    """When it began."""
    closed_at: AwareDatetime | None = None
    """When it was over. It is kept for an hour, to know it when it comes back, or a day if a sink lacks its end."""
    well_since: AwareDatetime | None = None
    """Since when all has been well. It is over when that has stayed so for a while."""
    unclear_since: AwareDatetime | None = None
    """Since when nothing has told whether it is well. After a day it is given up, which is not a recovery."""
    message: Text | None = None
    """What was told last."""
    next_step: Text | None = None
    """What happens next, where that has changed since."""
    outcome: Text | None = None
    """How it ended."""
    revision: Revision | None = None
    """The revision that was told of, as Flux names it."""
    cause: Word | None = None
    """The root cause that it may share with other contracts. Those are told of in one message."""
    count: Count | None = None
    """Messages due so far: the opening, the reminders and the recovery."""
    told_at: AwareDatetime | None = None
    """When the last of them became due."""


class Status(Wire):
    """What the operator found out. It is written by the operator only."""

    observed_generation: Annotated[int, Field(strict=True, ge=-1, json_schema_extra={"format": "int64"})] | None = (
        None
    )
    """Generation of the spec that the operator last acted on; -1 before its first look."""
    last_handled_reconcile_at: Word | None = None
    """Value of the annotation reconcile.fluxcd.io/requestedAt that the operator last acted on."""
    conditions: Annotated[list[Condition], Field(max_length=32, json_schema_extra=list_map("type"))] | None = None
    """Ready sums up. Detected, Healthy, RolledBack and others are about one aspect each. Stalled is there only while
    the contract makes no sense."""
    last_attempted_revision: Revision | None = None
    """The revision that Flux last tried to apply."""
    last_applied_revision: Revision | None = None
    """The revision that Flux last applied."""
    last_good_revision: Revision | None = None
    """The revision that last stayed Ready through the settling time."""
    delivery: DeliveryStatus | None = None
    """The way of the newest revision from commit to healthy."""
    history: Annotated[list[Past], Field(max_length=HISTORY, json_schema_extra=ATOMIC)] | None = None
    """The last finished deliveries, newest first."""
    rollback: RollbackStatus | None = None
    """The rollback in force, and the revisions rolled back from so far."""
    requests: (
        Annotated[list[RequestStatus], Field(max_length=len(NAMES), json_schema_extra=list_map("name"))] | None
    ) = None
    """The last request of each kind that people made by annotations, kept with who, when and why."""
    drift: DriftStatus | None = None
    """How the cluster differed from Git at the last comparison, whenever that was: another one that finds the same
    writes nothing."""
    validation: ValidationStatus | None = None
    """The refused manifests of the newest revision, where there are any."""
    statistics: StatisticsStatus | None = None
    """Figures over the deliveries of the history."""
    dependencies: Annotated[list[DependencyStatus], Field(max_length=16, json_schema_extra=ATOMIC)] | None = None
    """What delivery depends on, in the order in which a delivery meets it."""
    incidents: Annotated[list[IncidentStatus], Field(max_length=INCIDENTS, json_schema_extra=ATOMIC)] | None = None
    """What is broken, and what was lately; people are told of each once when it begins and once when it is over."""
    memory: MemoryStatus | None = None
    """What the operator has to remember besides. It is not for people, and may change with every version."""
