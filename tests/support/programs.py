"""Programs that tests need and a machine may lack."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

REQUIRED = "REQUIRE_PROGRAMS"
"""Environment variable of `make test`, which builds everything first: there, nothing may be left out unseen."""


def lack(reason: str) -> NoReturn:
    """Skip a test, or fail it where its programs must be there."""
    if os.environ.get(REQUIRED):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)
