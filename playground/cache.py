"""Where the playground keeps what outlives one run: built binaries, a Go toolchain, locks."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Callable, Iterator
from pathlib import Path

PROJECT = "reconciliation-contract"


def cache_directory() -> Path:
    """Return the per-user cache directory of this project: under XDG_CACHE_HOME, or ~/.cache. It may not exist."""
    # The XDG specification says that a relative path is to be ignored.
    configured = Path(os.environ.get("XDG_CACHE_HOME", ""))
    home = configured if configured.is_absolute() else Path.home() / ".cache"
    return home / PROJECT


@contextlib.contextmanager
def exclusive(lock: Path, when_waiting: Callable[[], None]) -> Iterator[None]:
    """Hold a file lock; if another process has it, call `when_waiting` once and wait for it without limit.

    The lock file stays; a process that dies drops its lock.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            when_waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
