"""One commit out of a pack, as the pack streams in.

dulwich's own readers want a whole pack in memory or on disk. A server that ignores the filter sends every file of
the commit, so this one keeps nothing but the commit, checks its hash, and hangs up as soon as it has it: Git sends
commits first. Format: https://git-scm.com/docs/pack-format.
"""

import hashlib
import zlib
from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from dulwich.errors import ObjectFormatException
from dulwich.objects import Commit as CommitObject

from reconciliation_contract.core.values.text import cleaned

from .error import Malformed

_COMMIT, _OFFSET_DELTA, _REFERENCE_DELTA = 1, 6, 7
_KINDS = frozenset({1, 2, 3, 4, _OFFSET_DELTA, _REFERENCE_DELTA})
_LARGEST_COMMIT = 2**20
_INFLATE_AT_ONCE = 256 * 2**10
_LONGEST_SUBJECT = 200
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Reader = Generator[None, bytes, None]


@dataclass(frozen=True)
class Commit:
    """What is known of a commit: its times are what its author's clock, or imagination, said."""

    hash: str
    committed_at: datetime
    authored_at: datetime
    subject: str
    """First line of the message, at most 200 characters, without control and bidi characters."""


class CommitFound(Exception):
    """The wanted commit has arrived: the rest of the pack need not. Not an error."""

    def __init__(self, raw: bytes) -> None:
        super().__init__("the commit has arrived")
        self.raw = raw


class CommitSink:
    """Takes a pack in pieces of any size and raises `CommitFound` at the wanted commit."""

    def __init__(self, url: str, wanted: str, on_start: Callable[[], None]) -> None:
        self._url = url
        self._wanted = wanted
        self._on_start = on_start
        self._pending = bytearray()
        self._reader = self._objects()
        next(self._reader)

    def __call__(self, data: bytes) -> int:
        """Take the next piece; raise `Malformed` for what no pack with a commit looks like."""
        try:
            self._reader.send(data)
        except StopIteration:
            raise Malformed(self._url, f"the pack does not contain commit {self._wanted}") from None
        except zlib.error as error:
            raise Malformed(self._url, "the pack is corrupt") from error
        return len(data)

    def _objects(self) -> _Reader:
        header = yield from self._take(12)
        self._on_start()
        if header[:4] != b"PACK" or int.from_bytes(header[4:8]) not in {2, 3}:
            raise Malformed(self._url, "the pack has no valid header")
        for _ in range(int.from_bytes(header[8:])):
            kind, size = yield from self._entry()
            raw = yield from self._inflate(size, keep=kind == _COMMIT)
            if kind == _COMMIT and commit_hash(raw) == self._wanted:
                raise CommitFound(raw)

    def _take(self, size: int) -> Generator[None, bytes, bytes]:
        while len(self._pending) < size:
            self._pending += yield
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken

    def _entry(self) -> Generator[None, bytes, tuple[int, int]]:
        """Return the type and inflated size of the next object, and skip what names a delta's base."""
        first, *rest = yield from self._number()
        kind, size = first >> 4 & 0b111, first & 0b1111
        for position, byte in enumerate(rest):
            size |= (byte & 0x7F) << (4 + 7 * position)
        if kind not in _KINDS or (kind == _COMMIT and size > _LARGEST_COMMIT):
            raise Malformed(self._url, "the pack has an object of unknown type or a commit of unlikely size")
        if kind == _OFFSET_DELTA:
            yield from self._number()
        elif kind == _REFERENCE_DELTA:
            yield from self._take(20)
        return kind, size

    def _number(self) -> Generator[None, bytes, bytes]:
        """Return the bytes of a number of variable length: all but the last have the highest bit set."""
        taken = b""
        while not taken or taken[-1] & 0x80:
            taken += yield from self._take(1)
            if len(taken) > 10:  # noqa: PLR2004 - 64 bits at 7 a byte
                raise Malformed(self._url, "the pack has a number of impossible length")
        return taken

    def _inflate(self, size: int, *, keep: bool) -> Generator[None, bytes, bytes]:
        """Return the next object's content, or nothing if it is not to be kept; never more than it declares."""
        stream = zlib.decompressobj()
        content, length = bytearray(), 0
        while True:
            piece = stream.decompress(bytes(self._pending), _INFLATE_AT_ONCE)
            self._pending = bytearray(stream.unconsumed_tail or stream.unused_data)
            length += len(piece)
            if length > size:
                raise Malformed(self._url, "the pack has an object larger than it declares")
            if keep:
                content += piece
            if stream.eof:
                return bytes(content)
            if not self._pending and len(piece) < _INFLATE_AT_ONCE:
                self._pending += yield


def commit_hash(raw: bytes) -> str:
    """Return the name Git gives to a commit object of this content."""
    return hashlib.sha1(b"commit %d\0" % len(raw) + raw, usedforsecurity=False).hexdigest()


def parse_commit(url: str, raw: bytes) -> Commit:
    """Return what a commit object says; raise `Malformed` if a calendar cannot hold its times."""
    try:
        found = CommitObject.from_string(raw)
        committed_at = _EPOCH + timedelta(seconds=found.commit_time)
        authored_at = _EPOCH + timedelta(seconds=found.author_time)
    except (LookupError, ObjectFormatException, OverflowError, TypeError, ValueError) as error:
        raise Malformed(url, "the commit has no valid author, committer or time") from error
    # Whatever the commit says its encoding is: a codec chosen by a stranger is not worth an accent.
    message = raw.partition(b"\n\n")[2].lstrip()
    subject = message.partition(b"\n")[0].decode("utf-8", "replace")
    return Commit(
        hash=commit_hash(raw),
        committed_at=committed_at,
        authored_at=authored_at,
        subject=cleaned(subject, _LONGEST_SUBJECT),
    )
