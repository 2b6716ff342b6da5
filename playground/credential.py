"""Tokens, the key that signs service account tokens, and kubeconfigs, all made at run time."""

from __future__ import annotations

import base64
import json
import secrets
from dataclasses import dataclass
from pathlib import Path

ADMIN = "admin"
GROUP = "system:masters"
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@dataclass(frozen=True)
class Access:
    """How to reach the API server, apart from who one is."""

    server: str
    ca_file: Path
    """The CA that signed the API server's certificate; it writes the file itself when it first starts."""


def write_token_file(path: Path, users: tuple[str, ...]) -> dict[str, str]:
    """Write the API server's token file: a fresh token for each user, each a cluster administrator.

    Returns the tokens by user. Every component has a user of its own, so that the API server's logs tell them
    apart.
    """
    tokens = {user: secrets.token_urlsafe(24) for user in users}
    _write_private(path, "".join(f'{token},{user},{user},"{GROUP}"\n' for user, token in tokens.items()))
    return tokens


def write_signing_key(path: Path) -> None:
    """Write a new P-256 private key in SEC 1 form (RFC 5915), without the optional public part."""
    scalar = (secrets.randbelow(P256_ORDER - 1) + 1).to_bytes(32, "big")
    curve = bytes.fromhex("a00a06082a8648ce3d030107")
    body = b"\x02\x01\x01" + b"\x04\x20" + scalar + curve
    encoded = base64.encodebytes(b"\x30" + bytes([len(body)]) + body).decode()
    _write_private(path, f"-----BEGIN EC PRIVATE KEY-----\n{encoded}-----END EC PRIVATE KEY-----\n")


def write_kubeconfig(path: Path, access: Access, user: str, token: str, namespace: str = "default") -> Path:
    """Write a kubeconfig (in JSON, which is YAML) for one user and return its path."""
    cluster = {"server": access.server, "certificate-authority": str(access.ca_file)}
    context = {"cluster": "playground", "user": user, "namespace": namespace}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "playground",
        "clusters": [{"name": "playground", "cluster": cluster}],
        "contexts": [{"name": "playground", "context": context}],
        "users": [{"name": user, "user": {"token": token}}],
    }
    _write_private(path, json.dumps(document, indent=2) + "\n")
    return path


def _write_private(path: Path, text: str) -> None:
    path.touch(mode=0o600)
    path.write_text(text)
