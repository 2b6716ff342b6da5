"""`make demo` tells its whole story to a pipe, and every step of it happens."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from playground.story.steps import STEPS

pytestmark = pytest.mark.e2e

ROOT = Path(__file__).parents[2]
BUILDING = 1500
"""Seconds; the first run on a machine builds the cluster's programs, later ones take one minute."""


def test_the_story_happens() -> None:
    """It ends with 0, every step has its verdicts, and a pipe gets plain lines."""
    demo = [sys.executable, "-m", "playground", "demo"]

    result = subprocess.run(demo, cwd=ROOT, capture_output=True, text=True, timeout=BUILDING, check=False)

    told = result.stdout
    assert result.returncode == 0, told + result.stderr
    assert "\x1b" not in told + result.stderr
    assert "\r" not in told + result.stderr
    for number, step in enumerate(STEPS, 1):
        assert f"Step {number} of {len(STEPS)} happened as promised.\n" in told
        _, _, rest = told.partition(f"Step {number} of {len(STEPS)}: {step.title}\n")
        chapter, _, _ = rest.partition("happened as promised.")
        lines = [line.split() for line in chapter.splitlines()]
        for promise, verdict in step.verdicts.items():
            assert any(line[:1] == [promise] and line[-1] == verdict for line in lines), (promise, chapter)
    assert f"{len(STEPS)} of {len(STEPS)} steps happened" in told


def test_a_stranger_to_its_options_is_helped() -> None:
    """An unknown option starts nothing."""
    result = subprocess.run(
        [sys.executable, "-m", "playground", "demo", "--fast"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert result.returncode == 2
    assert "--keep" in result.stderr
