"""Completion in cobra's protocol, by which Flux and kubectl ask their plugins."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tests.cli.api import CONTRACTS, Api, refused, write_kubeconfig
from tests.cli.conftest import Result, Run
from tests.cli.objects import BAD, OLD, contract, healthy

NAMES = "/api/v1/namespaces"


@pytest.fixture
def ask(api: Api, run: Run, kubeconfig: Path) -> Run:
    """Ask for completions of a line that names its kubeconfig."""
    api.contracts = [contract(replace(healthy(), bad=(BAD,))), contract(name="web")]

    def call(command: str, *words: str) -> Result:
        return run("__complete", command, *(("--kubeconfig", str(kubeconfig), *words) if words else ()))

    return call


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("ro",), ["rollback"]),
        (("get", ""), ["shop", "web"]),
        (("get", "s"), ["shop"]),
        (("get", "shop", ""), []),
        (("rollback", "shop", "--to", ""), [OLD[:12]]),
        (("rollback", "shop", "--to", "ff"), []),
        (("forget", "shop", ""), [BAD[:12]]),
        (("get", "-o", ""), ["json", "yaml"]),
        (("get", "--context", ""), ["here", "there"]),
        (("wait", "shop", "--for", "h"), ["healthy"]),
        (("pause", "shop", "--for", "3"), ["30m"]),
        (("get", "--wa"), ["--watch"]),
        (("nonsense", ""), []),
    ],
)
def test_candidates_fit_what_is_typed(ask: Run, words: tuple[str, ...], expected: list[str]) -> None:
    """Commands, contracts, revisions, options and their values; the last line says: no file names."""
    result = ask(*words)

    *candidates, directive = result.out.splitlines()
    assert [line.partition("\t")[0] for line in candidates] == expected
    assert (result.code, directive, result.err) == (0, ":4", "")


def test_every_command_is_offered_with_what_it_does(ask: Run) -> None:
    """Nothing typed yet: all commands, each described."""
    *candidates, _ = ask("").out.splitlines()

    assert len(candidates) == 13
    assert all(line.partition("\t")[2].endswith(".") for line in candidates)


def test_contracts_are_described_by_how_they_stand(ask: Run) -> None:
    """A person who completes a name sees which one is in trouble."""
    assert ask("get", "").out.splitlines() == ["shop\tPromisesKept", "web", ":4"]


def test_namespaces_come_from_contracts_where_they_may_not_be_listed(api: Api, ask: Run) -> None:
    """Who may not list namespaces still completes those with contracts."""
    api.refusals = {("GET", NAMES): refused(403, "no")}

    assert ask("get", "-n", "").out.splitlines() == ["apps", ":4"]


def test_the_namespace_on_the_line_is_asked(api: Api, ask: Run) -> None:
    """Names are completed in the namespace that was typed before."""
    ask("get", "-n", "elsewhere", "")

    assert api.requests[-1].path == CONTRACTS.replace("/apps/", "/elsewhere/")


def test_trouble_is_no_candidate(api: Api, ask: Run) -> None:
    """Whatever goes wrong, a shell gets no error text among its completions."""
    api.refusals = {("GET", CONTRACTS): refused(403, "no")}

    result = ask("get", "")

    assert (result.code, result.out, result.err) == (0, ":4\n", "")


def test_a_kubeconfig_on_the_line_is_used(ask: Run, api: Api, tmp_path: Path) -> None:
    """Another kubeconfig has other contexts and namespaces."""
    other = write_kubeconfig(tmp_path / "other", api.url, namespace="theirs")

    ask("get", "--kubeconfig", str(other), "")

    assert "/namespaces/theirs/" in api.requests[-1].path
