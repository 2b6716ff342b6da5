"""What the operator writes into the status, and what the CRD allows there: the same."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from reconciliation_contract.api.status.apart import split
from reconciliation_contract.api.status.models import Status
from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import whole
from tests.api.full_memory import HASHES, full_memory, kustomization
from tests.api.structural import Schema, complaints, defaulted, walk
from tests.support.builders_status import Told, read_back, status_of

MEMORIES = {
    "nothing known": Told(),
    "everything known": full_memory(),
    "everything known of an adopted revision": full_memory(adopted=True),
}


def _paths(schema: Schema, value: Any, path: str = "") -> Iterator[str]:
    """The paths of all parts of a value, as the schema names them."""
    yield path
    if isinstance(value, dict):
        known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
        for name, child in value.items():
            mark = f"{path}.{name}".lstrip(".") if name in known else f"{path}{{}}"
            yield from _paths(known.get(name, others), child, mark)
    if isinstance(value, list):
        for item in value:
            yield from _paths(schema["items"], item, f"{path}[]")


@pytest.mark.parametrize("case", MEMORIES)
def test_the_crd_allows_what_is_written(schema: Schema, case: str) -> None:
    """No status that the operator writes is refused, pruned or added to by the API server."""
    status = schema["properties"]["status"]

    written = status_of(MEMORIES[case], kustomization())

    assert list(complaints(status, written, "status")) == []
    assert defaulted(status, written) == written
    assert Status.model_validate(written).observed_generation == MEMORIES[case].observed_generation


def test_everything_in_the_crd_is_written(schema: Schema) -> None:
    """The status documents no field that the operator never fills."""
    status = schema["properties"]["status"]

    written = {
        path
        for memory in MEMORIES.values()
        for path in _paths(status, split(whole(memory, kustomization(), memory.conditions)))
    }

    assert written == {path for path, _ in walk(status)}


@pytest.mark.parametrize("case", MEMORIES)
def test_what_is_written_is_remembered(case: str) -> None:
    """A status that is read back is written the same again: nothing is lost, and nothing causes another write."""
    written = status_of(MEMORIES[case], kustomization())

    again = status_of(read_back(written), kustomization())

    assert again == written


def test_a_name_cut_short_still_tells_the_commit() -> None:
    """Of a revision with too long a branch the hash is kept, so that nothing is decided about another commit."""
    memory = parse_memory(status_of(full_memory(), kustomization()))

    assert memory.delivery
    assert memory.good
    assert memory.rollback
    assert (memory.delivery.hash, memory.good.hash) == (HASHES[0], HASHES[1])
    assert (memory.rollback.bad.hash, memory.rollback.good.hash) == (HASHES[0], HASHES[1])
    assert [past.hash for past in memory.history] == HASHES[: len(memory.history)]
