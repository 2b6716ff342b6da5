"""Whom we talk to over HTTPS, and who we say we are."""

import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

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
from tests.support.git_server import Repository, Served, serve

MAIN = GitRef(branch="main")


@dataclass(frozen=True)
class Identity:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def certificate_pem(self) -> str:
        return self.certificate.public_bytes(serialization.Encoding.PEM).decode()

    def key_pem(self, password: bytes = b"") -> str:
        protection = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        form = serialization.PrivateFormat.PKCS8
        return self.key.private_bytes(serialization.Encoding.PEM, form, protection).decode()


def issue(name: str, issuer: Identity | None = None) -> Identity:
    """Make a certificate for a name, or a CA if nobody issues it."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = x509.SubjectAlternativeName([x509.DNSName(name), x509.IPAddress(ip_address("127.0.0.2"))])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .sign(issuer.key if issuer else key, hashes.SHA256())
    )
    return Identity(built, key)


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
