"""Each field of the status with hostile values: no act of a pass leaves the contract's namespace or a closed list."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.evaluation import evaluate
from reconciliation_contract.core.facts.inventory import Entry
from reconciliation_contract.core.facts.observation import SourceRef
from reconciliation_contract.core.facts.pruning import Departure, Departures
from reconciliation_contract.core.memory.effects import DeletePin, EnsurePin, SwitchSource
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from reconciliation_contract.core.rollback.bounds import RESTORED, within_bounds
from reconciliation_contract.core.values.object_key import ObjectKey
from reconciliation_contract.observers.store import Store
from tests.support.builders import NAME, NAMESPACE, at, revision
from tests.support.builders_core import HOLD, MARK, Case, pin, rolling_back, source

HOSTILE: tuple[Any, ...] = (
    "victim",
    "../victim",
    "../../victim/secrets/git",
    "",
    "kube-system",
    "Secret",
    "orphan",
    "victim_git__Secret",
    revision("X"),
    "Requested",
    "9999-12-31T23:59:59Z",
    "a\r\nb: c",
    "x'; rm -rf /; '",
    True,
    -1,
    2**62,
    None,
    [],
    {},
    {"spec": "evil", "kustomize.toolkit.fluxcd.io/prune": "disabled", HOLD: "Ignore"},
    {"kind": "GitRepository", "namespace": "victim", "name": "orphan"},
)
ELSEWHERE = Departure(Entry(ObjectKey("", "ConfigMap", "apps", "settings"), "v1"), at(90))


def world(case: Case) -> Store:
    """What the operator has seen, and in another namespace a source and a copy whose contract is gone."""
    store = Store()
    store.fresh = True
    key = (NAMESPACE, NAME)
    if case.seen.flux.kustomization:
        store.kustomizations[key] = case.seen.flux.kustomization
    victims = (source("X", namespace="victim"), pin("X", namespace="victim", name="orphan", contract_uid="gone"))
    own = [each for each in (case.seen.flux.source, case.seen.flux.pin) if each]
    for record in (*own, *victims):
        store.sources[record.kind.name][record.namespace, record.name] = record
    if case.seen.flux.pin:
        store._pins[case.contract.uid].add(case.seen.flux.pin.reference)
    return store


def leaves(thing: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The path of each field, inner ones included."""
    if path:
        yield path
    inner = thing.items() if isinstance(thing, dict) else enumerate(thing) if isinstance(thing, list) else ()
    for key, value in inner:
        yield from leaves(value, (*path, key))


def put(status: dict[str, Any], path: tuple[Any, ...], value: Any) -> dict[str, Any]:
    """The status with another value at a path."""
    changed = copy.deepcopy(status)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    return changed


def status_of(case: Case) -> dict[str, Any]:
    """A status as this case has it, with objects that have left."""
    memory = replace(case.memory, departures=Departures("d", None, 1, pending=(ELSEWHERE,), overdue=(ELSEWHERE,)))
    found: dict[str, Any] = json.loads(json.dumps(render_status(memory, case.seen.flux.kustomization)))
    return found


def assert_harmless(case: Case, status: Any) -> Memory:
    """Whatever two passes do, they do it here, and to what is ours to change; return what is remembered then."""
    store = world(case)
    memory: Memory = parse_memory(status)
    for seconds in (100, 130):
        memory = within_bounds(case.contract, memory, case.seen.flux.kustomization)
        seen = store.observe(case.contract, memory, acts=True, refused="")
        followed = [each for each in (seen.flux.source, seen.flux.pin, *seen.flux.strays) if each]
        assert {each.namespace for each in followed} <= {NAMESPACE}
        assert {each.entry.key.namespace for each in memory.departures.pending} <= {NAMESPACE}
        assert {each.entry.key.namespace for each in memory.departures.overdue} <= {NAMESPACE}
        decision = evaluate(case.contract, memory, seen, at(seconds))
        for effect in decision.effects:
            for ref in _refs(effect):
                assert (ref.kind, ref.namespace) == ("GitRepository", NAMESPACE)
            if isinstance(effect, SwitchSource):
                assert effect.annotations.keys() <= {MARK, HOLD}
                assert effect.annotations.get(HOLD) in {None, "Ignore", *RESTORED[HOLD]}
                assert effect.annotations.get(HOLD) != "Ignore" or effect.annotations.get(MARK)
        memory = decision.memory
    return memory


def _refs(effect: object) -> list[SourceRef]:
    match effect:
        case EnsurePin(pin=copy_, source=original):
            return [copy_, original]
        case DeletePin(pin=copy_):
            return [copy_]
        case SwitchSource(source=to):
            return [to]
        case _:
            return []


@pytest.mark.parametrize("state", RollbackState)
def test_no_field_of_the_status_leads_elsewhere(state: RollbackState) -> None:
    """Each field that acts are made of, inner ones included, with each hostile value, in each state of a rollback."""
    case = rolling_back(state, rollback__kept_annotations={HOLD: "Merge"}, kustomization__parent="a/b")
    status = status_of(case)

    tried = [(path, value) for path in leaves(status) if path[0] == "rollback" for value in HOSTILE]
    for path, value in tried:
        assert_harmless(case, put(status, path, value))

    assert len(tried) > 300


def test_no_other_field_leads_elsewhere_either() -> None:
    """All the rest, just before the switch, where the next act hangs on it."""
    case = rolling_back(RollbackState.SWITCHING)
    status = status_of(case)

    for path in leaves(status):
        for value in HOSTILE[: 20 if path[0] == "deletion" else 12]:
            if path[0] != "rollback":
                assert_harmless(case, put(status, path, value))


def test_what_was_forged_can_be_written_again() -> None:
    """Times from the end of the calendar, too: a pass that cannot write its status is made for ever."""
    case = rolling_back(RollbackState.ACTIVE)
    for path in (
        ("rollback", "startedAt"),
        ("rollback", "completedAt"),
        ("memory", "lastGood", "since"),
        ("delivery", "startedAt"),
    ):
        for stamp in ("9999-12-31T23:59:59Z", "8999-12-31T23:59:59Z", "0001-01-01T00:00:00Z"):
            memory = assert_harmless(case, put(status_of(case), path, stamp))

            assert isinstance(render_status(memory, case.seen.flux.kustomization), dict)


@pytest.mark.parametrize("state", RollbackState)
@pytest.mark.parametrize("namespace", ["victim", "../victim", ""])
def test_references_forged_together_lead_nowhere(state: RollbackState, namespace: str) -> None:
    """A source and its copy beside each other, in another namespace."""
    case = rolling_back(state)
    there = {"kind": "GitRepository", "namespace": namespace}
    status = status_of(case)
    status["rollback"] |= {"sourceRef": {**there, "name": NAME}, "pinRef": {**there, "name": "orphan"}}

    assert within_bounds(case.contract, parse_memory(status), case.seen.flux.kustomization).rollback is None
    assert_harmless(case, status)


@pytest.mark.parametrize("state", RollbackState)
def test_what_was_ours_is_believed(state: RollbackState) -> None:
    """The bounds take nothing away from a rollback as the operator writes it, in another namespace than its own, too."""
    other = SourceRef("GitRepository", "sources", "shop")
    for case in (
        rolling_back(state, rollback__kept_annotations={HOLD: "Merge"}),
        rolling_back(
            state,
            rollback__source=other,
            rollback__pin=replace(other, name="shop-pin"),
            kustomization__source=other,
        ),
    ):
        assert within_bounds(case.contract, case.memory, case.seen.flux.kustomization) == case.memory


def test_an_object_that_another_holds_is_not_held_by_us() -> None:
    """What stands there already is not put back: nobody can say afterwards that it was."""
    case = rolling_back(
        RollbackState.SWITCHING,
        kustomization__parent="a/b",
        kustomization__hold={HOLD: "Ignore"},
        rollback__generation=1,
    )

    (switch,) = (effect for effect in case.decide().effects if isinstance(effect, SwitchSource))

    assert switch.annotations.keys() == {MARK}
