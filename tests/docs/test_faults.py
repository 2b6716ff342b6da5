"""The table of faults: every row says how a fault ends, and names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in (ROOT / "docs" / "faults.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| fault |")
]
TESTS = sorted({found for row in ROWS for found in re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", row[2])})


def test_every_row_is_complete() -> None:
    """A fault without an expected end, a test or a time is not listed but hidden."""
    assert [row for row in ROWS if len(row) != 4 or not all(row)] == []
    assert [row[0] for row in ROWS if "`tests/" not in row[2]] == []


@pytest.mark.parametrize(("file", "test"), TESTS)
def test_the_tests_that_are_named_exist(file: str, test: str) -> None:
    """What the table points to can be run by that name."""
    assert f"def {test}(" in (ROOT / file).read_text()
