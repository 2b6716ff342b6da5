"""What goes wrong on the command line: told in a sentence, with its mend, and with an exit status of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.cli.api import CONTRACTS, Api, refused
from tests.cli.conftest import Run
from tests.cli.objects import FIX, contract, healthy

PROJECT = Path(__file__).parents[2] / "pyproject.toml"
WHY = ("--why", "prices are wrong")


FORBIDDEN = refused(
    403, 'contracts is forbidden: User "zoe" cannot list resource "reconciliationcontracts"', "Forbidden"
)
DENIED = refused(
    403,
    "reconciliationcontracts.reconciliation.dev \"shop\" is forbidden: ValidatingAdmissionPolicy 'x' with binding 'x' "
    "denied request: this contract can change Kustomization apps/shop, and you may not",
    "Forbidden",
)
WRONG: dict[str, tuple[dict[tuple[str, str], tuple[int, str]], tuple[str, ...], str]] = {
    "no such contract": (
        {},
        ("get", "shopp"),
        "no contract shopp in namespace apps; there are: shop",
    ),
    "no right to look": (
        {("GET", CONTRACTS): FORBIDDEN},
        ("get",),
        "user zoe may not list reconciliationcontracts.reconciliation.dev in namespace apps; ask for that right",
    ),
    "no right to ask": (
        {("PATCH", f"{CONTRACTS}/shop"): FORBIDDEN},
        ("reconcile", "shop"),
        "user zoe may not patch reconciliationcontracts.reconciliation.dev in namespace apps; ask for that right",
    ),
    "the admission policy": (
        {("PATCH", f"{CONTRACTS}/shop"): DENIED},
        ("reconcile", "shop"),
        "refused: this contract can change Kustomization apps/shop, and you may not",
    ),
    "credentials that ran out": (
        {("GET", CONTRACTS): refused(401, "Unauthorized", "Unauthorized")},
        ("get",),
        "the API server does not know you (Unauthorized); log in again or mend the kubeconfig",
    ),
    "no such kind": (
        {("GET", CONTRACTS): (404, "404 page not found\n")},
        ("get",),
        "the cluster has no reconciliationcontracts; install what they belong to",
    ),
    "another contract of that name": (
        {
            ("PATCH", f"{CONTRACTS}/shop"): refused(
                422, 'shop is invalid: metadata.uid: Invalid value: "x": field is immutable', "Invalid"
            )
        },
        ("reconcile", "shop"),
        "shop was replaced by another meanwhile; look at it again",
    ),
    "somebody else at the same time": (
        {("PATCH", f"{CONTRACTS}/shop"): refused(409, "the object has been modified", "Conflict")},
        ("reconcile", "shop"),
        "shop was changed at the same time; try again",
    ),
    "an API server in trouble": (
        {("GET", CONTRACTS): refused(503, "etcd is away")},
        ("get",),
        "the API server cannot answer now (503): etcd is away; try again",
    ),
    "an unknown context": (
        {},
        ("get", "--context", "nope"),
        "has no context nope; name one with --context: here, there",
    ),
    "a revision that was never healthy": (
        {},
        ("rollback", "shop", *WHY, "--to", FIX),
        f"{FIX[:8]} is none of the revisions that were healthy under this contract; there are: main@sha1:dd44dd44",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_goes_wrong_is_told_with_its_mend(api: Api, run: Run, case: str) -> None:
    """One line on the error output, exit 1, nothing on the output."""
    refusals, words, message = WRONG[case]
    api.contracts, api.refusals = [contract(healthy())], refusals

    result = run(*words)

    assert (result.code, result.out) == (1, "")
    assert message in result.err
    assert len(result.err.splitlines()) == 1


def test_a_cluster_that_is_not_there_is_told(run: Run, kubeconfig: Path, tmp_path: Path) -> None:
    """Neither an address that nobody answers at nor a missing kubeconfig shows a traceback."""
    dead = tmp_path / "dead"
    dead.write_text(kubeconfig.read_text().replace("http://127.0.0.1:", "http://127.0.0.1:1#"))

    answers = run("get", config=dead), run("get", config=tmp_path / "none")

    assert [answer.code for answer in answers] == [1, 1]
    assert "does not answer" in answers[0].err
    assert "no cluster:" in answers[1].err
    assert "set KUBECONFIG or --kubeconfig" in answers[1].err


MISUSES = {
    "no command": ("",),
    "an unknown command": ("frobnicate",),
    "a rollback without a reason": ("rollback", "shop"),
    "an empty reason": ("hold", "shop", "--why", " "),
    "no duration": ("pause", "shop", "--for", "2 hours", *WHY),
    "no time": ("pause", "shop", "--until", "later", *WHY),
    "a pause without an end": ("pause", "shop", *WHY),
    "a pause that is over": ("pause", "shop", "--until", "2001-01-01T00:00:00Z", *WHY),
    "waiting for nonsense": ("wait", "shop", "--for", "rain"),
    "waiting for no revision": ("wait", "shop", "--for", "healthy"),
    "waiting for a branch": ("wait", "shop", "--for", "healthy", "main"),
    "a name and all namespaces": ("get", "shop", "-A"),
    "an unknown format": ("get", "-o", "table"),
}


@pytest.mark.parametrize("case", MISUSES)
def test_a_command_line_that_makes_no_sense_ends_with_64(api: Api, run: Run, case: str) -> None:
    """2 means that waiting timed out, so argparse's own 2 is not used; nothing is asked of the cluster."""
    result = run(*MISUSES[case])

    assert result.code == 64
    assert result.err.startswith("flux-contract")
    assert api.patches() == []


def test_an_interrupt_is_silent(api: Api, kubeconfig: Path) -> None:
    """Ctrl-C is no error to be told of."""
    watching = threading.Event()
    api.contracts = [contract(healthy())]
    api.before = lambda request: watching.set() if "watch" in request.query else None
    # What a background job starts ignores Ctrl-C; at a terminal nothing does.
    listening = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)"
    program = f"{listening}; from reconciliation_contract.cli.people import main; raise SystemExit(main())"
    line = [sys.executable, "-c", program, "wait", "shop", "--for", "healthy", FIX]
    environment = {**os.environ, "KUBECONFIG": str(kubeconfig), "PYTHONPATH": str(PROJECT.parent / "operator")}

    with subprocess.Popen(
        line, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        watching.wait(30)
        process.send_signal(signal.SIGINT)
        try:
            out, err = process.communicate(timeout=30)
        finally:
            process.kill()

    assert (process.returncode, out) == (130, "")
    assert "Traceback" not in err
    assert len(err.splitlines()) == 1
