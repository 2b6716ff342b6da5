"""The reference pages say what the code says."""

import pytest

from docs.generate import PAGES, pages
from reconciliation_contract.core.values import reasons


def test_the_pages_are_fresh(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_ENDPOINT", raising=False)

    for name, text in pages().items():
        assert (PAGES / name).read_text() == text, f"{name} is stale: run `make docs`"


def test_every_reason_is_told() -> None:
    """A reason without a docstring would be left out without a word."""
    page = pages()["reasons.md"]

    for name, reason in vars(reasons).items():
        assert not name.isupper() or f"| `{reason}` |" in page, name


def test_no_field_is_left_without_a_description() -> None:
    empty = [line for line in pages()["fields.md"].splitlines() if line.startswith("| `") and line.endswith("|  |")]

    assert empty == []
