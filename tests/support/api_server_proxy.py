"""A proxy between the operator and a real API server: it knows each write, and can fail it or kill the operator at it.

The operator reaches it over plain HTTP, so that it can read what passes; watches are streamed through.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from aiohttp import web

LABEL: Final = "reconciliation.dev/contract"
_HOP: Final = {"host", "content-length", "transfer-encoding", "connection", "content-encoding"}
"""Headers that belong to one connection."""


@dataclass(frozen=True)
class Fault:
    """What befalls a write: an answer of this status, or with 0 the operator's death."""

    status: int = 0
    done: bool = False
    """Whether the write is done all the same: the answer is lost, not the write."""


@dataclass(frozen=True)
class Passing:
    """A write on its way: the contract that it is about, and what it does, in a word or two."""

    contract: str
    act: str


Rule = Callable[[Passing], Fault | None]


def read_write(method: str, path: str, body: Any) -> Passing | None:
    """Tell what a request does; None where it is none of the writes of a rollback."""
    parts = path.strip("/").split("/")
    plural, name = (parts[5], parts[6] if len(parts) > 6 else "") if len(parts) > 5 else ("", "")
    match method, plural:
        case "PATCH", "reconciliationcontracts" if parts[-1] == "status":
            rollback: Mapping[str, Any] = body[1]["value"].get("rollback", {})
            return Passing(
                name, f"status {rollback.get('state') or ('over' if 'badRevisions' in rollback else 'none')}"
            )
        case "PATCH", "reconciliationcontracts":
            return Passing(name, "hold deletion" if body["metadata"]["finalizers"] else "allow deletion")
        case "PATCH", "kustomizations" if isinstance(body, list):
            return Passing(name, "disown")
        case "PATCH", "kustomizations":
            return Passing(name, "switch back" if body["spec"]["sourceRef"]["name"] == name else "switch")
        case "POST", "gitrepositories":
            return Passing(body["metadata"]["labels"][LABEL], "pin")
        case "DELETE", "gitrepositories":
            return Passing(name.rsplit("-", 2)[0], "unpin")
    return None


class Proxy:
    """Passes everything on to the server of a kubeconfig, but for what the rule says; a context manager."""

    def __init__(self, kubeconfig: Path, rule: Rule, kill: Callable[[], None]) -> None:
        self._kubeconfig = kubeconfig
        self._found = json.loads(kubeconfig.read_text())
        self._rule = rule
        self._kill = kill
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._runner: web.AppRunner | None = None
        self._session: aiohttp.ClientSession | None = None
        self.url = ""

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._open(), self._loop).result(30)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        asyncio.run_coroutine_threadsafe(self._close(), self._loop).result(30)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def kubeconfig(self, path: Path) -> Path:
        """Write a kubeconfig that leads through the proxy."""
        found = self._found | {"clusters": [{"name": "playground", "cluster": {"server": self.url}}]}
        path.touch(mode=0o600)
        path.write_text(json.dumps(found))
        return path

    async def _open(self) -> None:
        cluster = self._found["clusters"][0]["cluster"]
        context = ssl.create_default_context(cafile=cluster["certificate-authority"])
        unlimited = aiohttp.ClientTimeout(total=None, sock_connect=10)
        self._session = aiohttp.ClientSession(
            cluster["server"], connector=aiohttp.TCPConnector(ssl=context, limit=0), timeout=unlimited
        )
        application = web.Application(client_max_size=1 << 24)
        application.router.add_route("*", "/{path:.*}", self._handle)
        self._runner = web.AppRunner(application, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = "http://{}:{}".format(*self._runner.addresses[0][:2])

    async def _close(self) -> None:
        if self._session:
            await self._session.close()
        if self._runner:
            await self._runner.cleanup()
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:  # of connections that a killed operator has left open
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        writes = request.method in ("POST", "PATCH", "DELETE")
        passing = read_write(request.method, request.path, json.loads(body) if body else None) if writes else None
        fault = self._rule(passing) if passing else None
        if fault is None:
            return await self._pass_on(request, body)
        if fault.done:
            await self._pass_on(request, body, answer=False)
        if not fault.status:
            self._kill()
        return web.json_response({"message": "injected"}, status=fault.status or 503)

    async def _pass_on(self, request: web.Request, body: bytes, *, answer: bool = True) -> web.StreamResponse:
        assert self._session is not None
        headers = {key: value for key, value in request.headers.items() if key.lower() not in _HOP}
        async with self._session.request(
            request.method, request.raw_path, headers=headers, data=body or None
        ) as found:
            passed = {key: value for key, value in found.headers.items() if key.lower() not in _HOP}
            response = web.StreamResponse(status=found.status, headers=passed)
            if not answer:
                await found.read()
                return response
            await response.prepare(request)
            async for chunk in found.content.iter_any():
                await response.write(chunk)
            await response.write_eof()
            return response
