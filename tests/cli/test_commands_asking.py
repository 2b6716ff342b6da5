"""The commands that ask for something, against a small API server: what is written, and what comes of it."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from reconciliation_contract.api.contract.annotations import unsigned
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from tests.cli.api import Api, Object, annotations, becoming
from tests.cli.conftest import Run
from tests.cli.objects import BAD, GOOD, contract, failing, healthy, rolled

WHY = ("--why", "prices are wrong")
ACTIVE = rolled(RollbackState.ACTIVE)


def untimed(written: Object) -> Object:
    """Leave out when it was asked, which every request tells."""
    told = {key: re.subn(r" at 20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", "", value) for key, value in written.items()}
    assert all(count == 1 for _, count in told.values())
    return {key: value for key, (value, _) in told.items()}


def test_a_rollback_is_shown_asked_for_and_followed(api: Api, run: Run) -> None:
    """The plan goes to the person, the request to the contract under our own name, the result to the output."""
    api.contracts, api.on_patch = [contract(failing())], becoming(rolled(RollbackState.ACTIVE))

    result = run("rollback", "shop", *WHY, "--yes")

    (patch,) = api.patches()
    assert (result.code, result.out) == (
        0,
        "shop: main@sha1:aa11aa11 runs instead of main@sha1:bb22bb22 after 2.5s\n",
    )
    assert untimed(annotations(patch)) == {"rollback": f"{BAD}..{GOOD} by zoe: prices are wrong"}
    assert patch["metadata"]["uid"] == "uid-of-shop"
    assert "Rollback of apps/shop" in result.err
    assert {r.query["fieldManager"][0] for r in api.requests if r.method == "PATCH"} == {"flux-contract"}


def test_a_rollback_needs_somebody_to_confirm_it(api: Api, run: Run) -> None:
    """Without a terminal and without --yes nothing is written."""
    api.contracts = [contract(failing())]

    result = run("rollback", "shop", *WHY, "--timeout", "1ms")

    assert result.code == 1
    assert "nobody is there to confirm it; add --yes" in result.err
    assert api.patches() == []


def test_a_rollback_that_does_not_begin_is_withdrawn(api: Api, run: Run) -> None:
    """A request that cannot be fulfilled now must not be fulfilled some day, unawares."""
    api.contracts, api.on_patch = [contract(failing())], becoming(failing())

    result = run("rollback", "shop", *WHY, "--yes")

    _, second = api.patches()
    assert result.code == 1
    assert "it does not begin: no rollback is in force (the request is withdrawn)" in result.out
    assert annotations(second) == {"rollback": None}


def test_not_waiting_leaves_the_request(api: Api, run: Run) -> None:
    """With --no-wait the request is written, and that is all."""
    api.contracts = [contract(failing())]

    result = run("rollback", "shop", *WHY, "--yes", "--no-wait")

    assert (result.code, len(api.patches())) == (0, 1)
    assert "watch" not in {key for request in api.requests for key in request.query}


ASKED: dict[str, tuple[tuple[str, ...], Memory, Memory, Object, str]] = {
    "approve": (
        (),
        rolled(RollbackState.PROPOSED),
        ACTIVE,
        {"approve": f"{BAD} by zoe"},
        "main@sha1:aa11aa11 runs instead",
    ),
    "release": (
        (),
        ACTIVE,
        healthy(),
        {"release": f"{BAD} by zoe"},
        "no rollback is in force; the Kustomization follows its own source",
    ),
    "hold": (WHY, ACTIVE, ACTIVE, {"hold": "by zoe: prices are wrong"}, "held at main@sha1:aa11aa11"),
}


@pytest.mark.parametrize("command", ASKED)
def test_requests_are_written_and_followed(api: Api, run: Run, command: str) -> None:
    """Each request ends with what came of it."""
    words, memory, then, written, said = ASKED[command]
    api.contracts, api.on_patch = [contract(memory)], becoming(then)

    ended = run(command, "shop", *words)

    (patch,) = api.patches()
    assert untimed(annotations(patch)) == written
    assert (ended.code, ended.out.startswith(f"shop: {said}")) == (0, True), ended.out


def test_a_pause_is_given_its_end(api: Api, run: Run) -> None:
    """A duration is counted from now; a time with a zone is taken as it is."""
    api.contracts, api.on_patch = [contract(healthy())], becoming(healthy())

    began = datetime.now(UTC)
    run("pause", "shop", "--for", "2h", *WHY)
    run("pause", "shop", "--until", "2999-01-01T12:00:00+02:00", *WHY)

    first, second = (unsigned(annotations(patch)["pause-until"] or "")[0] for patch in api.patches())
    assert 7190 < (datetime.fromisoformat(first) - began).total_seconds() < 7260
    assert second == "2999-01-01T10:00:00Z"


def test_an_operator_that_does_not_answer_is_told_of(api: Api, run: Run) -> None:
    """The request stands; who wrote it learns that nobody has read it."""
    api.contracts = [contract(rolled(RollbackState.ACTIVE))]

    result = run("hold", "shop", *WHY, "--timeout", "1ms")

    assert result.code == 2
    assert "held at main@sha1:aa11aa11, but the operator has not taken it up yet" in result.out
