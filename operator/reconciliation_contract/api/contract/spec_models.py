"""The contract's spec; the CRD and ``kubectl explain`` are made from these models.

A docstring under a field is its description for users. A rule that a schema cannot say stands twice, with the same
message: as CEL for the API server, and as a validator for objects that came past it.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Final, Self

from pydantic import ConfigDict, Field, StringConstraints, model_validator

from reconciliation_contract.api.contract.fields import ATOMIC, AtLeast, Between, Budget, Flag, Name, Wire, rules
from reconciliation_contract.core.spec.contract import (
    AlertPolicy,
    DriftMode,
    Promises,
    RollbackMode,
    RollbackPolicy,
    Severity,
    Topic,
)

IMMUTABLE: Final = "cannot be changed; make another contract instead"
DETECTION_FIRST: Final = (
    "detection.within must not be longer than reconciliation.within, which includes it; "
    "shorten the former or lengthen the latter"
)

_PROMISES: Final = Promises()
_ROLLBACK: Final = RollbackPolicy()
_ALERTS: Final = AlertPolicy()


class KustomizationRef(Wire):
    """A Flux Kustomization in the contract's own namespace."""

    name: Name
    """Name of the Kustomization."""


class DetectionPromise(Wire):
    """A pushed commit is noticed by Flux in time."""

    within: Budget = _PROMISES.detection
    """Longest time from the push of a commit to Flux's source having it. Not longer than reconciliation.within."""


class ReconciliationPromise(Wire):
    """A pushed commit is applied and healthy in time."""

    within: Budget = _PROMISES.reconciliation
    """Longest time from the push of a commit to the Kustomization being Ready at it."""


class ValidationPromise(Wire):
    """The manifests of a commit are checked in time."""

    within: Budget = _PROMISES.validation
    """Longest time that the server-side dry-run of any one manifest of a commit may take."""


Pointer = Annotated[str, StringConstraints(min_length=1, max_length=256, pattern="^/")]


class DriftIgnore(Wire):
    """Differences that are meant to be."""

    kind: Annotated[str, StringConstraints(max_length=63)] = ""
    """Kind of the objects, in which * stands for any text. Left out, it is all kinds."""
    name: Annotated[str, StringConstraints(max_length=253)] = ""
    """Name of the objects, in which * stands for any text. Left out, it is all names."""
    paths: Annotated[list[Pointer], Field(max_length=16, json_schema_extra=ATOMIC)] = Field(default=[])
    """Fields as JSON pointers, such as /spec/replicas, with all below them; a step * stands for any one. Left out,
    the objects are not compared at all."""


class DriftPromise(Wire):
    """The cluster matches Git."""

    mode: DriftMode = _PROMISES.drift_mode
    """What happens when the cluster no longer matches Git. Detect reports it, Correct reports it and has Flux
    put it right, Ignore does not look."""
    interval: Annotated[timedelta, Between(shortest=timedelta(seconds=10))] = _PROMISES.drift_interval
    """How often the cluster is compared with Git. At least 10s, as every comparison costs the API server work."""
    ignore: Annotated[list[DriftIgnore], Field(max_length=16, json_schema_extra=ATOMIC)] = Field(default=[])
    """Differences that are meant to be, beside those that the Kustomization itself ignores."""


class DeletionPromise(Wire):
    """What a commit deletes is gone in time."""

    within: Budget = _PROMISES.deletion
    """Longest time from an object leaving the Kustomization's inventory to its being gone from the cluster."""


class AvailabilityPromise(Wire):
    """A delivery does not take available replicas away."""

    minimum: AtLeast = _PROMISES.availability
    """Replicas of each Deployment, StatefulSet and DaemonSet that must stay available during a delivery: a number,
    or a percentage of those wanted. Never more than were available when the delivery began."""


class PromisesSpec(Wire):
    """What is promised of every commit, each with the longest time that still counts as kept."""

    model_config = ConfigDict(
        json_schema_extra=rules(
            ("duration(self.detection.within) <= duration(self.reconciliation.within)", DETECTION_FIRST)
        )
    )

    detection: DetectionPromise = DetectionPromise()
    """A pushed commit is noticed by Flux in time."""
    reconciliation: ReconciliationPromise = ReconciliationPromise()
    """A pushed commit is applied and healthy in time."""
    validation: ValidationPromise = ValidationPromise()
    """Each manifest of a commit passes a server-side dry-run in time."""
    drift: DriftPromise = DriftPromise()
    """The cluster matches Git."""
    deletion: DeletionPromise = DeletionPromise()
    """What a commit deletes is gone in time."""
    availability: AvailabilityPromise = AvailabilityPromise()
    """A delivery does not take available replicas away."""

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.detection.within > self.reconciliation.within:
            raise ValueError(DETECTION_FIRST)
        return self


class PersistenceSpec(Wire):
    """What makes a failure persistent: whichever comes first."""

    failures: Annotated[int, Field(strict=True, ge=1, le=100, json_schema_extra={"format": "int32"})] = (
        _ROLLBACK.failures
    )
    """Failed attempts of the same revision, from 1 to 100, after which a failure is persistent."""
    duration: Budget = _ROLLBACK.duration
    """Time since the first failed attempt after which a failure is persistent."""


class RollbackBudget(Wire):
    """How many rollbacks may happen in a time, so that a contract never flaps."""

    rollbacks: Annotated[int, Field(strict=True, ge=1, le=20, json_schema_extra={"format": "int32"})] = (
        _ROLLBACK.budget
    )
    """Rollbacks in any such time, from 1 to 20. Those that people ask for are not counted."""
    per: Budget = _ROLLBACK.budget_per
    """The time."""


class RollbackSpec(Wire):
    """What happens when a revision keeps failing."""

    mode: RollbackMode = _ROLLBACK.mode
    """Who decides on a rollback. Automatic rolls back at once, Manual proposes it and waits until a person
    approves with the annotation reconciliation.dev/approve, Disabled never does, even where a person asks.
    Until the switch it is asked again, so a change of mind counts."""
    after: PersistenceSpec = PersistenceSpec()
    """When a failure is persistent, whichever comes first."""
    within: Budget = _ROLLBACK.within
    """Longest time from the decision to the last known good revision being Ready again."""
    settle: Annotated[timedelta, Between(longest=timedelta(hours=24))] = _ROLLBACK.settle
    """How long a revision must stay Ready before it counts as the last known good one. At most 24h."""
    max_age: Budget = _ROLLBACK.max_age
    """A failure that became persistent longer ago than this is left to people."""
    budget: RollbackBudget = RollbackBudget()
    """How many rollbacks may happen in a time, so that a contract never flaps."""


Patience = Annotated[timedelta, Between(shortest=timedelta(0), longest=timedelta(hours=24))]
Pause = Annotated[timedelta, Between(shortest=timedelta(0))]


class AlertRuleSpec(Wire):
    """Other terms for incidents about some topics. What is left out is as for all others."""

    about: Annotated[list[Topic], Field(min_length=1, max_length=len(Topic), json_schema_extra=ATOMIC)]
    """Topics: the first part of the key that an incident has in the status. Delivery is a revision that does not
    arrive, Dependency what delivery depends on, Spec a contract that makes no sense; the others are promises."""
    severity: Severity | None = None
    """How much they matter."""
    after: Patience | None = None
    """How long the trouble must last before anybody is told, at most 24h."""
    remind_every: Pause | None = None
    """Time between two messages about trouble that lasts. 0s tells only its beginning and its end."""
    suspend: Flag = False
    """Set to true to tell nobody of them."""


class AlertsSpec(Wire):
    """When people are told that a promise is broken, and how loudly. Where is a setting of the operator."""

    severity: Severity = _ALERTS.severity
    """How much a broken promise matters. What came too late, and drift, are one step below it unless a rule says
    otherwise. A rollback that failed is always Critical, for only a person can help."""
    after: Patience = _ALERTS.after
    """How long the trouble must last before anybody is told, at most 24h. 0s tells at once."""
    failures: Annotated[int, Field(strict=True, ge=0, le=100, json_schema_extra={"format": "int32"})] = (
        _ALERTS.failures
    )
    """Failed attempts at a revision, up to 100, after which people are told although no promise is broken yet.
    0 is as many as make a failure persistent for rollback.after."""
    remind_every: Pause = _ALERTS.remind_every
    """Time between two messages about trouble that lasts. 0s tells only its beginning and its end."""
    suspend: Flag = False
    """Set to true to tell nobody. What was open is forgotten without a word."""
    rules: Annotated[list[AlertRuleSpec], Field(max_length=8, json_schema_extra=ATOMIC)] = Field(default=[])
    """Other terms for some topics, at most 8; of several rules about a topic the first holds."""


class Spec(Wire):
    """What is promised of a Flux Kustomization. Everything but kustomizationRef has a default."""

    kustomization_ref: KustomizationRef = Field(json_schema_extra=rules(("self == oldSelf", IMMUTABLE)))
    """The Flux Kustomization, in the same namespace, that must keep the promises. Its sourceRef names the source.
    It cannot be changed; make another contract instead."""
    promises: PromisesSpec = PromisesSpec()
    """What is promised of every commit."""
    rollback: RollbackSpec = RollbackSpec()
    """What happens when a revision keeps failing."""
    alerts: AlertsSpec = AlertsSpec()
    """When people are told that a promise is broken, and how loudly."""
    service_account_name: Name | None = None
    """ServiceAccount in the same namespace whose rights the operator uses when it changes Flux objects for this
    contract. Without it the operator's own rights are used."""
    suspend: Flag = False
    """Set to true to pause the contract. Nothing is judged and nothing is done until it is false again."""
