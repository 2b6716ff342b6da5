"""Artifacts are unpacked into their own directory, whatever they hold."""

from __future__ import annotations

import gzip
import io
import resource
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from reconciliation_contract.adapters.manifests.artifact import archive
from reconciliation_contract.adapters.manifests.artifact.archive import unpack
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.core.values import reasons
from tests.support.artifacts import tar_of

pytestmark = pytest.mark.slow


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, size
    return found


def packed(*entries: tarfile.TarInfo) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as tar:
        for found in entries:
            tar.addfile(found, io.BytesIO(b"x" * found.size))
    return file.getvalue()


@pytest.fixture
def unpacked(tmp_path: Path) -> Callable[[bytes], Path]:
    """Unpack an archive into a directory beside which there is nothing."""

    def unpacked(content: bytes) -> Path:
        (tmp_path / "archive").write_bytes(content)
        target = tmp_path / "inner" / "tree"
        target.mkdir(parents=True)
        unpack(tmp_path / "archive", target)
        return target

    return unpacked


def test_files_and_directories_are_unpacked(unpacked: Callable[[bytes], Path]) -> None:
    """Also files whose directory has no entry of its own."""
    tree = unpacked(tar_of({"a.yaml": "a", "b/c/d.yaml": "d"}))

    assert {str(p.relative_to(tree)): p.read_text() for p in tree.rglob("*.yaml")} == {
        "a.yaml": "a",
        "b/c/d.yaml": "d",
    }


@pytest.mark.parametrize(
    "found",
    [
        entry("/etc/cron.d/x", size=1),
        entry("../outside", size=1),
        entry("a/../../outside", size=1),
        entry("../outside", tarfile.DIRTYPE),
        entry("/".join(["d"] * 100) + "/x", size=1),
        entry("pipe", tarfile.FIFOTYPE),
        entry("disk", tarfile.BLKTYPE),
        entry("tty", tarfile.CHRTYPE),
    ],
    ids=lambda found: found.name[:20],
)
def test_nothing_is_written_outside(
    unpacked: Callable[[bytes], Path], tmp_path: Path, found: tarfile.TarInfo
) -> None:
    """The whole artifact is refused, and its name for the place is shown."""
    with pytest.raises(BuildFailed):
        unpacked(packed(found))

    assert not [path for path in tmp_path.rglob("*") if path.name in ("outside", "pipe", "disk", "tty")]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE])
def test_links_are_skipped_and_never_written_through(
    unpacked: Callable[[bytes], Path], tmp_path: Path, kind: bytes
) -> None:
    """A link and then a file below it is the classic way out."""
    tree = unpacked(packed(entry("way", kind, link=str(tmp_path)), entry("way/out", size=3)))

    assert (tree / "way" / "out").read_text() == "xxx"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "content",
    [b"", b"not gzip", gzip.compress(b"not a tar" * 100), tar_of({"a": "x" * 5000})[:60], b"\x1f\x8b" + b"\0" * 30],
    ids=["empty", "no gzip", "no tar", "cut off", "zeros"],
)
def test_what_is_no_archive_is_refused(unpacked: Callable[[bytes], Path], content: bytes) -> None:
    """With a word on why."""
    with pytest.raises(BuildFailed, match="cannot be unpacked"):
        unpacked(content)


def test_a_bomb_of_bytes_is_refused_before_it_is_written(unpacked: Callable[[bytes], Path], tmp_path: Path) -> None:
    """200 MB of zeros pack to 200 kB."""
    one = entry("zeros", size=archive.MOST_BYTES + 1)

    with pytest.raises(BuildUnknown) as caught:
        unpacked(packed(one))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY
    assert not (tmp_path / "inner" / "tree" / "zeros").exists()


def test_a_bomb_of_files_is_refused(unpacked: Callable[[bytes], Path]) -> None:
    """Empty files use up a disk as well."""
    with pytest.raises(BuildUnknown, match="more than 20000 files"):
        unpacked(packed(*(entry(f"f{n}", tarfile.DIRTYPE if n else tarfile.REGTYPE) for n in range(20_001))))


def test_a_disk_that_is_full_is_not_the_archive_s_fault(unpacked: Callable[[bytes], Path]) -> None:
    """Nothing is known of it then; here no file may become that large."""
    content = tar_of({"a.yaml": "a" * 100_000})
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(BuildUnknown, match="cannot be unpacked here: File too large") as caught:
            unpacked(content)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    assert caught.value.reason == reasons.BUILD_TOO_COSTLY


def test_names_that_contradict_each_other_are_the_archive_s_fault(unpacked: Callable[[bytes], Path]) -> None:
    """A file where another one needs a directory."""
    with pytest.raises(BuildFailed, match="cannot be unpacked"):
        unpacked(tar_of({"a": "a", "a/b": "b"}))
