"""The examples: valid, and complete where they say so."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciliation_contract.api.contract.parse import parse_contract
from reconciliation_contract.core.spec.contract import Contract
from tests.api.structural import Schema, complaints, defaulted, walk

EXAMPLES = Path(__file__).parents[2] / "examples"
CONTRACTS = ("contract.yaml", "contract-full.yaml")


def _example(name: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((EXAMPLES / name).read_text("utf-8"))
    return found


@pytest.mark.parametrize("name", CONTRACTS)
def test_an_example_is_a_valid_contract(schema: Schema, name: str) -> None:
    """An example passes the CRD without an unknown field, and is read as a contract."""
    example = _example(name)
    stored = {**example, "metadata": {**example["metadata"], "creationTimestamp": "2026-11-23T04:00:00Z"}}

    refused = list(complaints(schema["properties"]["spec"], example["spec"], "spec"))
    contract = parse_contract(stored)

    assert refused == []
    assert isinstance(contract, Contract)


def test_the_minimal_example_is_short() -> None:
    """The first contract that a reader sees fits on a slide."""
    assert len((EXAMPLES / "contract.yaml").read_text("utf-8").splitlines()) <= 20


def test_the_full_example_has_every_field_with_its_default(schema: Schema) -> None:
    """The full example leaves nothing out and shows the defaults, as it says of itself."""
    spec = _example("contract-full.yaml")["spec"]
    least = {"kustomizationRef": spec["kustomizationRef"], "serviceAccountName": spec["serviceAccountName"]}

    fields = {path for path, _ in walk(schema["properties"]["spec"]) if path and "[]" not in path}

    assert set(_paths(spec)) == fields
    assert spec == defaulted(schema["properties"]["spec"], least)


def _paths(value: dict[str, Any], prefix: str = "") -> list[str]:
    return [
        path
        for key, child in value.items()
        for path in (prefix + key, *(_paths(child, f"{prefix}{key}.") if isinstance(child, dict) else ()))
    ]
