"""What a repository is read with, taken from the Secret named by a GitRepository's `spec.secretRef`.

The keys are Flux's: https://fluxcd.io/flux/components/source/gitrepositories/#secret-reference.
"""

from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from .error import Malformed

HOLDER = "the Secret named by secretRef"
_REMEDY = "correct that key of the Secret"


@dataclass(frozen=True)
class Credentials:
    """Everything that may be needed to log in, and to know whom we talk to; empty means not given."""

    username: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    """Of the user over HTTP; of the private key over SSH."""
    bearer_token: str = field(default="", repr=False)
    ca_bundle: str = field(default="", repr=False)
    """PEM, trusted besides the system's."""
    client_certificate: str = field(default="", repr=False)
    client_key: str = field(default="", repr=False)
    ssh_private_key: str = field(default="", repr=False)
    known_hosts: str = field(default="", repr=False)

    def authorization(self) -> str | None:
        """Return the HTTP header's value; user and password come before the token, as in Flux."""
        if self.username or self.password:
            return "Basic " + b64encode(f"{self.username}:{self.password}".encode()).decode("ascii")
        return f"Bearer {self.bearer_token}" if self.bearer_token else None


ANONYMOUS = Credentials()


def credentials_from_secret(data: Mapping[str, bytes]) -> Credentials:
    """Return the credentials in a Secret's decoded data; raise `Malformed`, naming the key, never the value."""
    certificate, key = _text(data, "tls.crt"), _text(data, "tls.key")
    if bool(certificate) != bool(key):
        raise Malformed(HOLDER, "only one of tls.crt and tls.key is given", "give both, or neither")
    token = _text(data, "bearerToken")
    if not (token.isascii() and token.isprintable()):
        raise Malformed(HOLDER, "bearerToken has a line break or characters outside ASCII", _REMEDY)
    return Credentials(
        username=_text(data, "username"),
        password=_text(data, "password"),
        bearer_token=token,
        ca_bundle=_text(data, "ca.crt") or _text(data, "caFile"),
        client_certificate=certificate,
        client_key=key,
        ssh_private_key=_text(data, "identity"),
        known_hosts=_text(data, "known_hosts"),
    )


def _text(data: Mapping[str, bytes], key: str) -> str:
    try:
        return data.get(key, b"").decode()
    except UnicodeDecodeError:
        # Without its cause, which quotes the value.
        raise Malformed(HOLDER, f"{key} is not UTF-8", _REMEDY) from None
