"""What a step of the story consists of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from playground.story.checks import Check
from playground.story.facts import Facts, Promise, of_budget, short


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that the contract's status must come to say."""

    label: str
    reached: Callable[[Facts], str | None]
    """What is told of it once it is reached; None until then."""


@dataclass(frozen=True, kw_only=True)
class Step:
    """One commit and what must follow from it."""

    title: str
    scenario: str
    """What happens, in a sentence."""
    promise: Callable[[Facts], str]
    """What the contract promises for this case, with the budgets of its spec."""
    message: str
    """The commit's."""
    files: Mapping[str, str | None]
    marks: tuple[Mark, ...]
    verdicts: Mapping[str, str]
    """The promises that the step is about, and the verdicts they must get."""
    checks: tuple[Check, ...]
    lesson: str = ""
    """What a reader should take away where it is not plain from the facts."""
    fewest_pods: int = 0
    """Ready pods that there must be at every moment."""
    timeout: float = 180.0
    """Seconds; generous, for a machine that is busy with something else."""
    shows_contract: bool = False
    """Whether kubectl's view of the contract is shown at the end."""

    def contradicted(self, promise: Promise) -> str:
        """Return the verdict that was wanted where a promise got another for good; else an empty text.

        A promise that the step is not about may stand anyhow, but is not to be broken by a step that breaks none.
        """
        wanted = self.verdicts.get(promise.name)
        if wanted is None:
            spoilt = promise.verdict == "Broken" and "Broken" not in self.verdicts.values()
            return "Kept" if spoilt else ""
        return wanted if promise.concluded and promise.verdict != wanted else ""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was measured in a step."""

    step: Step
    promises: tuple[Promise, ...] = field(default=())


def detected(facts: Facts) -> str | None:
    """Flux's source has the commit."""
    return _timed(facts, "detected", "detection")


def applied(facts: Facts) -> str | None:
    """All manifests of the commit are applied."""
    elapsed = facts.elapsed("applied")
    return f"after {elapsed}" if elapsed else None


def healthy(facts: Facts) -> str | None:
    """The Kustomization is Ready at the commit."""
    return _timed(facts, "healthy", "reconciliation")


def proved(facts: Facts) -> str | None:
    """The commit is the one to roll back to from now on."""
    return f"after {facts.budget('rollback', 'settle')} without trouble" if facts.is_good else None


def failed(facts: Facts) -> str | None:
    """The attempts have failed as often as the contract tolerates."""
    count, reason = facts.failures.get("count", 0), facts.failures.get("reason", "")
    limit = facts.contract.get("spec", {}).get("rollback", {}).get("after", {}).get("failures", 1)
    return f"{count} times: {reason}" if count >= limit else None


def decided(facts: Facts) -> str | None:
    """The contract has decided to go back."""
    undo = facts.rollback
    return f"decided, to {short(undo['to'])}" if facts.delivery and undo.get("state") else None


def rolled_back(facts: Facts) -> str | None:
    """The good revision is Ready again."""
    promise = facts.promise("Rollback")
    if facts.rollback.get("state") != "Active" or promise is None or not promise.measured:
        return None
    return f"after {of_budget(promise.measured, promise.within)}"


def released(facts: Facts) -> str | None:
    """The rollback has ended because of this commit."""
    return "no rollback is in force" if facts.delivery and not facts.rollback.get("state") else None


def _timed(facts: Facts, stage: str, promise: str) -> str | None:
    elapsed = facts.elapsed(stage)
    within = facts.budget("promises", promise, "within")
    return f"after {of_budget(elapsed, within)}" if elapsed else None
