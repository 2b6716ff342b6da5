"""Servers that hang or drip, and names that lead astray, cost a bounded amount and hurt nobody else."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from reconciliation_contract.adapters.git import (
    AddressRefused,
    Git,
    GitRef,
    GitSettings,
    Remote,
    TimedOut,
    Unreachable,
)
from tests.support.git_server import Repository, read_request, serve, serve_raw

QUICK = GitSettings(
    allow_local=True,
    connect_timeout=timedelta(seconds=0.5),
    read_timeout=timedelta(seconds=0.5),
    total_timeout=timedelta(seconds=0.2),
)
PATIENT = GitSettings(allow_local=True)
MAIN = GitRef(branch="main")
HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n"


def idle_threads() -> list[threading.Thread]:
    """The adapter's threads that are still there."""
    return [thread for thread in threading.enumerate() if thread.name == "git"]


@pytest.fixture
def repository(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The URL and head of a server that works."""
    head = Repository.create(tmp_path / "fine.git").commit()
    with serve(tmp_path) as served:
        yield f"{served.url}/fine.git".replace("127.0.0.1", "localhost"), head


def hang(connection: socket.socket) -> None:
    """Say nothing until the client goes away."""
    while connection.recv(65536):
        pass


def drip_status(connection: socket.socket) -> None:
    """Send a status line that never ends, a byte at a time."""
    connection.settimeout(0.02)
    connection.sendall(b"HTTP/1.1 200 ")
    while True:
        connection.sendall(b"O")
        with_timeout(connection)


def drip_body(connection: socket.socket) -> None:
    """Send a body that never ends, a byte at a time."""
    connection.settimeout(0.02)
    connection.sendall(HEADER + b"Content-Length: 60000\r\n\r\n" + b"fff0")
    while True:
        connection.sendall(b"a")
        with_timeout(connection)


def with_timeout(connection: socket.socket) -> None:
    """Wait a moment, or notice that the client is gone."""
    try:
        if not connection.recv(65536):
            raise ConnectionResetError
    except TimeoutError:
        return


@pytest.mark.parametrize("behaviour", [hang, drip_status, drip_body])
async def test_a_server_that_never_answers_times_out(behaviour: Callable[[socket.socket], None]) -> None:
    """Silence and dripping end at the total time-out, and leave no thread behind."""
    with serve_raw(behaviour) as url, pytest.raises(TimedOut, match=r"0\.2 s"):
        await Git(QUICK).head(Remote(url), MAIN)

    for thread in idle_threads():
        thread.join(10)
    assert idle_threads() == []


async def test_a_tls_handshake_that_never_ends_times_out() -> None:
    """A server silent before TLS is established is cut off as well."""
    with serve_raw(hang) as url, pytest.raises(TimedOut):
        await Git(QUICK).head(Remote(url.replace("http", "https")), MAIN)

    for thread in idle_threads():
        thread.join(10)
    assert idle_threads() == []


async def test_a_silent_read_times_out_by_itself() -> None:
    """One read has its own, shorter, limit."""
    settings = GitSettings(allow_local=True, read_timeout=timedelta(seconds=0.1))

    with serve_raw(hang) as url, pytest.raises(TimedOut, match=r"0\.1 s"):
        await Git(settings).head(Remote(url), MAIN)


async def test_a_hanging_host_does_not_block_another(repository: tuple[str, str]) -> None:
    """However many questions hang at one host, another host is answered at once."""
    url, head = repository
    adapter = Git(PATIENT)

    with serve_raw(hang) as silent:
        stuck = [asyncio.create_task(adapter.head(Remote(silent), MAIN)) for _ in range(20)]
        found = await asyncio.wait_for(adapter.head(Remote(url), MAIN), 10)
        pending = sum(not task.done() for task in stuck)
        for task in stuck:
            task.cancel()
        await asyncio.wait(stuck)

    assert (found, pending) == (head, 20)


async def test_no_more_questions_at_once_than_set() -> None:
    """Half of the slots, and no more, serve one host; the rest waits its turn."""
    open_now: list[socket.socket] = []
    most: list[int] = []
    pair = threading.Barrier(2, timeout=10)

    def count(connection: socket.socket) -> None:
        connection.settimeout(0.02)
        open_now.append(connection)
        most.append(len(open_now))
        pair.wait()
        with_timeout(connection)
        open_now.pop()

    with serve_raw(count) as url:
        adapter = Git(GitSettings(allow_local=True, max_concurrent=4))
        asked = [adapter.head(Remote(url), MAIN) for _ in range(8)]
        outcomes = await asyncio.gather(*asked, return_exceptions=True)

    assert max(most) == 2
    assert {type(outcome) for outcome in outcomes} == {Unreachable}


async def test_cancelling_cuts_the_connection() -> None:
    """Whoever stops waiting also stops the server's work and the thread."""
    asked, gone = threading.Event(), threading.Event()

    def notice(connection: socket.socket) -> None:
        read_request(connection)
        asked.set()
        hang(connection)
        gone.set()

    with serve_raw(notice) as url:
        task = asyncio.create_task(Git(PATIENT).head(Remote(url), MAIN))
        await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        await asyncio.wait([task])
        left = await asyncio.to_thread(gone.wait, 10)

    assert task.cancelled()
    assert left


async def test_refused_connection() -> None:
    """A port nobody listens on is unreachable."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]

    with pytest.raises(Unreachable, match="Connection refused"):
        await Git(PATIENT).head(Remote(f"http://127.0.0.1:{port}"), MAIN)


async def test_unknown_host(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name that does not resolve is unreachable, whatever the resolver says."""

    def fail(*_: object, **__: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", fail)

    with pytest.raises(Unreachable, match="cannot be resolved"):
        await Git(GitSettings()).head(Remote("http://git.example.org/x"), MAIN)


async def test_a_name_that_resolves_to_loopback_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A DNS name is judged by what it resolves to when it is dialled, and nothing is dialled."""
    loopback = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", 80))
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 80))
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [public, loopback])
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("dialled"))

    with pytest.raises(AddressRefused, match="resolves to a loopback address"):
        await Git(GitSettings()).head(Remote("http://git.example.org/x"), MAIN)


async def test_what_was_judged_is_what_is_dialled(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is resolved once, so that a second answer from DNS cannot differ from the judged one."""
    names, dialled = [], []
    public = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 80))

    def resolve(name: str, *_: object, **__: object) -> list[object]:
        names.append(name)
        return [public]

    def connect(_: socket.socket, target: object) -> None:
        dialled.append(target)
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)

    with pytest.raises(Unreachable):
        await Git(GitSettings()).head(Remote("http://git.example.org/x"), MAIN)

    assert (names, dialled) == (["git.example.org"], [("203.0.113.7", 80)])
