"""A TCP port that nobody listens on."""

from __future__ import annotations

import socket


def free_port() -> int:
    """A port on loopback that was free just now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
