"""Each guard of a rollback switched off, alone: the first test that ``docs/guards.md`` names for it turns red.

The guards before a rollback that nobody asked for are held one by one in ``test_guard_list.py``; here are those of the
other two tables. One excerpt of the package's code is replaced, and the test run on that in a process of its own.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest
import yaml

import reconciliation_contract
from tests.core.test_guard_list import ROWS
from tests.support.altered import ALTERED, Alteration, run

OFF: dict[str, dict[str, str]] = yaml.safe_load(Path(__file__).with_name("guards_off.yaml").read_text("utf-8"))
"""How each guard is switched off, by the first column of its row."""
LISTED = [(row[0].strip("`"), re.findall(r"`(tests/[^`]+)`", row[-1])) for row in ROWS if not row[0].startswith("`_")]
FAST = {guard: next((test for test in tests if not test.startswith("tests/e2e/")), "") for guard, tests in LISTED}
"""The first test of each row that needs no cluster."""
PATIENCE: Final = 60.0
"""Seconds for a test that takes a few; without its guard it may go on for ever, which is noticed as well."""


def alteration(guard: str) -> Alteration:
    """What switches a guard off."""
    off = OFF[guard]
    return Alteration(off["file"], off["from"], off["to"])


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
    code, said = run(FAST[guard], tmp_path / "said.txt", PATIENCE, alteration(guard))

    assert f"{ALTERED}: {alteration(guard).module}\n" in said, said
    assert code in (pytest.ExitCode.TESTS_FAILED, None), said
    assert code is None or "\n1 failed" in said, said


@pytest.mark.slow
@pytest.mark.parametrize("folder", sorted({test.rpartition("/")[0] for test in FAST.values()}))
def test_with_every_guard_they_pass(folder: str, tmp_path: Path) -> None:
    """It is the missing guard that they fail by, not the way they are run: unchanged, a test of each kind passes."""
    test = next(test for test in FAST.values() if test.startswith(folder))

    code, said = run(test, tmp_path / "said.txt", PATIENCE)

    assert ALTERED not in said
    assert code == pytest.ExitCode.OK, said
