"""What is printed of where the time went."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.timetable import Clock, timetable


def report(file: str, when: Any, seconds: float) -> pytest.TestReport:
    """What pytest reports of one phase of a test."""
    return pytest.TestReport(f"{file}::test", ("", 0, ""), {}, "passed", None, when, duration=seconds)


def test_the_longest_files_are_named_and_the_others_added_up() -> None:
    """By file, all phases together; then by phase, and by the clock."""
    reports = [report(f"tests/test_{number}.py", "call", number) for number in range(1, 13)]
    reports += [report("tests/test_1.py", "setup", 100), report("tests/test_2.py", "teardown", 0.5)]

    lines = list(timetable(reports, Clock(1000, 50, 500), Clock(1090, 125, 525)))

    assert lines[0] == "  101.0 s  tests/test_1.py"
    assert lines[1:10] == [f"{number:7.1f} s  tests/test_{number}.py" for number in range(12, 3, -1)]
    assert lines[10:] == [
        "    5.5 s  2 other files",
        "  178.5 s  in all: 100 s setting up, 78 s testing, 0 s clearing up",
        "   90.0 s  by the clock, the machine's processors busy for 75% of it",
    ]
