"""One operation's way to the network: checked addresses, bounded time and bytes.

It runs in a worker thread and is cut from the event loop's: cutting shuts the sockets down, which wakes a thread that
waits in a connect, a TLS handshake, or for the next byte of a server that sends one every nine seconds.
"""

import http.client
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from reconciliation_contract.core.values.local_address import local_kind

from .address import Address
from .error import AddressRefused, GitError, Malformed, TimedOut, TooLarge, Unreachable, refusal


@dataclass(frozen=True)
class GitSettings:
    """Bounds of what a repository may cost, and whether local addresses may be dialled (tests, playground)."""

    allow_local: bool = False
    connect_timeout: timedelta = timedelta(seconds=10)
    read_timeout: timedelta = timedelta(seconds=10)
    """Of one read from the network."""
    total_timeout: timedelta = timedelta(seconds=20)
    """Of one fact, waiting for a free slot not counted."""
    max_refs_bytes: int = 4 * 2**20
    """Of what comes before a pack: parsed into objects, so it costs several times its size."""
    max_pack_bytes: int = 32 * 2**20
    """Of a whole answer with a pack: read as a stream, so it costs no memory."""
    max_concurrent: int = 4
    """Operations at once; one host gets at most half of them, so that one that hangs leaves room."""


class Wire:
    """The sockets, clock and byte counter of one operation on one repository."""

    def __init__(self, url: str, settings: GitSettings) -> None:
        self._url = url
        self._settings = settings
        self._deadline = time.monotonic() + settings.total_timeout.total_seconds()
        self._limit = settings.max_refs_bytes
        self._received = 0
        self._lock = threading.Lock()
        self._cut = False
        self._handles: list[socket.socket] = []

    def dial(self, address: Address) -> socket.socket:
        """Return a connection to the address: resolved once, every result judged, then connected to as judged."""
        try:
            found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise Unreachable(self._url, "its host name cannot be resolved") from error
        for *_, target in found:
            if not self._settings.allow_local and (kind := local_kind(str(target[0]))):
                raise AddressRefused(self._url, f"its host resolves to a {kind} address")
        failure: OSError = OSError("its host name has no address")
        for family, kind_of_socket, protocol, _, target in found:
            try:
                return self._connect(socket.socket(family, kind_of_socket, protocol), target)
            except OSError as error:
                failure = error
        raise self.fault(failure) from failure

    def _connect(self, connection: socket.socket, target: tuple[Any, ...]) -> socket.socket:
        try:
            connection.settimeout(min(self._settings.connect_timeout.total_seconds(), self._remaining()))
            connection.connect(target)
            connection.settimeout(self._settings.read_timeout.total_seconds())
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._keep(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep(self, connection: socket.socket) -> None:
        # A duplicate: wrapping in TLS takes the descriptor away from the socket object, and a number that was
        # closed and given out again must never be shut down.
        with self._lock:
            if self._cut:
                raise TimedOut(self._url, self._settings.total_timeout.total_seconds())
            self._handles.append(connection.dup())

    def read(self, some: Callable[[int], bytes], size: int) -> bytes:
        """Return `size` bytes, or fewer at the end of the stream, from a function that returns at most as many."""
        data = bytearray()
        while len(data) < size:
            self._remaining()
            try:
                chunk = some(size - len(data))
            except (OSError, http.client.HTTPException) as error:
                raise self.fault(error) from error
            if not chunk:
                break
            data += chunk
            self._received += len(chunk)
            if self._received > self._limit:
                raise TooLarge(self._url, self._limit)
        if data.startswith(b"ERR "):
            # A refusal in place of an answer, which dulwich looks for in lists of refs only. No other packet
            # begins so: refs begin with a hash, packs with the number of their band.
            raise refusal(self._url, data.decode("utf-8", "replace"))
        return bytes(data)

    def expect_pack(self) -> None:
        """Allow as many bytes as a pack may have."""
        self._limit = self._settings.max_pack_bytes

    def _remaining(self) -> float:
        left = self._deadline - time.monotonic()
        if self._cut or left <= 0:
            raise TimedOut(self._url, self._settings.total_timeout.total_seconds())
        return left

    def cut(self) -> None:
        """End the operation from any thread: whoever waits for the network stops waiting."""
        with self._lock:
            self._cut = True
            for handle in self._handles:
                try:
                    handle.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # the server was faster

    def close(self) -> None:
        """Release the sockets, once the worker is done with them."""
        with self._lock:
            self._cut = True
            while self._handles:
                self._handles.pop().close()

    def fault(self, error: OSError | http.client.HTTPException) -> GitError:
        """Return our error for one of the network's."""
        if isinstance(error, TimeoutError):
            return TimedOut(self._url, self._settings.read_timeout.total_seconds())
        if isinstance(error, ssl.SSLCertVerificationError):
            return Unreachable(
                self._url,
                f"its certificate is not trusted ({error.verify_message})",
                "put the issuing CA into ca.crt of the Secret named by secretRef",
            )
        if isinstance(error, ssl.SSLError):
            return Unreachable(self._url, f"TLS failed ({error.reason})")
        if isinstance(error, OSError):
            return Unreachable(self._url, error.strerror or "the connection broke")
        return Malformed(self._url, f"its HTTP is broken ({type(error).__name__})")
