"""Servers that flood, lie, refuse or talk rubbish cost a bounded amount and give one of our errors."""

import hashlib
import socket
import zlib
from collections.abc import Callable, Iterator

import pytest

from reconciliation_contract.adapters.git import (
    AccessDenied,
    Commit,
    Git,
    GitRef,
    GitSettings,
    Malformed,
    NotFound,
    Remote,
    TimedOut,
    TooLarge,
    Unreachable,
)
from tests.support.git_server import http_answer, packet, read_request, serve_raw

PATIENT = GitSettings(allow_local=True)
MAIN = GitRef(branch="main")
HASH = "0123456789" * 4
HEADER = b"HTTP/1.1 200 OK\r\nContent-Type: application/x-git-upload-pack-advertisement\r\n"
V2 = http_answer(
    packet(b"# service=git-upload-pack\n") + b"0000" + packet(b"version 2\n") + packet(b"ls-refs\n")
    + packet(b"fetch=shallow filter\n") + b"0000"
)  # fmt: skip


def flood(connection: socket.socket) -> None:
    """Advertise refs for ever."""
    read_request(connection)
    connection.sendall(HEADER + b"\r\n" + packet(b"# service=git-upload-pack\n") + b"0000")
    line = packet(b"%s refs/heads/%050d\0side-band-64k\n" % (HASH.encode(), 1))
    while True:
        connection.sendall(line * 500)


async def test_endless_refs_are_cut_off() -> None:
    """A list of refs that never ends is left at the limit."""
    settings = GitSettings(allow_local=True, max_refs_bytes=200_000)

    with serve_raw(flood) as url, pytest.raises(TooLarge, match="200000 bytes"):
        await Git(settings).head(Remote(url), MAIN)


def answer_questions(connection: socket.socket) -> None:
    """Answer everything before a pack, and begin the answer with the pack."""
    read_request(connection)
    connection.sendall(V2)
    read_request(connection)
    connection.sendall(http_answer(packet(HASH.encode() + b" HEAD\n") + b"0000", "result"))
    read_request(connection)
    connection.sendall(HEADER.replace(b"advertisement", b"result") + b"\r\n")


def answering_pack(pack: Iterator[bytes]) -> Callable[[socket.socket], None]:
    """A server that answers with these pieces of a pack."""

    def answer(connection: socket.socket) -> None:
        answer_questions(connection)
        connection.sendall(packet(b"packfile\n"))
        for piece in pack:
            connection.sendall(packet(b"\x01" + piece))
        connection.sendall(b"0000")

    return answer


def blobs_without_end() -> Iterator[bytes]:
    """A pack with one huge file, which never ends."""
    stream = zlib.compressobj(0)
    yield b"PACK" + (2).to_bytes(4) + (1).to_bytes(4) + bytes([0xBF, 0xFF, 0xFF, 0xFF, 0xFF, 0x7F])
    while True:
        yield stream.compress(bytes(30_000))


async def test_a_pack_that_is_too_large_is_cut_off() -> None:
    """A server that sends files and never the commit is left at the limit."""
    settings = GitSettings(allow_local=True, max_pack_bytes=6 * 2**20)

    with serve_raw(answering_pack(blobs_without_end())) as url, pytest.raises(TooLarge, match="6291456 bytes"):
        await Git(settings).commit(Remote(url), HASH)


@pytest.mark.parametrize(
    ("said", "error"),
    [(b"fatal: no such object s3cret", NotFound), (b"access denied s3cret", AccessDenied), (b"s3cret", Malformed)],
)
async def test_refusals_in_place_of_a_pack(said: bytes, error: type[Exception]) -> None:
    """A server that gives up in the middle of its answer says why on a band of its own."""

    def refuse(connection: socket.socket) -> None:
        answer_questions(connection)
        connection.sendall(packet(b"packfile\n") + packet(b"\x03" + said) + b"0000")

    with serve_raw(refuse) as url, pytest.raises(error) as raised:
        await Git(PATIENT).commit(Remote(url), HASH)

    assert "s3cret" not in str(raised.value)


async def test_a_commit_after_files_is_found() -> None:
    """A server that sends the commit last is understood too."""
    raw = b"tree %s\nauthor A <a> 1 +0000\ncommitter C <c> 2 +0000\n\nLast" % HASH.encode()
    hash_ = hashlib.sha1(b"commit %d\0" % len(raw) + raw).hexdigest()
    pack = b"PACK" + (2).to_bytes(4) + (2).to_bytes(4) + b"\x35" + zlib.compress(b"files")
    pack += bytes([0x90 | len(raw) & 15, len(raw) >> 4]) + zlib.compress(raw) + bytes(20)

    with serve_raw(answering_pack(iter([pack[:50], pack[50:]]))) as url:
        commit = await Git(PATIENT).commit(Remote(url), hash_)

    assert commit == Commit(hash_, commit.committed_at, commit.authored_at, "Last")


RUBBISH = {
    "no HTTP": b"220 smtp.example.org ESMTP\r\n",
    "nothing": b"",
    "a web page": b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\nhtml",
    "compressed": HEADER + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx",
    "no packets": http_answer(b"hello world"),
    "a short packet": http_answer(b"00ffabc"),
    "an empty advertisement": http_answer(b""),
    "another service": http_answer(packet(b"# service=git-receive-pack\n") + b"0000"),
    "two lines": http_answer(packet(b"a\n") + packet(b"b\n") + b"0000"),
    "refs without hashes": http_answer(packet(b"# service=git-upload-pack\n") + b"0000" + packet(b"x") + b"0000"),
    "a hash that is none": http_answer(
        packet(b"# service=git-upload-pack\n") + b"0000" + packet(b"abc refs/heads/main\0agent=x") + b"0000"
    ),
    "SHA-256": http_answer(
        packet(b"# service=git-upload-pack\n") + b"0000" + packet(b"a" * 64 + b" refs/heads/main\0agent=x") + b"0000"
    ),
    "broken chunks": HEADER + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a broken length": HEADER + b"Content-Length: 100\r\n\r\n001e# service",
    "binary": bytes(range(256)) * 10,
}


@pytest.mark.parametrize("answer", RUBBISH.values(), ids=RUBBISH)
async def test_rubbish_is_malformed_or_unreachable(answer: bytes) -> None:
    """Whatever a server says, only our errors come out."""

    def say(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(answer)

    with serve_raw(say) as url, pytest.raises((Malformed, Unreachable)):
        await Git(PATIENT).head(Remote(url), MAIN)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        (b"ERR upload-pack: not our ref", NotFound),
        (b"ERR access denied for s3cret", AccessDenied),
        (b"ERR something s3cret", Malformed),
    ],
)
async def test_refusals_in_the_protocol(said: bytes, error: type[Exception]) -> None:
    """A refusal chooses the error, but its words, which may repeat a secret, are not shown."""

    def refuse(connection: socket.socket) -> None:
        read_request(connection)
        connection.sendall(http_answer(packet(b"# service=git-upload-pack\n") + b"0000" + packet(said) + b"0000"))

    with serve_raw(refuse) as url, pytest.raises(error) as raised:
        await Git(PATIENT).head(Remote(url), MAIN)

    assert "s3cret" not in str(raised.value)


async def test_a_server_without_tls() -> None:
    """Plain HTTP where TLS was asked for is unreachable, not read."""
    with serve_raw(lambda connection: connection.sendall(b"hello")) as url, pytest.raises((Unreachable, TimedOut)):
        await Git(PATIENT).head(Remote(url.replace("http", "https")), MAIN)
