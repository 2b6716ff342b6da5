"""Promtool, where there is one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.monitoring.promtool import find_promtool
from tests.support.programs import lack


@pytest.fixture(scope="session")
def promtool() -> Path:
    """The real promtool."""
    found = find_promtool()
    if found is None:
        lack("needs promtool: put it on PATH, or run `make test` once, which builds one")
    return found
