"""Hostile contracts: whatever an object holds, it harms nothing but its own contract."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciliation_contract.api.contract.parse import parse_contract
from reconciliation_contract.core.spec.contract import InvalidContract

META = {
    "namespace": "apps",
    "name": "shop",
    "uid": "0c9a",
    "generation": 3,
    "creationTimestamp": "2026-11-23T04:00:00Z",
}

PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
"""The first text that hypothesis makes costs seconds on a busy machine."""

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)
ANYTHING = JSON | st.sampled_from(["1m", "5", "Automatic", "shop", 0, 3, {}, {"name": "shop"}, {"within": "10m"}])


def _mapping(*keys: str, parts: dict[str, st.SearchStrategy[Any]] | None = None) -> st.SearchStrategy[Any]:
    """Mappings with some of these keys, each holding what it should or anything else; or no mapping at all."""
    fields = dict.fromkeys(keys, ANYTHING) | {key: part | ANYTHING for key, part in (parts or {}).items()}
    return st.fixed_dictionaries({}, optional=fields) | JSON


WITHIN = _mapping("within")
SPEC = _mapping(
    *("kustomizationRef", "serviceAccountName", "suspend"),
    parts={
        "promises": _mapping(
            parts={
                "detection": WITHIN,
                "reconciliation": WITHIN,
                "validation": WITHIN,
                "drift": _mapping("mode", "interval"),
            }
        ),
        "rollback": _mapping(
            *("mode", "within", "settle", "maxAge"),
            parts={"after": _mapping("failures", "duration"), "budget": _mapping("rollbacks", "per")},
        ),
    },
)
METADATA = _mapping(
    *META,
    *("deletionTimestamp", "finalizers"),
    parts={
        "annotations": _mapping("reconciliation.dev/approve", "reconciliation.dev/pause-until"),
        "labels": _mapping("kustomize.toolkit.fluxcd.io/name", "kustomize.toolkit.fluxcd.io/namespace"),
    },
) | st.just(META)


@PATIENT
@given(st.fixed_dictionaries({}, optional={"metadata": METADATA, "spec": SPEC}))
def test_any_object_is_a_contract_or_invalid(raw: dict[str, Any]) -> None:
    """Whatever an object holds, reading it gives a contract or a problem of bounded length, never an exception."""
    contract = parse_contract(raw)

    if isinstance(contract, InvalidContract):
        assert 0 < len(contract.problem) <= 300
    else:
        assert contract.promises.detection <= contract.promises.reconciliation
