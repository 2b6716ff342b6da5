"""The brake for the fleet: what needs an explanation of its own is counted, not what fails."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from reconciliation_contract.core.rollback.fleet_brake import Fleet, Pulse, brake
from reconciliation_contract.core.values.timing import TIMING
from tests.support.builders import at

MINE = Pulse("apps/mine", "https://git/mine", at(0))


def repositories(failing: int, standing: int = 0, since: float = 0) -> list[Pulse]:
    """One contract for each repository, the first of them ours."""
    bad = [
        replace(MINE, contract=f"apps/{n}", source=f"https://git/{n}", failing_since=at(since))
        for n in range(failing)
    ]
    return [
        *bad[:-1],
        *([MINE] if bad else []),
        *(Pulse(f"apps/good-{n}", f"https://git/good-{n}") for n in range(standing)),
    ]


def monorepo(unchanged: int, changed: int = 0) -> list[Pulse]:
    """Contracts of one repository that fail."""
    same = [replace(MINE, contract=f"apps/same-{n}", unchanged=True) for n in range(unchanged)]
    return [*same, *(replace(MINE, contract=f"apps/changed-{n}") for n in range(changed)), MINE]


def rolled_back(number: int, ago: float, standing: int = 0) -> list[Pulse]:
    """Contracts of one repository, some of them rolled back."""
    back = [replace(MINE, contract=f"apps/{n}", begun=at(-ago)) for n in range(number)]
    return [MINE, *back, *(Pulse(f"apps/good-{n}", MINE.source) for n in range(standing))]


def fleet(pulses: list[Pulse]) -> Fleet:
    failing, begun = [p for p in pulses if p.failing_since], [p for p in pulses if p.begun]
    return Fleet(len(pulses), len({pulse.source for pulse in pulses}), failing, begun)


WINDOW = TIMING.brake_window.total_seconds()
BRAKED: dict[str, tuple[list[Pulse], bool]] = {
    "only it fails": (repositories(1, 10), False),
    "fewer than the least number fail": (repositories(2, 3), False),
    "the least number fails": (repositories(3, 3), True),
    "a fifth of a large fleet fails": (repositories(20, 80), True),
    "just less than a fifth fails": (repositories(20, 81), False),
    "the others began to fail long before": (repositories(5, since=-WINDOW - 1), False),
    "the others began to fail just recently enough": (repositories(5, since=-WINDOW), True),
    "the others began to fail after it": (repositories(5, since=WINDOW), True),
    "the others began to fail long before, and are held since": (
        [*(replace(p, braked=True) for p in repositories(3, since=-WINDOW - 1)), MINE],
        True,
    ),
    "many contracts of one repository fail, each changed by the commit": (monorepo(0, 50), False),
    "contracts fail that the commit did not change": (monorepo(2), True),
    "too few contracts fail that the commit did not change": (monorepo(1, 50), False),
    "as many were rolled back as may at once": (rolled_back(3, WINDOW), True),
    "as many were rolled back, but longer ago": (rolled_back(3, WINDOW + 1), False),
    "fewer were rolled back": (rolled_back(2, 0), False),
    "a twentieth of a large fleet was rolled back": (rolled_back(5, 0, 94), True),
    "just less than a twentieth was rolled back": (rolled_back(5, 0, 95), False),
}


@pytest.mark.parametrize("name", BRAKED)
def test_when_no_rollback_may_begin(name: str) -> None:
    """An outage of what all share never rolls back the fleet; a bad commit in one repository is not stopped."""
    pulses, braked = BRAKED[name]

    message = brake(MINE, fleet(pulses), 3, at(0))

    assert bool(message) == braked
    assert not braked or "look at the cluster" in message


def test_it_holds_as_long_as_all_fail() -> None:
    """How long an outage lasts changes nothing."""
    later = at(0) + timedelta(days=7)

    assert brake(MINE, fleet(repositories(5)), 3, later)


def test_it_can_be_switched_off() -> None:
    """With 0 nothing is counted."""
    assert brake(MINE, fleet(repositories(50)), 0, at(0)) == ""


def test_what_does_not_fail_is_not_held() -> None:
    """There is nothing to begin."""
    assert brake(replace(MINE, failing_since=None), fleet(repositories(50)), 3, at(0)) == ""


def test_the_pace_holds_back_no_rollback_that_has_begun() -> None:
    """What was allowed to begin goes on, but not into an outage."""
    rolling = replace(MINE, rolling=True)

    assert brake(rolling, fleet(rolled_back(9, 0)), 3, at(0)) == ""
    assert brake(rolling, fleet(repositories(3)), 3, at(0))


def test_its_own_rollback_does_not_count_for_the_pace() -> None:
    """An earlier rollback of the same contract is a matter of its budget."""
    mine = replace(MINE, begun=at(-60))

    assert brake(mine, fleet([mine, *rolled_back(2, 0)[1:]]), 3, at(0)) == ""
