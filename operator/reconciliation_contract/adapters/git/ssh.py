"""Git over SSH, in pure Python; needs paramiko, which the extra `ssh` brings."""

import io
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import IO, cast

import paramiko
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from dulwich.client import TraditionalGitClient
from dulwich.protocol import Protocol

from .address import Address
from .credentials import HOLDER, Credentials
from .error import AccessDenied, AddressRefused, GitError, Malformed, Unreachable
from .hostkey import HostKey, judge_host_key, known_kinds
from .wire import GitSettings, Wire

_MOST_STDERR = 8192
# RFC 8332: one type of key, signed with better hashes than its name says.
_SIGNATURES = {"ssh-rsa": ("rsa-sha2-512", "rsa-sha2-256")}
_REMEDY = {
    HostKey.UNKNOWN: "add the server's verified key (ssh-keyscan) to known_hosts of the Secret named by secretRef",
    HostKey.CHANGED: "find out why it changed before correcting known_hosts: somebody may be in between",
    HostKey.REVOKED: "give the server a new key: known_hosts marks this one as revoked",
}


class SshGitClient(TraditionalGitClient):
    """Runs git-upload-pack over an SSH connection whose host key is known; never falls back to anything weaker."""

    def __init__(self, wire: Wire, settings: GitSettings, address: Address, credentials: Credentials) -> None:
        super().__init__(thin_packs=False)
        self._wire = wire
        self._settings = settings
        self._address = address
        self._credentials = credentials
        self._opened = ExitStack()

    def _connect(
        self,
        cmd: bytes,
        path: str | bytes,
        protocol_version: int | None = None,  # noqa: ARG002 - the newest is always asked for
    ) -> tuple[Protocol, Callable[[], bool], IO[bytes] | None]:
        """Return the streams of the remote command: what dulwich expects of each transport."""
        location = path if isinstance(path, bytes) else path.encode()
        quoted = b"'" + location.replace(b"'", b"'\\''") + b"'"
        try:
            channel = self._login().open_session(timeout=self._settings.connect_timeout.total_seconds())
            channel.settimeout(self._settings.read_timeout.total_seconds())
            # A server that does not accept it answers in the old protocol.
            channel.set_environment_variable("GIT_PROTOCOL", "version=2")
            channel.exec_command(b"git-" + cmd + b" " + quoted)
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise self._fault(error) from error

        def hang_up() -> None:
            # Saying goodbye to a server that is gone, or was cut off, is no failure.
            with suppress(OSError, EOFError, paramiko.SSHException):
                channel.close()

        protocol = Protocol(lambda size: self._wire.read(channel.recv, size), channel.sendall, hang_up)
        self._opened.callback(protocol.close)
        return protocol, channel.recv_ready, cast("IO[bytes]", _Complaints(channel))

    def _login(self) -> paramiko.Transport:
        address, credentials = self._address, self._credentials
        if not (credentials.ssh_private_key and credentials.known_hosts):
            raise AccessDenied(address.base, "SSH needs identity and known_hosts")
        key = load_private_key(credentials)
        kinds = known_kinds(credentials.known_hosts, address.host, address.port)
        if not kinds:
            raise self._refused(HostKey.UNKNOWN)
        connection = self._wire.dial(address)
        self._opened.callback(connection.close)
        transport = paramiko.Transport(connection)
        self._opened.callback(transport.close)
        patience = self._settings.connect_timeout.total_seconds()
        transport.banner_timeout = transport.handshake_timeout = transport.auth_timeout = patience
        self._ask_for(transport, kinds)
        transport.start_client(timeout=patience)
        presented = transport.get_remote_server_key().asbytes()
        verdict = judge_host_key(credentials.known_hosts, address.host, address.port, presented)
        if verdict is not HostKey.TRUSTED:
            raise self._refused(verdict)
        transport.auth_publickey(credentials.username or address.username or "git", key)
        if not transport.is_authenticated():
            raise AccessDenied(address.base, "the server wants more than a key")
        return transport

    def _ask_for(self, transport: paramiko.Transport, kinds: frozenset[str]) -> None:
        """Ask the server for a key of a type that is known, so that another one is no false alarm."""
        options = transport.get_security_options()
        wanted = {signature for kind in kinds for signature in _SIGNATURES.get(kind, (kind,))}
        usable = [kind for kind in options.key_types if kind in wanted]
        if not usable:
            raise self._refused(HostKey.UNKNOWN)
        options.key_types = usable

    def _refused(self, verdict: HostKey) -> AddressRefused:
        return AddressRefused(
            self._address.base, f"its host key, compared with known_hosts, is {verdict}", _REMEDY[verdict]
        )

    def _fault(self, error: Exception) -> GitError:
        if isinstance(error, paramiko.AuthenticationException):
            return AccessDenied(self._address.base, "the server does not accept this private key")
        if isinstance(error, OSError):
            return self._wire.fault(error)
        return Unreachable(self._address.base, "its SSH fails or speaks no algorithm we accept")

    @staticmethod
    def _warn_filter_objects() -> None:
        """Say nothing: a server without filters is expected, and asked again and again."""

    def close(self) -> None:
        """Hang up, whatever is still to come."""
        self._opened.close()


class _Complaints:
    """What the remote command writes to standard error, of which dulwich reads all lines when it hangs up."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def readlines(self) -> list[bytes]:
        """Return the lines, of the first kilobytes only."""
        text = b""
        while len(text) < _MOST_STDERR and (more := self._channel.recv_stderr(_MOST_STDERR - len(text))):
            text += more
        return text.splitlines(keepends=True)


def load_private_key(credentials: Credentials) -> paramiko.PKey:
    """Return the key of a Secret's `identity`; raise `Malformed` for what is none.

    paramiko reads no PKCS #8, which is what `flux create secret git` writes.
    """
    key = _decrypted(credentials)
    wrapper: type[paramiko.PKey]
    match key:
        case rsa.RSAPrivateKey():
            wrapper = paramiko.RSAKey
        case ec.EllipticCurvePrivateKey():
            wrapper = paramiko.ECDSAKey
        case ed25519.Ed25519PrivateKey():
            wrapper = paramiko.Ed25519Key
        case _:
            raise Malformed(
                HOLDER, "identity is no RSA, ECDSA or Ed25519 private key", "correct that key of the Secret"
            )
    plain = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.OpenSSH, serialization.NoEncryption()
    )
    return wrapper.from_private_key(io.StringIO(plain.decode()))


def _decrypted(credentials: Credentials) -> object:
    text = credentials.ssh_private_key.encode()
    # The password may belong to a user over HTTP while the key has none.
    for password in (credentials.password.encode() or None, None):
        for load in (serialization.load_ssh_private_key, serialization.load_pem_private_key):
            with suppress(ValueError, TypeError, UnsupportedAlgorithm):
                return load(text, password)
    return None
