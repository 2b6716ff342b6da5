"""A contract from its raw object: read, or refused in a sentence that says what to mend."""

from __future__ import annotations

import copy
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciliation_contract.api.contract.parse import parse_contract
from reconciliation_contract.core.spec.contract import (
    AlertPolicy,
    AlertRule,
    Contract,
    DriftMode,
    InvalidContract,
    Promises,
    RollbackMode,
    RollbackPolicy,
    Severity,
    Topic,
)
from reconciliation_contract.core.spec.requests import Requests

META = {
    "namespace": "apps",
    "name": "shop",
    "uid": "0c9a",
    "generation": 3,
    "creationTimestamp": "2026-11-23T04:00:00Z",
}
BAD = "a3" * 20
HINT = "write a duration from 1ms to 8760h, such as 30s or 1h30m"
EXAMPLE = "name the Kustomization, as in kustomizationRef: {name: shop}"
DETECTION_FIRST = (
    "spec.promises: detection.within must not be longer than reconciliation.within, which includes it; "
    "shorten the former or lengthen the latter"
)

PROBLEMS: dict[str, tuple[str, Any, str]] = {
    "a duration without a unit": ("promises.detection.within", "5", f": '5' is not a duration; {HINT}"),
    "a duration that is a number": ("promises.detection.within", 5, f": 5 is not a duration; {HINT}"),
    "a negative duration": ("rollback.within", "-1m", f": '-1m' is not a duration; {HINT}"),
    "a duration of nothing": ("rollback.after.duration", "0s", f": '0s' is too short; {HINT}"),
    "a duration beyond a year": ("promises.validation.within", "8761h", f": '8761h' is too long; {HINT}"),
    "too long a settling time": (
        "rollback.settle",
        "25h",
        ": '25h' is too long; write a duration from 1ms to 24h, such as 30s or 1h30m",
    ),
    "too eager a search for drift": (
        "promises.drift.interval",
        "1s",
        ": '1s' is too short; write a duration from 10s to 8760h, such as 30s or 1h30m",
    ),
    "an unknown mode": (
        "rollback.mode",
        "automatic",
        " is 'automatic'; write one of 'Automatic', 'Manual' or 'Disabled'",
    ),
    "a mode that is no text": (
        "rollback.mode",
        ["Manual"],
        " is a list; write one of 'Automatic', 'Manual' or 'Disabled'",
    ),
    "no failures at all": ("rollback.after.failures", 0, " is 0; write at least 1"),
    "too many failures": ("rollback.after.failures", 10**30, " is too large a number; write at most 100"),
    "rollbacks in words": ("rollback.budget.rollbacks", "3", " is '3'; write a whole number"),
    "a rule about nothing": (
        "alerts.rules",
        [{"about": []}],
        ".0.about is a list; write List should have at least 1 item after validation, not 0",
    ),
    "failures in words": ("rollback.after.failures", "3", " is '3'; write a whole number"),
    "a truth that is no whole number": ("rollback.after.failures", True, " is true; write a whole number"),
    "a suspension in words": ("suspend", "yes", " is 'yes'; write true or false"),
    "a part that is a text": ("promises", "strict", " is 'strict'; write a mapping of its fields"),
    "a part that is empty": ("promises", None, " is empty; write a mapping of its fields"),
    "a name that is none": (
        "serviceAccountName",
        "Shop!",
        " is 'Shop!', which cannot be a name; write the name of an object in the namespace",
    ),
    "a name that is a number": ("kustomizationRef.name", 5, " is 5; write a text in quotes"),
    "a name that is a mapping": ("kustomizationRef.name", {}, " is a mapping; write a text in quotes"),
}


def _raw(spec: Any, **meta: Any) -> dict[str, Any]:
    return {"metadata": {**META, **meta}, "spec": spec}


def _with(path: str, value: Any) -> dict[str, Any]:
    """A spec that is right but for one field."""
    spec: dict[str, Any] = {"kustomizationRef": {"name": "shop"}}
    part, *rest = path.split(".")
    node, key = spec, part
    for following in rest:
        node, key = node.setdefault(key, {}), following
    node[key] = value
    return spec


def test_a_contract_that_names_only_its_kustomization_has_every_default() -> None:
    """Everything but the reference has a default, and the metadata is read."""
    contract = parse_contract(_raw({"kustomizationRef": {"name": "shop"}}))

    assert contract == Contract(
        namespace="apps",
        name="shop",
        uid="0c9a",
        generation=3,
        created_at=datetime(2026, 11, 23, 4, tzinfo=UTC),
        kustomization="shop",
    )


def test_every_field_of_a_contract_is_read() -> None:
    """No field of the spec is lost on the way to the core."""
    spec = {
        "kustomizationRef": {"name": "web"},
        "promises": {
            "detection": {"within": "11s"},
            "reconciliation": {"within": "12s"},
            "validation": {"within": "13s"},
            "drift": {"mode": "Correct", "interval": "14s"},
        },
        "rollback": {
            "mode": "Manual",
            "after": {"failures": 7, "duration": "15s"},
            "within": "16s",
            "settle": "17s",
            "maxAge": "18s",
            "budget": {"rollbacks": 8, "per": "19s"},
        },
        "alerts": {
            "severity": "Critical",
            "after": "20s",
            "failures": 2,
            "remindEvery": "21s",
            "suspend": True,
            "rules": [
                {"about": ["Drift", "Deletion"], "severity": "Info", "after": "22s", "remindEvery": "23s"},
                {"about": ["Dependency"], "suspend": True},
            ],
        },
        "serviceAccountName": "deployer",
        "suspend": True,
    }
    annotations = {"reconcile.fluxcd.io/requestedAt": "now", "reconciliation.dev/approve": BAD}
    labels = {"kustomize.toolkit.fluxcd.io/name": "tenants", "kustomize.toolkit.fluxcd.io/namespace": "flux-system"}

    contract = parse_contract(
        _raw(
            spec,
            annotations=annotations,
            labels=labels,
            finalizers=["other", "reconciliation.dev/rollback"],
            deletionTimestamp="2026-11-23T05:00:00Z",
        )
    )

    seconds = [timedelta(seconds=number) for number in range(11, 24)]
    assert isinstance(contract, Contract)
    assert contract.kustomization == "web"
    assert contract.promises == Promises(seconds[0], seconds[1], seconds[2], DriftMode.CORRECT, seconds[3])
    assert contract.rollback == RollbackPolicy(
        RollbackMode.MANUAL, 7, seconds[4], seconds[5], seconds[6], seconds[7], budget=8, budget_per=seconds[8]
    )
    assert contract.alerts == AlertPolicy(
        Severity.CRITICAL,
        seconds[9],
        seconds[10],
        suspended=True,
        failures=2,
        rules=(
            AlertRule((Topic.DRIFT, Topic.DELETION), Severity.INFO, seconds[11], seconds[12]),
            AlertRule((Topic.DEPENDENCY,), suspended=True),
        ),
    )
    assert (contract.service_account, contract.suspended) == ("deployer", True)
    assert (contract.deleting, contract.finalized) == (True, True)
    assert (contract.requests, contract.requested_at) == (Requests(approve=BAD), "now")
    assert contract.parent == "flux-system/tenants"


@pytest.mark.parametrize("case", PROBLEMS)
def test_a_problem_is_told_with_its_mend(case: str) -> None:
    """A field that makes no sense is named, with what to write instead."""
    path, value, problem = PROBLEMS[case]

    contract = parse_contract(_raw(_with(path, value)))

    assert isinstance(contract, InvalidContract)
    assert contract.problem == f"spec.{path}{problem}"


@pytest.mark.parametrize(
    ("raw", "problem"),
    [
        ({"metadata": META}, f"spec is missing; {EXAMPLE}"),
        (_raw(None), f"spec is missing; {EXAMPLE}"),
        (_raw([]), "spec is a list; write a mapping of its fields"),
        (_raw({}), f"spec.kustomizationRef is missing; {EXAMPLE}"),
        (_raw({"kustomizationRef": {}}), f"spec.kustomizationRef.name is missing; {EXAMPLE}"),
        (_raw(_with("promises.detection.within", "6m")), DETECTION_FIRST),
        (
            _raw({"suspend": 1}),
            f"spec.kustomizationRef is missing; {EXAMPLE} (1 more to mend)",
        ),
        (
            _raw({"kustomizationRef": {"name": "shop"}}, creationTimestamp="yesterday"),
            "metadata.creationTimestamp is missing or not a time stamp",
        ),
    ],
)
def test_a_problem_of_the_whole_is_told(raw: dict[str, Any], problem: str) -> None:
    """What is missing, and what contradicts itself, is told like everything else."""
    contract = parse_contract(raw)

    assert isinstance(contract, InvalidContract)
    assert contract.problem == problem


@pytest.mark.parametrize(
    ("alerts", "severity", "told"),
    [({"severity": "Critical", "suspend": True}, "Critical", False), ({"severity": "Loud"}, "Warning", True)],
)
def test_of_an_invalid_contract_the_parts_that_make_sense_are_known(
    alerts: Any, severity: str, *, told: bool
) -> None:
    """People are told of it by its own terms, where those are not what is wrong."""
    contract = parse_contract(_raw({"kustomizationRef": {"name": "shop"}, "suspend": 1, "alerts": alerts}))

    assert isinstance(contract, InvalidContract)
    assert (contract.kustomization, contract.alerts.severity.value) == ("shop", severity)
    assert contract.alerts.suspended is not told


def test_an_invalid_contract_can_still_be_deleted() -> None:
    """What its deletion needs is known of an invalid contract as well."""
    raw = _raw({}, deletionTimestamp="2026-11-23T05:00:00Z", finalizers=["reconciliation.dev/rollback"])

    contract = parse_contract(raw)

    assert isinstance(contract, InvalidContract)
    assert (contract.namespace, contract.name, contract.uid, contract.generation) == ("apps", "shop", "0c9a", 3)
    assert (contract.deleting, contract.finalized) == (True, True)


@pytest.mark.parametrize("finalizers", [None, [], ["other"], "reconciliation.dev/rollback", {}])
def test_only_our_finalizer_holds_a_deletion_for_us(finalizers: Any) -> None:
    """Somebody else's finalizer, or none, is not ours to take off."""
    contract = parse_contract(_raw({"kustomizationRef": {"name": "shop"}}, finalizers=finalizers))

    assert contract.finalized is False


def test_a_field_of_a_newer_crd_is_ignored() -> None:
    """An operator that is older than the CRD goes on with what it knows."""
    contract = parse_contract(_raw({"kustomizationRef": {"name": "shop", "kind": "HelmRelease"}, "novelty": {}}))

    assert isinstance(contract, Contract)


def test_a_hostile_value_is_quoted_short_and_without_its_tricks() -> None:
    """A problem ends up in the status and in events: it is bounded, one line, and shows no secret of a URL."""
    value = "https://user:hunter2@example.org/?token=hunter2\n\u202e" + "x" * 100_000

    contract = parse_contract(_raw(_with("promises.detection.within", value)))

    assert isinstance(contract, InvalidContract)
    assert len(contract.problem) <= 300
    assert not {"\n", "\u202e"} & set(contract.problem)
    assert "hunter2" not in contract.problem


def test_the_object_is_left_as_it_is() -> None:
    """Objects of the watch cache are shared; reading one changes nothing."""
    raw = _raw(_with("rollback.after.failures", 5))
    before = copy.deepcopy(raw)

    parse_contract(raw)

    assert raw == before
