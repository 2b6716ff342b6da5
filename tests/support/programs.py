"""Programs that tests need and a machine may lack."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest

from playground.binaries import provide
from playground.progress import Progress
from playground.toolset import FLUX_BUILD

REQUIRED = "REQUIRE_PROGRAMS"
"""Environment variable of `make test`, which builds everything first: there, nothing may be left out unseen."""


def lack(reason: str) -> NoReturn:
    """Skip a test, or fail it where its programs must be there."""
    if os.environ.get(REQUIRED):
        pytest.fail(reason, pytrace=False)
    pytest.skip(reason)


def flux_build() -> str:
    """The program that builds manifests; where it is not built yet, that takes a minute or two."""
    return str(provide(Progress(quiet=True), tools=FLUX_BUILD).program("flux-build"))
