"""What is meant to differ: rules of the contract and Flux's own."""

from __future__ import annotations

import time
from typing import Any

import pytest

from reconciliation_contract.core.spec.ignore_rules import (
    Exemptions,
    FluxRule,
    IgnoreRule,
    is_left_alone,
    is_merged,
    is_recreated,
)
from reconciliation_contract.core.values.diff import Difference
from reconciliation_contract.core.values.object_key import ObjectKey

KEY = ObjectKey("apps", "Deployment", "apps", "shop-web")
BODY: dict[str, Any] = {
    "apiVersion": "apps/v1",
    "kind": "Deployment",
    "metadata": {"name": "shop-web", "namespace": "apps", "labels": {"tier": "front"}, "annotations": {"a": "b"}},
}
REPLICAS = Difference(("spec", "replicas"), 1, 3)
FLUX = "kustomize.toolkit.fluxcd.io/"


def marked(name: str, value: str, kind: str = "annotations") -> dict[str, Any]:
    return {"metadata": {kind: {FLUX + name: value}}}


@pytest.mark.parametrize(
    ("rule", "ignored"),
    [
        (IgnoreRule("Deployment", "shop-*", ("/spec/replicas",)), True),
        (IgnoreRule(paths=("/spec/replicas",)), True),
        (IgnoreRule("Dep*", "", ("/spec",)), True),
        (IgnoreRule("Deployment", "other", ("/spec/replicas",)), False),
        (IgnoreRule("Service", "", ("/spec/replicas",)), False),
        (IgnoreRule("Deployment", "", ("/spec/paused",)), False),
    ],
)
def test_a_rule_of_the_contract_leaves_fields_out(rule: IgnoreRule, ignored: bool) -> None:
    """By kind, name and path."""
    left = Exemptions((rule,)).remaining((REPLICAS,), KEY, BODY)

    assert left == (() if ignored else (REPLICAS,))


def test_a_rule_without_paths_leaves_the_object_out() -> None:
    """It is not compared at all."""
    exemptions = Exemptions((IgnoreRule("Deployment", "shop-*"),))

    assert exemptions.whole(KEY)
    assert not exemptions.whole(KEY._replace(name="other"))


@pytest.mark.parametrize(
    ("target", "ignored"),
    [
        ({}, True),
        ({"kind": "Deploy.*"}, True),
        ({"kind": "Deploy"}, False),
        ({"group": "apps", "version": "v1", "name": "(shop|cart)-web", "namespace": "apps"}, True),
        ({"group": "batch"}, False),
        ({"labels": "tier=front,!debug"}, True),
        ({"labels": "tier==back"}, False),
        ({"labels": "tier!=back,tier"}, True),
        ({"labels": "absent"}, False),
        ({"labels": "tier in (front)"}, True),
        ({"annotations": "a=c"}, False),
        ({"name": "("}, True),
        ({"name": "x" * 300}, True),
    ],
)
def test_a_rule_of_the_kustomization_leaves_fields_out(target: dict[str, str], ignored: bool) -> None:
    """As in its spec.ignore; what cannot be read counts as matching, so that nothing false is reported."""
    rule = FluxRule(("/spec/replicas",), **target)

    assert Exemptions(flux=(rule,)).remaining((REPLICAS,), KEY, BODY) == (() if ignored else (REPLICAS,))


@pytest.mark.parametrize("pattern", ["(a+)+$", "(a|a)*b", r"(.*)\1", ".*.*.*.*.*b", "(?=a)"])
def test_no_pattern_takes_for_ever(pattern: str) -> None:
    """A hostile Kustomization does not hold up the operator."""
    body = {**BODY, "metadata": {"name": "a" * 253}}
    began = time.monotonic()

    FluxRule(("/a",), name=pattern).matches(body)

    assert time.monotonic() - began < 5


def test_the_labels_of_flux_are_not_drift() -> None:
    """They say whose an object is, not what it is."""
    found = Difference(("metadata", "labels", f"{FLUX}name"), "shop", None)

    assert Exemptions().remaining((found,), KEY, BODY) == ()


@pytest.mark.parametrize(
    ("manifest", "live", "alone"),
    [
        ({}, {}, False),
        (marked("reconcile", "disabled"), None, True),
        ({}, marked("reconcile", "Disabled", "labels"), True),
        (marked("ssa", "Ignore"), None, True),
        (marked("ssa", "IfNotPresent"), None, False),
        (marked("ssa", "IfNotPresent"), {}, True),
        ({}, marked("ssa", "IfNotPresent"), False),
        ({"metadata": "nonsense"}, {"metadata": {"labels": 1}}, False),
    ],
)
def test_what_flux_leaves_alone_is_left_alone(manifest: Any, live: Any, alone: bool) -> None:
    """By annotations and labels of the manifest and of the live object, as Flux reads them."""
    assert is_left_alone(manifest, live) is alone


def test_merging_and_recreating_are_read_from_either_side() -> None:
    """As Flux does."""
    assert is_merged(marked("ssa", "merge"), None)
    assert is_merged({}, marked("ssa", "Merge"))
    assert is_recreated(marked("force", "Enabled"), None)
    assert not is_recreated({}, {})
