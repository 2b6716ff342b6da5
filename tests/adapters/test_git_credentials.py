"""Credentials out of Flux's Secrets."""

from base64 import b64decode

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciliation_contract.adapters.git import ANONYMOUS, Credentials, Malformed, Remote, credentials_from_secret

KEYS = [
    "username", "password", "bearerToken", "ca.crt", "caFile", "tls.crt", "tls.key", "identity", "identity.pub",
    "known_hosts", "githubAppPrivateKey",
]  # fmt: skip


def test_every_key_of_flux_is_read() -> None:
    """The keys that Flux documents for a GitRepository are understood; others are ignored."""
    data = {key: f"<{key}>".encode() for key in KEYS}

    credentials = credentials_from_secret(data)

    assert credentials == Credentials(
        username="<username>",
        password="<password>",
        bearer_token="<bearerToken>",
        ca_bundle="<ca.crt>",
        client_certificate="<tls.crt>",
        client_key="<tls.key>",
        ssh_private_key="<identity>",
        known_hosts="<known_hosts>",
    )


def test_nothing_is_anonymous() -> None:
    """An empty Secret logs in as nobody."""
    assert credentials_from_secret({}) == ANONYMOUS
    assert ANONYMOUS.authorization() is None


def test_the_older_name_of_the_ca() -> None:
    """`caFile` counts where `ca.crt` is missing, as in Flux."""
    credentials = credentials_from_secret({"caFile": b"old"})

    assert credentials.ca_bundle == "old"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"tls.crt": b"s3cret"}, "only one of tls.crt and tls.key"),
        ({"tls.key": b"s3cret"}, "only one of tls.crt and tls.key"),
        ({"password": b"s3cret\xff"}, "password is not UTF-8"),
        ({"bearerToken": b"s3cret\n"}, "bearerToken has a line break"),
        ({"bearerToken": "s3cret\u00e9".encode()}, "bearerToken has a line break or characters outside ASCII"),
    ],
)
def test_malformed(data: dict[str, bytes], message: str) -> None:
    """What cannot be used is named by its key, without its value."""
    with pytest.raises(Malformed, match=message) as raised:
        credentials_from_secret(data)

    assert "s3cret" not in repr(raised.value)
    assert raised.value.__suppress_context__ or raised.value.__context__ is None


def test_authorization_of_a_user() -> None:
    """User and password make a Basic header in UTF-8 and come before a token."""
    header = Credentials(username="ada", password="p\u00e4ss:word", bearer_token="t0ken").authorization()

    assert header
    scheme, _, value = header.partition(" ")
    assert (scheme, b64decode(value).decode()) == ("Basic", "ada:p\u00e4ss:word")


def test_authorization_by_token() -> None:
    """A token alone makes a Bearer header."""
    assert Credentials(bearer_token="t0ken").authorization() == "Bearer t0ken"


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), st.binary(min_size=6)))
def test_no_secret_is_ever_shown(data: dict[str, bytes]) -> None:
    """Any Secret gives credentials or our error; neither shows a value."""
    try:
        shown = repr(Remote("https://host/repo", credentials_from_secret(data)))
    except Malformed as error:
        shown = f"{error!r} {error}"

    assert not any(value.decode("utf-8", "replace") in shown for value in data.values())


def test_a_remote_is_shown_without_its_password() -> None:
    """Neither form of a remote holds its URL's password."""
    remote = Remote("https://ada:s3cret@host/repo", Credentials(password="s3cret"))

    assert str(remote) == "https://host/repo"
    assert "s3cret" not in repr(remote)
