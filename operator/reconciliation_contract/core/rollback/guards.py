"""Grounds for a rollback, and the guards against it: small predicates, each with its reason.

A guard says why *not*. They are asked in order, and the first that objects is what the status shows. Take any one
away and a rollback happens that must not; the tests hold each of them to that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from reconciliation_contract.core.facts.failure_cause import classify
from reconciliation_contract.core.facts.observation import Observation
from reconciliation_contract.core.memory.memory import Good, Memory, Rollback
from reconciliation_contract.core.memory.timeline import Delivery, Failures
from reconciliation_contract.core.spec.contract import Contract, RollbackMode, RollbackPolicy
from reconciliation_contract.core.spec.requests import names
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.duration import spoken


@dataclass(frozen=True, slots=True)
class Case:
    """A persistent failure on trial."""

    contract: Contract
    memory: Memory
    delivery: Delivery
    failures: Failures
    seen: Observation
    now: datetime


Guard = Callable[[Case], str]
"""Return why not; empty where there is no objection."""


def persistent_from(failures: Failures | None, policy: RollbackPolicy) -> datetime | None:
    """When a failure counts (or will count, if nothing improves) as persistent; None without failed attempts."""
    if failures is None:
        return None
    long = failures.first_at + policy.duration
    return min(failures.last_at, long) if failures.count >= policy.failures else long


def objection(case: Case) -> tuple[str, str] | None:
    """The first reason, with its message, not to roll back; None if there is none."""
    found = ((reason, guard(case)) for reason, guard in GUARDS)
    return next(((reason, why) for reason, why in found if why), None)


def changed(bad: str, seen: Observation, *, asked: bool = False) -> str:
    """Why the world is not (or no longer) as a rollback of ``bad`` assumes; empty if it is.

    ``asked`` by a person, a rollback may also leave a healthy revision.
    """
    kustomization, source = seen.flux.kustomization, seen.flux.source
    if kustomization is None or kustomization.deleting:
        return "the Kustomization is gone"
    if kustomization.suspended:
        return "the Kustomization is suspended"
    if source is None or source.artifact is None or source.artifact.value.hash != bad:
        return "the source has moved on"
    if source.suspended:
        return "the source is suspended"
    if kustomization.attempted is None or kustomization.attempted.value != bad:
        return "the Kustomization is not at the failing revision"
    if kustomization.delivered is not None and not asked:
        return "the revision has become healthy"
    return ""


def disabled(contract: Contract) -> str:
    """Why there are no rollbacks at all; empty if there are."""
    return "spec.rollback.mode is Disabled" if contract.rollback.mode is RollbackMode.DISABLED else ""


def paused(contract: Contract, now: datetime) -> str:
    """Until when no rollback is to begin by itself, and who says so; empty if it may."""
    requests = contract.requests
    if requests.paused_until is None or now >= requests.paused_until:
        return ""
    return f"paused until {requests.paused_until:%Y-%m-%d %H:%M} UTC{requests.signature('pause')}"


def rivalled(seen: Observation) -> str:
    """Why acting is left to another contract of the same Kustomization; empty if it is not."""
    if not seen.operator.rival:
        return ""
    acts = f"contract {seen.operator.rival} acts for this Kustomization"
    return f"{acts}; delete one of the two, or disable rollback in one"


def unpinnable(seen: Observation) -> str:
    """Why its source cannot be pinned to an earlier revision; empty if it can."""
    source, kustomization = seen.flux.source, seen.flux.kustomization
    if source is None or kustomization is None:
        return ""
    if not source.kind.pin_field:
        which = f"not a source of kind {source.kind.name}"
        return f"only a GitRepository can be pinned to an earlier revision, {which}; put the old back"
    if source.namespace != kustomization.namespace and not seen.operator.account:
        return (
            f"the source is in namespace {source.namespace}, where the operator lends nobody its own rights; name in"
            " spec.serviceAccountName an account that may create and delete gitrepositories there"
        )
    return ""


def unfitness(good: Good | None, bad: str, seen: Observation) -> str:
    """Why there is no way back to ``good``; empty if there is one."""
    if good is None or good.hash == bad:
        return "no other revision has been healthy under this contract yet; push a fix"
    kustomization = seen.flux.kustomization
    if kustomization is None or kustomization.uid != good.kustomization_uid:
        return "the last good revision was that of another Kustomization of the same name; push a fix"
    if (kustomization.source, kustomization.path) != (good.source, good.path):
        return "the last good revision came from another source or path; push a fix"
    return ""


def incurable(failures: Failures) -> str:
    """Why going back would not help, as the last attempt failed by something else; empty if it would."""
    cause = classify(failures.reason, failures.message)
    return "" if cause.curable else f"a rollback would not help: {cause.remedy}"


def braked(memory: Memory, seen: Observation) -> str:
    """Why the fleet is braked, or was at the last look, so that failures may have that cause; else empty."""
    said = memory.standing
    return seen.operator.brake or (said.message if said and said.reason == reasons.FLEET_BRAKE else "")


# The guards --------------------------------------------------------------------------------------------------


def _disabled(case: Case) -> str:
    return disabled(case.contract)


def _observing(case: Case) -> str:
    return "" if case.seen.operator.acts else "the operator runs with --observe-only"


def _rivalled(case: Case) -> str:
    return rivalled(case.seen)


def _paused(case: Case) -> str:
    return paused(case.contract, case.now)


def _released(case: Case) -> str:
    requests = case.contract.requests
    if not names(requests.release, case.delivery.hash):
        return ""
    return f"released{requests.signature('release')}"


def _moved(case: Case) -> str:
    return changed(case.delivery.hash, case.seen)


def _repeated(case: Case) -> str:
    known = case.delivery.hash in case.memory.bad
    return f"{case.delivery.revision} was rolled back once already; push a fix" if known else ""


def _unpinnable(case: Case) -> str:
    return unpinnable(case.seen)


def _dead(case: Case) -> str:
    return next((each.message for each in case.seen.flux.controllers if each.ready is False), "")


def _elsewhere(case: Case) -> str:
    return incurable(case.failures)


def _unreached(case: Case) -> str:
    if case.failures.reason != "BuildFailed":
        return ""
    return f"{case.delivery.revision} cannot be built, so nothing of it reached the cluster; push a fix"


def _unfit(case: Case) -> str:
    return unfitness(case.memory.good, case.delivery.hash, case.seen)


def _same(case: Case) -> str:
    good, kustomization = case.memory.good, case.seen.flux.kustomization
    now = kustomization.manifests.get(case.delivery.hash, "") if kustomization else ""
    if good is None or not now or now != good.manifests:
        return ""
    return f"{good.revision} has the same manifests, so the cause is not in them: {case.failures.message}"


def _old(case: Case) -> str:
    policy = case.contract.rollback
    due = persistent_from(case.failures, policy)
    if due is None or case.now - due <= policy.max_age:
        return ""
    return f"the failure has persisted for more than {spoken(policy.max_age)}; roll back by hand if that is right"


def _spent(case: Case) -> str:
    policy = case.contract.rollback
    recent = [at for at in case.memory.begun if case.now - at < policy.budget_per]
    if len(recent) < policy.budget:
        return ""
    return f"the budget of {policy.budget} in {spoken(policy.budget_per)} is spent; a person must look"


def _braked(case: Case) -> str:
    return case.seen.operator.brake


GUARDS: Final[tuple[tuple[str, Guard], ...]] = (
    (reasons.ROLLBACK_DISABLED, _disabled),
    (reasons.ROLLBACK_DISABLED, _observing),
    (reasons.ANOTHER_CONTRACT, _rivalled),
    (reasons.PAUSED, _paused),
    (reasons.ALREADY_ROLLED_BACK, _repeated),
    (reasons.RELEASED, _released),
    (reasons.CANCELLED, _moved),
    (reasons.NOT_PINNABLE, _unpinnable),
    (reasons.NOT_CURABLE, _dead),
    (reasons.NOT_CURABLE, _elsewhere),
    (reasons.NOTHING_REACHED, _unreached),
    (reasons.NO_GOOD_REVISION, _unfit),
    (reasons.SAME_MANIFESTS, _same),
    (reasons.TOO_OLD, _old),
    (reasons.BUDGET_SPENT, _spent),
    (reasons.FLEET_BRAKE, _braked),
)
"""What speaks against a rollback that nobody asked for, in the order in which it is asked."""


# What is decided already --------------------------------------------------------------------------------------


def asked_for(contract: Contract, rollback: Rollback) -> bool:
    """Whether a request that stands asks for it; a status that says so is none."""
    requests = contract.requests
    to = names(requests.rollback_from, rollback.bad.hash) and names(requests.rollback_to, rollback.good.hash)
    return to or (rollback.reason != reasons.REQUESTED and names(requests.approve, rollback.bad.hash))


def groundless(contract: Contract, memory: Memory, rollback: Rollback, seen: Observation, now: datetime) -> str:
    """Why what is remembered as decided has no ground now; empty where it has."""
    delivery = memory.delivery
    if rollback.reason == reasons.REQUESTED or delivery is None or delivery.failures is None:
        return unpinnable(seen)
    due = persistent_from(delivery.failures, contract.rollback)
    if due is None or now < due:
        return "it does not fail for as long as spec.rollback.after demands"
    case = Case(contract, memory, delivery, delivery.failures, seen, now)
    return unpinnable(seen) or _unreached(case) or _same(case)
