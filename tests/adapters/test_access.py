"""How the cluster is found: kubeconfigs in a temporary folder."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.errors import Unavailable
from tests.support.certificate import issue


def certificate(folder: Path) -> tuple[str, str]:
    """Write a self-signed certificate and its key; return both paths."""
    made = issue("here")
    (folder / "tls.crt").write_text(made.certificate_pem)
    (folder / "tls.key").write_text(made.key_pem())
    return str(folder / "tls.crt"), str(folder / "tls.key")


def kubeconfig(folder: Path, cluster: dict[str, Any], user: dict[str, Any]) -> str:
    """Write a kubeconfig with one context."""
    path = folder / "config"
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "here", "cluster": cluster}],
        "users": [{"name": "me", "user": user}],
        "contexts": [{"name": "it", "context": {"cluster": "here", "user": "me"}}],
        "current-context": "it",
    }
    path.write_text(yaml.safe_dump(content))
    return str(path)


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not in a pod."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)


def test_a_token_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Server and token are those of the current context."""
    found = kubeconfig(tmp_path, {"server": "http://127.0.0.1:8001/"}, {"token": "secret"})
    monkeypatch.setenv("KUBECONFIG", found)

    access = Access.find()

    assert access.server == "http://127.0.0.1:8001"
    assert access.token() == "secret"
    assert access.tls() is False


def test_a_client_certificate_is_presented(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a client certificate there is no token, and the server is verified with the cluster's own CA."""
    cert, key = certificate(tmp_path)
    cluster = {"server": "https://127.0.0.1:6443", "certificate-authority": cert}
    user = {"client-certificate": cert, "client-key": key}
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, cluster, user))

    access = Access.find()
    tls = access.tls()

    assert access.token() is None
    assert isinstance(tls, ssl.SSLContext)
    assert tls.verify_mode is ssl.CERT_REQUIRED
    assert len(tls.get_ca_certs()) == 1


def test_verification_is_off_only_where_the_kubeconfig_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """insecure-skip-tls-verify is respected."""
    cluster = {"server": "https://127.0.0.1:6443", "insecure-skip-tls-verify": True}
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, cluster, {"token": "secret"}))

    tls = Access.find().tls()

    assert isinstance(tls, ssl.SSLContext)
    assert tls.verify_mode is ssl.CERT_NONE


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="no file"),
        pytest.param("", id="an empty file"),
        pytest.param("just text", id="a text"),
        pytest.param("- a\n- b\n", id="a list"),
        pytest.param("{a: [", id="no YAML"),
        pytest.param("clusters: []\ncontexts: []\n", id="no context"),
        pytest.param(
            "clusters: [{name: a, cluster: {}}]\nusers: [{name: a, user: {}}]\n"
            "contexts: [{name: a, context: {cluster: a, user: a}}]\ncurrent-context: a\n",
            id="no server",
        ),
    ],
)
def test_without_a_cluster_the_message_says_what_to_do(
    content: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever is wrong with the kubeconfig is one of our errors, in one sentence."""
    path = tmp_path / "config"
    if content is not None:
        path.write_text(content)
    monkeypatch.setenv("KUBECONFIG", str(path))

    with pytest.raises(Unavailable, match=r"^cannot find the cluster: .*KUBECONFIG"):
        Access.find()


def test_certificates_that_cannot_be_used_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken client certificate is one of our errors, too."""
    broken = tmp_path / "broken.pem"
    broken.write_text("no certificate")
    user = {"client-certificate": str(broken), "client-key": str(broken)}
    monkeypatch.setenv("KUBECONFIG", kubeconfig(tmp_path, {"server": "https://127.0.0.1:6443"}, user))
    access = Access.find()

    with pytest.raises(Unavailable, match="certificates"):
        access.tls()


def test_a_kubeconfig_that_is_named_comes_before_the_pods_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sets KUBECONFIG in a pod means it."""
    found = kubeconfig(tmp_path, {"server": "http://127.0.0.1:8001"}, {"token": "secret"})
    monkeypatch.setenv("KUBECONFIG", found)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")

    assert Access.find().server == "http://127.0.0.1:8001"


def test_a_pod_without_a_service_account_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a pod whose token is not mounted the message says what to do."""
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")

    with pytest.raises(Unavailable, match="service account"):
        Access.find()


def test_a_token_file_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The token may stand in a file of its own."""
    token = tmp_path / "token"
    token.write_text("from the file")
    found = kubeconfig(tmp_path, {"server": "http://127.0.0.1:8001"}, {"tokenFile": str(token)})
    monkeypatch.setenv("KUBECONFIG", found)

    assert Access.find().token() == "from the file"
