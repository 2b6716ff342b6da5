"""A small API server, and the command line pointed at it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciliation_contract.cli.people import main
from tests.cli.api import Api, serving, write_kubeconfig


@dataclass(frozen=True)
class Result:
    """What a call came to."""

    code: int
    out: str
    err: str


Run = Callable[..., Result]


@pytest.fixture
def api() -> Iterator[Api]:
    """An API server without contracts."""
    with serving(Api()) as running:
        yield running


@pytest.fixture
def kubeconfig(api: Api, tmp_path: Path) -> Path:
    """A kubeconfig for it, with the namespace `apps`."""
    return write_kubeconfig(tmp_path / "kubeconfig", api.url)


@pytest.fixture
def run(kubeconfig: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command line and return how it ended and what it said."""

    def call(*words: str, config: Path = kubeconfig) -> Result:
        where = [] if words[0].startswith("__") else ["--kubeconfig", str(config)]
        try:
            code = main([words[0], *where, *words[1:]])
        except SystemExit as ended:
            code = int(ended.code or 0)
        told = capsys.readouterr()
        return Result(code, told.out, told.err)

    return call
