"""Makes the CustomResourceDefinition from the models: ``python -m reconciliation_contract.api.schema`` prints it.

The API server wants a structural schema: no references, no unions, a type for every value, closed vocabulary. What
pydantic emits is rewritten to that, and a keyword that is not known here is an error rather than a surprise.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from typing import Any, Final

import yaml

from reconciliation_contract.api.contract.fields import Wire, rules
from reconciliation_contract.api.contract.parse import GROUP, KIND, PLURAL, VERSION
from reconciliation_contract.api.contract.spec_models import Spec
from reconciliation_contract.api.status.models import Status

Schema = dict[str, Any]

HEADER: Final = "# Made from operator/reconciliation_contract/api by `make crds`; do not edit.\n"
NAME_RULE: Final = (
    "size(self.metadata.name) <= 63",
    "metadata.name must not be longer than 63 characters; shorten it",
)
"""The name is the value of a label on what we create."""

INT_OR_STRING: Final = "x-kubernetes-int-or-string"
"""Stands instead of a type."""
_DROPPED: Final = {"title", "additionalProperties", "uniqueItems"}
_KEPT: Final = {
    *("type", "format", "description", "default", "enum", "pattern", "required"),
    *("minLength", "maxLength", "minimum", "maximum", "minItems", "maxItems", "minProperties", "maxProperties"),
    *("x-kubernetes-validations", "x-kubernetes-list-type", "x-kubernetes-list-map-keys", INT_OR_STRING),
}
_COLUMNS: Final = (
    ("Ready", "string", 0, '.status.conditions[?(@.type=="Ready")].status'),
    ("Status", "string", 0, '.status.conditions[?(@.type=="Ready")].message'),
    ("Revision", "string", 0, ".status.delivery.revision"),
    ("Age", "date", 0, ".metadata.creationTimestamp"),
    ("Kustomization", "string", 1, ".spec.kustomizationRef.name"),
    ("Detect", "string", 1, ".status.delivery.stages.detected.elapsed"),
    ("Apply", "string", 1, ".status.delivery.stages.applied.elapsed"),
    ("Healthy", "string", 1, ".status.delivery.stages.healthy.elapsed"),
    ("Drift", "string", 1, '.status.conditions[?(@.type=="InSync")].status'),
    ("Last Good", "string", 1, ".status.lastGoodRevision"),
)


_UNSEEN: Final = {"observedGeneration": -1}
"""Until the operator has looked at a contract, kstatus reads it as under way, as it does Flux's own objects."""


class UnsupportedSchema(TypeError):
    """A model uses something that a structural schema cannot say."""

    def __init__(self, what: object) -> None:
        self.what = what
        super().__init__(f"a structural schema cannot say {what}; change the model or teach the generator")


def structural(model: type[Wire]) -> Schema:
    """Write a model as a structural schema with its references inlined."""
    raw = model.model_json_schema()
    return _convert(raw, raw.get("$defs", {}))


def _convert(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    schema = {
        keyword: _converted(keyword, value, definitions)
        for keyword, value in _flatten(node, definitions).items()
        if keyword not in _DROPPED or isinstance(value, dict)
    }
    if "type" not in schema and INT_OR_STRING not in schema:
        raise UnsupportedSchema(f"a value without a type: {node}")
    _spread_default(schema)
    return schema


def _converted(keyword: str, value: Any, definitions: Mapping[str, Any]) -> Any:
    match keyword:
        case "properties":
            return {name: _convert(child, definitions) for name, child in value.items()}
        case "items" | "additionalProperties":
            return _convert(value, definitions)
        case "description":
            return " ".join(value.split())
        case _ if keyword in _KEPT:
            return value
        case _:
            raise UnsupportedSchema(f"{keyword}: {value}")


def _spread_default(schema: Schema) -> None:
    """Give every part of an object its part of the default, so that a half-written object is filled in too."""
    default = schema.get("default")
    if isinstance(default, dict) and "properties" in schema:
        for name, value in default.items():
            schema["properties"][name]["default"] = value
            _spread_default(schema["properties"][name])


def _flatten(node: Mapping[str, Any], definitions: Mapping[str, Any]) -> Schema:
    """Resolve a reference or an optional, so that what stands beside it wins over what it names."""
    beside = {key: value for key, value in node.items() if key not in {"$ref", "$defs", "anyOf"}}
    if beside.get("default", ...) is None:  # "null or absent" is simply optional
        del beside["default"]
    target: Mapping[str, Any] = {}
    if "$ref" in node:
        target = definitions[node["$ref"].removeprefix("#/$defs/")]
    elif "anyOf" in node:
        choices = [choice for choice in node["anyOf"] if choice != {"type": "null"}]
        if len(choices) != 1:
            raise UnsupportedSchema(f"a choice of types: {choices}")
        target = choices[0]
    if not target:
        return beside
    return {**_flatten(target, definitions), **beside}


def _resource() -> Schema:
    """Schema of the whole object."""
    return {
        "description": "ReconciliationContract holds a Flux Kustomization to its promises. Every commit is measured "
        "against them, and one that keeps failing is rolled back to the last known good revision.",
        "type": "object",
        "required": ["spec"],
        "properties": {
            "apiVersion": {"description": f"Always {GROUP}/{VERSION}.", "type": "string"},
            "kind": {"description": f"Always {KIND}.", "type": "string"},
            "metadata": {"type": "object"},
            "spec": structural(Spec),
            # It has one writer. A record of who owns which part would be as large as the status itself.
            "status": structural(Status) | {"x-kubernetes-map-type": "atomic", "default": _UNSEEN},
        },
        **rules(NAME_RULE),
    }


def _column(name: str, kind: str, priority: int, path: str) -> Schema:
    column: Schema = {"name": name, "type": kind, "jsonPath": path}
    return column | ({"priority": priority} if priority else {})


def crd() -> Schema:
    """Write the CustomResourceDefinition."""
    singular = KIND.lower()
    version = {
        "name": VERSION,
        "served": True,
        "storage": True,
        "subresources": {"status": {}},
        "additionalPrinterColumns": [_column(*column) for column in _COLUMNS],
        "schema": {"openAPIV3Schema": _resource()},
    }
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{PLURAL}.{GROUP}",
            "labels": {"app.kubernetes.io/name": "reconciliation-contract"},
            # Flux's variable substitution would take the `$` of the patterns for its own.
            "annotations": {"kustomize.toolkit.fluxcd.io/substitute": "disabled"},
        },
        "spec": {
            "group": GROUP,
            "scope": "Namespaced",
            "names": {
                "plural": PLURAL,
                "singular": singular,
                "kind": KIND,
                "listKind": f"{KIND}List",
                "shortNames": ["contract", "contracts", "recon"],
                "categories": ["fluxcd", "fluxcd-contracts"],
            },
            "versions": [version],
        },
    }


def document() -> str:
    """Write the CRD as YAML, the same bytes every time."""
    plain = json.loads(json.dumps(crd()))  # parts that are shared would become YAML anchors
    return HEADER + yaml.safe_dump(plain, sort_keys=True, width=110, allow_unicode=True)


if __name__ == "__main__":
    sys.stdout.write(document())
