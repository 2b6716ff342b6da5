"""Conditions are derived from memory and facts by one function; nothing else decides them.

``Ready`` sums up, in the order in which a person would ask::

    does the contract make sense?        Stalled, Ready=False
    is there something to follow?        Ready=False, with what to create or install
    did a rollback have to step in?      Ready=False
    was a promise broken?                Ready=False, measured against limit
    is a first delivery still under way? Ready=Unknown
    else                                 Ready=True
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime

from reconciliation_contract.core import feasibility
from reconciliation_contract.core.facts.attention import Attention
from reconciliation_contract.core.facts.observation import Condition, Observation
from reconciliation_contract.core.facts.obstacle import obstacle
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory, Result, RollbackState, Standing, Transition
from reconciliation_contract.core.memory.timeline import Delivery
from reconciliation_contract.core.promises import drift
from reconciliation_contract.core.spec.contract import Contract, InvalidContract
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.text import bounded

TRUE, FALSE, UNKNOWN = "True", "False", "Unknown"
_NOT_FOLLOWED = (
    reasons.INVALID_SPEC,
    reasons.FLUX_MISSING,
    reasons.KUSTOMIZATION_MISSING,
    reasons.SOURCE_UNSUPPORTED,
    reasons.SOURCE_DENIED,
    reasons.SOURCE_MISSING,
    reasons.SOURCE_WITHOUT_ARTIFACT,
)
_ROLLBACK_STANDS = (reasons.TARGET_FAILED, reasons.TARGET_UNREACHABLE, reasons.COPY_DIFFERS, reasons.ROLLING_BACK)


def derive(
    contract: Contract, memory: Memory, seen: Observation, looks: Attention, now: datetime
) -> Mapping[str, Condition]:
    """All conditions of a valid contract; a transition time moves only with its status."""
    rolled_back = _rolled_back(memory.standing)
    fresh = {
        "Feasible": _feasible(contract, seen),
        "Ready": _ready(contract, memory, seen, looks, rolled_back),
        "DependenciesReady": _dependencies_ready(memory),
        "Detected": _detected(contract, memory, seen),
        "Healthy": _healthy(contract, memory, seen),
        "RolledBack": rolled_back,
        **_optional(memory),
    }
    return _dated(memory.transitions, fresh, now)


def _optional(memory: Memory) -> Mapping[str, Condition]:
    """The conditions of promises that are only measured where the operator has the means to."""
    found = {"Validated": _validated(memory), "InSync": drift.condition(memory)}
    return {name: condition for name, condition in found.items() if condition}


def _validated(memory: Memory) -> Condition | None:
    said = memory.judgement(PromiseName.VALIDATION)
    if said is None:
        return None
    status = {Verdict.KEPT: TRUE, Verdict.BROKEN: FALSE}.get(said.verdict, UNKNOWN)
    reason = reasons.VALIDATED if said.verdict is Verdict.KEPT else said.reason
    return Condition(status, reason, said.message)


def stalled(contract: InvalidContract, memory: Memory, now: datetime) -> Mapping[str, Condition]:
    """The conditions of a contract that makes no sense."""
    fresh = {
        "Ready": Condition(FALSE, reasons.INVALID_SPEC, contract.problem),
        "Stalled": Condition(TRUE, reasons.INVALID_SPEC, contract.problem),
    }
    return _dated(memory.transitions, fresh, now)


def _dated(
    before: Mapping[str, Transition], fresh: Mapping[str, Condition], now: datetime
) -> Mapping[str, Condition]:
    def dated(name: str, condition: Condition) -> Condition:
        known = before.get(name)
        at = known.at if known and known.status == condition.status else now
        return replace(condition, message=bounded(condition.message), transitioned_at=at)

    return {name: dated(name, condition) for name, condition in fresh.items()}


def transitions(conditions: Mapping[str, Condition]) -> Mapping[str, Transition]:
    """What is to be remembered of them."""
    return {
        name: Transition(each.status, each.transitioned_at)
        for name, each in conditions.items()
        if each.transitioned_at
    }


def is_followed(ready: Condition | None) -> bool:
    """Whether there is something to follow, as far as ``Ready`` says."""
    return ready is None or ready.status != FALSE or ready.reason not in _NOT_FOLLOWED


def _ready(
    contract: Contract, memory: Memory, seen: Observation, looks: Attention, rolled_back: Condition
) -> Condition:
    if looks is Attention.SUSPENDED:
        return Condition(UNKNOWN, reasons.SUSPENDED, "spec.suspend is true; nothing is judged or done")
    if looks is Attention.BLIND:
        return Condition(UNKNOWN, reasons.STALE, "the operator has lost sight of the cluster")
    missing = obstacle(contract, seen)
    if missing:
        return missing
    if rolled_back.status == TRUE or rolled_back.reason in _ROLLBACK_STANDS:
        return Condition(FALSE, rolled_back.reason, rolled_back.message)
    delivery = memory.delivery
    if delivery is None:
        return _without_artifact(seen)
    broken = next((j for j in memory.judgements if j.verdict is Verdict.BROKEN), None)
    if broken:
        message = f"{broken.promise} of {delivery.revision}: {broken.message}"
        failures = delivery.failures  # they may have come after the promise was broken
        if failures and broken.promise is PromiseName.RECONCILIATION and failures.reason not in broken.message:
            message = f"{message}; now {failures.reason}: {failures.message}"
        return Condition(FALSE, reasons.PROMISE_BROKEN, message)
    reconciliation = memory.judgement(PromiseName.RECONCILIATION)
    stood = delivery.resumed and reconciliation is not None and reconciliation.reason == reasons.ADOPTED
    if stood or any(not j.concluded for j in memory.judgements):
        return _under_way(memory)
    return _finished(delivery, memory.judgements)


def _without_artifact(seen: Observation) -> Condition:
    said = seen.flux.source.ready if seen.flux.source else Condition()
    message = (
        f"the source has no artifact yet; {said.reason}: {said.message}"
        if said.reason
        else "the source has no artifact yet"
    )
    return Condition(FALSE if said.status == FALSE else UNKNOWN, reasons.SOURCE_WITHOUT_ARTIFACT, message)


def _under_way(memory: Memory) -> Condition:
    """The last finished delivery speaks until this one is finished."""
    last = next((past for past in memory.history if past.broken or past.result is not Result.SUPERSEDED), None)
    if last is None:
        return Condition(UNKNOWN, reasons.WAITING, _progress(memory))
    if last.broken or last.result is Result.ROLLED_BACK:
        names = ", ".join(last.broken) or "Reconciliation"
        message = f"{_progress(memory)}; the last one, {last.revision}, broke {names}"
        return Condition(FALSE, reasons.PROMISE_BROKEN, message)
    return Condition(TRUE, reasons.PROMISES_KEPT, _progress(memory))


def _progress(memory: Memory) -> str:
    delivery = memory.delivery
    pending = next((j for j in memory.judgements if not j.concluded), None)
    if delivery and delivery.resumed and pending is None:
        return f"{delivery.revision} stands as it did before"
    return f"{delivery.revision} is {pending.message}" if delivery and pending else "waiting for a delivery"


def _finished(delivery: Delivery, judgements: tuple[Judgement, ...]) -> Condition:
    revision = delivery.revision
    if delivery.adopted:
        message = f"{revision} was there before this contract followed it; judged from the next commit on"
        return Condition(TRUE, reasons.ADOPTED, message)
    last = next((j for j in judgements if j.promise is PromiseName.RECONCILIATION), None)
    unknown = next((j for j in judgements if j.verdict is Verdict.UNKNOWN and not j.left_out), None)
    said = last.message if last else ""
    if unknown is None:
        return Condition(TRUE, reasons.PROMISES_KEPT, f"{revision} {said}")
    measured = last is not None and last.verdict is not Verdict.UNKNOWN
    if last is not None and not measured and delivery.stages.healthy is None:
        return Condition(UNKNOWN, last.reason, f"{last.promise} of {revision}: {last.message}")
    message = f"{revision} {said if measured else 'is healthy'}; {unknown.promise} not measured: {unknown.message}"
    return Condition(TRUE, reasons.PARTLY_MEASURED, message)


def _detected(contract: Contract, memory: Memory, seen: Observation) -> Condition:
    missing = obstacle(contract, seen)
    delivery = memory.delivery
    if missing or delivery is None:
        return Condition(UNKNOWN, missing.reason if missing else reasons.WAITING, missing.message if missing else "")
    said = memory.judgement(PromiseName.DETECTION)
    if delivery.stages.detected is None:
        message = f"Git has {delivery.revision}, the GitRepository does not yet; {said.message if said else ''}"
        return Condition(FALSE, reasons.NOT_DETECTED, message)
    if blind := _undetectable(seen):
        return Condition(FALSE, reasons.SOURCE_FAILING, f"a new commit would not be detected: {blind}")
    return Condition(TRUE, reasons.DETECTED, said.message if said and said.measured else delivery.revision)


def _undetectable(seen: Observation) -> str:
    """Why Flux would miss a commit that is pushed now; empty where nothing says so."""
    source = seen.flux.source
    if seen.git.refless:
        return seen.git.problem
    if source is None or source.suspended or source.ready.status != FALSE:
        return ""
    return f"{source.kind.name}: {source.ready.reason}: {source.ready.message}"


def _healthy(contract: Contract, memory: Memory, seen: Observation) -> Condition:
    """How the cluster stands now at the newest revision, whatever was promised."""
    missing, delivery, kustomization = obstacle(contract, seen), memory.delivery, seen.flux.kustomization
    if missing or delivery is None or kustomization is None:
        return Condition(UNKNOWN, missing.reason if missing else reasons.WAITING, missing.message if missing else "")
    if kustomization.suspended:
        return Condition(UNKNOWN, reasons.SUSPENDED, "the Kustomization is suspended; resume it to deliver")
    if memory.rollback and memory.rollback.state is RollbackState.ACTIVE:
        return Condition(FALSE, reasons.ROLLED_BACK, f"{memory.rollback.bad.name} never became healthy")
    if kustomization.delivered and kustomization.delivered.value == delivery.hash:
        if kustomization.checks_health:
            return Condition(TRUE, reasons.HEALTHY, f"{delivery.revision} is applied and healthy")
        message = f"{delivery.revision} is applied; its health is not checked (spec.wait is false)"
        return Condition(TRUE, reasons.APPLIED, message)
    failures = delivery.failures
    if failures:
        return Condition(FALSE, reasons.FAILING, f"{failures.reason}: {failures.message}")
    if kustomization.ready.status == FALSE and kustomization.ready.reason:
        return Condition(FALSE, reasons.FAILING, f"{kustomization.ready.reason}: {kustomization.ready.message}")
    if delivery.stages.detected is None:
        waits = (
            "its source is suspended"
            if seen.flux.source and seen.flux.source.suspended
            else "Flux has not detected it yet"
        )
        return Condition(UNKNOWN, reasons.PROGRESSING, f"{delivery.revision} is waiting: {waits}")
    return Condition(UNKNOWN, reasons.PROGRESSING, f"Flux is at work on {delivery.revision}")


def _dependencies_ready(memory: Memory) -> Condition:
    found = memory.dependencies
    failing = next((d for d in found if d.ready is False), None)
    unknown = next((d for d in found if d.ready is None), None)
    if failing:
        return Condition(FALSE, reasons.DEPENDENCY_FAILS, failing.message)
    if unknown or not found:
        return Condition(UNKNOWN, reasons.NOT_VISIBLE, unknown.message if unknown else "nothing can be looked at yet")
    return Condition(TRUE, reasons.DEPENDENCIES_READY, ", ".join(sorted({d.name for d in found})))


def _feasible(contract: Contract, seen: Observation) -> Condition:
    if obstacle(contract, seen):
        return Condition(UNKNOWN, reasons.WAITING, "there is nothing to look at yet")
    findings = feasibility.explain(contract, seen)
    if not findings:
        return Condition(TRUE, reasons.FEASIBLE, "nothing in the set-up stands against the promises")
    status = FALSE if findings[0].obstacle else TRUE
    return Condition(status, findings[0].reason, feasibility.summary(findings))


def _rolled_back(standing: Standing | None) -> Condition:
    if standing is None:
        return Condition(FALSE, reasons.RECOVERED, "no rollback is in force")
    return Condition(TRUE if standing.rolled_back else FALSE, standing.reason, standing.message)
