"""Which addresses artifacts may be fetched from."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers

FLUX = ArtifactServers("flux-system", ("10.0.0.7", "archive.example.com:8080"))
ADMITTED = [
    "http://source-controller.flux-system.svc.cluster.local./gitrepository/apps/shop/a.tar.gz",
    "http://source-controller.flux-system.svc.cluster.local/x",
    "http://source-controller.flux-system/x",
    "http://source-controller-shard1.flux-system.svc:80/x",
    "http://10.0.0.7:9090/x",
    "http://archive.example.com:8080/x",
]
REFUSED = [
    "http://source-controller.apps.svc.cluster.local./x",
    "http://source-controller.flux-system.svc.example.com/x",
    "http://source-controller.flux-system.svc.cluster.local.example.com/x",
    "http://kubernetes.flux-system.svc/x",
    "http://source-controller.flux-systemXsvc/x",
    "http://source-controller.flux-system.svc:6443/x",
    "http://user@source-controller.flux-system/x",
    "http://169.254.169.254/latest/meta-data",
    "http://127.0.0.1:10255/pods",
    "http://[::1]/x",
    "http://archive.example.com/x",
    "http://10.0.0.7@evil.example.com/x",
    "http://10.0.0.7\\@evil.example.com/x",
    "https://source-controller.flux-system/x",
    "ftp://10.0.0.7/x",
    "http:///x",
    "http://[/x",
    "http://10.0.0.7:99999/x",
    "",
]


@pytest.mark.parametrize("url", ADMITTED)
def test_flux_s_own_servers_are_asked(url: str) -> None:
    """The Services of source-controller and of its shards, as far as DNS names them, and what was named at the start."""
    assert FLUX.admits(url)


@pytest.mark.parametrize("url", REFUSED)
def test_nobody_else_is(url: str) -> None:
    """Neither what looks alike, nor another port, nor a URL that two readers read differently."""
    assert not FLUX.admits(url)


@given(st.text(max_size=40), st.sampled_from(ADMITTED), st.integers(0, 60))
def test_no_text_leads_out(inserted: str, url: str, place: int) -> None:
    """Whatever stands in between, what is admitted leads to a server that is."""
    text = url[:place] + inserted + url[place:]

    if FLUX.admits(text):
        host = urlsplit(text).hostname or ""
        assert host.startswith("source-controller") or host in ("10.0.0.7", "archive.example.com")
