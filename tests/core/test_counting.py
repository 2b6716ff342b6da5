"""Which failed attempts count: those of what there is now, and only since anybody wanted them counted."""

from __future__ import annotations

from typing import Any

from reconciliation_contract.core.facts.observation import Failure
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from reconciliation_contract.core.memory.timeline import Failures
from tests.support.builders import at, revision, sha
from tests.support.builders_core import UNHEALTHY, Case, failing, rolling_back, since


def failures(*seconds: float) -> tuple[Failure, ...]:
    """Failed attempts at B."""
    return tuple(Failure(at(second), "HealthCheckFailed", UNHEALTHY, sha("B")) for second in seconds)


def counted(memory: Memory) -> Failures | None:
    """What counts against the delivery."""
    return memory.delivery.failures if memory.delivery else None


def after(case: Case, **changes: Any) -> Case:
    """The next pass of the same contract, with the world changed."""
    return case.but(memory=case.decide().memory).but(**changes)


def test_a_resumed_contract_begins_to_count_anew() -> None:
    """What failed before a contract was resumed rolls nothing back; what fails afterwards does."""
    suspended = failing().but(contract__suspended=True)
    resumed = after(suspended, contract__suspended=False, now=at(101))
    again = after(resumed, kustomization__failures=failures(10, 50, 90, 110, 120), now=at(121))
    third = after(again, kustomization__failures=failures(10, 50, 90, 110, 120, 130), now=at(131))

    assert suspended.decide().memory.suspended
    assert counted(resumed.decide().memory) is None
    assert resumed.decide().memory.rollback is None
    assert counted(again.decide().memory) == Failures(2, at(110), at(120), "HealthCheckFailed", UNHEALTHY)
    assert again.decide().memory.rollback is None
    assert third.decide().memory.rollback is not None


def test_an_intent_does_not_outlive_a_suspension() -> None:
    """Who resumes a contract does not ask for what was about to happen before."""
    case = rolling_back(RollbackState.INTENDED, memory__suspended=True)

    assert case.decide().memory.rollback is None


def test_an_edit_of_the_kustomization_begins_to_count_anew() -> None:
    """Attempts that failed with another spec do not speak against the revision with this one."""
    known = Failures(3, at(10), at(90), "HealthCheckFailed", UNHEALTHY, "old")
    edited = failing().but(delivery__failures=known, kustomization__spec="new", now=at(100))
    again = after(edited, kustomization__failures=failures(10, 50, 90, 110), now=at(111))

    assert edited.decide().memory.rollback is None
    assert counted(edited.decide().memory) is None
    assert counted(again.decide().memory) == Failures(1, at(110), at(110), "HealthCheckFailed", UNHEALTHY, "new")


def test_an_edit_of_the_pace_changes_no_count() -> None:
    """What the digest leaves out (source, suspend, intervals) says nothing about a failure."""
    case = failing().but(kustomization__spec="same", kustomization__generation=4)
    case = case.but(delivery__failures=Failures(3, at(10), at(90), "HealthCheckFailed", UNHEALTHY, "same"))

    assert counted(case.decide().memory) == Failures(3, at(10), at(90), "HealthCheckFailed", UNHEALTHY, "same")


def restarted(**changes: Any) -> Case:
    """An operator that has just begun to look, at 95, at what it counted before; the last failure came since."""
    case = failing().but(kustomization__attempted=since("B", 95, exact=False), now=at(100))
    return case.but(kustomization__failures=failures(94), **changes)


def test_a_restart_goes_on_counting_what_flux_says_never_succeeded() -> None:
    """A revision that was never applied has been failing while nobody looked as well."""
    memory = restarted().decide().memory

    found = counted(memory)
    assert found is not None
    assert (found.count, found.first_at) == (4, at(10))
    assert memory.rollback is not None


def test_a_restart_does_not_count_across_a_possible_recovery() -> None:
    """A revision that was applied may have stood Ready while nobody looked: only what is seen now counts."""
    case = restarted(kustomization__applied_revision=revision("B"))

    found = counted(case.decide().memory)

    assert found is not None
    assert (found.count, found.first_at) == (1, at(94))
    assert case.decide().memory.rollback is None


def test_a_failure_persists_since_whichever_came_first() -> None:
    """More attempts make a failure no younger: what was left to people stays with them."""
    many = Failures(9, at(10), at(90) + (at(7200) - at(0)), "HealthCheckFailed", UNHEALTHY)
    case = failing().but(delivery__failures=many, kustomization__failures=(), now=at(7300))

    told = case.decide().conditions["RolledBack"]

    assert told.reason == "TooOld"
