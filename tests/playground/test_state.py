"""The state directory goes with its cluster, also when the cluster was killed."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest

from playground.state import KEEP, LOCK, PREFIX, remove_abandoned, state_directory


@pytest.fixture(autouse=True)
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary directory of our own, so that no real cluster is touched."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_it_is_private_and_removed_at_the_end() -> None:
    """Tokens lie in it, so only its owner may look."""
    with state_directory() as directory:
        (directory / "etcd").mkdir()
        assert directory.stat().st_mode & 0o077 == 0

    assert not directory.exists()


def test_it_can_be_kept() -> None:
    """With its logs, for a look afterwards; later starts leave it alone."""
    with state_directory(keep=True) as directory:
        (directory / "log").touch()
    remove_abandoned()

    assert (directory / "log").exists()


def test_what_a_killed_cluster_left_is_removed_by_the_next(temporary: Path) -> None:
    """A lock that nobody holds belongs to a dead process."""
    abandoned = temporary / f"{PREFIX}abandoned"
    abandoned.mkdir()
    (abandoned / LOCK).touch()

    with state_directory():
        assert not abandoned.exists()


def test_a_living_cluster_is_left_alone() -> None:
    """A second start does not remove the first one's directory."""
    with state_directory() as first, state_directory():
        assert first.exists()


def test_a_kept_one_is_left_alone(temporary: Path) -> None:
    """Also when its cluster is gone."""
    kept = temporary / f"{PREFIX}kept"
    kept.mkdir()
    (kept / LOCK).touch()
    (kept / KEEP).touch()

    remove_abandoned()

    assert kept.exists()
