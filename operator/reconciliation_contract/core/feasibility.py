"""Which promises cannot be kept as things are set up, and what to change: before a commit shows it.

Each rule looks at settings only, never at a delivery. A rule that cannot know (for example whether a Receiver exists)
stays silent: a warning that is wrong once is not read twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from reconciliation_contract.core.contract import Contract, RollbackMode
from reconciliation_contract.core.duration import spoken
from reconciliation_contract.core.observation import Kustomization, Observation, Source

JITTER: Final = 1.05
"""Flux's controllers spread intervals by ±5 % (``--interval-jitter-percentage``)."""
SHORTEST_TIMEOUT: Final = timedelta(seconds=30)
"""kustomize-controller waits at least this long for health, whatever ``spec.timeout`` says."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One promise that the set-up cannot keep, or weakens."""

    rule: str
    message: str
    """What does not fit, and what to change."""


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
    """Every rule that fires, in a fixed order; none while there is nothing to look at."""
    kustomization, source = seen.kustomization, seen.source
    if kustomization is None or source is None:
        return ()
    setup = Setup(contract, kustomization, source, seen)
    return tuple(Finding(name, message) for name, rule in RULES.items() if (message := rule(setup)))


def summary(findings: Iterable[Finding]) -> str:
    """All messages in one text."""
    return "; ".join(finding.message for finding in findings)


def effective_timeout(kustomization: Kustomization) -> timedelta:
    """How long Flux waits for health: ``spec.timeout``, else the interval less 30 s, never under 30 s."""
    return max(SHORTEST_TIMEOUT, kustomization.timeout or kustomization.interval - timedelta(seconds=30))


def _detection_interval(setup: Setup) -> str:
    if setup.source.webhook or setup.source.interval * JITTER <= setup.contract.promises.detection:
        return ""
    return (
        f"the GitRepository looks at Git every {spoken(setup.source.interval)}, so a commit may wait longer than the "
        f"{spoken(setup.contract.promises.detection)} promised for detection; shorten its interval or add a Receiver"
    )


def _reconciliation_timeout(setup: Setup) -> str:
    timeout, within = effective_timeout(setup.kustomization), setup.contract.promises.reconciliation
    if not setup.kustomization.checks_health or timeout <= within:
        return ""
    return (
        f"the Kustomization may wait {spoken(timeout)} for health, longer than the {spoken(within)} promised for "
        "reconciliation; shorten its timeout or promise more"
    )


def _rollback_timeout(setup: Setup) -> str:
    timeout, within = effective_timeout(setup.kustomization), setup.contract.rollback.within
    idle = setup.contract.rollback.mode is RollbackMode.DISABLED or not setup.kustomization.checks_health
    if idle or timeout <= within or setup.seen.cancels_health_checks:
        return ""
    return (
        f"a health check in progress may delay a rollback by {spoken(timeout)}, longer than the {spoken(within)} "
        "promised; shorten the Kustomization's timeout or start kustomize-controller with "
        "--feature-gates=CancelHealthCheckOnNewRevision=true and promise more"
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
        return "the GitRepository is suspended; resume it: flux resume source git " + setup.source.name
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


def _inside(setup: Setup) -> str:
    own = f"{setup.kustomization.namespace}/{setup.kustomization.name}"
    if setup.contract.parent != own:
        return ""
    return (
        f"the contract is applied by {own}, the Kustomization it binds: with wait: true both wait for each other, "
        "and a rollback may remove the contract; keep it in another Kustomization"
    )


RULES: Final[dict[str, Rule]] = {
    "ContractInsideKustomization": _inside,
    "Suspended": _suspended,
    "FixedRef": _fixed_ref,
    "SourceInterval": _detection_interval,
    "KustomizationTimeout": _reconciliation_timeout,
    "RollbackDelay": _rollback_timeout,
    "NoHealthChecks": _health,
    "PruneDisabled": _prune,
    "SemverRange": _semver,
}
"""By name, the gravest first."""
