"""The brake for the fleet: repositories that fail at once are counted, not contracts."""

from __future__ import annotations

import pytest

from reconciliation_contract.core.brake import Pulse, brake
from tests.support.builders import at


def fleet(failing: int, standing: int = 0, seconds: float = 0) -> list[Pulse]:
    """One contract for each repository."""
    bad = [Pulse(f"https://git/bad-{n}", at(seconds)) for n in range(failing)]
    return [*bad, *(Pulse(f"https://git/good-{n}", None) for n in range(standing))]


BRAKED: dict[str, tuple[list[Pulse], int, bool]] = {
    "nothing fails": (fleet(0, 10), 3, False),
    "fewer than the least number fail": (fleet(2, 3), 3, False),
    "the least number fails": (fleet(3, 3), 3, True),
    "the least number fails in a large fleet": (fleet(3, 97), 3, False),
    "a fifth of a large fleet fails": (fleet(20, 80), 3, True),
    "just less than a fifth fails": (fleet(20, 81), 3, False),
    "many contracts of one repository fail": ([Pulse("https://git/one", at(0))] * 50, 3, False),
    "it is switched off": (fleet(50), 0, False),
    "they failed long ago": (fleet(5, 0, -901), 3, False),
    "they failed just recently enough": (fleet(5, 0, -900), 3, True),
    "there is no fleet": ([], 3, False),
}


@pytest.mark.parametrize("name", BRAKED)
def test_when_no_rollback_may_begin(name: str) -> None:
    """An outage of what all share never rolls back the fleet; a bad commit in one repository is not stopped."""
    pulses, least, braked = BRAKED[name]

    message = brake(pulses, least, at(0))

    assert bool(message) == braked
    assert not braked or "look at the cluster" in message
