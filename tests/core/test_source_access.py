"""What is looked at, and told, of a source: every set-up of namespaces, lockdown and what Flux says."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest

from reconciliation_contract.core.facts.comparison import Drift, Field, Finding, Kind
from reconciliation_contract.core.facts.dry_run import Check, Validation
from reconciliation_contract.core.facts.observation import Commit, Condition, Git, Head, SourceRef, Unreadable
from reconciliation_contract.core.facts.source_access import withheld
from reconciliation_contract.core.memory.effects import EnsurePin, SwitchSource
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.object_key import ObjectKey
from tests.support.builders import at, sha
from tests.support.builders_core import OWN, Case, failing

SECRET = "canary"
"""Stands in every text that only the source, or Git, could have told."""
FOREIGN = SourceRef("GitRepository", "infra", "shop")
SAYS = ("ready", "failing", "at work", "denied", "denied and stalled")
KEY = ObjectKey("", "ConfigMap", "apps", SECRET)


def seen(source: SourceRef, says: str, account: str) -> Case:
    """A revision that fails, where all that there could be to tell is told."""
    case = failing().but(
        kustomization__source=source,
        kustomization__denied=says.startswith("denied"),
        kustomization__reached=source if says in ("ready", "failing") else None,
        good__source=source,
        seen__operator__account=account,
    )
    words = Condition("False", "GitOperationFailed", SECRET)
    there = replace(case.seen.flux.source, namespace=source.namespace, ready=words) if case.seen.flux.source else None
    commits = {sha("A"): Commit(at(-400), SECRET), sha("B"): Commit(at(-5), SECRET), sha("X"): Unreadable(SECRET)}
    checks = Check(KEY, SECRET, refused=SECRET, dropped=(SECRET,))
    return case.but(
        seen__flux__source=there,
        seen__git=Git(Head(sha("B"), at(0), None, at(0)), commits, SECRET),
        seen__manifests__validation=Validation(
            sha("B"), at(1), 3, checks, (checks,), 1, 1, SECRET, invalid="", remark=SECRET
        ),
        seen__manifests__drift=Drift(
            sha("B"), 1, 1, (Finding("ConfigMap/apps/applied", Kind.CHANGED, (Field(SECRET, SECRET, SECRET),)),)
        ),
    )


MATRIX = list(product((OWN, FOREIGN), (True, False, None), SAYS, ("", "deployer")))


def may(source: SourceRef, crosses: bool | None, says: str) -> bool:
    """Whether Flux may read the source, as far as anybody can know."""
    if says.startswith("denied"):
        return False
    return source == OWN or crosses is True or (crosses is None and says in ("ready", "failing"))


@pytest.mark.parametrize(("source", "crosses", "says", "account"), MATRIX)
def test_nothing_exceeds_what_flux_may_read_and_the_kustomization_tells(
    source: SourceRef, crosses: bool | None, says: str, account: str
) -> None:
    """Source, namespaces, lockdown, what Flux says, whose rights are lent: nothing is looked at, told or done beyond."""
    case = seen(source, says, account)

    shown = withheld(case.seen, crosses)
    decision = replace(case, seen=shown).decide()

    allowed = may(source, crosses, says)
    assert (shown.flux.source is not None) is allowed
    assert bool(shown.flux.denied) is not allowed
    assert (SECRET in repr(decision)) is (allowed and source == OWN)
    acts = [each for each in decision.effects if isinstance(each, EnsurePin | SwitchSource)]
    begun = decision.memory.rollback is not None
    assert acts == []  # the intent is written first
    assert begun is (allowed and (source == OWN or bool(account)))
    if not allowed:
        assert (shown.git, shown.manifests.validation, shown.manifests.drift) == (Git(), None, None)
        assert decision.conditions["Ready"].reason == reasons.SOURCE_DENIED
        assert sha("B")[:7] not in decision.conditions["Ready"].message


def test_the_matrix_has_every_outcome() -> None:
    """As many set-ups as there are, and each kind of them occurs."""
    outcomes = [(source == OWN, may(source, crosses, says)) for source, crosses, says, _ in MATRIX]

    assert len(MATRIX) == 60
    assert {outcome: outcomes.count(outcome) for outcome in outcomes} == {
        (True, True): 18,
        (True, False): 12,
        (False, True): 10,
        (False, False): 20,
    }


def test_that_a_source_exists_is_not_told() -> None:
    """Denied is denied, whether there is anything or not."""
    case = seen(FOREIGN, "denied", "")

    there, absent = (
        withheld(replace(case.seen, flux=replace(case.seen.flux, source=found)), False)
        for found in (case.seen.flux.source, None)
    )

    assert there == absent


def test_what_is_known_of_the_own_problems_is_told() -> None:
    """A right that the operator lacks is nothing of the source's, and its remedy must not be lost."""
    case = seen(FOREIGN, "ready", "")
    problem = Validation(sha("B"), at(1), problem="grant it", ours=True)
    theirs = Validation(sha("B"), at(1), problem=SECRET)

    told = [
        withheld(
            replace(case.seen, manifests=replace(case.seen.manifests, validation=found)), True
        ).manifests.validation
        for found in (problem, theirs)
    ]

    own, other = told
    assert own is not None
    assert other is not None
    assert own.problem == "grant it"
    assert SECRET not in other.problem
