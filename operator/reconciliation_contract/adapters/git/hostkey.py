"""Whether a server's SSH host key is the one that known_hosts names.

Pure. The format is OpenSSH's (sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT"): patterns, negation, hashed names, ports and
`@revoked` count; certificate authorities do not, so a host known by one only is unknown.
"""

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

_SSH_PORT = 22


class HostKey(StrEnum):
    """How a server's key compares with known_hosts."""

    TRUSTED = "trusted"
    UNKNOWN = "unknown"
    CHANGED = "changed"
    REVOKED = "revoked"


@dataclass(frozen=True)
class _Line:
    revoked: bool
    kind: str
    key: bytes


def judge_host_key(known_hosts: str, host: str, port: int, key: bytes) -> HostKey:
    """Return how a server's public key, in wire format, compares; only `TRUSTED` may be talked to."""
    lines = list(_lines(known_hosts, host, port))
    if any(line.revoked and line.key == key for line in lines):
        return HostKey.REVOKED
    known = [line.key for line in lines if not line.revoked]
    if key in known:
        return HostKey.TRUSTED
    return HostKey.CHANGED if known else HostKey.UNKNOWN


def known_kinds(known_hosts: str, host: str, port: int) -> frozenset[str]:
    """Return the types of key known for a host, so that the server is asked for one of them."""
    return frozenset(line.kind for line in _lines(known_hosts, host, port) if not line.revoked)


def _lines(known_hosts: str, host: str, port: int) -> Iterator[_Line]:
    name = host.rstrip(".").lower()
    if port != _SSH_PORT:
        name = f"[{name}]:{port}"
    for line in known_hosts.splitlines():
        fields = line.split()
        revoked = fields[:1] == ["@revoked"]
        names, kind, encoded = ([*fields[revoked:], "", "", ""])[:3]
        if names.startswith(("#", "@")) or not encoded or not _matches(names, name):
            continue
        try:
            yield _Line(revoked, kind, b64decode(encoded, validate=True))
        except binascii.Error:
            continue


def _matches(names: str, name: str) -> bool:
    matched = False
    # Hashed names stand alone, and their base64 minds its case.
    for pattern in [names] if names.startswith("|") else names.lower().split(","):
        if pattern.startswith("!") and _fits(pattern[1:], name):
            return False
        matched = matched or _fits(pattern, name)
    return matched


def _fits(pattern: str, name: str) -> bool:
    if pattern.startswith("|1|"):
        return _fits_hash(pattern, name)
    # Brackets are part of "[host]:port" here, not sets of characters.
    return fnmatchcase(name, pattern.replace("[", "[[]"))


def _fits_hash(pattern: str, name: str) -> bool:
    try:
        salt, digest = (b64decode(part, validate=True) for part in pattern[3:].split("|"))
    except ValueError:
        return False
    return hmac.compare_digest(hmac.new(salt, name.encode(), hashlib.sha1).digest(), digest)
