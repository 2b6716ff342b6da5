"""Artifacts as a source serves them, on loopback, and programs that stand in for `flux-build`."""

from __future__ import annotations

import hashlib
import io
import tarfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web

from reconciliation_contract.adapters.manifests.build import Artifact


def tar_of(files: Mapping[str, str]) -> bytes:
    """Pack files by path and content."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content.encode())
            tar.addfile(member, io.BytesIO(content.encode()))
    return packed.getvalue()


def digest_of(content: bytes) -> str:
    """A digest as a source writes it."""
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


class ArtifactServer:
    """Serves one content at ``/artifact`` and counts who came for it."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.fetched = 0
        self.address = ""

    @property
    def artifact(self) -> Artifact:
        return Artifact(f"http://{self.address}/artifact", digest_of(self.content))

    async def answer(self, request: web.Request) -> web.Response:
        self.fetched += 1
        if request.path == "/moved":
            return web.Response(status=302, headers={"Location": "/artifact"})
        return web.Response(body=self.content)


@asynccontextmanager
async def serving(content: bytes) -> AsyncIterator[ArtifactServer]:
    """Serve a content while the context lasts."""
    server = ArtifactServer(content)
    app = web.Application()
    app.router.add_get("/{any:.*}", server.answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        server.address = f"{host}:{port}"
        yield server
    finally:
        await runner.cleanup()


def program(folder: Path, script: str) -> str:
    """Write a shell script to be run as `flux-build`."""
    path = folder / "flux-build"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return str(path)
