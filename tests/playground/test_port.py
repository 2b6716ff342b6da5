"""Ports for clusters side by side."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from playground.port import BLOCK_SIZE, reserve

NAMES = ("a", "b", "c")


def test_every_name_gets_its_own_free_port(tmp_path: Path) -> None:
    """The ports differ and can be bound."""
    with reserve(tmp_path, NAMES) as ports:
        assert set(ports) == set(NAMES)
        assert len(set(ports.values())) == len(NAMES)
        for port in ports.values():
            with socket.socket() as server:
                server.bind(("127.0.0.1", port))


def test_two_clusters_never_share_a_port(tmp_path: Path) -> None:
    """Even before anybody listens, a reserved port is not given to another."""
    with reserve(tmp_path, NAMES) as first, reserve(tmp_path, NAMES) as second:
        assert not set(first.values()) & set(second.values())


def test_ports_are_below_those_of_outgoing_connections(tmp_path: Path) -> None:
    """Else the kernel could give one to a client socket before the server binds it."""
    with reserve(tmp_path, NAMES) as ports:
        assert max(ports.values()) < 32_768


def test_more_names_than_a_block_holds_are_refused(tmp_path: Path) -> None:
    """A mistake of the programmer, told at once."""
    with pytest.raises(ValueError, match="a block holds"), reserve(tmp_path, NAMES * BLOCK_SIZE):
        pass
