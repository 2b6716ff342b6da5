"""The list of guards in the documentation: complete, and each guard held by tests that exist."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from reconciliation_contract.core.facts.observation import Dependency
from reconciliation_contract.core.facts.source_kind import OCI_REPOSITORY
from reconciliation_contract.core.memory.memory import Past, Result, RollbackState, footing_of
from reconciliation_contract.core.rollback.guards import GUARDS, Case, objection
from reconciliation_contract.core.spec.contract import RollbackMode
from reconciliation_contract.core.spec.requests import Requests
from reconciliation_contract.core.values import reasons
from tests.support.builders import at, revision, sha
from tests.support.builders_core import OWN, failing, good, rolling_back

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "guards.md").read_text().splitlines()
    if line.startswith("| `")
]
"""The rows of all tables: the guard, what it prevents, the tests that hold it; in the first a reason stands second."""
TESTS = [found for row in ROWS for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)(?:\[([^\]]+)\])?`", row[-1])]
ALONE: dict[str, dict[str, Any]] = {
    "_disabled": {"contract__rollback__mode": RollbackMode.DISABLED},
    "_observing": {"seen__operator__acts": False},
    "_rivalled": {"seen__operator__rival": "shop-b"},
    "_paused": {"contract__requests": Requests(paused_until=at(101))},
    "_repeated": {"memory__bad": (sha("B"),)},
    "_released": {"contract__requests": Requests(release=sha("B"))},
    "_moved": {"kustomization__suspended": True},
    "_unpinnable": {"source__kind": OCI_REPOSITORY},
    "_dead": {"seen__flux__controllers": (Dependency("kustomize-controller", False, "it has no pod"),)},
    "_elsewhere": {"failed__message": "failed calling webhook"},
    "_unreached": {"failed__reason": "BuildFailed"},
    "_unfit": {"memory__good": None},
    "_same": {"memory__good": good(manifests="1"), "kustomization__manifests": {sha("B"): "1"}},
    "_old": {"now": at(90) + timedelta(hours=1, seconds=1)},
    "_spent": {"memory__begun": (at(-30), at(-20), at(-10))},
    "_braked": {"seen__operator__brake": "4 of 5 repositories fail"},
}
"""What is changed in a world that speaks for a rollback, so that only this guard objects."""


def trial(changes: dict[str, Any]) -> Case:
    """The case as the guards are given it."""
    case = failing()
    delivery = case.memory.delivery
    assert delivery is not None
    assert delivery.failures is not None
    failures = delivery.failures
    for path, value in changes.items():
        root, _, field = path.partition("__")
        if root == "failed":
            failures = replace(failures, **{field: value})
        else:
            case = case.but(**{path: value})
    return Case(case.contract, case.memory, delivery, failures, case.seen, case.now)


def test_every_guard_is_listed_with_its_reason() -> None:
    """The documentation has the guards in the order in which they are asked."""
    names = {getattr(reasons, name): name for name in dir(reasons) if name.isupper()}
    listed = [(row[0].strip("`"), row[1].strip("`")) for row in ROWS if row[0].startswith("`_")]

    assert set(names) >= {reason for reason, _ in GUARDS}
    assert listed[: len(GUARDS)] == [(guard.__name__, reason) for reason, guard in GUARDS]


def test_every_row_names_a_test() -> None:
    """A guard that no test holds would not be missed."""
    assert [row[0] for row in ROWS if "`tests/" not in row[-1]] == []


@pytest.mark.parametrize(("file", "test", "case"), sorted(set(TESTS)))
def test_the_tests_that_are_named_exist(file: str, test: str, case: str) -> None:
    """What the documentation points to can be run by that name."""
    beside = [path.read_text() for path in (ROOT / file).parent.glob("*.py")]

    assert f"def {test}(" in (ROOT / file).read_text()
    assert not case or any(f'"{case}"' in text for text in beside)


def test_every_guard_is_tried_alone() -> None:
    """A new guard comes with a case in which it alone objects."""
    assert list(ALONE) == [guard.__name__ for _, guard in GUARDS]


@pytest.mark.parametrize("name", ALONE)
def test_without_the_guard_the_rollback_would_begin(name: str) -> None:
    """Of all guards only this one objects to its case, so without it nothing would."""
    case = trial(ALONE[name])

    objecting = [(guard.__name__, reason) for reason, guard in GUARDS if guard(case)]

    assert [guard for guard, _ in objecting] == [name]
    found = objection(case)
    assert found is not None
    assert found[0] == objecting[0][1]


def test_the_world_of_these_cases_speaks_for_a_rollback() -> None:
    """Unchanged, no guard objects."""
    assert objection(trial({})) is None


STRANGE: dict[str, dict[str, Any]] = {
    "another Kustomization of the same name": {"kustomization__uid": "another"},
    "another source": {"kustomization__source": replace(OWN, name="other")},
}


@pytest.mark.parametrize("name", STRANGE)
def test_what_a_person_asked_for_is_given_up_on_another_object(name: str) -> None:
    """A request skips the guards that a failure must pass, but not whose Kustomization and source it was made for."""
    told = Requests(rollback_from=sha("B"), rollback_to=sha("A"))
    asked = {"rollback__reason": reasons.REQUESTED, "contract__requests": told}
    case = rolling_back(RollbackState.INTENDED, **asked, **STRANGE[name])

    decision = case.decide()

    assert decision.memory.rollback is None
    assert decision.conditions["RolledBack"].reason == reasons.CANCELLED


@pytest.mark.parametrize("result", [Result.SUPERSEDED, Result.ROLLED_BACK])
def test_a_request_goes_only_to_what_was_healthy(result: Result) -> None:
    """Being in the history is not enough: an overtaken or a bad revision is no way back."""
    past = Past(revision("X"), sha("X"), result, at(-300), footing=footing_of(good()))
    ask = Requests(rollback_from=sha("B"), rollback_to=sha("X"))
    case = failing().but(delivery__failures=None, memory__history=(past,), contract__requests=ask)

    decision = case.decide()

    assert decision.memory.rollback is None
