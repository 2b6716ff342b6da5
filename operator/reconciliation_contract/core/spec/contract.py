"""What a person declared, in the core's own types."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

from reconciliation_contract.core.spec.ignore_rules import IgnoreRule
from reconciliation_contract.core.spec.requests import Requests
from reconciliation_contract.core.values.timing import TIMING, Timing


class RollbackMode(StrEnum):
    """Who decides that a persistent failure is rolled back."""

    AUTOMATIC = "Automatic"
    MANUAL = "Manual"
    DISABLED = "Disabled"


class DriftMode(StrEnum):
    """What happens when the cluster no longer matches Git."""

    DETECT = "Detect"
    CORRECT = "Correct"
    IGNORE = "Ignore"


@dataclass(frozen=True, slots=True)
class Minimum:
    """How many replicas must stay available: a number, or a percentage of those wanted."""

    value: int
    percent: bool = False

    def of(self, desired: int) -> int:
        """The number, rounded up as in a PodDisruptionBudget."""
        return -(-desired * self.value // 100) if self.percent else self.value

    def __str__(self) -> str:
        """As people write it."""
        return f"{self.value}%" if self.percent else str(self.value)


@dataclass(frozen=True, slots=True)
class Promises:
    """The budgets; each is the longest time that still counts as kept."""

    detection: timedelta = timedelta(minutes=1)
    reconciliation: timedelta = timedelta(minutes=5)
    validation: timedelta = timedelta(seconds=30)
    drift_mode: DriftMode = DriftMode.DETECT
    drift_interval: timedelta = timedelta(minutes=10)
    deletion: timedelta = timedelta(minutes=5)
    drift_ignore: tuple[IgnoreRule, ...] = ()
    availability: Minimum = field(default_factory=lambda: Minimum(100, percent=True))


@dataclass(frozen=True, slots=True)
class RollbackPolicy:
    """When a failure counts as persistent, and how fast the way back must be."""

    mode: RollbackMode = RollbackMode.AUTOMATIC
    failures: int = 3
    """Failed attempts of the same revision that make a failure persistent."""
    duration: timedelta = timedelta(minutes=5)
    """Time since the first failed attempt that makes a failure persistent, whichever comes first."""
    within: timedelta = timedelta(minutes=2)
    """Budget from the decision to the last known good revision being Ready again."""
    settle: timedelta = timedelta(seconds=30)
    """How long a revision must stay Ready before it counts as good."""
    max_age: timedelta = timedelta(hours=1)
    """A failure that became persistent longer ago is left to people: whoever slept then must not act now."""
    budget: int = 3
    """Rollbacks of this contract in any `budget_per`, those that people asked for not counted."""
    budget_per: timedelta = timedelta(hours=24)


class Severity(StrEnum):
    """How much an incident matters, the least first."""

    INFO = "Info"
    WARNING = "Warning"
    CRITICAL = "Critical"


class Topic(StrEnum):
    """What an incident can be about: the first part of its key."""

    DELIVERY = "Delivery"
    DEPENDENCY = "Dependency"
    DETECTION = "Detection"
    VALIDATION = "Validation"
    RECONCILIATION = "Reconciliation"
    ROLLBACK = "Rollback"
    DRIFT = "Drift"
    DELETION = "Deletion"
    AVAILABILITY = "Availability"
    SPEC = "Spec"
    """The contract itself, where it makes no sense."""


_QUIETER: Final = (Topic.DETECTION, Topic.VALIDATION, Topic.RECONCILIATION, Topic.ROLLBACK, Topic.DRIFT)
"""Late arrivals, which are over when they are told, and drift, by which nothing is lost yet."""


@dataclass(frozen=True, slots=True)
class AlertTerms:
    """When people are told of one incident, and how loudly."""

    severity: Severity
    after: timedelta
    remind_every: timedelta
    suspended: bool


@dataclass(frozen=True, slots=True)
class AlertRule:
    """Other terms for some topics; None leaves what holds for all."""

    about: tuple[Topic, ...] = ()
    severity: Severity | None = None
    after: timedelta | None = None
    remind_every: timedelta | None = None
    suspended: bool = False


@dataclass(frozen=True, slots=True)
class AlertPolicy:
    """When people are told, and how loudly."""

    severity: Severity = Severity.WARNING
    """That of a broken promise; what only a person can mend is critical whatever is said here."""
    after: timedelta = timedelta(0)
    """How long an incident must last before it is told."""
    remind_every: timedelta = timedelta(hours=4)
    """Between two messages of an incident that lasts; 0 for none but the first."""
    suspended: bool = False
    failures: int = 0
    """Failed attempts at a revision after which people are told before a promise is broken; 0 for as many as make
    a failure persistent."""
    rules: tuple[AlertRule, ...] = ()
    """The first that is about a topic holds for it."""

    def terms(self, key: str) -> AlertTerms:
        """What holds for an incident with this key."""
        topic = key.partition("/")[0]
        rule = next((rule for rule in self.rules if topic in rule.about), AlertRule())
        usual = _quieter(self.severity) if topic in _QUIETER else self.severity
        return AlertTerms(
            severity=rule.severity or usual,
            after=self.after if rule.after is None else rule.after,
            remind_every=self.remind_every if rule.remind_every is None else rule.remind_every,
            suspended=self.suspended or rule.suspended,
        )


def _quieter(severity: Severity) -> Severity:
    """One step less; the least stays as it is."""
    ranks = tuple(Severity)
    return ranks[max(0, ranks.index(severity) - 1)]


@dataclass(frozen=True, slots=True)
class Contract:
    """A valid ``ReconciliationContract``."""

    namespace: str
    name: str
    uid: str
    generation: int
    created_at: datetime
    kustomization: str
    promises: Promises = field(default_factory=Promises)
    rollback: RollbackPolicy = field(default_factory=RollbackPolicy)
    alerts: AlertPolicy = field(default_factory=AlertPolicy)
    service_account: str | None = None
    """Whose rights the acts on Flux objects use, by impersonation; the operator's own where none is named."""
    suspended: bool = False
    """A person paused the contract: nothing is judged and nothing is done until it is resumed."""
    deleting: bool = False
    finalized: bool = False
    """Our finalizer is on the object: a deletion waits until a rollback is released."""
    requests: Requests = field(default_factory=Requests)
    """What people ask of it."""
    parent: str = ""
    """``namespace/name`` of the Kustomization that applies the contract; empty where there is none."""
    requested_at: str = ""
    """Value of the annotation ``reconcile.fluxcd.io/requestedAt``, echoed in the status when handled."""
    timing: Timing = TIMING
    """How long the operator itself waits; the same for all contracts, and no part of the spec."""


@dataclass(frozen=True, slots=True)
class InvalidContract:
    """A contract that its schema let through but that still makes no sense; it waits for its author."""

    namespace: str
    name: str
    uid: str
    generation: int
    problem: str
    """What is wrong and how to mend it."""
    kustomization: str = ""
    """Empty where that is not said, either."""
    alerts: AlertPolicy = field(default_factory=AlertPolicy)
    """As declared, where they make sense by themselves."""
    deleting: bool = False
    finalized: bool = False
    timing: Timing = TIMING
    """As for one that makes sense."""


Declared = Contract | InvalidContract
