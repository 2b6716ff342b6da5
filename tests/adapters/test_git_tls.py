"""Whom we talk to over HTTPS, and who we say we are."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from reconciliation_contract.adapters.git import (
    Credentials,
    Git,
    GitRef,
    GitSettings,
    Malformed,
    Remote,
    TimedOut,
    Unreachable,
)
from reconciliation_contract.adapters.git.smart_http import tls_context
from tests.support.certificate import Identity, issue
from tests.support.git_server import Repository, Served, serve

MAIN = GitRef(branch="main")


@pytest.fixture(scope="module")
def authority() -> Identity:
    """A private CA."""
    return issue("ca.example.org")


@dataclass(frozen=True)
class Served443:
    """A repository over HTTPS and its head."""

    served: Served
    head: str

    @property
    def url(self) -> str:
        return f"{self.served.url}/shop.git"


@pytest.fixture
def https(tmp_path: Path, authority: Identity) -> Iterator[Callable[..., Served443]]:
    """Starts a server for localhost with a certificate of the private CA."""
    from contextlib import ExitStack

    head = Repository.create(tmp_path / "shop.git").commit()
    stack = ExitStack()

    def start(*, demand_client: bool = False) -> Served443:
        identity = issue("localhost", authority)
        pem = tmp_path / "server.pem"
        pem.write_text(identity.certificate_pem + identity.key_pem())
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cadata=authority.certificate_pem)
        context.load_cert_chain(pem)
        context.verify_mode = ssl.CERT_REQUIRED if demand_client else ssl.CERT_NONE
        return Served443(stack.enter_context(serve(tmp_path, context)), head)

    with stack:
        yield start


@pytest.fixture
def adapter() -> Git:
    """An adapter that may talk to loopback."""
    return Git(GitSettings(allow_local=True))


async def test_a_private_ca(https: Callable[..., Served443], authority: Identity, adapter: Git) -> None:
    """A server whose CA is in the Secret is trusted, besides the system's."""
    served = https()
    credentials = Credentials(ca_bundle=authority.certificate_pem)

    head = await adapter.head(Remote(served.url, credentials), MAIN)
    commit = await adapter.commit(Remote(served.url, credentials), served.head)

    assert head == commit.hash == served.head


async def test_an_unknown_ca_is_not_trusted(https: Callable[..., Served443], adapter: Git) -> None:
    """A certificate nobody vouches for gets no request, and the message says where the CA belongs."""
    served = https()

    with pytest.raises(Unreachable, match=r"put the issuing CA into ca\.crt"):
        await adapter.head(Remote(served.url, Credentials(bearer_token="s3cret")), MAIN)

    assert served.served.requests == []


async def test_another_name_is_not_trusted(
    https: Callable[..., Served443], authority: Identity, adapter: Git
) -> None:
    """A certificate for another name is refused even if its CA is trusted."""
    served = https()
    url = served.url.replace("localhost", "127.0.0.1")

    with pytest.raises(Unreachable, match="certificate is not trusted"):
        await adapter.head(Remote(url, Credentials(ca_bundle=authority.certificate_pem)), MAIN)

    assert served.served.requests == []


async def test_a_client_certificate(https: Callable[..., Served443], authority: Identity, adapter: Git) -> None:
    """A server that demands a client certificate gets the one in the Secret."""
    served = https(demand_client=True)
    client = issue("client", authority)
    credentials = Credentials(
        ca_bundle=authority.certificate_pem, client_certificate=client.certificate_pem, client_key=client.key_pem()
    )

    head = await adapter.head(Remote(served.url, credentials), MAIN)

    assert head == served.head


async def test_no_client_certificate(https: Callable[..., Served443], authority: Identity, adapter: Git) -> None:
    """Without the certificate a server demands there is no answer."""
    served = https(demand_client=True)

    with pytest.raises((Unreachable, TimedOut)):
        await adapter.head(Remote(served.url, Credentials(ca_bundle=authority.certificate_pem)), MAIN)


async def test_secrets_that_are_no_pem(adapter: Git, authority: Identity) -> None:
    """Broken or encrypted PEM names its key, shows no value and asks nobody for a password."""
    client = issue("client", authority)
    broken = {
        "ca.crt": Credentials(ca_bundle="s3cret"),
        "tls.crt": Credentials(client_certificate="s3cret", client_key="s3cret"),
        "tls.key": Credentials(client_certificate=client.certificate_pem, client_key=client.key_pem(b"s3cret")),
    }

    for key, credentials in broken.items():
        with pytest.raises(Malformed, match=key) as raised:
            await adapter.head(Remote("https://host.example/x", credentials), MAIN)
        assert "s3cret" not in str(raised.value)


def test_the_default_context_verifies() -> None:
    """Servers are verified by certificate and name."""
    context = tls_context("", "", "")

    assert (context.verify_mode, context.check_hostname) == (ssl.CERT_REQUIRED, True)
