"""The core's own values with defaults: a revision B that keeps failing where A was good.

`Case` holds what a pass is given; `but` changes a part of it, named by its path::

    failing().but(kustomization__suspended=True)
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from reconciliation_contract.core.evaluation import Decision, evaluate
from reconciliation_contract.core.facts.observation import (
    Artifact,
    Condition,
    Failure,
    FluxFacts,
    Kustomization,
    Observation,
    OperatorFacts,
    Since,
    Source,
    SourceRef,
)
from reconciliation_contract.core.memory.memory import Copy, Good, Memory, Revision, Rollback, RollbackState
from reconciliation_contract.core.memory.timeline import Delivery, Failures, Moment, Stages, Witness
from reconciliation_contract.core.rollback.pinned_copy import pin_of
from reconciliation_contract.core.spec.contract import Contract, RollbackMode
from tests.support.builders import (
    CONTRACT_UID,
    KUSTOMIZATION_UID,
    NAME,
    NAMESPACE,
    SOURCE_UID,
    URL,
    at,
    revision,
    sha,
)

OWN = SourceRef("GitRepository", NAMESPACE, NAME)
CONTRACT = Contract(
    NAMESPACE, NAME, CONTRACT_UID, generation=1, created_at=at(-600), kustomization=NAME, finalized=True
)
TOKEN = "0123456789abcdef"
PIN = pin_of(CONTRACT, OWN, sha("A"), TOKEN)
PIN_UID = "uid-of-the-pin"
UNHEALTHY = "timeout waiting for: [Deployment/apps/shop status: 'InProgress']"


def moment(seconds: float, earliest: float | None = None, witness: Witness = Witness.WATCH) -> Moment:
    """A moment, or a window that ends at it."""
    return Moment(at(seconds), witness, None if earliest is None else at(earliest))


def since(commit: str, seconds: float = 0, *, exact: bool = True) -> Since[str]:
    """A Kustomization's being at a commit."""
    return Since(sha(commit), at(seconds), exact)


def kustomization(commit: str = "B", /, **changes: Any) -> Kustomization:
    """A Kustomization whose third attempt has just failed."""
    failures = tuple(Failure(at(s), "HealthCheckFailed", UNHEALTHY, sha(commit)) for s in (10, 50, 90))
    record = Kustomization(
        namespace=NAMESPACE,
        name=NAME,
        uid=KUSTOMIZATION_UID,
        resource_version="7",
        generation=1,
        source=OWN,
        path="./deploy",
        checks_health=True,
        prunes=True,
        ready=Condition("False", "HealthCheckFailed", UNHEALTHY, at(90)),
        attempted_revision=revision(commit),
        attempted=since(commit, 5),
        applied=since(commit, 6),
        failures=failures,
    )
    return replace(record, **changes)


def standing(commit: str = "A", seconds: float = 0, **changes: Any) -> Kustomization:
    """A Kustomization that stands Ready at a commit."""
    return kustomization(
        commit,
        **{
            "delivered": since(commit, seconds),
            "attempted": since(commit, seconds),
            "applied": since(commit, seconds),
            "applied_revision": revision(commit),
            "failures": (),
            "ready": Condition(
                "True", "ReconciliationSucceeded", f"Applied revision: {revision(commit)}", at(seconds)
            ),
        }
        | changes,
    )


def source(commit: str = "B", seconds: float = 0, **changes: Any) -> Source:
    """The source that tracks the branch."""
    artifact = Since(Artifact(revision(commit), sha(commit), at(seconds)), at(seconds), exact=True)
    record = Source(NAMESPACE, NAME, SOURCE_UID, "3", URL, {"branch": "main"}, artifact=artifact)
    return replace(record, **changes)


def pin(commit: str = "A", **changes: Any) -> Source:
    """The pinned copy of the source, Ready."""
    known = source(commit, 95, name=PIN.name, uid=PIN_UID, contract_uid=CONTRACT_UID, original=NAME)
    return replace(known, ref={"commit": sha(commit)}, **changes)


def delivery(commit: str = "B", **changes: Any) -> Delivery:
    """A delivery that was pushed and detected at 0 and has failed three times."""
    stages = Stages(committed=moment(0), seen=moment(0), detected=moment(0), attempted=moment(5), applied=moment(6))
    failures = Failures(3, at(10), at(90), "HealthCheckFailed", UNHEALTHY)
    return replace(Delivery(revision(commit), sha(commit), at(0), stages=stages, failures=failures), **changes)


def good(commit: str = "A", **changes: Any) -> Good:
    """A revision that proved itself."""
    return replace(
        Good(revision(commit), sha(commit), at(-300), KUSTOMIZATION_UID, OWN, "./deploy", checked=True), **changes
    )


def rollback(state: RollbackState = RollbackState.INTENDED, **changes: Any) -> Rollback:
    """A rollback from B to A, decided at 90."""
    record = Rollback(
        state=state,
        bad=Revision(revision("B"), sha("B")),
        good=Revision(revision("A"), sha("A")),
        reason="HealthCheckFailed",
        kustomization_uid=KUSTOMIZATION_UID,
        source=OWN,
        pin=PIN,
        started_at=at(90),
        message=UNHEALTHY,
        generation=1 if state is RollbackState.SWITCHING else 0,
        copy=Copy() if state in (RollbackState.PROPOSED, RollbackState.INTENDED) else Copy(uid=PIN_UID),
    )
    return replace(record, **changes)


@dataclass(frozen=True)
class Case:
    """What a pass is given."""

    contract: Contract = CONTRACT
    memory: Memory = field(default_factory=Memory)
    seen: Observation = field(default_factory=Observation)
    now: datetime = field(default_factory=lambda: at(100))

    def but(self, **changes: Any) -> Case:
        """The same case with parts changed; ``kustomization__path`` is the path of what is seen."""
        case = self
        for path, value in changes.items():
            case = case._with(path.split("__"), value)
        return case

    def _with(self, path: list[str], value: Any) -> Case:
        roots = {"contract", "memory", "now", "seen"}
        if path[0] in ("kustomization", "source", "pin"):
            path = ["seen", "flux", *path]
        elif path[0] in ("rollback", "delivery", "good"):
            path = ["memory", *path]
        if path[0] not in roots:
            raise KeyError(path[0])
        return _replaced(self, path, value)

    def decide(self) -> Decision:
        """Make the pass."""
        return evaluate(self.contract, self.memory, self.seen, self.now)


def _replaced(thing: Any, path: list[str], value: Any) -> Any:
    if not path:
        return value
    return replace(thing, **{path[0]: _replaced(getattr(thing, path[0]), path[1:], value)})


def failing() -> Case:
    """B has failed three times and A is known to be good: everything speaks for a rollback."""
    memory = Memory(delivery=delivery(), good=good())
    return Case(
        CONTRACT,
        memory,
        Observation(
            flux=FluxFacts(kustomization=kustomization(), source=source()), operator=OperatorFacts(token=TOKEN)
        ),
    )


def rolling_back(state: RollbackState, **changes: Any) -> Case:
    """A rollback in a state, with the world as that state expects it."""
    case = failing().but(memory__rollback=rollback(state), seen__flux__pin=pin())
    bad = (sha("B"),)
    held = {"kustomization__source": PIN, "kustomization__hold": {MARK: sha("B")}, "memory__bad": bad}
    match state:
        case RollbackState.INTENDED:
            return case.but(seen__flux__pin=None).but(**changes)
        case RollbackState.PROPOSED:
            return case.but(seen__flux__pin=None, contract__rollback__mode=RollbackMode.MANUAL).but(**changes)
        case RollbackState.SWITCHING:
            return case.but(memory__bad=bad).but(**changes)
        case _:
            at_good = standing("A", 97, source=PIN, hold={MARK: sha("B")})
            case = case.but(seen__flux__kustomization=at_good, rollback__completed_at=at(97)).but(**held)
            return case.but(**changes)


MARK = "reconciliation.dev/rolled-back-from"
HOLD = "kustomize.toolkit.fluxcd.io/ssa"
LATER = timedelta(days=1)
