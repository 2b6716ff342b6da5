"""Of an artifact server only the source's own folder is read, and at the address that was judged."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers, is_of
from reconciliation_contract.adapters.manifests.build import Artifact
from reconciliation_contract.adapters.manifests.download import download
from reconciliation_contract.adapters.manifests.error import BuildUnknown
from tests.support.artifacts import serving

OWNER = "gitrepository/apps/shop"
HOST = "source-controller.flux-system.svc.cluster.local."
FLUX = ArtifactServers()
NAMED = ArtifactServers(named=("storage.example",))
NOTHING = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "path",
    [
        "/gitrepository/victim/shop/0123.tar.gz",
        "/gitrepository/apps/shop-of-the-victim/0123.tar.gz",
        f"/{OWNER}/../../victim/shop/0123.tar.gz",
        f"/{OWNER}/%2e%2e/%2e%2e/victim/shop/0123.tar.gz",
        f"/{OWNER}/..%2f..%2fvictim/shop/0123.tar.gz",
        f"/{OWNER}",
        f"//{OWNER}/x",
        "",
    ],
)
async def test_another_tenants_artifact_is_not_fetched(path: str, tmp_path: Path) -> None:
    """Whatever a status says: digest and address of another's artifact are no secret, its content is."""
    artifact = Artifact(f"http://{HOST}{path}", NOTHING, OWNER)

    with pytest.raises(BuildUnknown, match="the source's own artifact"):
        await download(artifact, tmp_path / "artifact", FLUX)


@given(st.text(max_size=30), st.text(max_size=30))
def test_no_url_leads_out_of_the_folder(before: str, path: str) -> None:
    """What is let through is, as a parser reads it, the server's host and the source's own folder."""
    url = f"http://{before}{HOST}/{OWNER}/{path}"
    if not (FLUX.admits(url) and is_of(url, OWNER)):
        return

    parts = urlsplit(url)
    assert (parts.hostname or "").endswith(HOST)
    assert (parts.port or 80, parts.username, parts.query, parts.fragment) == (80, None, "", "")
    assert parts.path.startswith(f"/{OWNER}/")
    assert ".." not in parts.path.split("/")


def test_a_source_owns_what_lies_in_its_folder() -> None:
    """As source-controller lays it out: kind in lower case, namespace, name."""
    raw = {"kind": "OCIRepository", "metadata": {"namespace": "apps", "name": "shop"}, "status": {}}

    owner = Artifact.of(raw).owner

    assert owner == "ocirepository/apps/shop"
    assert is_of(f"http://{HOST}/ocirepository/apps/shop/0123.tar.gz", owner)


@pytest.mark.parametrize(
    "ip", ["127.0.0.1", "169.254.169.254", "0.0.0.0", "::1", "fd00:ec2::254", "::ffff:127.0.0.1"]
)
async def test_a_name_that_resolves_to_what_is_local_is_not_dialled(
    ip: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever answers for the name decides; the address that would be connected to is judged."""
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    async with serving(b"x") as server:
        port = int(server.address.rpartition(":")[2])
        target = (ip, port, 0, 0) if ":" in ip else (ip, port)
        found = [(family, socket.SOCK_STREAM, 6, "", target)]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
        artifact = replace(server.artifact, url=f"http://storage.example:{port}/x")

        with pytest.raises(BuildUnknown, match="is not dialled: its name resolves to a"):
            await download(artifact, tmp_path / "artifact", NAMED)

        assert server.fetched == 0


async def test_what_was_judged_is_what_is_dialled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name is resolved once: a second answer, as of a server that rebinds its name, is not asked for. No proxy."""
    names: list[str] = []

    def resolve(name: str, *_: object, **__: object) -> list[object]:
        names.append(name)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", 80))]

    dialled: list[object] = []

    async def connect(*_: object, **how: object) -> socket.socket:
        dialled.append(how["addr_infos"][0][4][0])  # type: ignore[index]  # as getaddrinfo has it
        raise ConnectionRefusedError(111, "Connection refused")

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr("aiohappyeyeballs.start_connection", connect)
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")

    with pytest.raises(BuildUnknown, match="does not answer"):
        await download(Artifact("http://storage.example/x", NOTHING), tmp_path / "artifact", NAMED)

    assert (names, dialled) == (["storage.example"], ["203.0.113.7"])
