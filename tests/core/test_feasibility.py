"""Which promises a set-up cannot keep: each rule alone, at its boundary, and with what to change."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciliation_contract.api.flux import kustomization as project
from reconciliation_contract.api.flux.source import source
from reconciliation_contract.core.conditions import derive
from reconciliation_contract.core.facts.attention import Attention
from reconciliation_contract.core.facts.observation import FluxFacts, Observation
from reconciliation_contract.core.facts.source_kind import GIT_REPOSITORY, OCI_REPOSITORY
from reconciliation_contract.core.feasibility import OBSTACLES, REMARKS, explain, summary
from reconciliation_contract.core.spec.contract import RollbackMode
from reconciliation_contract.core.values import reasons
from reconciliation_contract.core.values.sharding import KEY, may_watch
from tests.support.builders import NAME, NAMESPACE, at, git_repository, kustomization
from tests.support.builders_core import CONTRACT, Case, failing

SECOND, MINUTE = timedelta(seconds=1), timedelta(minutes=1)
OWN_NAME = f"{NAMESPACE}/{NAME}"
SHARDS = {
    "source-controller": (f"!{KEY}", f"{KEY}=shard1"),
    "kustomize-controller": (f"!{KEY}", f"{KEY} in (shard1, shard2)"),
}


def sound() -> Case:
    """A set-up that keeps every promise."""
    return failing().but(
        kustomization__interval=10 * MINUTE,
        kustomization__retry_interval=MINUTE,
        kustomization__timeout=2 * MINUTE,
        source__interval=30 * SECOND,
        source__webhook=False,
        seen__flux__cancels_health_checks=False,
    )


def found(**changes: Any) -> list[str]:
    """The rules that fire when the sound set-up is changed."""
    case = sound().but(**changes)
    return [finding.reason for finding in explain(case.contract, case.seen)]


RULES: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    reasons.CONTRACT_INSIDE: (
        {"contract__parent": OWN_NAME},
        {"contract__parent": f"{NAMESPACE}/another"},
        "keep it in another Kustomization",
    ),
    reasons.SUSPENDED: (
        {"kustomization__suspended": True},
        {"contract__suspended": True},
        f"flux resume kustomization {NAME}",
    ),
    reasons.NOT_WATCHED: (
        {"seen__flux__selectors": SHARDS, "source__shard": "shard2"},
        {"seen__flux__selectors": SHARDS, "source__shard": "shard1", "kustomization__shard": "shard2"},
        "mend the label or start a controller for it",
    ),
    reasons.SOURCE_INTERVAL: (
        {"source__interval": 58 * SECOND},
        {"source__interval": MINUTE / 1.05},
        "shorten it or add a Receiver",
    ),
    reasons.KUSTOMIZATION_TIMEOUT: (
        {"kustomization__timeout": 5 * MINUTE + SECOND, "seen__flux__cancels_health_checks": True},
        {"kustomization__timeout": 5 * MINUTE, "seen__flux__cancels_health_checks": True},
        "shorten spec.timeout",
    ),
    reasons.ROLLBACK_DELAY: (
        {"kustomization__timeout": 2 * MINUTE + SECOND},
        {"kustomization__timeout": 2 * MINUTE},
        "set CancelHealthCheckOnNewRevision",
    ),
    reasons.OBSERVE_ONLY: (
        {"seen__operator__acts": False},
        {"seen__operator__acts": True},
        "give it the role to act",
    ),
    reasons.ANOTHER_CONTRACT: (
        {"seen__operator__rival": "shop-b"},
        {"seen__operator__rival": ""},
        "delete one of the two",
    ),
    reasons.NO_HEALTH_CHECKS: (
        {"kustomization__checks_health": False},
        {"kustomization__checks_health": True},
        "set spec.wait: true",
    ),
    reasons.PRUNE_DISABLED: (
        {"kustomization__prunes": False},
        {"kustomization__prunes": True},
        "set spec.prune: true",
    ),
    reasons.RETRY_INTERVAL: (
        {"kustomization__retry_interval": 5 * MINUTE},
        {"kustomization__retry_interval": 5 * MINUTE - SECOND},
        "set spec.retryInterval",
    ),
    reasons.LOOK_INTERVAL: (
        {"seen__git__looks_every": MINUTE + SECOND},
        {"seen__git__looks_every": MINUTE},
        "promise more or set --git-interval",
    ),
    reasons.FIXED_REF: (
        {"source__ref": {"tag": "v1"}},
        {"source__ref": {"tag": "v1", "name": "refs/heads/main"}},
        "track a branch or a semver range",
    ),
    reasons.SEMVER_RANGE: (
        {"source__ref": {"semver": ">=1"}},
        {"source__ref": {"semver": ">=1", "name": "refs/heads/main"}},
        "track a branch",
    ),
    reasons.NO_COMMIT_TIME: (
        {"source__kind": OCI_REPOSITORY},
        {"source__kind": GIT_REPOSITORY},
        "follow a GitRepository",
    ),
}
"""By reason: what makes the rule fire, what is just not enough for it, and what it says to change."""


def test_a_sound_set_up_has_nothing_against_it() -> None:
    """No rule fires on what keeps every promise, so each case below changes one thing."""
    assert found() == []


@pytest.mark.parametrize("reason", RULES)
def test_a_rule_fires_alone_and_not_before_its_boundary(reason: str) -> None:
    """Each rule answers to one change, and the least that is still all right is let be."""
    broken, fine, _ = RULES[reason]

    assert (found(**broken), found(**fine)) == ([reason], [])


@pytest.mark.parametrize("reason", RULES)
def test_a_rule_says_what_to_change(reason: str) -> None:
    """The message fits a status and holds its own mend."""
    broken, _, mend = RULES[reason]
    case = sound().but(**broken)

    told = summary(explain(case.contract, case.seen))

    assert mend in told
    assert len(told) <= 300


def test_every_rule_is_tried() -> None:
    """A new rule comes with its boundary and its mend."""
    assert list(RULES) == [*OBSTACLES, *REMARKS]
    assert len(RULES) >= 10


OTHERS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "the source is suspended": ({"source__suspended": True}, [reasons.SUSPENDED]),
    "what is fixed is not looked for": (
        {"source__interval": 30 * MINUTE, "source__ref": {"tag": "v1"}},
        [reasons.FIXED_REF],
    ),
    "a fixed commit": ({"source__ref": {"branch": "main", "commit": "a" * 40}}, [reasons.FIXED_REF]),
    "a commit wins over a range": ({"source__ref": {"semver": "1.x", "commit": "a" * 40}}, [reasons.FIXED_REF]),
    "a range wins over a tag": ({"source__ref": {"semver": "1.x", "tag": "v1"}}, [reasons.SEMVER_RANGE]),
    "a Receiver makes the interval idle": ({"source__interval": 30 * MINUTE, "source__webhook": True}, []),
    "whether there is a Receiver is not known": ({"source__interval": 30 * MINUTE, "source__webhook": None}, []),
    "the gate is open": ({"kustomization__timeout": 3 * MINUTE, "seen__flux__cancels_health_checks": True}, []),
    "the gate is not known": ({"kustomization__timeout": 3 * MINUTE, "seen__flux__cancels_health_checks": None}, []),
    "nothing is to be rolled back": (
        {
            "kustomization__timeout": 3 * MINUTE,
            "contract__rollback__mode": RollbackMode.DISABLED,
        },
        [],
    ),
    "without health checks no timeout counts": (
        {"kustomization__timeout": 30 * MINUTE, "kustomization__checks_health": False},
        [reasons.NO_HEALTH_CHECKS],
    ),
    "Flux's own timeout, half a minute less than the interval": (
        {"kustomization__timeout": timedelta(0)},
        [reasons.KUSTOMIZATION_TIMEOUT, reasons.ROLLBACK_DELAY],
    ),
    "Flux's shortest timeout": ({"kustomization__timeout": timedelta(0), "kustomization__interval": SECOND}, []),
    "where no commit is dated nobody looks at Git": (
        {"seen__git__looks_every": 5 * MINUTE, "source__kind": OCI_REPOSITORY},
        [reasons.NO_COMMIT_TIME],
    ),
    "no controller could be looked at": ({"source__shard": "shard9", "seen__flux__selectors": {}}, []),
    "a Kustomization that nobody watches": (
        {"seen__flux__selectors": SHARDS, "kustomization__shard": "shard3"},
        [reasons.NOT_WATCHED],
    ),
    "all controllers are shards, and the source is in none": (
        {"seen__flux__selectors": {"source-controller": (f"{KEY}=shard1",)}},
        [reasons.NOT_WATCHED],
    ),
    "obstacles come before remarks": (
        {"kustomization__prunes": False, "kustomization__suspended": True},
        [reasons.SUSPENDED, reasons.PRUNE_DISABLED],
    ),
}


@pytest.mark.parametrize("name", OTHERS)
def test_what_else_counts(name: str) -> None:
    """The cases that a rule must tell apart beside its boundary."""
    changes, expected = OTHERS[name]

    assert found(**changes) == expected


@pytest.mark.parametrize("missing", ["kustomization", "source"])
def test_there_is_nothing_to_say_of_nothing(missing: str) -> None:
    """What does not exist is told by Ready."""
    assert found(**{missing: None}) == []


STATUS: dict[str, tuple[dict[str, Any], str, str]] = {
    "sound": ({}, "True", reasons.FEASIBLE),
    "a remark": ({"kustomization__prunes": False}, "True", reasons.PRUNE_DISABLED),
    "an obstacle": ({"kustomization__suspended": True}, "False", reasons.SUSPENDED),
    "both": ({"kustomization__prunes": False, "kustomization__suspended": True}, "False", reasons.SUSPENDED),
}


@pytest.mark.parametrize("name", STATUS)
def test_only_an_obstacle_makes_it_infeasible(name: str) -> None:
    """A remark is often what somebody wants; it is told without alarm."""
    changes, status, reason = STATUS[name]
    case = sound().but(**changes)

    feasible = derive(case.contract, case.memory, case.seen, None, case.now)["Feasible"]

    assert (feasible.status, feasible.reason) == (status, reason)


def test_without_anything_to_look_at_it_is_unknown() -> None:
    """Before there is a Kustomization nothing is known of the set-up."""
    case = sound()

    feasible = derive(case.contract, case.memory, Observation(), Attention.FULL, case.now)["Feasible"]

    assert (feasible.status, feasible.reason) == ("Unknown", reasons.WAITING)


# Public repositories --------------------------------------------------------------------------------------------------

PUBLIC = yaml.safe_load(Path(__file__).with_name("public_setups.yaml").read_text("utf-8"))


@pytest.mark.parametrize("public", PUBLIC, ids=lambda public: public["from"])
def test_no_rule_fires_falsely_on_public_repositories(public: dict[str, Any]) -> None:
    """With a contract of nothing but defaults, each rule that fires is right, and so is each that does not."""
    served = source(git_repository(**public["source"]), at(0), live=False, before=None)
    own = kustomization(wait=False, timeout=None, retryInterval=None)
    own["spec"] |= public["kustomization"]
    seen = Observation(
        flux=FluxFacts(
            kustomization=project.kustomization(own, at(0), live=False, before=None),
            source=replace(served, webhook=public.get("receiver", False)),
            cancels_health_checks=False,
            selectors={"source-controller": ("",), "kustomize-controller": ("",)},
        )
    )

    fired = [finding.reason for finding in explain(CONTRACT, seen)]

    assert fired == public["fires"]


# Shards ---------------------------------------------------------------------------------------------------------------

SELECTORS: dict[str, list[str]] = {
    "": ["", "a", "b"],
    "team=x": ["", "a", "b"],
    "$(SELECTOR)": ["", "a", "b"],
    KEY: ["a", "b"],
    f"!{KEY}": [""],
    f"{KEY}=a": ["a"],
    f"{KEY} == a": ["a"],
    f"{KEY}!=a": ["", "b"],
    f"{KEY} in (a, b)": ["a", "b"],
    f"{KEY} notin (a)": ["", "b"],
    f"team in (x, y),{KEY}=b,other": ["b"],
    f"{KEY},{KEY}!=a": ["b"],
}


@pytest.mark.parametrize("selector", SELECTORS)
def test_a_selector_is_read_as_kubernetes_does(selector: str) -> None:
    """By the shards that a controller with it can see."""
    assert [shard for shard in ("", "a", "b") if may_watch(selector, shard)] == SELECTORS[selector]


def test_all_that_a_default_set_up_cannot_keep_is_told() -> None:
    """Flux's own defaults break three promises at once; each keeps its remedy within the length of a message."""
    broken = sound().but(
        kustomization__interval=10 * MINUTE, kustomization__timeout=timedelta(0), source__interval=MINUTE
    )

    told = derive(broken.contract, broken.memory, broken.seen, Attention.FULL, at(0))["Feasible"].message

    assert "shorten it or add a Receiver" in told
    assert "of reconciliation: shorten spec.timeout" in told
    assert told.endswith("set CancelHealthCheckOnNewRevision")


def test_the_page_tells_every_rule() -> None:
    """docs/contract.md is where the runbook sends people."""
    page = (Path(__file__).parents[2] / "docs/contract.md").read_text()

    for rules, feasible in ((OBSTACLES, "False"), (REMARKS, "True")):
        for reason in rules:
            line = next((line for line in page.splitlines() if line.startswith(f"| `{reason}` |")), "")
            assert line.endswith(f"| {feasible} |"), reason
