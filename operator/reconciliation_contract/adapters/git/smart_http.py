"""Git over HTTP and HTTPS: one connection to one origin, for as long as one operation lasts.

The standard library's client rather than urllib3's pools: its `connect` is made to be overridden, so that the socket
is judged and cut like any other, and it follows no redirect by itself.
"""

import http.client
import os
import ssl
from collections.abc import Callable, Iterator, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import urljoin, urlsplit

from dulwich.client import AbstractHttpGitClient

from .address import DEFAULT_PORTS, Address
from .credentials import HOLDER, Credentials
from .error import AccessDenied, AddressRefused, GitError, Malformed, NotFound, Unreachable
from .wire import Wire

if TYPE_CHECKING:
    from dulwich.client import HTTPResponse

_MOST_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BUSY = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_EARLY, HTTPStatus.TOO_MANY_REQUESTS})
_QUESTION = "info/refs?service=git-upload-pack"
_ADVERTISEMENT = "application/x-git-upload-pack-advertisement"
# GitHub serves Git only to agents whose name begins so.
_AGENT = "git/reconciliation-contract"


class HttpGitClient(AbstractHttpGitClient):
    """Speaks smart HTTP to the origin of one address and to no other, whatever answers point to."""

    def __init__(self, wire: Wire, address: Address, credentials: Credentials, tls: ssl.SSLContext | None) -> None:
        super().__init__(address.base, thin_packs=False)
        self._wire = wire
        self._address = address
        self._authorization = credentials.authorization()
        self._connection = _Connection(wire, address, tls)
        self._answer: _Answer | None = None

    def _http_request(
        self,
        url: str,
        headers: Mapping[str, str] | None = None,
        data: bytes | Iterator[bytes] | None = None,
        raise_for_status: bool = True,  # noqa: ARG002 - asked for only when the server is a folder of files
    ) -> "tuple[HTTPResponse, Callable[[int], bytes]]":
        """Return an answer and the function to read it: what dulwich documents for subclasses to provide."""
        location = url
        answer = self._ask(url, headers or {}, data)
        for _ in range(_MOST_REDIRECTS):
            if data is not None or answer.status not in _REDIRECTS:
                break
            location = self._redirected(location, answer)
            answer = self._ask(location, headers or {}, data)
        if error := self._error(answer, posted=data is not None):
            raise error
        answer.redirect_location = location if location != url else ""
        return answer, answer.read

    def _ask(self, url: str, headers: Mapping[str, str], data: bytes | Iterator[bytes] | None) -> "_Answer":
        sent = {**headers, "User-Agent": _AGENT, "Accept-Encoding": "identity"}
        if self._authorization:
            sent["Authorization"] = self._authorization
        target = self._target(url)
        if self._answer and not self._answer.end():
            self._connection.close()
        try:
            self._connection.request("GET" if data is None else "POST", target, data, sent)
            self._answer = _Answer(self._wire, self._connection.getresponse())
        except (OSError, http.client.HTTPException) as error:
            raise self._wire.fault(error) from error
        return self._answer

    def _target(self, url: str) -> str:
        try:
            parts = urlsplit(url)
            port = parts.port or DEFAULT_PORTS.get(parts.scheme)
        except ValueError as error:
            raise Malformed(self._address.base, "it redirects to what is not a URL") from error
        if (parts.scheme, parts.hostname, port) != (self._address.scheme, self._address.host, self._address.port):
            raise AddressRefused(
                self._address.base,
                "it redirects to another scheme, host or port",  # which one is its answer, and told to nobody
                "set spec.url of the GitRepository to the final address",
            )
        return f"{parts.path}?{parts.query}" if parts.query else parts.path

    def _redirected(self, url: str, answer: "_Answer") -> str:
        try:
            location = urljoin(url, answer.headers.get("location", ""))
        except ValueError as error:
            raise Malformed(self._address.base, "it redirects to what is not a URL") from error
        self._target(location)
        if not location.endswith(_QUESTION):
            raise AccessDenied(self._address.base, "it redirects to a page that is not Git's, as for a login")
        return location

    def _error(self, answer: "_Answer", *, posted: bool) -> GitError | None:
        """Return the error an answer stands for, if any."""
        url, status = self._address.base, answer.status
        if status == HTTPStatus.OK:
            if answer.headers.get("content-encoding", "identity") != "identity":
                return Malformed(url, "its answer is compressed, which was not asked for")
            if not posted and not (answer.content_type or "").startswith(_ADVERTISEMENT):
                return Malformed(url, "it does not speak Git's smart HTTP")
            return None
        if status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return NotFound(url, f"repository (HTTP {status})")
        if status == HTTPStatus.UNAUTHORIZED:
            given = "these credentials are not accepted" if self._authorization else "credentials are needed"
            return AccessDenied(url, f"{given} (HTTP {status})")
        if status == HTTPStatus.FORBIDDEN:
            return AccessDenied(url, f"HTTP {status}")
        if status in _BUSY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            return Unreachable(url, f"HTTP {status}")
        return Malformed(url, f"unexpected HTTP {status}")

    @staticmethod
    def _warn_filter_objects() -> None:
        """Say nothing: a server without filters is expected, and asked again and again."""

    def close(self) -> None:
        """Hang up, whatever is still to come."""
        if self._answer:
            self._answer.release()
        self._connection.close()


class _Connection(http.client.HTTPConnection):
    """Dials through the wire; a second request after a close dials, and is judged, again."""

    def __init__(self, wire: Wire, address: Address, tls: ssl.SSLContext | None) -> None:
        super().__init__(address.host, address.port)
        self.default_port = DEFAULT_PORTS[address.scheme]
        self._wire = wire
        self._address = address
        self._tls = tls

    def connect(self) -> None:
        """Connect to what the wire allows, under TLS if the scheme says so."""
        self.sock = self._wire.dial(self._address)
        if self._tls is None:
            return
        try:
            self.sock = self._tls.wrap_socket(self.sock, server_hostname=self._address.host.rstrip("."))
        except BaseException:
            self.sock.close()
            raise


class _Answer:
    """One HTTP response in the form that dulwich reads."""

    def __init__(self, wire: Wire, response: http.client.HTTPResponse) -> None:
        self._wire = wire
        self._response = response
        self.status = response.status
        self.headers: Mapping[str, str] = {name.lower(): value for name, value in response.getheaders()}
        self.content_type = self.headers.get("content-type")
        self.redirect_location = ""

    def read(self, amt: int | None = None) -> bytes:
        """Return as many bytes as asked for, fewer only at the end."""
        return self._wire.read(self._response.read1, amt or 0)

    def close(self) -> None:
        """Do nothing: dulwich closes answers before their last bytes are read, which the next request needs gone."""

    def end(self) -> bool:
        """Let go of the response and return whether nothing was left to read, so that the connection is free."""
        finished = self._response.isclosed() or not self.read(1)
        self.release()
        return finished

    def release(self) -> None:
        """Let go of the response."""
        self._response.close()

    def geturl(self) -> str | None:
        """Return nothing: see `redirect_location`."""
        return None


def tls_context(ca_bundle: str, certificate: str, key: str) -> ssl.SSLContext:
    """Return how to verify servers, with the system's CAs and these, and to present a client certificate.

    Takes about 25 ms. Raises `Malformed` for what is not PEM.
    """
    context = ssl.create_default_context()
    try:
        if ca_bundle:
            context.load_verify_locations(cadata=ca_bundle)
    except (ssl.SSLError, ValueError):
        raise Malformed(HOLDER, "ca.crt is not a PEM certificate", "correct that key of the Secret") from None
    if certificate:
        _load_client_certificate(context, f"{certificate}\n{key}")
    return context


def _load_client_certificate(context: ssl.SSLContext, pem: str) -> None:
    # OpenSSL's binding reads client keys from paths only; this one leads to memory, so none ever lies on a disk.
    descriptor = os.memfd_create("tls")
    try:
        os.write(descriptor, pem.encode())
        # A password, so that an encrypted key is an error instead of a question on the terminal.
        context.load_cert_chain(f"/proc/self/fd/{descriptor}", password="")
    except (OSError, ValueError):
        raise Malformed(
            HOLDER, "tls.crt and tls.key are not a PEM certificate and its key", "correct those keys of the Secret"
        ) from None
    finally:
        os.close(descriptor)
