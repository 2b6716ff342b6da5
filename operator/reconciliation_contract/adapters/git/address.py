"""Which addresses may be dialled.

A URL is judged as it is written, and its resolved addresses once more when they are dialled, so that no DNS name
leads to the operator's own pod or node, or to a cloud's metadata service. Private ranges are where in-cluster Git
servers live: they are allowed.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from reconciliation_contract.core.values.local_address import local_kind

from .error import AddressRefused

DEFAULT_PORTS = {"http": 80, "https": 443, "ssh": 22}
_LONGEST = 2048
_LONGEST_NAME = 253
_MUST_BE_ENCODED = frozenset('"<>\\^`{|}')
_LABEL = r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*\.?")
_LOCAL_NAMES = ("localhost", "metadata.google.internal")


@dataclass(frozen=True)
class Address:
    """A checked URL in its parts; the path of SSH is percent-decoded, that of HTTP is as written."""

    scheme: str
    host: str
    port: int
    path: str
    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)

    @property
    def base(self) -> str:
        """The URL without user and password."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port == DEFAULT_PORTS[self.scheme] else f":{self.port}"
        return f"{self.scheme}://{host}{port}{self.path}"


def check_address(url: str, allow_local: bool) -> None:
    """Raise `AddressRefused` if the URL may not be used as it is written."""
    parse_address(url, allow_local)


def parse_address(url: str, allow_local: bool) -> Address:
    """Return the parts of a URL that may be used; raise `AddressRefused` otherwise."""
    _check_text(url)
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise AddressRefused(url, "its host or port is not valid") from error
    host = parts.hostname or ""
    if ("[" in parts.netloc) != (":" in host) or "%" in host:
        raise AddressRefused(url, "its host is not an IPv6 address without zone")
    _check_host(url, host, allow_local)
    if port == 0:
        raise AddressRefused(url, "port 0 does not exist")
    return Address(
        scheme=parts.scheme,
        host=host,
        port=port or DEFAULT_PORTS[parts.scheme],
        path=_path(url, parts),
        username=_user(url, parts),
        password=unquote(parts.password or ""),
    )


def _check_text(url: str) -> None:
    if len(url) > _LONGEST:
        raise AddressRefused(url, f"it is longer than {_LONGEST} characters")
    if any(not "!" <= character <= "~" or character in _MUST_BE_ENCODED for character in url):
        raise AddressRefused(url, "it has characters that must be percent-encoded")
    scheme, separator, _ = url.partition("://")
    if not separator:
        raise AddressRefused(
            url, "it has no scheme", "begin it with ssh:// and write a slash for the colon after the host"
        )
    if scheme.lower() not in DEFAULT_PORTS:
        raise AddressRefused(url, "its scheme is not http, https or ssh")
    if "?" in url or "#" in url:
        raise AddressRefused(url, "it has a query or a fragment", "remove what follows the ? or #")


def _check_host(url: str, host: str, allow_local: bool) -> None:
    ip = _literal(host)
    if ip is None and (len(host) > _LONGEST_NAME or not _NAME.fullmatch(host)):
        raise AddressRefused(url, "its host is not a DNS name or IP address")
    if allow_local:
        return
    name = host.rstrip(".").lower()
    if any(name == local or name.endswith(f".{local}") for local in _LOCAL_NAMES):
        raise AddressRefused(url, "its host is local to the operator")
    if ip is not None and (kind := local_kind(str(ip))):
        raise AddressRefused(url, f"its host is a {kind} address")


def _literal(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Return the address a host spells out, in any notation that resolvers take (127.1, 0x7f000001)."""
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))
    except (OSError, ValueError):
        return None


def _path(url: str, parts: SplitResult) -> str:
    path = unquote(parts.path)
    if not path.isprintable():
        raise AddressRefused(url, "its path has control characters")
    if path.lstrip("/").startswith("-"):
        raise AddressRefused(url, "its path begins with a dash, like an option")
    if parts.scheme != "ssh":
        return parts.path
    if not path.strip("/"):
        raise AddressRefused(url, "it has no path")
    return path


def _user(url: str, parts: SplitResult) -> str:
    user = unquote(parts.username or "")
    if user.startswith("-") or not user.isprintable():
        raise AddressRefused(url, "its user begins with a dash or has control characters")
    return user
