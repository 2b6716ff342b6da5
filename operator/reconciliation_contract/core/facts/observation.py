"""The facts of one moment, as far as the outside world let us see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from reconciliation_contract.core.facts.comparison import Drift
from reconciliation_contract.core.facts.dry_run import Validation
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.pruning import Departures
from reconciliation_contract.core.facts.replicas import Rollout
from reconciliation_contract.core.facts.source_kind import GIT_REPOSITORY, SOURCE_KINDS, Kinds, SourceKind
from reconciliation_contract.core.values.text import cleaned

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Since(Generic[T]):
    """A value and when it became so.

    ``exact`` means the change itself was seen, at ``at``. Otherwise the value was there at the first look and
    ``at`` is the latest moment at which it can have begun.
    """

    value: T
    at: datetime
    exact: bool


@dataclass(frozen=True, slots=True)
class Condition:
    """A Kubernetes condition, as far as decisions need it."""

    status: str = "Unknown"
    reason: str = ""
    message: str = ""
    transitioned_at: datetime | None = None

    def __post_init__(self) -> None:
        """Take its words, which may be others', through the filter."""
        object.__setattr__(self, "reason", cleaned(self.reason, 128))
        object.__setattr__(self, "message", cleaned(self.message, 4096))


@dataclass(frozen=True, slots=True)
class SourceRef:
    """A Kustomization's reference to its source, with the namespace filled in."""

    kind: str
    namespace: str
    name: str


@dataclass(frozen=True, slots=True)
class Failure:
    """One failed attempt at a revision."""

    at: datetime
    reason: str
    message: str
    hash: str


@dataclass(frozen=True, slots=True)
class Kustomization:
    """A Flux Kustomization."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    source: SourceRef
    observed_generation: int = 0
    deleting: bool = False
    suspended: bool = False
    path: str = ""
    interval: timedelta = timedelta(0)
    retry_interval: timedelta = timedelta(0)
    timeout: timedelta = timedelta(0)
    checks_health: bool = False
    prunes: bool = False
    depends_on: tuple[str, ...] = ()
    """``namespace/name`` of each dependency."""
    ready: Condition = field(default_factory=Condition)
    stalled: Condition = field(default_factory=Condition)
    denied: bool = False
    """Flux says that it may not read the source."""
    reached: SourceRef | None = None
    """The source that Flux was seen to be allowed to read, as long as it is still this one."""
    attempted_revision: str = ""
    applied_revision: str = ""
    attempted: Since[str] | None = None
    """Hash of the revision last attempted."""
    built: Since[str] | None = None
    """Hash of the revision last attempted, once its manifests are built."""
    applied: Since[str] | None = None
    """Hash of the revision that was last applied, or is applied and in its health check."""
    delivered: Since[str] | None = None
    """Hash at which the Kustomization stands Ready, all parts of its status agreeing."""
    failures: tuple[Failure, ...] = ()
    """Failed attempts at the revision now attempted, oldest first, bounded; those that were seen."""
    parent: str = ""
    """``namespace/name`` of the Kustomization that applies this one; empty where there is none."""
    shard: str = ""
    """Its shard of Flux's controllers; empty where it has no such label."""
    manifests: Mapping[str, str] = field(default_factory=dict)
    """Digest of the manifests built from a revision, by the revision's hash; from Flux's own history."""
    spec: str = ""
    """Digest of its own spec, without the source, `suspend` and the intervals."""
    substitutes: bool = False
    """Values are substituted from ConfigMaps or Secrets, which no revision holds."""
    requested_at: str = ""
    """Value of the annotation ``reconcile.fluxcd.io/requestedAt``."""
    handled_request: str = ""
    """The last value of it that Flux has taken up."""
    hold: Mapping[str, str] = field(default_factory=dict)
    """Those of its annotations that a rollback sets, with their present values."""
    inventory: Since[Inventory] | None = None
    """What it has made; None where it has never applied anything."""
    claim: int | None = None
    """Place among its managed fields of what our field manager owns; None where that is nothing."""
    created_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Artifact:
    """What a source serves."""

    revision: str
    hash: str
    updated_at: datetime
    """``lastUpdateTime``: one-second resolution."""
    digest: str = ""
    """Digest of its archive; empty where the source does not say."""


@dataclass(frozen=True, slots=True)
class Source:
    """A Flux source."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    url: str
    ref: Mapping[str, str] = field(default_factory=dict)
    """``spec.ref``: any of commit, name, semver, tag, branch."""
    secret: str = ""
    """Name of the Secret with its credentials, in its namespace."""
    hidden: str = ""
    """Why only Flux can read it, by a way or with credentials that the operator has not; empty where we can, too."""
    interval: timedelta = timedelta(0)
    suspended: bool = False
    deleting: bool = False
    ready: Condition = field(default_factory=Condition)
    artifact: Since[Artifact] | None = None
    webhook: bool | None = None
    """A Receiver tells Flux of pushes, so the interval does not matter; None where it cannot be told."""
    shard: str = ""
    """Its shard of Flux's controllers; empty where it has no such label."""
    kind: SourceKind = GIT_REPOSITORY
    contract_uid: str = ""
    """For a pinned copy: the contract it was made for."""
    original: str = ""
    """For a pinned copy: the name of the source that it is a copy of."""
    created_at: datetime | None = None
    content: str = ""
    """Digest of all of its own spec but the ref and what only sets the pace."""
    generation: int = 0
    """Grows with every change of its spec, from 1 on; 0 where it is not known."""

    @property
    def reference(self) -> SourceRef:
        """How a Kustomization refers to it."""
        return SourceRef(self.kind.name, self.namespace, self.name)


@dataclass(frozen=True, slots=True)
class Commit:
    """What Git says of one commit."""

    committed_at: datetime
    subject: str = ""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Git was asked and did not tell."""

    problem: str


@dataclass(frozen=True, slots=True)
class Head:
    """The commit that the tracked ref points to, by our own look at Git."""

    hash: str
    seen_at: datetime
    """The first look that found it."""
    absent_at: datetime | None
    """The last look before that found another one; None where this was the first look."""
    looked_at: datetime
    """The last look that found it still there."""


@dataclass(frozen=True, slots=True)
class Git:
    """What we know from Git itself, without Flux."""

    head: Head | None = None
    commits: Mapping[str, Commit | Unreadable] = field(default_factory=dict)
    """By hash; absent means not asked yet."""
    problem: str = ""
    """Why the repository cannot be read now; empty when it can."""
    refless: bool = False
    """The repository can be read, and has no such ref."""
    looked: bool = True
    """The first look since the operator began is over, whatever it found; before that, silence says nothing."""
    looks_every: timedelta | None = None
    """How often the operator looks at Git; None where nobody says."""


API_SERVER = "API server"
"""Name of the dependency without which nothing can be seen, nor done by Flux."""
RIGHTS = "Rights"
"""Name of the dependency on the operator's own rights."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """Something that delivery depends on."""

    name: str
    ready: bool | None
    """None where it cannot be told."""
    message: str
    """What is wrong and what to do; empty when all is well."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time in which something that delivery depends on did not work."""

    name: str
    """The dependency's."""
    since: datetime
    until: datetime | None = None
    """None while it lasts."""


@dataclass(frozen=True, slots=True)
class FluxFacts:
    """What Flux has, as the watches and our looks at its controllers show it."""

    kustomization: Kustomization | None = None
    source: Source | None = None
    """The source that tracks the branch, also while a rollback pins the Kustomization to another."""
    source_kinds: Kinds = field(default_factory=lambda: SOURCE_KINDS)
    """The kinds of sources that can be followed, by name."""
    pin: Source | None = None
    """The pinned copy of the source that the rollback in force needs, where it exists."""
    denied: str = ""
    """Why nothing of the source is looked at, though it may well be there; empty where it is."""
    claimed: bool = False
    """An object that this contract did not make has the name of its pinned copy."""
    strays: tuple[Source, ...] = ()
    """Pinned copies made for this contract that no rollback needs."""
    installed: bool = True
    blocked_by: str = ""
    """The root cause of the Kustomization's waiting for others; empty where it does not wait."""
    controllers: tuple[Dependency, ...] = ()
    """Flux's controllers, as far as they can be looked at."""
    selectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """What each copy of a controller of Flux watches, by the controller's name: a label selector, empty for all. None
    of a controller that cannot be looked at."""
    cancels_health_checks: bool | None = None
    """kustomize-controller ends a health check when a new revision arrives; None where it cannot be told."""


@dataclass(frozen=True, slots=True)
class LiveFacts:
    """What became of objects in the cluster."""

    departures: Departures | None = None
    """What has left the inventory; None where nobody follows it."""
    rollout: Rollout | None = None
    """How the workloads fare; None while nobody follows them."""


@dataclass(frozen=True, slots=True)
class ManifestFacts:
    """What came of trying manifests and of comparing them with the cluster."""

    validation: Validation | None = None
    """What the dry-run of a revision came to; None where nobody has looked."""
    drift: Drift | None = None
    """The last comparison with Git since the operator began."""


@dataclass(frozen=True, slots=True)
class OperatorFacts:
    """What the operator knows of itself: what it sees, what it may do, and how that went."""

    fresh: bool = True
    """The watches are alive; nothing is done on stale facts."""
    outages: tuple[Outage, ...] = ()
    """The last outages of each dependency since the operator began, oldest first."""
    acts: bool = True
    """The operator may act; otherwise it only observes."""
    rival: str = ""
    """Another contract that acts for the Kustomization; empty where this one may."""
    corrector: str = ""
    """Another contract that has its drift corrected; empty where this one may."""
    account: str = ""
    """The service account whose rights acts use; empty for the operator's own."""
    lacking: str = ""
    """The right that acts for this contract lack; empty where none is known to be lacking."""
    refused: str = ""
    """Why the API server refused the last act; empty if it did not."""
    failed_for: timedelta = timedelta(0)
    """How long an act has been refused at every try; the last was just now, for a contract that is being deleted."""
    brake: str = ""
    """Why no rollback may begin anywhere now; empty if it may."""
    token: str = ""
    """Letters and digits that nobody can guess, others at every look; what a new name is made of."""


@dataclass(frozen=True, slots=True)
class NotificationFacts:
    """What those who are told have taken, as far as the status does not say so yet."""

    sinks: tuple[str, ...] = ()
    """Where incidents are told."""
    told: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    """By incident and sink: how many messages were taken, as far as the status does not say so yet."""
    storms: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By incident and sink: the storm in which it was told, likewise."""
    announced: frozenset[str] = frozenset()
    """Milestones of deliveries that were taken, likewise."""


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything one pass knows of the world, by who has seen it."""

    flux: FluxFacts = field(default_factory=FluxFacts)
    git: Git = field(default_factory=Git)
    live: LiveFacts = field(default_factory=LiveFacts)
    manifests: ManifestFacts = field(default_factory=ManifestFacts)
    operator: OperatorFacts = field(default_factory=OperatorFacts)
    notifications: NotificationFacts = field(default_factory=NotificationFacts)
