"""Which URLs may be used, and what of them may be shown."""

import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation_contract.adapters.git import AddressRefused, check_address, redact
from reconciliation_contract.adapters.git.address import local_kind, parse_address

ALLOWED = [
    "https://github.com/org/repo",
    "https://github.com/org/repo.git",
    "HTTPS://GitHub.com/org/repo",
    "http://gitea.git.svc.cluster.local:3000/org/repo.git",
    "http://gitea.git.svc.cluster.local./org/repo.git",
    "http://10.0.0.7/repo",
    "http://[fd12:3456::7]:3000/repo",
    "http://[64:ff9b::8c52:7903]/repo",
    "ssh://git@github.com/org/repo",
    "ssh://git@github.com:2222/org/repo.git",
    "ssh://host/~user/repo",
    "https://dev.azure.com/org/My%20Project/_git/repo",
    "https://user:p%40ss@host/repo",
    "https://xn--bcher-kva.example/repo",
    "https://under_score.example/a-b/-",
]

REFUSED = {
    "": "no scheme",
    "git@github.com:org/repo": "begin it with ssh://",
    "/srv/repo": "no scheme",
    "github.com/org/repo": "no scheme",
    "file:///srv/repo": "scheme",
    "git://github.com/org/repo": "scheme",
    "ext::sh -c x": "percent-encoded",
    "ext::x://y": "scheme",
    "https://": "host is not",
    "https:///repo": "host is not",
    "https://-oProxyCommand=x/repo": "host is not",
    "ssh://-oProxyCommand=x/repo": "host is not",
    "ssh://-oProxyCommand=x@host/repo": "user begins with a dash",
    "ssh://%2doProxyCommand=x@host/repo": "user begins with a dash",
    "ssh://host/-oProxyCommand": "path begins with a dash",
    "ssh://host//%2doProxyCommand": "path begins with a dash",
    "https://host/-repo": "path begins with a dash",
    "ssh://host": "no path",
    "ssh://host/": "no path",
    "ssh://git@github.com:org/repo": "host or port",
    "https://host:99999/repo": "host or port",
    "https://host:0/repo": "port 0",
    "https://[::1/repo": "host or port",
    "https://[fe80::1%25eth0]/repo": "host",
    "https://[fd00::1%25eth0]/repo": "host",
    "https://[v1.host]/repo": "host",
    "https://a..b/repo": "host is not",
    "https://ho%73t/repo": "host is not",
    "https://host/re po": "percent-encoded",
    "https://host/re\npo": "percent-encoded",
    "https://host/re\x00po": "percent-encoded",
    "https://host/re%0apo": "control characters",
    "https://host/re\u202epo": "percent-encoded",
    "https://h\u00f6st/repo": "percent-encoded",
    "https://host\\@other/repo": "percent-encoded",
    "https://host/repo?token=x": "query",
    "https://host/repo#main": "query or a fragment",
    "https://host/" + "x" * 3000: "longer than",
}

LOCAL = {
    "http://localhost/repo": "local to the operator",
    "http://LOCALHOST./repo": "local to the operator",
    "http://git.localhost:3000/repo": "local to the operator",
    "http://metadata.google.internal/repo": "local to the operator",
    "http://127.0.0.1/repo": "loopback",
    "http://127.1/repo": "loopback",
    "http://2130706433/repo": "loopback",
    "http://0x7f000001/repo": "loopback",
    "http://0177.0.0.1/repo": "loopback",
    "http://[::1]/repo": "loopback",
    "http://[::ffff:127.0.0.1]/repo": "loopback",
    "http://[2002:7f00:1::]/repo": "loopback",
    "http://[64:ff9b::7f00:1]/repo": "loopback",
    "http://0.0.0.0/repo": "unspecified",
    "http://0.1.2.3/repo": "unspecified",
    "http://[::]/repo": "unspecified",
    "http://169.254.169.254/repo": "metadata",
    "https://169.254.170.2/repo": "metadata",
    "http://[fe80::1]/repo": "link-local",
    "http://[fd00:ec2::254]/repo": "metadata",
    "http://[64:ff9b::a9fe:a9fe]/repo": "metadata",
    "http://100.100.100.200/repo": "metadata",
    "http://168.63.129.16/repo": "metadata",
    "http://224.0.0.1/repo": "multicast",
    "http://255.255.255.255/repo": "reserved",
    "ssh://git@127.0.0.1/repo": "loopback",
}


@pytest.mark.parametrize("url", ALLOWED)
def test_allowed(url: str) -> None:
    """Addresses of public and in-cluster servers may be used."""
    check_address(url, allow_local=False)


@pytest.mark.parametrize("allow_local", [False, True])
@pytest.mark.parametrize(("url", "message"), REFUSED.items(), ids=lambda text: ascii(text)[:40])
def test_refused(url: str, message: str, allow_local: bool) -> None:
    """What is no plain URL of a Git server is refused, with a reason and what to do."""
    with pytest.raises(AddressRefused, match=message) as raised:
        check_address(url, allow_local)

    assert raised.value.reason
    assert "; " in str(raised.value)


@pytest.mark.parametrize(("url", "message"), LOCAL.items())
def test_local(url: str, message: str) -> None:
    """The operator's own pod and node and the cloud's metadata are refused unless local addresses are allowed."""
    check_address(url, allow_local=True)

    with pytest.raises(AddressRefused, match=message):
        check_address(url, allow_local=False)


@pytest.mark.parametrize("ip", ["fe80::1%eth0", "::ffff:169.254.169.254", "127.8.8.8"])
def test_resolved_addresses_are_judged(ip: str) -> None:
    """Addresses in the form that resolvers return them are recognised."""
    assert local_kind(ip)


def test_parts() -> None:
    """User and password are decoded and kept apart from what may be shown; SSH paths are decoded."""
    address = parse_address("ssh://g%69t:p%40ss@Host.Example:2222/a%20b", allow_local=False)

    assert (address.username, address.password, address.path) == ("git", "p@ss", "/a b")
    assert (address.host, address.port) == ("host.example", 2222)
    assert "p@ss" not in repr(address)
    assert address.base == "ssh://host.example:2222/a b"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://host/org/repo", "https://host/org/repo"),
        ("https://user:secret@host:8443/org/repo", "https://host:8443/org/repo"),
        ("https://token@host/org/repo", "https://host/org/repo"),
        ("https://[::1]:3000/x", "https://[::1]:3000/x"),
        ("https://host/repo?token=secret#secret", "https://host/repo"),
        ("git@github.com:org/repo", "github.com:org/repo"),
        ("https://user:sec/ret@host/repo", "https://..."),
        ("https://user:sec?ret@host/repo", "https://..."),
        ("https://user:a@b/c@host/repo", "https://..."),
        ("https://user:secret", "https://..."),
        ("https://host/\x1b[31m\u202ered", "https://host/[31mred"),
        ("", ""),
    ],
)
def test_redact(url: str, shown: str) -> None:
    """A shown URL has no user, password, query, fragment or control character."""
    assert redact(url) == shown


# A mark that no message has by itself, amid any characters.
MARK = "q7Zk9"
SECRETS = st.tuples(st.text(max_size=15), st.text(max_size=15)).map(MARK.join)
HOSTS = st.sampled_from(["github.com", "10.0.0.1:3000", "[fd00::1]", "host", ""])


@settings(deadline=None)
@given(
    scheme=st.sampled_from(["https://", "ssh://", "HTTP://", "git+ssh://"]),
    user=st.sampled_from(["", "git", "x-token"]),
    secret=SECRETS,
    host=HOSTS,
    path=st.sampled_from(["", "/", "/org/repo", "/a@b/c", "?x=1", "#y"]),
)
def test_no_password_is_ever_shown(scheme: str, user: str, secret: str, host: str, path: str) -> None:
    """Whatever characters a password has, neither the redacted URL nor a refusal holds it."""
    url = f"{scheme}{user}:{secret}@{host}{path}"

    message = ""
    try:
        check_address(url, allow_local=False)
    except AddressRefused as error:
        message = f"{error} {error.url} {error.reason} {error!r}"

    assert MARK not in redact(url)
    assert MARK not in message


@settings(deadline=None)
@given(st.text() | st.from_regex(re.compile(r"(https?|ssh)://[^\n]{0,60}", re.ASCII)) | st.binary().map(repr))
def test_any_text_is_judged(url: str) -> None:
    """Any text is allowed or refused; no other error escapes, and what is shown is one printable line."""
    with suppress(AddressRefused):
        check_address(url, allow_local=False)

    assert not set(redact(url)) & set("\n\r\x00\x1b\u202e\u2066")
    assert len(redact(url)) <= 300


@settings(deadline=None)
@given(st.ip_addresses())
def test_any_ip_is_judged_the_same_in_any_spelling(ip: object) -> None:
    """An address written into a URL is judged as when it is resolved to."""
    text = f"[{ip}]" if ":" in str(ip) else str(ip)

    refused = False
    try:
        check_address(f"http://{text}/", allow_local=False)
    except AddressRefused:
        refused = True

    assert refused == (local_kind(str(ip)) is not None)
