"""The commands that look, against a small API server: what is said, and how it ends."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciliation_contract.api.contract.parse import REQUESTED_AT
from reconciliation_contract.core.memory.memory import Memory, RollbackState
from tests.cli.api import CONTRACTS, ROOT, Api, becoming, refused
from tests.cli.conftest import Run
from tests.cli.objects import BAD, FIX, GOOD, OLD, contract, failing, healthy, rolled

PROJECT = Path(__file__).parents[2] / "pyproject.toml"


# Looking -------------------------------------------------------------------------------------------------------------


def test_both_names_are_the_same_program() -> None:
    """Flux finds it as flux-contract, kubectl as kubectl-contract."""
    scripts = tomllib.loads(PROJECT.read_text())["project"]["scripts"]

    assert scripts["flux-contract"] == scripts["kubectl-contract"] == "reconciliation_contract.cli.people:main"


def test_contracts_of_the_contexts_namespace_are_listed(api: Api, run: Run) -> None:
    """Without a namespace the context's is meant, and output to a pipe is plain."""
    api.contracts = [contract(healthy()), contract(failing(), name="web")]

    result = run("get")

    assert result.code == 0
    assert [line.split()[0] for line in result.out.splitlines()] == ["NAME", "shop", "web"]
    assert [request.path for request in api.requests] == [CONTRACTS]
    assert "\x1b" not in result.out


@pytest.mark.parametrize(
    ("words", "path"),
    [
        (("-A",), f"{ROOT}/reconciliationcontracts"),
        (("-n", "web"), f"{ROOT}/namespaces/web/reconciliationcontracts"),
        (("--context", "there"), f"{ROOT}/namespaces/default/reconciliationcontracts"),
    ],
)
def test_the_place_can_be_named(api: Api, run: Run, words: tuple[str, ...], path: str) -> None:
    """Namespace and context are chosen as with kubectl."""
    run("get", *words)

    assert [request.path for request in api.requests] == [path]


def test_no_contracts_is_no_error(run: Run) -> None:
    """An empty namespace is told to the person; a script reads nothing."""
    result = run("get")

    assert (result.code, result.out, result.err) == (0, "", "no contracts in namespace apps\n")


def test_one_contract_is_shown_in_full(api: Api, run: Run) -> None:
    """With a name there is a page."""
    api.contracts = [contract(rolled(RollbackState.ACTIVE))]

    result = run("get", "shop")

    assert result.out.startswith("Contract       apps/shop, bound to Kustomization shop\n")
    assert "flux-contract release shop -n apps" in result.out


@pytest.mark.parametrize(("form", "read"), [("json", json.loads), ("yaml", yaml.safe_load)])
def test_objects_are_written_as_they_are(api: Api, run: Run, form: str, read: Any) -> None:
    """-o gives the object without its managed fields, in ASCII, so that nothing in it steers a terminal."""
    raw = contract(healthy())
    evil = contract(healthy(), name="evil", spec={"kustomizationRef": {"name": "\x1b[2J\u202e"}})
    api.contracts = [contract(healthy(), meta={"managedFields": [{"manager": "x"}]}), evil]

    one, all_ = run("get", "shop", "-o", form), run("get", "-o", form)

    assert read(one.out) == raw
    assert read(all_.out) == {"apiVersion": "v1", "kind": "List", "items": [raw, evil]}
    assert all_.out.replace("\n", "").isprintable()
    assert all_.out.isascii()


def test_the_history_is_a_table_or_a_document(api: Api, run: Run) -> None:
    """Deliveries are one a line, or the status's own list."""
    api.contracts = [contract(healthy())]

    table, document = run("history", "shop"), run("history", "shop", "-o", "json")

    assert [line.split()[0] for line in table.out.splitlines()] == ["REVISION", GOOD[:8], OLD[:8]]
    assert json.loads(document.out) == api.contracts[0]["status"]["history"]


def test_a_watch_tells_of_changes_once(api: Api, run: Run) -> None:
    """The table comes first, then a line for each contract that looks different; deletions are told."""
    api.contracts = [contract(healthy()), contract(healthy(), name="web")]
    same = contract(healthy(), meta={"resourceVersion": "8"})
    changed, added = contract(rolled(RollbackState.ACTIVE), meta={"resourceVersion": "9"}), contract(name="new")
    api.events = [
        [
            {"type": "MODIFIED", "object": same},
            {"type": "MODIFIED", "object": changed},
            {"type": "ADDED", "object": added},
            {"type": "DELETED", "object": added},
        ]
    ]
    # Once they are told, the API server refuses, which ends the watch.
    api.before = lambda request: None if api.events or "watch" in request.query else refused(403, "enough")

    result = run("get", "--watch")

    assert [line.split()[:2] for line in result.out.splitlines()] == [
        ["NAME", "READY"],
        ["shop", "True"],
        ["web", "True"],
        ["shop", "False"],
        ["new", "Unknown"],
    ]
    assert "new was deleted" in result.err


# Waiting -------------------------------------------------------------------------------------------------------------


ACTIVE = rolled(RollbackState.ACTIVE)
WAITED: dict[str, tuple[Memory, tuple[str, ...], int, str]] = {
    "ready": (healthy(), (), 0, "ready: main@sha1:aa11aa11 healthy after 8s of 5m"),
    "ready, in so many words": (healthy(), ("--for", "ready"), 0, "ready: "),
    "a revision": (healthy(), ("--for", "healthy", GOOD), 0, "main@sha1:aa11aa11 is healthy"),
    "an earlier revision": (healthy(), (f"--for=healthy={OLD[:7]}",), 0, "main@sha1:dd44dd44 was healthy"),
    "ready, but rolled back": (ACTIVE, (), 1, "PersistentFailure: runs main@sha1:aa11aa11"),
    "a revision that is rolled back": (ACTIVE, ("--for", "healthy", BAD), 1, "main@sha1:bb22bb22 is rolled back"),
    "a revision that does not come": (
        healthy(),
        ("--for", "healthy", FIX, "--timeout", "1ms"),
        2,
        "timed out after 1ms; main@sha1:aa11aa11",
    ),
}


@pytest.mark.parametrize("case", WAITED)
def test_waiting_ends_with_its_verdict(api: Api, run: Run, case: str) -> None:
    """0 kept, 1 broken or rolled back, 2 timed out."""
    memory, words, code, said = WAITED[case]
    api.contracts = [contract(memory)]

    result = run("wait", "shop", *words)

    assert (result.code, result.out.startswith(f"shop: {said}")) == (code, True), result.out


def test_what_cannot_be_told_is_no_broken_promise(api: Api, run: Run) -> None:
    """A script that waits can tell a missing contract from a broken one."""
    result = run("wait", "shop")

    assert result.code == 3
    assert "no contract shop in namespace apps" in result.err


def test_waiting_goes_on_until_it_comes(api: Api, run: Run) -> None:
    """What a watch tells ends the waiting, and the way there is told to the person only."""
    api.contracts = [contract(failing())]
    api.events = [[{"type": "MODIFIED", "object": contract(rolled(RollbackState.ACTIVE))}]]

    result = run("wait", "shop", "--for", "healthy", BAD, "--timeout", "30s")

    assert (result.code, result.out) == (1, "shop: main@sha1:bb22bb22 is rolled back: HealthCheckFailed\n")
    assert "main@sha1:bb22bb22 fails (1): HealthCheckFailed" in result.err


def test_a_contract_that_goes_ends_the_waiting(api: Api, run: Run) -> None:
    """Nothing is waited for that cannot come any more."""
    api.contracts = [contract(failing())]
    api.events = [[{"type": "DELETED", "object": contract(failing())}]]

    result = run("wait", "shop", "--timeout", "30s")

    assert (result.code, result.out) == (3, "")
    assert result.err.endswith("shop was deleted meanwhile\n")


def test_reconcile_waits_for_the_operator(api: Api, run: Run) -> None:
    """The annotation that Flux's users know is written, and its echo awaited."""
    api.contracts, api.on_patch = [contract(healthy())], becoming(healthy())

    result = run("reconcile", "shop")

    (patch,) = api.patches()
    assert (result.code, result.out) == (0, "shop: main@sha1:aa11aa11 is healthy\n")
    assert list(patch["metadata"]["annotations"]) == [REQUESTED_AT]
