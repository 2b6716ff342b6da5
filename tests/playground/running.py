"""Looking at processes: which run, whose children they are."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from playground.cluster import Cluster

ROOT = Path(__file__).parents[2]
"""The folder that holds the playground package."""


def is_running(pid: int) -> bool:
    """A zombie that nobody has collected yet counts as ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def pids_of(cluster: Cluster) -> list[int]:
    return [pid for name in cluster.components if (pid := cluster.pid(name)) is not None]


def children_of(parent: int, *names: str) -> list[int]:
    """Return the direct children of a process, of all its threads."""
    found = []
    for children in Path(f"/proc/{parent}/task").glob("*/children"):
        for pid in map(int, children.read_text().split()):
            command = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0].decode()
            if not names or Path(command).name in names:
                found.append(pid)
    return found


@contextmanager
def in_another_process(*arguments: str, **environment: str) -> Iterator[subprocess.Popen[str]]:
    """Run Python with the playground; it is killed at the end if it still runs."""
    with subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE,
        text=True,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
    ) as process:
        try:
            yield process
        finally:
            process.kill()
