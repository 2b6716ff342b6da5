"""One commit out of a pack that comes in pieces, and what it says."""

import hashlib
import zlib
from collections.abc import Iterable
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation_contract.adapters.git import GitError, Malformed
from reconciliation_contract.adapters.git.commit import CommitFound, CommitSink, commit_hash, parse_commit

URL = "https://host/repo"
TREE = b"tree 0123456789012345678901234567890123456789\n"


def commit_object(
    author: bytes = b"A <a@b> 1600000000 -0500",
    committer: bytes = b"C <c@d> 1700000000 +0200",
    message: bytes = b"Hi",
) -> bytes:
    """A commit object's content."""
    return TREE + b"author " + author + b"\ncommitter " + committer + b"\n\n" + message


def entry(kind: int, content: bytes, size: int | None = None, base: bytes = b"") -> bytes:
    """One object of a pack; a wrong size may be declared."""
    left = len(content) if size is None else size
    head = bytearray([kind << 4 | left & 15])
    left >>= 4
    while left:
        head[-1] |= 0x80
        head.append(left & 0x7F)
        left >>= 7
    return bytes(head) + base + zlib.compress(content)


def pack(*entries: bytes) -> bytes:
    """A pack of these objects."""
    body = b"PACK" + (2).to_bytes(4) + len(entries).to_bytes(4) + b"".join(entries)
    return body + hashlib.sha1(body).digest()


def feed(wanted: bytes, pieces: Iterable[bytes]) -> bytes | None:
    """Return the commit found in the pieces, or None."""
    sink = CommitSink(URL, commit_hash(wanted), lambda: None)
    try:
        for piece in pieces:
            sink(piece)
    except CommitFound as found:
        return found.raw
    return None


def pieces_of(data: bytes, size: int) -> list[bytes]:
    """Cut data into pieces of a size."""
    return [data[start : start + size] for start in range(0, len(data), size)]


@settings(deadline=None)
@given(
    before=st.lists(
        st.one_of(
            st.binary(max_size=3000).map(lambda content: entry(3, content)),
            st.binary(max_size=300).map(lambda content: entry(6, content, base=b"\x81\x02")),
            st.binary(max_size=300).map(lambda content: entry(7, content, base=bytes(20))),
            st.just(entry(1, commit_object(message=b"another"))),
        ),
        max_size=4,
    ),
    size=st.integers(1, 500),
    message=st.binary(max_size=3000),
)
def test_the_commit_is_found_wherever_it_stands(before: list[bytes], size: int, message: bytes) -> None:
    """Other objects, of any type, and any way of cutting the stream make no difference."""
    wanted = commit_object(message=message)

    found = feed(wanted, pieces_of(pack(*before, entry(1, wanted), entry(3, b"after")), size))

    assert found == wanted


def test_the_transfer_ends_at_the_commit() -> None:
    """Nothing after the commit is waited for."""
    wanted = commit_object()
    stream = pack(entry(1, wanted), entry(3, bytes(100)))
    enough = stream.index(zlib.compress(wanted)) + len(zlib.compress(wanted))

    found = feed(wanted, [stream[:enough]])

    assert found == wanted


BOMB = zlib.compress(bytes(64 * 2**20))
BROKEN = {
    "no pack": b"HTTP/1.1 200 OK\r\n\r\n",
    "another version": b"PACK" + (4).to_bytes(4) + (1).to_bytes(4),
    "no objects": pack(),
    "only another commit": pack(entry(1, commit_object(message=b"another"))),
    "the same content as a file": pack(entry(3, commit_object())),
    "an unknown type": pack(entry(5, b"x")),
    "a size that never ends": b"PACK" + (2).to_bytes(4) + (1).to_bytes(4) + b"\xbf" + b"\xff" * 20,
    "a commit of a gigabyte": pack(entry(1, b"x", size=2**30)),
    "a commit larger than declared": pack(entry(1, commit_object(), size=5)),
    "a bomb": pack(b"\x31" + BOMB),
    "corrupt data": b"PACK" + (2).to_bytes(4) + (1).to_bytes(4) + b"\x35not zlib",
}


@pytest.mark.parametrize("stream", BROKEN.values(), ids=BROKEN)
def test_packs_without_the_commit_are_malformed(stream: bytes) -> None:
    """A pack that is broken, hostile or about something else is refused."""
    with pytest.raises(Malformed):
        feed(commit_object(), pieces_of(stream, 65536))


@settings(deadline=None)
@given(st.binary(max_size=200), st.integers(1, 50))
def test_any_bytes_are_refused_or_waited_on(noise: bytes, size: int) -> None:
    """No byte stream raises anything but our error."""
    for stream in (noise, pack(noise), b"PACK" + (2).to_bytes(4) + (9).to_bytes(4) + noise):
        try:
            found = feed(commit_object(), pieces_of(stream, size))
        except GitError:
            continue
        assert found is None


def test_what_a_commit_says() -> None:
    """Times are in UTC, whatever zone they were written in."""
    raw = commit_object(message=b"\nFix the thing\n\nAnd more.")

    commit = parse_commit(URL, raw)

    assert commit.committed_at == datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
    assert commit.authored_at == datetime(2020, 9, 13, 12, 26, 40, tzinfo=UTC)
    assert (commit.subject, commit.hash) == ("Fix the thing", commit_hash(raw))


@pytest.mark.parametrize(
    ("message", "subject"),
    [
        (b"", ""),
        (b"\n\n", ""),
        (b"x" * 5000, "x" * 199 + "…"),
        (b"red \x1b[31m\x07 bell\x00", "red [31m bell"),
        ("safe \u202eevil\u2066\u200b".encode(), "safe evil"),
        (b"caf\xe9", "caf\ufffd"),
        ("Gr\u00fc\u00dfe \U0001f680".encode(), "Gr\u00fc\u00dfe \U0001f680"),
        (b"one\rtwo\ttabs", "one two tabs"),
    ],
    ids=ascii,
)
def test_subjects_are_fit_to_be_shown(message: bytes, subject: str) -> None:
    """A subject is one bounded line that cannot steer a terminal or reverse its reader."""
    commit = parse_commit(URL, commit_object(message=message))

    assert commit.subject == subject


@pytest.mark.parametrize(
    ("time", "year"),
    [(b"0", 1970), (b"-86400", 1969), (b"253402300799", 9999), (b"315532799", 1979)],
    ids=["epoch", "before", "last year", "before 1980"],
)
def test_implausible_times_are_returned(time: bytes, year: int) -> None:
    """A forged time that a calendar can hold is passed on; the core judges it."""
    commit = parse_commit(URL, commit_object(committer=b"C <c> " + time + b" +0000"))

    assert commit.committed_at.year == year


@pytest.mark.parametrize(
    "committer",
    [
        b"C <c> 253402300800 +0000",
        b"C <c> 99999999999999999999999999 +0000",
        b"C <c> -99999999999999 +0000",
        b"C <c> " + b"9" * 5000 + b" +0000",
        b"C <c> yesterday +0000",
        b"C <c> 1700000000",
        b"C <c>",
        b"",
        b"C <c> nan +0000",
        b"C <c> 1700000000 +" + b"9" * 400,
    ],
    ids=lambda value: ascii(value)[:30],
)
def test_impossible_times_are_malformed(committer: bytes) -> None:
    """A time that no calendar can hold, or that is none, is refused."""
    with pytest.raises(Malformed, match="no valid author, committer or time"):
        parse_commit(URL, commit_object(committer=committer))


@settings(deadline=None)
@given(
    st.binary() | st.binary().map(lambda noise: TREE + noise) | st.binary().map(lambda n: commit_object(committer=n))
)
def test_any_commit_is_parsed_or_malformed(raw: bytes) -> None:
    """No content of a commit object raises anything but our error."""
    try:
        commit = parse_commit(URL, raw)
    except Malformed:
        return

    assert len(commit.subject) <= 200
