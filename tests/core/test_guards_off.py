"""Each guard of a rollback switched off, alone: the first test that ``docs/guards.md`` names for it turns red.

The guards before a rollback that nobody asked for are held one by one in ``test_guard_list.py``; here are those of the
other two tables. The package is copied, one excerpt of the copy replaced, and the test run on it in a process of its own.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest
import yaml

import reconciliation_contract
from tests.core.test_guard_list import ROOT, ROWS

OFF: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("guards_off.yaml").read_text("utf-8"))
"""How each guard is switched off, by the first column of its row."""
LISTED = [(row[0].strip("`"), re.findall(r"`(tests/[^`]+)`", row[-1])) for row in ROWS if not row[0].startswith("`_")]
FAST = {guard: next((test for test in tests if not test.startswith("tests/e2e/")), "") for guard, tests in LISTED}
"""The first test of each row that needs no cluster."""
PATIENCE: Final = 60.0
"""Seconds for a test that takes a few; without its guard it may go on for ever, which is noticed as well."""
RUN: Final = """\
import sys, pytest, reconciliation_contract
print("on", reconciliation_contract.__file__, flush=True)
sys.exit(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *sys.argv[1:]]))
"""
"""The package is imported before pytest puts the checkout first; its modules come from where it was found."""


def copied(folder: Path) -> Path:
    """Copy the package, without what is compiled of it, and return the copy."""
    original = Path(reconciliation_contract.__file__).parent
    return shutil.copytree(original, folder / original.name, ignore=shutil.ignore_patterns("__pycache__"))


def outcome(package: Path, test: str) -> tuple[int | None, str]:
    """Run a test on a copy of the package; return pytest's exit code, None where it had to be killed, and its output."""
    said = package.parent / "said.txt"
    environment = os.environ | {"PYTHONPATH": str(package.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    with said.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-c", RUN, test],
            cwd=ROOT,
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code: int | None = process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    return code, said.read_text("utf-8", "replace")


def test_every_guard_can_be_switched_off() -> None:
    """A new row comes with what switches it off, in the same order, and nothing is kept of one that is gone."""
    assert list(OFF) == [guard for guard, _ in LISTED]
    assert [guard for guard, test in FAST.items() if not test] == []


@pytest.mark.parametrize("guard", OFF)
def test_what_switches_it_off_is_found_once(guard: str) -> None:
    """An excerpt follows the code that it is of."""
    off = OFF[guard]

    text = (Path(reconciliation_contract.__file__).parent / off["file"]).read_text("utf-8")

    assert text.count(off["from"]) == 1


@pytest.mark.slow
@pytest.mark.parametrize("guard", OFF)
def test_without_the_guard_its_test_fails(guard: str, tmp_path: Path) -> None:
    """Code that could be left out unnoticed guards nothing."""
    off, package = OFF[guard], copied(tmp_path)
    file = package / off["file"]
    file.write_text(file.read_text("utf-8").replace(off["from"], off["to"]), "utf-8")

    code, said = outcome(package, FAST[guard])

    assert f"on {package}" in said
    assert code in (pytest.ExitCode.TESTS_FAILED, None), said


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted({test.rpartition("/")[0] for test in FAST.values()}))
def test_with_every_guard_they_pass(folder: str, tmp_path: Path) -> None:
    """It is the missing guard that they fail by, not the copy: unchanged it passes a test of each kind."""
    package = copied(tmp_path)

    code, said = outcome(package, next(test for test in FAST.values() if test.startswith(folder)))

    assert f"on {package}" in said
    assert code == pytest.ExitCode.OK, said
