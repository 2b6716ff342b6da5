"""Which promises cannot be kept as things are set up, and what to change: before a commit shows it.

Each rule looks at settings only, never at a delivery. An obstacle is a promise that this set-up will break sooner or
later; a remark is what a promise does not mean here, often on purpose. A rule that cannot know (whether a Receiver
exists, how a controller was started) stays silent: a warning that is wrong once is not read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from reconciliation_contract.core.facts.health_timeout import effective_timeout
from reconciliation_contract.core.facts.observation import Kustomization, Observation, Source
from reconciliation_contract.core.rollback.guards import rivalled
from reconciliation_contract.core.spec.contract import Contract, DriftMode, RollbackMode
from reconciliation_contract.core.values import reasons, sharding
from reconciliation_contract.core.values.duration import spoken

JITTER: Final = 1.05
"""Flux's controllers spread intervals by ±5 % (``--interval-jitter-percentage``)."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise that the set-up cannot keep, or weakens."""

    reason: str
    message: str
    """What does not fit, and what to change."""
    obstacle: bool
    """It stands against a promise; otherwise it is a remark on what a promise means here."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What a rule looks at."""

    contract: Contract
    kustomization: Kustomization
    source: Source
    seen: Observation


Rule = Callable[[Setup], str]
"""Return what does not fit and what to change; empty where all is well."""


def explain(contract: Contract, seen: Observation) -> tuple[Finding, ...]:
    """Every rule that fires, obstacles first; none while there is nothing to look at."""
    kustomization, source = seen.flux.kustomization, seen.flux.source
    if kustomization is None or source is None:
        return ()
    setup = Setup(contract, kustomization, source, seen)
    return tuple(
        Finding(reason, message, obstacle=rules is OBSTACLES)
        for rules in (OBSTACLES, REMARKS)
        for reason, rule in rules.items()
        if (message := rule(setup))
    )


def summary(findings: Iterable[Finding]) -> str:
    """All messages in one text."""
    return "; ".join(finding.message for finding in findings)


def _detection_interval(setup: Setup) -> str:
    longest = setup.source.interval * JITTER
    if setup.source.webhook is not False or longest <= setup.contract.promises.detection or _fixed_ref(setup):
        return ""
    pace, promised = spoken(setup.source.interval), spoken(setup.contract.promises.detection)
    return (
        f"the {setup.source.kind.name}'s interval, {pace} ± 5 %, is over the {promised} of detection: shorten it or "
        "add a Receiver"
    )


def _reconciliation_timeout(setup: Setup) -> str:
    timeout, within = effective_timeout(setup.kustomization), setup.contract.promises.reconciliation
    if not setup.kustomization.checks_health or timeout <= within:
        return ""
    return f"health may take {spoken(timeout)}, over the {spoken(within)} of reconciliation: shorten spec.timeout"


def _retry_interval(setup: Setup) -> str:
    pause, within = setup.kustomization.retry_interval, setup.contract.promises.reconciliation
    if pause < within:
        return ""
    return f"one failed attempt breaks reconciliation: the next is {spoken(pause)} later; set spec.retryInterval"


def _look_interval(setup: Setup) -> str:
    pause, within = setup.seen.git.looks_every, setup.contract.promises.detection
    if pause is None or pause <= within or not setup.source.kind.commits:
        return ""
    return (
        f"the operator looks at Git every {spoken(pause)}, too seldom to measure detection within {spoken(within)}; "
        "promise more or set --git-interval"
    )


def _rollback_timeout(setup: Setup) -> str:
    timeout, within = effective_timeout(setup.kustomization), setup.contract.rollback.within
    idle = setup.contract.rollback.mode is RollbackMode.DISABLED or not setup.kustomization.checks_health
    if idle or timeout <= within or setup.seen.flux.cancels_health_checks is not False:
        return ""
    return (
        f"health checks may delay a rollback by {spoken(timeout)}, over its {spoken(within)}: shorten "
        "spec.timeout or set CancelHealthCheckOnNewRevision"
    )


def _health(setup: Setup) -> str:
    if setup.kustomization.checks_health:
        return ""
    return "the Kustomization checks no health, so healthy only means applied; set spec.wait: true"


def _prune(setup: Setup) -> str:
    if setup.kustomization.prunes:
        return ""
    return (
        "the Kustomization does not prune, so what a commit deletes stays, and so does what a rolled back commit "
        "added; set spec.prune: true"
    )


def _suspended(setup: Setup) -> str:
    if setup.kustomization.suspended:
        return "the Kustomization is suspended; resume it: flux resume kustomization " + setup.kustomization.name
    if setup.source.suspended:
        kind = setup.source.kind
        return f"the {kind.name} is suspended; resume it: flux resume source {kind.command} {setup.source.name}"
    return ""


def _fixed_ref(setup: Setup) -> str:
    if "commit" in setup.source.ref:
        return "the GitRepository is fixed to one commit, so there is nothing to detect; track a branch"
    if "tag" in setup.source.ref and not {"name", "semver"} & set(setup.source.ref):
        return (
            "the GitRepository is fixed to one tag, so there is nothing to detect; track a branch or a semver range"
        )
    return ""


def _semver(setup: Setup) -> str:
    if "semver" not in setup.source.ref or {"commit", "name"} & set(setup.source.ref):
        return ""
    return (
        "the GitRepository follows a semver range, which only Flux resolves, so a tag that Flux does not detect "
        "breaks no promise; track a branch to have it noticed"
    )


def _undated(setup: Setup) -> str:
    if setup.source.kind.commits:
        return ""
    return (
        f"a source of kind {setup.source.kind.name} keeps no time of a commit, so detection is not measured, "
        "reconciliation counts from the artifact, and nothing is rolled back; follow a GitRepository to have them"
    )


def _inside(setup: Setup) -> str:
    own = f"{setup.kustomization.namespace}/{setup.kustomization.name}"
    if setup.contract.parent != own:
        return ""
    return (
        f"the contract is applied by {own}, the Kustomization it binds: with wait: true both wait for each other, "
        "and a rollback may remove the contract; keep it in another Kustomization"
    )


def _unwatched(setup: Setup) -> str:
    for controller, kind, thing in (
        ("source-controller", setup.source.kind.name, setup.source),
        ("kustomize-controller", "Kustomization", setup.kustomization),
    ):
        selectors = setup.seen.flux.selectors.get(controller, ())
        if selectors and not any(sharding.may_watch(selector, thing.shard) for selector in selectors):
            label = f"label {sharding.KEY}={thing.shard}" if thing.shard else f"no label {sharding.KEY}"
            return (
                f"no {controller} looks at the {kind}, which has {label}: they watch {' or '.join(selectors)}; "
                "mend the label or start a controller for it"
            )
    return ""


def _observing(setup: Setup) -> str:
    if setup.seen.operator.acts or setup.contract.rollback.mode is RollbackMode.DISABLED:
        return ""
    return (
        "the operator only observes, so nothing is rolled back; give it the role to act, or set spec.rollback.mode: "
        "Disabled"
    )


def _rivalled(setup: Setup) -> str:
    contract, seen = setup.contract, setup.seen
    if seen.operator.rival and contract.rollback.mode is not RollbackMode.DISABLED:
        return rivalled(seen)
    if seen.operator.corrector and contract.promises.drift_mode is DriftMode.CORRECT:
        corrects = f"contract {seen.operator.corrector} has drift corrected already"
        return f"{corrects}; set spec.promises.drift.mode: Detect in one"
    return ""


OBSTACLES: Final[dict[str, Rule]] = {
    reasons.CONTRACT_INSIDE: _inside,
    reasons.SUSPENDED: _suspended,
    reasons.NOT_WATCHED: _unwatched,
    reasons.SOURCE_INTERVAL: _detection_interval,
    reasons.KUSTOMIZATION_TIMEOUT: _reconciliation_timeout,
    reasons.ROLLBACK_DELAY: _rollback_timeout,
}
"""What stands against a promise, the gravest first."""
REMARKS: Final[dict[str, Rule]] = {
    reasons.OBSERVE_ONLY: _observing,
    reasons.ANOTHER_CONTRACT: _rivalled,
    reasons.NO_HEALTH_CHECKS: _health,
    reasons.PRUNE_DISABLED: _prune,
    reasons.RETRY_INTERVAL: _retry_interval,
    reasons.LOOK_INTERVAL: _look_interval,
    reasons.FIXED_REF: _fixed_ref,
    reasons.SEMVER_RANGE: _semver,
    reasons.NO_COMMIT_TIME: _undated,
}
"""What a promise does not mean here."""
