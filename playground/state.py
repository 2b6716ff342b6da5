"""The temporary directory of one cluster, and the removal of what killed clusters left behind.

A cluster holds a file lock in its directory for as long as it lives. A directory whose lock is free belongs to a
process that was killed; the next start removes it, unless it was to be kept.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

PREFIX = "reconciliation-contract-playground-"
LOCK = "lock"
KEEP = "keep"


@contextlib.contextmanager
def state_directory(*, keep: bool = False) -> Iterator[Path]:
    """Make a directory that only this user can read; it is removed at the end unless it is to be kept."""
    remove_abandoned()
    # Under another name until it is locked: to a cluster that starts right now it would look abandoned.
    unlocked = Path(tempfile.mkdtemp(prefix=f"new-{PREFIX}"))
    with (unlocked / LOCK).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        directory = unlocked.rename(unlocked.with_name(unlocked.name.removeprefix("new-")))
        if keep:
            (directory / KEEP).touch()
        try:
            yield directory
        finally:
            if not keep:
                shutil.rmtree(directory, ignore_errors=True)


def remove_abandoned() -> None:
    """Remove the directories of clusters that no longer live. Those of other users are left alone."""
    for lock in Path(tempfile.gettempdir()).glob(f"{PREFIX}*/{LOCK}"):
        try:
            if lock.parent.stat().st_uid != os.getuid():
                continue
            with lock.open("r+") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if not (lock.parent / KEEP).exists():
                    shutil.rmtree(lock.parent, ignore_errors=True)
        except OSError:
            continue
