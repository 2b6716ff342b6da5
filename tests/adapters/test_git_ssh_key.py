"""Private keys for SSH, in the forms that people and Flux write them."""

from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from reconciliation_contract.adapters.git import Credentials
from reconciliation_contract.adapters.git.ssh import load_private_key

MAKE: dict[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "ecdsa": lambda: ec.generate_private_key(ec.SECP384R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
}
ENCRYPTED = {
    serialization.PrivateFormat.PKCS8: serialization.BestAvailableEncryption(b"s3cret"),
    serialization.PrivateFormat.OpenSSH: serialization.PrivateFormat.OpenSSH.encryption_builder()
    .kdf_rounds(1)
    .build(b"s3cret"),
}


@pytest.mark.parametrize("password", ["", "s3cret"])
@pytest.mark.parametrize("form", ENCRYPTED, ids=["PKCS8", "OpenSSH"])
@pytest.mark.parametrize("kind", MAKE)
def test_private_keys_in_any_form(kind: str, form: serialization.PrivateFormat, password: str) -> None:
    """Keys as Flux and as ssh-keygen write them are read, encrypted or with a password that is not theirs."""
    key = MAKE[kind]()
    protection = ENCRYPTED[form] if password else serialization.NoEncryption()
    pem = key.private_bytes(serialization.Encoding.PEM, form, protection).decode()
    public = key.public_key().public_bytes(serialization.Encoding.OpenSSH, serialization.PublicFormat.OpenSSH)

    loaded = load_private_key(Credentials(ssh_private_key=pem, password=password or "of a user"))

    assert loaded.get_base64() == public.decode().split()[1]
