"""The parsers of what is hostile under bytes of any kind: those that once did harm, and new ones for a moment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.fuzz.program import CORPUS
from tests.fuzz.targets import TARGETS

ROOT = Path(__file__).parents[2]
RUNS = 2000
"""Of each target; with a fixed seed they are the same ones every time."""


@pytest.mark.parametrize("name", TARGETS)
def test_what_is_kept_does_no_harm(name: str) -> None:
    """Every file of the corpus, seeds and what once made a parser fail, is read as promised."""
    kept = [path.read_bytes() for path in sorted((CORPUS / name).iterdir())]

    for data in kept:
        TARGETS[name](data)

    assert kept


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_and_noise_do_no_harm(name: str) -> None:
    """Each target itself takes any bytes."""
    for data in (b"", b"\x00" * 500, bytes(range(256)) * 4, b"{" * 4000, b'{"metadata":' * 300):
        TARGETS[name](data)


@pytest.mark.slow
def test_a_short_run_finds_nothing(tmp_path: Path) -> None:
    """The same few thousand inputs of each target, led by coverage."""
    pytest.importorskip("atheris", reason="atheris is made for Linux on x86-64 only")
    command = [sys.executable, "-m", "tests.fuzz.program", f"--runs={RUNS}", f"--found={tmp_path}"]

    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=550, check=False)

    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
