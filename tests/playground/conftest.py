"""What several test files here need."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.playground.fake_go import SCRIPT, FakeGo


@pytest.fixture
def fake_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakeGo:
    """Put the fake Go first on PATH."""
    home = tmp_path / "fake-go"
    (home / "bin").mkdir(parents=True)
    (home / "version").write_text("go1.26.99")
    command = home / "bin" / "go"
    command.write_text(SCRIPT.format(python=sys.executable, home=str(home)))
    command.chmod(0o755)
    for flux in ("source", "kustomize", "notification"):
        _write_yaml(home / "modules/github.com/fluxcd" / f"{flux}-controller/config/crd/bases", "CRD")
    for stage in ("node/fast", "pod/fast"):
        _write_yaml(home / "modules/sigs.k8s.io/kwok/kustomize/stage" / stage, "Stage")
    module = tmp_path / "module"
    module.mkdir()
    (module / "go.mod").write_text("module example.invalid/x")
    (module / "go.sum").write_text("")
    monkeypatch.setenv("PATH", f"{home / 'bin'}:/usr/bin:/bin")
    return FakeGo(home, module)


def _write_yaml(folder: Path, kind: str) -> None:
    folder.mkdir(parents=True)
    (folder / "one.yaml").write_text(f"kind: {kind}\nmetadata: {{name: one}}\n")
