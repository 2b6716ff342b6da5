"""What is kept between passes. All of it lives in the contract's status, so a restart loses nothing."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from reconciliation_contract.core.facts.comparison import Drift
from reconciliation_contract.core.facts.dry_run import Refusals
from reconciliation_contract.core.facts.observation import Dependency, Kustomization, SourceRef
from reconciliation_contract.core.facts.pruning import Departures
from reconciliation_contract.core.memory.budget import Judgement
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.spec.contract import Severity

HISTORY = 10
"""Finished deliveries kept."""
BAD_REVISIONS = 10
"""Revisions remembered as bad, the newest kept."""
INCIDENTS = 5
"""Incidents remembered, the newest kept."""


class Result(StrEnum):
    """How a delivery ended."""

    HEALTHY = "Healthy"
    ROLLED_BACK = "RolledBack"
    SUPERSEDED = "Superseded"
    ADOPTED = "Adopted"


@dataclass(frozen=True, slots=True)
class Past:
    """A finished delivery, as the history keeps it."""

    revision: str
    hash: str
    result: Result
    ended_at: datetime
    subject: str = ""
    latency: timedelta | None = None
    """From the commit to healthy; None where it never got there or the commit time is not known."""
    broken: tuple[str, ...] = ()
    """Names of the promises that were broken."""
    failed_at: datetime | None = None
    """When its first attempt failed; None where none was seen to."""
    recovered_at: datetime | None = None
    """When a rollback had the cluster healthy again."""
    footing: str = ""
    """Digest of where it proved good, see `footing_of`; empty where it did not."""
    left_for: str = ""
    """The revision that a rollback from it went to; empty without one."""
    because: str = ""
    """Why there was that rollback: Flux's reason, or who asked for it and why."""

    @property
    def was_healthy(self) -> bool:
        """Whether it ended by being healthy, whatever came later, as far as that is recorded."""
        good = self.result is Result.ADOPTED and self.footing  # of another, a way back may have been overtaken
        return self.result is Result.HEALTHY or self.latency is not None or bool(good)

    @property
    def untouched(self) -> bool:
        """Whether it was overtaken before anything was known of how it fares."""
        return self.result is Result.SUPERSEDED and self.failed_at is None and not self.broken


@dataclass(frozen=True, slots=True)
class Good:
    """A revision that proved itself, with all that a way back to it needs."""

    revision: str
    hash: str
    since: datetime
    kustomization_uid: str
    source: SourceRef
    path: str
    checked: bool
    """Its health was checked by Flux; otherwise it was merely applied."""
    manifests: str = ""
    """Flux's digest of the manifests built from it; empty where it is not known."""
    spec: str = ""
    """Digest of the Kustomization's own spec then."""


def footing_of(thing: Good | Kustomization) -> str:
    """Digest of what a revision is good for: one Kustomization, with one source and path."""
    uid = thing.kustomization_uid if isinstance(thing, Good) else thing.uid
    told = f"{uid}\n{thing.source.kind}/{thing.source.namespace}/{thing.source.name}\n{thing.path}"
    return hashlib.sha256(told.encode()).hexdigest()[:12]


class RollbackState(StrEnum):
    """Where a rollback stands; see `rollback` for the transitions."""

    PROPOSED = "Proposed"
    INTENDED = "Intended"
    SWITCHING = "Switching"
    ACTIVE = "Active"
    RELEASING = "Releasing"
    FAILED = "Failed"


@dataclass(frozen=True, slots=True)
class Revision:
    """A revision by Flux's name and by its hash."""

    name: str
    hash: str


@dataclass(frozen=True, slots=True)
class Copy:
    """The pinned copy of a source as it was decided on; what is empty is not known yet."""

    content: str = ""
    """Digest of its spec, as `Source.content`."""
    uid: str = ""
    artifact: str = ""
    """Digest of what it serves."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """One rollback, from the intent to the release."""

    state: RollbackState
    bad: Revision
    good: Revision
    reason: str
    kustomization_uid: str
    source: SourceRef
    """The Kustomization's own source, to which it returns."""
    pin: SourceRef
    started_at: datetime
    completed_at: datetime | None = None
    kept_annotations: Mapping[str, str] = field(default_factory=dict)
    """Values that our hold replaced, to be restored."""
    message: str = ""
    asked_by: str = ""
    """The person who asked for it, with his reason; empty where nobody did."""
    remains: tuple[str, ...] = ()
    """What it does not undo, as far as that can be seen."""
    spec: str = ""
    """Digest of the Kustomization's own spec as it was decided on; empty where it is not known."""
    generation: int = 0
    """The Kustomization's generation on which the switch was decided; 0 before that."""
    announced: bool = False
    """Whoever keeps a record of deployments has taken that it is complete."""
    copy: Copy = field(default_factory=Copy)
    """What was decided of the pinned copy, and which object that is."""

    @property
    def asked(self) -> bool:
        """Whether a person asked for it."""
        return bool(self.asked_by)

    @property
    def because(self) -> str:
        """Why it is done: who asked for it and why, else Flux's reason."""
        return self.asked_by or self.reason


@dataclass(frozen=True, slots=True)
class Taken:
    """A person's request that was taken up; see `uptake`."""

    name: str
    text: str
    """What was asked, by whom and why."""
    at: datetime
    """When it was taken up."""
    problem: str = ""
    """Why it asks for nothing; empty where it was understood."""


@dataclass(frozen=True, slots=True)
class Incident:
    """A time in which a promise is truly broken for one cause, from the first sign to the recovery."""

    key: str
    """What tells causes apart, the same for every revision: ``Delivery``, ``Drift``, ``Dependency/NAME``."""
    promise: str
    reason: str
    severity: Severity
    opened_at: datetime
    """When it began."""
    message: str
    """What was said last, or is about to be."""
    revision: str = ""
    cause: str = ""
    """The root cause that it shares with other contracts; empty where it is the contract's own."""
    count: int = 0
    """Messages due so far; 0 while it has not lasted long enough to be told."""
    told_at: datetime | None = None
    """When the last of them became due."""
    well_since: datetime | None = None
    unclear_since: datetime | None = None
    """Since when nothing has told whether it is well; kept where it was given up for that."""
    closed_at: datetime | None = None
    """When it was over, once it stayed so."""
    outcome: str = ""
    """How it ended, in words."""
    plea: str = ""
    """What only a person can do and was told to; see `Trouble.plea`."""
    failing: bool = False
    """It was told when attempts failed and no promise was broken."""
    next_step: str = ""
    """What happens next, where that has changed since the message."""
    relapses: int = 0
    """How often it seemed to be over and was not."""
    told: Mapping[str, int] = field(default_factory=dict)
    """How many of the messages each sink has taken."""
    storms: Mapping[str, str] = field(default_factory=dict)
    """Under which subject each sink was told of it together with others; a sink that is not here was told alone."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What was said last of rollbacks: of the one in force, why none begins, or how the last one ended."""

    rolled_back: bool
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Transition:
    """The status of a condition and since when it has been so."""

    status: str
    at: datetime


@dataclass(frozen=True, slots=True)
class Memory:
    """Everything known from earlier passes."""

    delivery: Delivery | None = None
    judgements: tuple[Judgement, ...] = ()
    """Verdicts on the current delivery."""
    history: tuple[Past, ...] = ()
    """Newest first."""
    good: Good | None = None
    rollback: Rollback | None = None
    bad: tuple[str, ...] = ()
    """Hashes of the revisions rolled back from, oldest first."""
    begun: tuple[datetime, ...] = ()
    """When the last rollbacks that nobody asked for began, oldest first."""
    taken: tuple[Taken, ...] = ()
    """The last request of each kind, oldest first."""
    handled: Mapping[str, str] = field(default_factory=dict)
    """Digests of the requests that stand as they were taken up, by their names: they do not act again."""
    standing: Standing | None = None
    """None where there is nothing to say of rollbacks."""
    transitions: Mapping[str, Transition] = field(default_factory=dict)
    """When the status of each condition last changed; of the conditions themselves nothing is remembered."""
    dependencies: tuple[Dependency, ...] = ()
    """How what delivery depends on stood when all of it had been looked at."""
    failing_since: datetime | None = None
    """Since when any of them has failed without a pause."""
    incidents: tuple[Incident, ...] = ()
    """Those that are open, and those that were lately; oldest first."""
    departures: Departures = field(default_factory=Departures)
    """What has left the inventory with the current delivery, the pending ones bounded."""
    suspended: bool = False
    """The contract was suspended at the last look."""
    drift: Drift | None = None
    """How the cluster differed from Git at the last comparison; None where nothing was compared."""
    refusals: Refusals | None = None
    """The refused manifests of the current delivery; None where there are none."""
    observed_generation: int = 0
    handled_request: str = ""

    def judgement(self, promise: str) -> Judgement | None:
        """The verdict on a promise of the current delivery, if there is one yet."""
        return next((j for j in self.judgements if j.promise == promise), None)
