"""The CRD: made from the models, and fit for the API server and for readers of `kubectl explain`."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel, Field

from reconciliation_contract.api.contract.fields import Wire
from reconciliation_contract.api.contract.spec_models import Spec
from reconciliation_contract.api.crd import UnsupportedSchema, document, structural
from reconciliation_contract.api.duration import PATTERN, parse_duration
from reconciliation_contract.core.memory.budget import PromiseName, Verdict
from reconciliation_contract.core.memory.memory import BAD_REVISIONS, HISTORY, Result, RollbackState
from reconciliation_contract.core.memory.timeline import Witness
from reconciliation_contract.core.rollback.start import _BEGUN as BEGUN
from reconciliation_contract.core.spec.contract import (
    DriftMode,
    Promises,
    RollbackMode,
    RollbackPolicy,
    Severity,
    Topic,
)
from tests.api.structural import Schema, complaints, defaulted, walk

CRDS = Path(__file__).parents[2] / "crds"
SERVERS_OWN = {"apiVersion", "kind", "metadata"}
"""Described and bounded by the API server itself."""

ENUMS: dict[str, type[StrEnum]] = {
    "spec.promises.drift.mode": DriftMode,
    "spec.rollback.mode": RollbackMode,
    "spec.alerts.severity": Severity,
    "spec.alerts.rules[].severity": Severity,
    "spec.alerts.rules[].about[]": Topic,
    "status.delivery.promises[].name": PromiseName,
    "status.delivery.promises[].verdict": Verdict,
    "status.delivery.stages.detected.source": Witness,
    "status.history[].result": Result,
    "status.history[].broken[]": PromiseName,
    "status.rollback.state": RollbackState,
}

COLUMNS = [
    ("Ready", 0, '.status.conditions[?(@.type=="Ready")].status'),
    ("Status", 0, '.status.conditions[?(@.type=="Ready")].message'),
    ("Revision", 0, ".status.delivery.revision"),
    ("Age", 0, ".metadata.creationTimestamp"),
    ("Kustomization", 1, ".spec.kustomizationRef.name"),
    ("Detect", 1, ".status.delivery.stages.detected.elapsed"),
    ("Apply", 1, ".status.delivery.stages.applied.elapsed"),
    ("Healthy", 1, ".status.delivery.stages.healthy.elapsed"),
    ("Drift", 1, '.status.conditions[?(@.type=="InSync")].status'),
    ("Last Good", 1, ".status.lastGoodRevision"),
]


def _ours(schema: Schema) -> list[tuple[str, Schema]]:
    return [(path, node) for path, node in walk(schema) if path not in SERVERS_OWN]


def test_the_committed_crd_is_the_generated_one() -> None:
    """The file in the repository is what the models say today."""
    committed = (CRDS / "reconciliationcontracts.yaml").read_text("utf-8")

    assert committed == document(), "crds/reconciliationcontracts.yaml is stale: run make crds"


def test_names_are_those_that_others_rely_on(crd: dict[str, Any]) -> None:
    """The names by which people and scripts reach a contract stay as they are."""
    names = crd["spec"]["names"]

    assert crd["metadata"]["name"] == "reconciliationcontracts.reconciliation.dev"
    assert (names["kind"], names["listKind"]) == ("ReconciliationContract", "ReconciliationContractList")
    assert (names["plural"], names["singular"]) == ("reconciliationcontracts", "reconciliationcontract")
    assert (names["shortNames"], names["categories"]) == (
        ["contract", "contracts", "recon"],
        ["fluxcd", "fluxcd-contracts"],
    )


def test_columns_are_those_that_others_rely_on(crd: dict[str, Any]) -> None:
    """`kubectl get` shows the promised columns, the rest with `-o wide`."""
    columns = crd["spec"]["versions"][0]["additionalPrinterColumns"]

    assert [(column["name"], column.get("priority", 0), column["jsonPath"]) for column in columns] == COLUMNS


def test_columns_show_fields_that_exist(schema: Schema) -> None:
    """No column points beside the schema."""
    paths = {path for path, _ in walk(schema)}

    shown = {column.lstrip(".") for _, _, column in COLUMNS if "[" not in column and "metadata" not in column}

    assert shown <= paths


def test_the_status_is_a_subresource(crd: dict[str, Any]) -> None:
    """Who may write the spec cannot write the status, and the other way round."""
    assert crd["spec"]["versions"][0]["subresources"] == {"status": {}}


def test_nothing_escapes_the_schema() -> None:
    """Unknown fields are pruned everywhere."""
    assert "x-kubernetes-preserve-unknown-fields" not in document()


def test_every_field_is_described(schema: Schema) -> None:
    """`kubectl explain` has a sentence for every field."""
    fields = [(path, node) for path, node in _ours(schema) if not path.endswith(("[]", "{}"))]

    lacking = [path for path, node in fields if not node.get("description", "").endswith(".")]

    assert len(fields) > 100
    assert lacking == []


def test_everything_is_bounded(schema: Schema) -> None:
    """No list, map or text can grow without end; a closed set or a time stamp is bounded by what it is."""
    bounds = {"array": "maxItems", "string": "maxLength"}

    unbounded = [
        path
        for path, node in _ours(schema)
        if (node.get("type") in bounds and bounds[node["type"]] not in node and not {"enum", "format"} & set(node))
        or ("additionalProperties" in node and "maxProperties" not in node)
    ]

    assert unbounded == []


def test_every_duration_of_a_spec_is_bounded_with_a_hint(schema: Schema) -> None:
    """The API server holds the same bounds as the models, and says what to write."""
    durations = {path: node for path, node in walk(schema) if node.get("pattern") == PATTERN and "spec" in path}

    messages = {
        path.removeprefix("spec."): [
            rule["message"].split(",")[0] for rule in node.get("x-kubernetes-validations", [])
        ]
        for path, node in durations.items()
    }

    assert messages == {
        "promises.detection.within": ["write a duration from 1ms to 8760h"],
        "promises.reconciliation.within": ["write a duration from 1ms to 8760h"],
        "promises.validation.within": ["write a duration from 1ms to 8760h"],
        "promises.deletion.within": ["write a duration from 1ms to 8760h"],
        "promises.drift.interval": ["write a duration from 10s to 8760h"],
        "rollback.after.duration": ["write a duration from 1ms to 8760h"],
        "rollback.within": ["write a duration from 1ms to 8760h"],
        "rollback.settle": ["write a duration from 1ms to 24h"],
        "rollback.maxAge": ["write a duration from 1ms to 8760h"],
        "rollback.budget.per": ["write a duration from 1ms to 8760h"],
        "alerts.after": ["write a duration from 0s to 24h"],
        "alerts.remindEvery": ["write a duration from 0s to 8760h"],
        "alerts.rules[].after": ["write a duration from 0s to 24h"],
        "alerts.rules[].remindEvery": ["write a duration from 0s to 8760h"],
    }


def test_every_list_says_how_it_is_merged(schema: Schema) -> None:
    """Server-side apply knows for each list whether it is a value or a map, and the keys of a map are required."""
    lists = {path: node for path, node in walk(schema) if node.get("type") == "array"}

    keys = {path: node.get("x-kubernetes-list-map-keys", []) for path, node in lists.items()}

    assert all("x-kubernetes-list-type" in node for node in lists.values())
    assert {path: key for path, key in keys.items() if key} == {
        "status.conditions": ["type"],
        "status.requests": ["name"],
        "status.delivery.promises": ["name"],
    }
    assert all(set(keys[path]) <= set(node["items"].get("required", [])) for path, node in lists.items())


@pytest.mark.parametrize("path", ENUMS)
def test_closed_sets_are_the_cores(schema: Schema, path: str) -> None:
    """A word that the core can say is one that the CRD allows, and no other is."""
    found = dict(walk(schema))[path]

    assert found["enum"] == [member.value for member in ENUMS[path]]


def test_limits_are_the_cores(schema: Schema) -> None:
    """What the core keeps fits."""
    fields = dict(walk(schema))

    assert fields["status.history"]["maxItems"] == HISTORY
    assert fields["status.rollback.badRevisions"]["maxItems"] == BAD_REVISIONS
    assert (
        fields["status.memory.rollback.begun"]["maxItems"]
        == BEGUN
        >= fields["spec.rollback.budget.rollbacks"]["maximum"]
    )


def test_defaults_are_those_of_the_models_and_of_the_core(schema: Schema) -> None:
    """The API server, the models and the core agree on what a contract means that says nothing but its subject."""
    least = {"kustomizationRef": {"name": "shop"}}
    promises, rollback = Promises(), RollbackPolicy()

    filled = defaulted(schema["properties"]["spec"], least)

    assert filled == Spec.model_validate(least).model_dump(mode="json", exclude_none=True)
    assert parse_duration(filled["promises"]["detection"]["within"]) == promises.detection == timedelta(minutes=1)
    assert parse_duration(filled["promises"]["reconciliation"]["within"]) == promises.reconciliation
    assert parse_duration(filled["promises"]["validation"]["within"]) == promises.validation
    assert parse_duration(filled["promises"]["drift"]["interval"]) == promises.drift_interval
    assert filled["promises"]["drift"]["mode"] == promises.drift_mode
    assert filled["rollback"]["mode"] == rollback.mode
    assert filled["rollback"]["after"]["failures"] == rollback.failures
    assert parse_duration(filled["rollback"]["after"]["duration"]) == rollback.duration
    assert parse_duration(filled["rollback"]["within"]) == rollback.within
    assert parse_duration(filled["rollback"]["settle"]) == rollback.settle
    assert parse_duration(filled["rollback"]["maxAge"]) == rollback.max_age
    assert filled["rollback"]["budget"]["rollbacks"] == rollback.budget
    assert parse_duration(filled["rollback"]["budget"]["per"]) == rollback.budget_per


def test_a_default_is_complete_at_every_depth(schema: Schema) -> None:
    """CEL sees a default before its parts are filled in, so each default holds all of them, and is valid."""
    with_default = [(path, node) for path, node in walk(schema) if "default" in node]

    halves = [path for path, node in with_default if defaulted(node, node["default"]) != node["default"]]
    bad = [complaint for path, node in with_default for complaint in complaints(node, node["default"], path)]

    assert len(with_default) > 15
    assert (halves, bad) == ([], [])


def test_the_status_has_no_defaults(schema: Schema) -> None:
    """A default in a status that is written would come back as a difference and cause a write."""
    found = {path: node["default"] for path, node in walk(schema) if path.startswith("status") and "default" in node}

    assert found == {"status": {"observedGeneration": -1}}


@pytest.mark.parametrize("kind", [int | str, Any, tuple[int, str]])
def test_a_model_that_cannot_be_said_is_an_error(kind: Any) -> None:
    """What has no structural schema stops the generator instead of opening the schema."""
    model = type("Odd", (Wire,), {"__annotations__": {"field": kind}, "__module__": __name__})

    with pytest.raises(UnsupportedSchema, match="change the model"):
        structural(model)


def test_what_stands_beside_a_reference_wins() -> None:
    """A field's own description replaces that of its type."""

    class Part(BaseModel):
        """The type."""

        size: int = 1

    class Whole(Wire):
        part: Part | None = Field(default=None, description="The field.")

    part = structural(Whole)["properties"]["part"]

    assert part == {
        "description": "The field.",
        "type": "object",
        "properties": {"size": {"type": "integer", "default": 1}},
    }
