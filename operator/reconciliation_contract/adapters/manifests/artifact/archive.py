"""An artifact unpacked into a directory of its own, and nowhere else."""

from __future__ import annotations

import errno
import gzip
import shutil
import tarfile
import zlib
from pathlib import Path, PurePosixPath
from typing import Final

from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.core.values import reasons

MOST_BYTES: Final = 128 << 20
"""Of all files together, unpacked."""
MOST_FILES: Final = 20_000
DEEPEST: Final = 40
_CHUNK: Final = 1 << 16
_ITS_OWN: Final = (errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG, errno.ENOTDIR)
"""Errors that the archive itself is to blame for: its names are too long, or contradict each other."""


def unpack(archive: Path, directory: Path) -> None:
    """Unpack a tar.gz; directories and plain files only.

    Links are skipped, as Flux skips them. Raises `BuildUnknown` where it is too large, `BuildFailed` where it is no
    such archive or names a place outside.
    """
    left, entries = MOST_BYTES, 0
    try:
        with tarfile.open(archive, "r|gz") as packed:
            for member in packed:
                entries += 1
                if entries > MOST_FILES:
                    raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"the artifact holds more than {MOST_FILES} files")
                if member.isdir():
                    _place(directory, member.name).mkdir(parents=True, exist_ok=True)
                elif member.isreg():
                    left -= member.size
                    if left < 0:
                        text = f"the artifact unpacks to more than {MOST_BYTES >> 20} MiB"
                        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, text)
                    _write(packed, member, _place(directory, member.name))
                elif not (member.issym() or member.islnk()):
                    raise BuildFailed(f"the artifact holds a device or pipe: {member.name}")
    except OSError as error:
        if not isinstance(error, gzip.BadGzipFile) and error.errno not in _ITS_OWN:
            text = f"the artifact cannot be unpacked here: {error.strerror or error}; see to the space in /tmp"
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, text) from error
        raise BuildFailed(f"the artifact cannot be unpacked: {error}") from error
    except (tarfile.TarError, EOFError, ValueError, zlib.error) as error:
        raise BuildFailed(f"the artifact cannot be unpacked: {error}") from error


def _place(directory: Path, name: str) -> Path:
    """Where an entry goes; never outside."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or len(path.parts) > DEEPEST:
        raise BuildFailed(f"the artifact names a place outside, or too deep: {name}")
    return directory / path


def _write(packed: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    source = packed.extractfile(member)
    if source is None:
        return
    # Only what was asked for: owner, mode and times are not the archive's to say.
    with place.open("wb") as target:
        shutil.copyfileobj(source, target, _CHUNK)
