"""Hostile objects: whatever they hold, they are read, decided on and written about."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api import recall, status
from reconciliation_contract.core.contract import Contract
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.memory import Memory
from reconciliation_contract.store import Store
from tests.support import builders
from tests.support.builders import Object, at, sha

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=12,
)
STAMP = st.sampled_from(["2026-03-01T12:00:00Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+14:00", "now", ""])
TEXT = st.sampled_from(
    [f"main@sha1:{sha('A')}", f"Health check of sha1:{sha('B')}", "Ready", "True", "GitRepository"]
)
VALUE = JSON | STAMP | TEXT
CONDITION = st.dictionaries(
    st.sampled_from(["type", "status", "reason", "message", "lastTransitionTime", "observedGeneration"]), VALUE
)


def _some(*names: str, **parts: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    fields = dict.fromkeys(names, VALUE) | {name: part | VALUE for name, part in parts.items()}
    return st.fixed_dictionaries({}, optional=fields)


META = _some(
    "resourceVersion", "generation", "deletionTimestamp", "creationTimestamp", "finalizers", uid=st.just("u")
)
RAW = _some(
    metadata=META.map(lambda m: m | {"name": "shop", "namespace": "apps"})
    | _some("name", "namespace", "labels", annotations=st.dictionaries(TEXT | st.text(), VALUE, max_size=3)),
    spec=_some(
        "suspend",
        "path",
        "wait",
        "prune",
        "interval",
        "dependsOn",
        "ref",
        "url",
        "postBuild",
        sourceRef=_some("kind", "name"),
    ),
    status=_some(
        "lastAttemptedRevision",
        "lastAppliedRevision",
        "observedGeneration",
        "history",
        conditions=st.lists(CONDITION, max_size=4),
        artifact=_some("revision", lastUpdateTime=STAMP),
    ),
)


@given(st.lists(RAW, min_size=1, max_size=3), st.booleans())
def test_any_object_can_be_read(raws: list[Object], live: bool) -> None:
    """A hostile object reads as one that says little; it never breaks the watch."""
    store = Store()

    for number, raw in enumerate(raws):
        store.put_kustomization(raw, at(number), live=live)
        store.put_source(raw, at(number), live=live)
        store.put_contract(raw)

    for record in store.kustomizations.values():
        assert len(record.failures) <= 16
        assert len(record.ready.message) <= 4096


@given(st.lists(RAW, min_size=2, max_size=4))
def test_any_object_can_be_decided_on(raws: list[Object]) -> None:
    """A pass over hostile objects comes to a decision, and its status can be written."""
    store = Store()
    store.fresh = True
    store.put_contract(builders.contract())
    for raw in raws:
        named = {"name": "shop", "namespace": "apps", "uid": "u"}
        meta = raw.get("metadata")
        whole = raw | {"metadata": (meta if isinstance(meta, dict) else {}) | named}
        store.put_kustomization(whole, at(1), live=True)
        store.put_source(whole, at(1), live=True)

    memory = _passes(store)

    assert len(memory.conditions["Ready"].message) <= 300


def _passes(store: Store) -> Memory:
    memory = Memory()
    contract = store.contracts["apps", "shop"].contract
    assert isinstance(contract, Contract)
    for seconds in (2, 400, 800):
        seen = store.observe(contract, memory, acts=True, refused="")
        decision = evaluate(contract, memory, seen, at(seconds))
        memory = recall.parse(status.render(decision.memory, seen.kustomization))
    return memory
