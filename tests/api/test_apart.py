"""What people read and what the operator remembers besides are told apart, and make one memory together."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.api.status.apart import MEMORY, VERSION, join, split
from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status, whole
from reconciliation_contract.core.memory.memory import Memory, Standing
from tests.api.full_memory import full_memory, kustomization
from tests.api.structural import Schema, walk
from tests.support.builders_status import read_back, status_of

FULL = status_of(full_memory(), kustomization())
OLD: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "rolled_back.yaml").read_text("utf-8"))
"""A status that the version before wrote, after a rollback on a real cluster."""
FOR_PEOPLE = {
    "observedGeneration",
    "lastHandledReconcileAt",
    "conditions",
    "lastAttemptedRevision",
    "lastAppliedRevision",
    "lastGoodRevision",
    "delivery",
    "history",
    "rollback",
    "drift",
    "dependencies",
    "statistics",
    "validation",
    "requests",
    "incidents",
}
NOT_FOR_PEOPLE = (
    "digest",
    "uid",
    "binding",
    "footing",
    "restore",
    "begun",
    "told",
    "storms",
    "announced",
    "reported",
)


def test_taken_apart_and_put_together_it_is_the_same() -> None:
    """No field is lost on the way, and none is in both."""
    memory = full_memory()
    wire = whole(memory, kustomization(), memory.conditions)

    assert join(split(wire)) == wire
    assert split(wire)[MEMORY]["version"] == VERSION


def test_people_find_their_fields_and_no_others(schema: Schema) -> None:
    """Digests, identities and what was sent to whom lie under one key."""
    status = schema["properties"]["status"]
    shown = [path for path, _ in walk(status) if path and not path.startswith(MEMORY)]

    assert {path.partition(".")[0].removesuffix("[]").removesuffix("{}") for path in shown} == FOR_PEOPLE
    assert not [path for path in shown if path.rpartition(".")[2].lower().endswith(NOT_FOR_PEOPLE)]
    assert status["properties"][MEMORY]["description"].endswith(
        "It is not for people, and may change with every version."
    )


WRITTEN_ONLY = ("conditions", "statistics", "lastAttemptedRevision", "lastAppliedRevision", "lastGoodRevision")


@pytest.mark.parametrize("name", WRITTEN_ONLY)
def test_what_is_only_written_is_never_read_back(name: str) -> None:
    """Whatever somebody makes of it, the next pass decides as before."""
    spoilt = {key: value for key, value in FULL.items() if key != name}

    assert parse_memory(spoilt) == parse_memory(FULL)


# Upgrade -------------------------------------------------------------------------------------------------------------


def test_a_status_of_the_version_before_is_read() -> None:
    """Nothing is forgotten: what was read back from conditions is taken from them once more."""
    memory = parse_memory(OLD)

    assert MEMORY not in OLD
    assert memory.delivery
    assert memory.good
    assert memory.rollback
    assert memory.delivery.binding == OLD["delivery"]["binding"]
    assert memory.good.kustomization_uid == OLD["lastGood"]["kustomizationUID"]
    assert memory.rollback.pin.name == OLD["rollback"]["pinRef"]["name"]
    (said,) = (each for each in OLD["conditions"] if each["type"] == "RolledBack")
    assert memory.standing == Standing(said["status"] == "True", said["reason"], said["message"])
    assert {*memory.transitions} == {each["type"] for each in OLD["conditions"]}
    assert all(judgement.message for judgement in memory.judgements if judgement.promise == "Validation")


def test_an_upgrade_costs_one_write() -> None:
    """Written in the new form, it reads the same and is written the same again."""
    memory = read_back(OLD)

    written = json.loads(json.dumps(status_of(memory, kustomization())))

    assert MEMORY in written
    assert parse_memory(written) == parse_memory(OLD)
    assert status_of(read_back(written), kustomization()) == written


def test_an_old_field_beside_a_memory_is_not_believed() -> None:
    """Who writes it there has not read the schema."""
    status = render_status(Memory(observed_generation=1), None)

    assert parse_memory(status | {"lastGood": OLD["lastGood"]}).good is None


# Anything ------------------------------------------------------------------------------------------------------------

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(FULL[MEMORY])), JSON)
def test_a_spoilt_memory_is_a_memory(name: str, value: object) -> None:
    """One part of it is anything at all: the others are read, and all can be written."""
    memory = parse_memory(FULL | {MEMORY: FULL[MEMORY] | {name: value}})

    assert isinstance(render_status(memory, None), dict)
    assert memory.delivery
