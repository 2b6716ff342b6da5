"""Whose SSH host key is trusted."""

import hashlib
import hmac
from base64 import b64encode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation_contract.adapters.git.hostkey import HostKey, judge_host_key, known_kinds

KEY, OTHER = b"the server's key", b"another key"


def line(names: str, key: bytes = KEY, kind: str = "ssh-ed25519", marker: str = "") -> str:
    """A line of known_hosts."""
    return f"{marker} {names} {kind} {b64encode(key).decode()} comment\n".lstrip()


def hashed(name: str) -> str:
    """A name as `ssh-keygen -H` writes it."""
    salt = b"0123456789abcdefghij"
    digest = hmac.new(salt, name.encode(), hashlib.sha1).digest()
    return f"|1|{b64encode(salt).decode()}|{b64encode(digest).decode()}"


VERDICTS = [
    ("a known key", line("github.com"), 22, HostKey.TRUSTED),
    ("one of several names", line("gitlab.com,GitHub.com,10.0.0.1"), 22, HostKey.TRUSTED),
    ("one of several keys", line("github.com", OTHER) + line("github.com"), 22, HostKey.TRUSTED),
    ("a hashed name", line(hashed("github.com")), 22, HostKey.TRUSTED),
    ("a pattern", line("*.com"), 22, HostKey.TRUSTED),
    ("a pattern of one character", line("github.co?"), 22, HostKey.TRUSTED),
    ("another port", line("[github.com]:2222"), 2222, HostKey.TRUSTED),
    ("a hashed name with port", line(hashed("[github.com]:2222")), 2222, HostKey.TRUSTED),
    ("tabs and empty lines", "\n# comment\n\t" + line("github.com").replace(" ", "\t"), 22, HostKey.TRUSTED),
    ("nothing known", "", 22, HostKey.UNKNOWN),
    ("another host", line("gitlab.com"), 22, HostKey.UNKNOWN),
    ("a longer host", line("github.com.evil.org"), 22, HostKey.UNKNOWN),
    ("another hashed host", line(hashed("gitlab.com")), 22, HostKey.UNKNOWN),
    ("the usual port only", line("github.com"), 2222, HostKey.UNKNOWN),
    ("the other port only", line("[github.com]:2222"), 22, HostKey.UNKNOWN),
    ("a negated name", line("*.com,!github.com"), 22, HostKey.UNKNOWN),
    ("brackets are no set of characters", line("[g]ithub.com"), 22, HostKey.UNKNOWN),
    ("a certificate authority", line("github.com", marker="@cert-authority"), 22, HostKey.UNKNOWN),
    ("a comment", "#" + line("github.com"), 22, HostKey.UNKNOWN),
    ("no key", "github.com ssh-ed25519\n", 22, HostKey.UNKNOWN),
    ("no base64", "github.com ssh-ed25519 ???\n", 22, HostKey.UNKNOWN),
    ("a broken hash", line("|1|x"), 22, HostKey.UNKNOWN),
    ("another key", line("github.com", OTHER), 22, HostKey.CHANGED),
    ("a revoked key", line("github.com", marker="@revoked"), 22, HostKey.REVOKED),
    ("revoked and known", line("github.com") + line("*", marker="@revoked"), 22, HostKey.REVOKED),
    ("another one revoked", line("github.com") + line("*", OTHER, marker="@revoked"), 22, HostKey.TRUSTED),
]


@pytest.mark.parametrize(
    ("known_hosts", "port", "verdict"), [case[1:] for case in VERDICTS], ids=[case[0] for case in VERDICTS]
)
def test_host_keys(known_hosts: str, port: int, verdict: HostKey) -> None:
    """A key is trusted only if a line for this host and port names it and none revokes it."""
    assert judge_host_key(known_hosts, "github.com", port, KEY) is verdict


def test_kinds_of_known_keys() -> None:
    """The server is asked for types of key that are known, not for revoked ones."""
    known = line("github.com") + line("*", kind="ssh-rsa") + line("*", kind="ssh-dss", marker="@revoked")

    assert known_kinds(known + line("gitlab.com", kind="x"), "github.com", 22) == {"ssh-ed25519", "ssh-rsa"}


@settings(deadline=None)
@given(st.text() | st.text(alphabet="@revoked!*?,|1[]: \n#github.com").map(lambda text: text + " ssh-rsa AAAA"))
def test_any_known_hosts_is_judged(known_hosts: str) -> None:
    """No text makes the decision fail, and none trusts a key it does not hold."""
    assert judge_host_key(known_hosts, "github.com", 22, KEY) is not HostKey.TRUSTED
