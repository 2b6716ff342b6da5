"""What all tests of this folder share."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def few_certificates(monkeypatch: pytest.MonkeyPatch) -> None:
    """Spare each log-in of kopf the system's CAs: they take 40 ms, and the servers of these tests speak plain HTTP."""
    monkeypatch.setenv("SSL_CERT_FILE", os.devnull)


@pytest.fixture
def logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Undo what a test does to the logs of the process, and to where its faults go."""
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)
    monkeypatch.setattr(threading, "excepthook", threading.excepthook)
    root = logging.getLogger()
    handlers, before = (
        root.handlers[:],
        {name: logging.getLogger(name).level for name in ("", "reconciliation_contract", "dulwich", "paramiko")},
    )
    yield
    root.handlers[:] = handlers
    for name, level in before.items():
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(capture=False)
