"""`validate`: what is wrong with the question itself. The rest needs a real API server, see the e2e tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run


@pytest.fixture
def empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory without manifests, from which the command is run."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "odd.yaml").write_text("a: b\n")


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("nowhere",), 64, "is no directory"),
        ((".", "--flux-build", "/nowhere/flux-build"), 2, "flux-build is not installed"),
        ((".", "--kustomization-file", "nowhere.yaml"), 2, "nowhere.yaml cannot be read"),
        ((".", "--kustomization-file", "odd.yaml"), 2, "holds no Kustomization"),
        ((".", "--kustomization", "absent"), 2, "absent"),
        ((".", "--kustomization", "a/b", "--kustomization-file", "c"), 64, "not allowed with"),
        ((), 64, "required: PATH"),
    ],
)
def test_what_cannot_be_tried_is_told(run: Run, empty: None, words: tuple[str, ...], code: int, told: str) -> None:
    """64 for the command line, 2 for everything that keeps it from telling; 1 would say that a manifest is refused."""
    result = run("validate", *words)

    assert (result.code, told in result.err) == (code, True), result.err
