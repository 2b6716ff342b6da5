"""Reads heads and commits from repositories, each in a thread of its own, a bounded number at a time."""

import asyncio
import concurrent.futures
import functools
import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar
from weakref import WeakValueDictionary

from dulwich.client import GitClient
from dulwich.errors import GitProtocolError, HangupException
from dulwich.object_store import ObjectStoreGraphWalker
from dulwich.objects import ObjectID
from dulwich.protocol import PEELED_TAG_SUFFIX
from dulwich.refs import HEADREF, Ref

from .address import Address, parse_address
from .commit import Commit, CommitFound, CommitSink, parse_commit
from .credentials import ANONYMOUS, Credentials
from .error import GitError, Malformed, SshUnavailable, TimedOut, Unreachable, redact, refusal
from .reference import GitRef, is_hash, pinned_hash, ref_name
from .smart_http import HttpGitClient, tls_context
from .wire import GitSettings, Wire

_T = TypeVar("_T")
# What dulwich and the parsers below it raise at bytes they do not expect.
_NONSENSE = (AssertionError, AttributeError, LookupError, TypeError, ValueError)
_TLS_CONTEXTS = 32


@dataclass(frozen=True)
class Remote:
    """A repository: `spec.url` of a GitRepository and what its Secret says."""

    url: str = field(repr=False)
    credentials: Credentials = ANONYMOUS

    def __str__(self) -> str:
        return redact(self.url)


class Git:
    """Reads facts from repositories; every failure is a `GitError`. For one event loop."""

    def __init__(self, settings: GitSettings) -> None:
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.max_concurrent)
        # Half of the slots for each host: a host that hangs leaves the other half to the rest.
        self._hosts: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        # Making one takes 25 ms, and thousands of sources share a few CAs.
        self._tls = functools.lru_cache(_TLS_CONTEXTS)(tls_context)

    async def head(self, remote: Remote, ref: GitRef) -> str | None:
        """Return the hash of the commit a ref points to now, or None if there is no such ref.

        An annotated tag is followed to its commit. A pinned commit is returned as it is, without asking.
        """
        if pinned := pinned_hash(remote.url, ref):
            return pinned
        name = ref_name(remote.url, ref)
        return await self._run(remote, lambda client, path, _: _head(remote.url, client, path, name))

    async def commit(self, remote: Remote, hash: str) -> Commit:  # noqa: A002 - the word for it
        """Return what a commit says of itself; raise `NotFound` if the server does not have it (any more)."""
        if not is_hash(hash):
            raise Malformed(remote.url, "a commit is named by 40 hexadecimal digits", "report this")
        return await self._run(remote, lambda client, path, wire: _commit(remote.url, client, path, wire, hash))

    async def _run(self, remote: Remote, work: Callable[[GitClient, bytes, Wire], _T]) -> _T:
        """Do the work in a thread when there is a slot; on time-out or cancellation the thread is cut off."""
        address = parse_address(remote.url, self._settings.allow_local)
        half = max(1, self._settings.max_concurrent // 2)
        host = self._hosts.setdefault(address.host, asyncio.Semaphore(half))
        async with host, self._slots:
            wire = Wire(address.base, self._settings)
            seconds = self._settings.total_timeout.total_seconds()
            try:
                async with asyncio.timeout(seconds):
                    return await _in_thread(lambda: self._work(remote, address, wire, work))
            except TimeoutError:
                raise TimedOut(remote.url, seconds) from None
            finally:
                wire.cut()

    def _work(self, remote: Remote, address: Address, wire: Wire, work: Callable[[GitClient, bytes, Wire], _T]) -> _T:
        with _converted(remote.url, wire):
            client, path = self._open(remote, address, wire)
            try:
                return work(client, path, wire)
            finally:
                wire.cut()
                client.close()
                wire.close()

    def _open(self, remote: Remote, address: Address, wire: Wire) -> tuple[GitClient, bytes]:
        given = remote.credentials
        if address.scheme == "ssh":
            try:
                from .ssh import SshGitClient  # noqa: PLC0415 - paramiko is an optional dependency
            except ModuleNotFoundError as error:
                raise SshUnavailable(remote.url) from error
            return SshGitClient(wire, self._settings, address, given), _ssh_path(address)
        if not (given.username or given.password):
            given = replace(given, username=address.username, password=address.password)
        secure = address.scheme == "https"
        tls = self._tls(given.ca_bundle, given.client_certificate, given.client_key) if secure else None
        return HttpGitClient(wire, address, given, tls), b""


def _head(url: str, client: GitClient, path: bytes, name: bytes) -> str | None:
    refs = client.get_refs(path, ref_prefix=[name]).refs
    found = refs.get(Ref(name + PEELED_TAG_SUFFIX)) or refs.get(Ref(name))
    if found is None:
        return None
    hash_ = found.decode("ascii", "replace")
    if not is_hash(hash_):
        raise Malformed(url, "the ref does not point to a SHA-1", "other object formats are not supported")
    return hash_


def _commit(url: str, client: GitClient, path: bytes, wire: Wire, hash_: str) -> Commit:
    def want(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:  # noqa: ARG001 - dulwich's
        return [ObjectID(hash_.encode())]

    sink = CommitSink(url, hash_, wire.expect_pack)
    nothing = ObjectStoreGraphWalker([], lambda _: [])
    try:
        client.fetch_pack(path, want, nothing, sink, depth=1, ref_prefix=[HEADREF], filter_spec=b"tree:0")
    except CommitFound as found:
        return parse_commit(url, found.raw)
    raise Malformed(url, f"the pack does not contain commit {hash_}")


def _ssh_path(address: Address) -> bytes:
    # "/~user/..." is how a URL says "~user/...".
    return address.path.removeprefix("/" if address.path.startswith("/~") else "").encode()


async def _in_thread(work: Callable[[], _T]) -> _T:
    """Return what the work returns; the thread is a daemon, so that one stuck in name resolution delays no exit."""
    outcome: concurrent.futures.Future[_T] = concurrent.futures.Future()

    def run() -> None:
        if not outcome.set_running_or_notify_cancel():
            return
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - handed over to whoever waits
            outcome.set_exception(error)
        else:
            outcome.set_result(result)

    threading.Thread(target=run, name="git", daemon=True).start()
    return await asyncio.wrap_future(outcome)


@contextmanager
def _converted(url: str, wire: Wire) -> Iterator[None]:
    """Turn whatever dulwich, the parsers below it and the network raise into a `GitError`."""
    try:
        yield
    except GitError:
        raise
    except HangupException as error:
        if not error.stderr_lines:
            raise Unreachable(url, "it hung up without an answer") from error
        raise refusal(url, b" ".join(error.stderr_lines).decode("utf-8", "replace")) from error
    except GitProtocolError as error:
        raise refusal(url, str(error)) from error
    except (OSError, http.client.HTTPException) as error:
        raise wire.fault(error) from error
    except _NONSENSE as error:
        raise Malformed(url, "its answer is not Git's protocol") from error
