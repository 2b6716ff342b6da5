"""What delivery depends on, and whose fault it is."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pytest

from reconciliation_contract.core.facts.observation import (
    Condition,
    Dependency,
    Failure,
    FluxFacts,
    Git,
    Head,
    Kustomization,
    Observation,
    OperatorFacts,
)
from reconciliation_contract.core.memory.timeline import Moment, Stages, Witness
from reconciliation_contract.core.promises.dependencies import DEEPEST, WAITS, blame, dependencies, root_cause
from tests.support.builders import NAMESPACE, at, sha
from tests.support.builders_core import delivery, source, standing

WAITING = Condition("False", WAITS, "dependency 'apps/x' is not ready")
BROKEN = Condition("False", "BuildFailed", "no such file")
AT_WORK = Condition("Unknown", "Progressing", "Reconciliation in progress")
HEALTHY = Condition("True", "ReconciliationSucceeded", "Applied revision")


def one(name: str, ready: Condition, *needs: str, **changes: Any) -> Kustomization:
    """A Kustomization that depends on others."""
    return standing(name=name, ready=ready, depends_on=tuple(f"{NAMESPACE}/{need}" for need in needs), **changes)


def blamed(*others: Kustomization, needs: Iterable[str] = ("a",), ready: Condition = WAITING) -> str:
    """Whom the Kustomization `shop` blames."""
    known = {f"{NAMESPACE}/{other.name}": other for other in others}
    shop = one("shop", ready, *needs)
    return root_cause(shop, {**known, f"{NAMESPACE}/shop": shop}.get)


CHAINS: dict[str, tuple[str, str]] = {
    "nothing waits": (blamed(one("a", BROKEN), ready=BROKEN), ""),
    "one that fails": (blamed(one("a", BROKEN)), "Kustomization apps/a is not Ready: BuildFailed: no such file"),
    "behind one that waits": (
        blamed(one("a", WAITING, "b"), one("b", BROKEN)),
        "Kustomization apps/b is not Ready: BuildFailed: no such file",
    ),
    "beside one that stands": (
        blamed(one("a", HEALTHY), one("b", BROKEN), needs=("a", "b")),
        "Kustomization apps/b is not Ready: BuildFailed: no such file",
    ),
    "beside one that is at work": (
        blamed(one("a", AT_WORK), one("b", BROKEN), needs=("a", "b")),
        "Kustomization apps/b is not Ready: BuildFailed: no such file",
    ),
    "one that retries": (
        blamed(one("a", AT_WORK, failures=(Failure(at(0), "BuildFailed", "no such file", sha("A")),))),
        "Kustomization apps/a is not Ready: BuildFailed: no such file",
    ),
    "one that is at work for the first time": (
        blamed(one("a", AT_WORK)),
        "Kustomization apps/a is not Ready: Progressing: Reconciliation in progress",
    ),
    "all stand by now": (blamed(one("a", HEALTHY)), ""),
    "one that does not exist": (blamed(), "Kustomization apps/a does not exist; create it or mend dependsOn"),
    "one that is suspended": (
        blamed(one("a", HEALTHY, suspended=True)),
        "Kustomization apps/a is not Ready: it is suspended",
    ),
    "one that was never reconciled": (
        blamed(one("a", Condition())),
        "Kustomization apps/a is not Ready: it was never reconciled",
    ),
    "a circle": (
        blamed(one("a", WAITING, "shop")),
        "Kustomizations depend on each other in a circle: apps/shop; remove one dependsOn",
    ),
    "a chain that is too long to follow": (
        blamed(*(one("a" * n, WAITING, "a" * (n + 1)) for n in range(1, DEEPEST + 2))),
        "",
    ),
}


@pytest.mark.parametrize("name", CHAINS)
def test_the_root_cause_is_blamed(name: str) -> None:
    """Not the one in between, which only waits as well."""
    found, expected = CHAINS[name]

    assert found == expected


def test_twenty_that_wait_name_the_one_they_wait_for() -> None:
    """However deep each of them is in the chain."""
    database = one("database", BROKEN)
    waiting = [one(f"w{n}", WAITING, f"w{n - 1}" if n else "database") for n in range(20)]
    known = {f"{NAMESPACE}/{k.name}": k for k in (database, *waiting)}

    told = {root_cause(each, known.get) for each in waiting}

    assert told == {"Kustomization apps/database is not Ready: BuildFailed: no such file"}


HEAD = Head(sha("A"), at(0), None, at(0))
DEAD = Dependency("source-controller", False, "source-controller is scaled to zero; scale it up")
FACTS: dict[str, tuple[Observation, list[tuple[str, bool | None]]]] = {
    "nothing is known": (Observation(), []),
    "the API server is out of sight": (Observation(operator=OperatorFacts(fresh=False)), []),
    "Git answers": (Observation(git=Git(head=HEAD)), [("Git", True)]),
    "Git does not answer us": (Observation(git=Git(head=HEAD, problem="no route")), [("Git", None)]),
    "the source is well": (Observation(flux=FluxFacts(source=source(ready=HEALTHY))), [("GitRepository", True)]),
    "the source fails": (Observation(flux=FluxFacts(source=source(ready=BROKEN))), [("GitRepository", False)]),
    "the source is at work": (Observation(flux=FluxFacts(source=source(ready=Condition()))), []),
    "the source is suspended": (Observation(flux=FluxFacts(source=source(ready=BROKEN, suspended=True))), []),
    "a right is lacking": (Observation(operator=OperatorFacts(lacking="grant it")), [("Rights", False)]),
    "in the order in which a delivery meets them": (
        Observation(
            git=Git(head=HEAD),
            flux=FluxFacts(controllers=(DEAD,), source=source(ready=HEALTHY), blocked_by="apps/a is not Ready"),
            operator=OperatorFacts(lacking="grant it"),
        ),
        [
            ("Git", True),
            ("source-controller", False),
            ("GitRepository", True),
            ("dependsOn", False),
            ("Rights", False),
        ],
    ),
}


@pytest.mark.parametrize("name", FACTS)
def test_how_each_dependency_stands(name: str) -> None:
    """What cannot be told is unknown, and what says nothing is not there."""
    seen, expected = FACTS[name]

    assert [(found.name, found.ready) for found in dependencies(seen)] == [
        ("API server", seen.operator.fresh),
        *expected,
    ]


ALL_FAIL = Observation(
    git=Git(problem="no route"),
    flux=FluxFacts(
        controllers=(DEAD, replace(DEAD, name="kustomize-controller", message="no pod")),
        source=source(ready=BROKEN),
        blocked_by="apps/a is not Ready",
    ),
    operator=OperatorFacts(lacking="grant it"),
)
DETECTED = replace(delivery(failures=None), stages=Stages(detected=Moment(at(0), Witness.WATCH)))
BLAMED = {
    "what Flux needs to detect it": (replace(DETECTED, stages=Stages()), DEAD.message),
    "what Flux needs to apply it, once it is detected": (DETECTED, "no pod"),
    "nothing, where Flux tries and says what fails": (replace(DETECTED, failures=delivery().failures), ""),
}


@pytest.mark.parametrize("name", BLAMED)
def test_only_what_hinders_the_next_stage_is_blamed(name: str) -> None:
    """Neither what the delivery has passed, nor what only our own acts need."""
    subject, expected = BLAMED[name]

    assert blame(ALL_FAIL, subject) == expected


def test_what_is_unknown_is_nobody_s_fault() -> None:
    """Our own look at Git failing says nothing of Flux's."""
    assert blame(Observation(git=Git(problem="no route")), replace(DETECTED, stages=Stages())) == ""
