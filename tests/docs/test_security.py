"""The threat model names a test in each of its rows."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROWS = [
    line.strip("| ").split(" | ")
    for line in (ROOT / "SECURITY.md").read_text().splitlines()
    if line.startswith("| ") and not line.startswith("| who |")
]


def test_each_row_names_a_test_that_exists() -> None:
    assert len(ROWS) >= 15
    for who, *_, shown in ROWS:
        named = re.findall(r"`(tests/[^`]+)`", shown)
        assert named, who
        for test in named:
            path, _, name = test.partition("::")
            assert (ROOT / path).exists(), test
            assert not name or f"def {name.partition('[')[0]}(" in (ROOT / path).read_text(), test
