"""What all tests of this folder share."""

from __future__ import annotations

import os

import pytest


@pytest.fixture(autouse=True)
def few_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each log-in of kopf the system's CAs: they take 40 ms, and the servers of these tests speak plain HTTP."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)
