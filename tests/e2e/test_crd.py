"""The CRD on a real API server: accepted, filled in, refusing with the message meant, and readable."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from playground.cluster import Cluster, KubectlError
from reconciliation_contract.api.contract.parse import parse_contract
from reconciliation_contract.api.contract.spec_models import DETECTION_FIRST, IMMUTABLE
from reconciliation_contract.core.spec.contract import Contract
from tests.api.full_memory import full_memory, kustomization
from tests.support.builders_status import status_of

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
CRD = "crd/reconciliationcontracts.reconciliation.dev"
NAMESPACE = "crd-test"
DURATION = "write a duration from 1ms to 8760h, such as 30s or 1h30m"
DEFAULTS = {
    "kustomizationRef": {"name": "shop"},
    "promises": {
        "detection": {"within": "1m"},
        "reconciliation": {"within": "5m"},
        "validation": {"within": "30s"},
        "drift": {"mode": "Detect", "interval": "10m", "ignore": []},
        "deletion": {"within": "5m"},
        "availability": {"minimum": "100%"},
    },
    "rollback": {
        "mode": "Automatic",
        "after": {"failures": 3, "duration": "5m"},
        "within": "2m",
        "settle": "30s",
        "maxAge": "1h",
        "budget": {"rollbacks": 3, "per": "24h"},
    },
    "alerts": {
        "severity": "Warning",
        "after": "0s",
        "failures": 0,
        "remindEvery": "4h",
        "suspend": False,
        "rules": [],
    },
    "suspend": False,
}

REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a duration without a unit": ({"promises": {"validation": {"within": "5"}}}, f'"5": {DURATION}'),
    "a duration that is a number": ({"promises": {"validation": {"within": 5}}}, "must be of type string"),
    "a negative duration": ({"promises": {"detection": {"within": "-1m"}}}, f'"-1m": {DURATION}'),
    "a rule about nothing": ({"alerts": {"rules": [{"about": []}]}}, "should have at least 1 items"),
    "a rule about something else": ({"alerts": {"rules": [{"about": ["Weather"]}]}}, 'Unsupported value: "Weather"'),
    "a rule that waits for a week": (
        {"alerts": {"rules": [{"about": ["Drift"], "after": "168h"}]}},
        "write a duration from 0s to 24h",
    ),
    "a duration of nothing": ({"rollback": {"within": "0s"}}, f'"0s": {DURATION}'),
    "an exponent": ({"rollback": {"after": {"duration": "1e99h"}}}, f'"1e99h": {DURATION}'),
    "more than a year": ({"rollback": {"within": "8761h"}}, f'"8761h": {DURATION}'),
    "more than any clock holds": ({"rollback": {"within": "99999999999h"}}, DURATION),
    "a text of 10 kB": ({"rollback": {"within": "1s" * 5000}}, "Too long"),
    "too long a settling time": ({"rollback": {"settle": "25h"}}, "write a duration from 1ms to 24h"),
    "too eager a search for drift": (
        {"promises": {"drift": {"interval": "1s"}}},
        "write a duration from 10s to 8760h",
    ),
    "detection longer than the whole": (
        {"promises": {"detection": {"within": "6m"}}},
        DETECTION_FIRST,
    ),
    "an unknown mode": ({"rollback": {"mode": "Auto"}}, 'supported values: "Automatic", "Manual", "Disabled"'),
    "an unknown way with drift": (
        {"promises": {"drift": {"mode": "Fix"}}},
        'supported values: "Detect", "Correct", "Ignore"',
    ),
    "no failures at all": ({"rollback": {"after": {"failures": 0}}}, "should be greater than or equal to 1"),
    "too many failures": ({"rollback": {"after": {"failures": 101}}}, "should be less than or equal to 100"),
    "an unknown field": ({"promisses": {}}, 'unknown field "spec.promisses"'),
    "an unknown field deep inside": (
        {"rollback": {"after": {"tries": 3}}},
        'unknown field "spec.rollback.after.tries"',
    ),
    "no Kustomization": ({"kustomizationRef": {}}, "spec.kustomizationRef.name: Required value"),
    "a name that is none": (
        {"kustomizationRef": {"name": "Shop!"}},
        "spec.kustomizationRef.name in body should match",
    ),
}


@pytest.fixture(scope="module")
def api(cluster: Cluster) -> Iterator[Cluster]:
    """The cluster with the CRD and a namespace to try it in; an API server that warns of the CRD fails here."""
    cluster.kubectl_run("apply", "-k", str(ROOT / "crds"), "--warnings-as-errors")
    cluster.kubectl_run("wait", "--for=condition=Established", CRD, "--timeout=60s")
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}
    cluster.kubectl_run("apply", "-f", "-", input=json.dumps(namespace))
    yield cluster
    cluster.kubectl_run("delete", "namespace", NAMESPACE, "--wait=false")


def _contract(name: str, **spec: Any) -> str:
    contract = {
        "apiVersion": "reconciliation.dev/v1alpha1",
        "kind": "ReconciliationContract",
        "metadata": {"name": name, "namespace": NAMESPACE},
        "spec": {"kustomizationRef": {"name": "shop"}, **spec},
    }
    return json.dumps(contract)


def _apply(api: Cluster, manifest: str, *arguments: str) -> dict[str, Any]:
    """Apply a manifest and return the object as it is stored."""
    told = api.kubectl_run("apply", "--validate=strict", *arguments, "-o", "json", "-f", "-", input=manifest)
    stored: dict[str, Any] = json.loads(told)
    return stored


def test_the_crd_has_no_flaw(api: Cluster) -> None:
    """The API server has no reservation about the schema or the names."""
    crd = json.loads(api.kubectl_run("get", CRD, "-o", "json"))

    conditions = {condition["type"]: condition["status"] for condition in crd["status"]["conditions"]}

    assert conditions == {"NamesAccepted": "True", "Established": "True"}


@pytest.mark.parametrize(
    ("name", "spec"),
    [
        ("least", {}),
        ("half", {"promises": {"detection": {}}, "rollback": {"after": {"failures": 3}}}),
        ("empty", {"promises": None, "rollback": {}, "suspend": None}),
    ],
)
def test_defaults_are_filled_in(api: Cluster, name: str, spec: dict[str, Any]) -> None:
    """What is left out, wholly or in part, has its default in the stored object, and it is read as a contract."""
    stored = _apply(api, _contract(name, **spec))

    assert stored["spec"] == DEFAULTS
    assert isinstance(parse_contract(stored), Contract)


@pytest.mark.parametrize("case", REFUSED)
def test_what_makes_no_sense_is_refused(api: Cluster, case: str) -> None:
    """A mistake is refused when it is made, with a message that says what to write."""
    spec, message = REFUSED[case]

    with pytest.raises(KubectlError) as refusal:
        _apply(api, _contract("refused", **spec), "--dry-run=server")

    assert message in refusal.value.stderr


def test_a_long_name_is_refused(api: Cluster) -> None:
    """The name must fit into a label of what belongs to the contract."""
    _apply(api, _contract("n" * 63), "--dry-run=server")

    with pytest.raises(KubectlError) as refusal:
        _apply(api, _contract("n" * 64), "--dry-run=server")

    assert "metadata.name must not be longer than 63 characters; shorten it" in refusal.value.stderr


def test_the_kustomization_cannot_be_changed(api: Cluster) -> None:
    """A contract stays with its Kustomization; all else can be changed."""
    _apply(api, _contract("steady"))

    changed = _apply(api, _contract("steady", suspend=True))
    with pytest.raises(KubectlError) as refusal:
        _apply(api, _contract("steady", kustomizationRef={"name": "other"}))

    assert changed["spec"]["suspend"] is True
    assert f"spec.kustomizationRef: Invalid value: {IMMUTABLE}" in refusal.value.stderr


@pytest.mark.parametrize("name", ["contract.yaml", "contract-full.yaml"])
def test_the_examples_are_accepted(api: Cluster, name: str) -> None:
    """What the documentation shows works as it stands."""
    example = yaml.safe_load((ROOT / "examples" / name).read_text("utf-8"))
    example["metadata"]["namespace"] = NAMESPACE

    stored = _apply(api, json.dumps(example), "--dry-run=server")

    assert isinstance(parse_contract(stored), Contract)


@pytest.mark.usefixtures("start_operator")  # none is running
def test_a_full_status_is_stored_as_it_was_written(api: Cluster) -> None:
    """The largest status that the operator can write is accepted, and nothing is pruned from it or added."""
    _apply(api, _contract("full"))
    status = status_of(full_memory(), kustomization())

    patch = ("patch", "contract/full", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-o", "json")
    stored = json.loads(api.kubectl_run(*patch, "-p", json.dumps({"status": status})))

    assert stored["status"] == status


def test_the_status_is_not_written_with_the_spec(api: Cluster) -> None:
    """A status in an author's manifest is left aside; until the operator has looked, it is under way for kstatus."""
    manifest = json.loads(_contract("presuming")) | {"status": {"lastGoodRevision": "main@sha1:0"}}

    stored = _apply(api, json.dumps(manifest))

    assert stored["status"] == {"observedGeneration": -1}


@pytest.mark.parametrize(
    ("path", "sentence"),
    [
        ("contract", "ReconciliationContract holds a Flux Kustomization to its promises"),
        (
            "contract.spec.promises.detection.within",
            "Longest time from the push of a commit to Flux's source having it",
        ),
        ("recon.spec.rollback.after", "When a failure is persistent, whichever comes first"),
        ("contract.status.delivery.stages.healthy", "The Kustomization is Ready at the commit"),
    ],
)
def test_explain_explains(api: Cluster, path: str, sentence: str) -> None:
    """`kubectl explain` prints the descriptions, wrapped as it likes."""
    told = " ".join(api.kubectl_run("explain", path).split())

    assert sentence in told


def test_short_names_and_categories_find_contracts(api: Cluster) -> None:
    """Every name by which a contract can be asked for finds it."""
    _apply(api, _contract("found"))

    tables = {
        name: api.kubectl_run("get", name, "-n", NAMESPACE)
        for name in ("contract", "contracts", "recon", "reconciliationcontracts", "fluxcd-contracts", "fluxcd")
    }

    assert [name for name, table in tables.items() if "found" not in table] == []


def test_columns_show_the_status(api: Cluster) -> None:
    """`kubectl get` shows how a contract stands, and with `-o wide` how long the stages took."""
    _apply(api, _contract("columns"))
    status = json.dumps({"status": status_of(full_memory(), kustomization())})
    api.kubectl_run(
        "patch", "contract/columns", "-n", NAMESPACE, "--subresource=status", "--type=merge", "-p", status
    )

    narrow, wide = (
        api.kubectl_run("get", "contract", "columns", "-n", NAMESPACE, *output) for output in ((), ("-o", "wide"))
    )

    assert narrow.splitlines()[0].split() == ["NAME", "READY", "STATUS", "REVISION", "AGE"]
    assert wide.splitlines()[0].split()[5:] == [
        "KUSTOMIZATION",
        "DETECT",
        "APPLY",
        "HEALTHY",
        "DRIFT",
        "LAST",
        "GOOD",
    ]
    assert "@sha1:" in narrow
    assert "shop" in wide.splitlines()[1].split()
