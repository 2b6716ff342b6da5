"""Free ports for one cluster, kept from other clusters on this machine.

Ports are taken below the range that the kernel hands to outgoing connections (32768 and up by default), so
that no client socket can grab one between choosing it and binding it. A block of them is held by a file lock
for as long as the cluster lives, so that two clusters that start at the same moment cannot choose the same.
"""

from __future__ import annotations

import contextlib
import fcntl
import random
import socket
from collections.abc import Iterator
from pathlib import Path

FIRST = 20_000
BLOCKS = 500
BLOCK_SIZE = 24


class NoFreePortsError(Exception):
    """Every block of ports is held by another cluster or another program."""


@contextlib.contextmanager
def reserve(directory: Path, names: tuple[str, ...]) -> Iterator[dict[str, int]]:
    """Give each name its own free port on 127.0.0.1 until the context ends.

    The lock files lie in `directory`, which is made if missing; a process that dies drops its lock.
    """
    if len(names) > BLOCK_SIZE:
        raise ValueError(f"{len(names)} ports wanted, a block holds {BLOCK_SIZE}")
    directory.mkdir(parents=True, exist_ok=True)
    # A random order, so that concurrent starts seldom meet. Not for security.
    for block in random.sample(range(BLOCKS), BLOCKS):
        with (directory / f"{block}.lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                continue
            first = FIRST + block * BLOCK_SIZE
            ports = range(first, first + len(names))
            if not all(_is_free(port) for port in ports):
                continue
            yield dict(zip(names, ports, strict=True))
            return
    raise NoFreePortsError(f"no {len(names)} free ports in a row from {FIRST} up")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        # Connections of an earlier cluster in TIME_WAIT do not hinder a server, and do not count here.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
