"""A local HTTP server that answers by a script and notes what it was asked."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer
from kubernetes import client

from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.credentials import Access


@dataclass(frozen=True)
class Asked:
    """One request."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any


@dataclass
class Script:
    """What the server answers: a status and a body, from a function or always the same."""

    answer: Callable[[Asked], tuple[int, Any]] = lambda _: (200, {})
    asked: list[Asked] = field(default_factory=list)
    configuration: client.Configuration = field(default_factory=client.Configuration)
    headers: dict[str, str] = field(default_factory=dict)
    """Headers of each answer."""
    pause: float = 0.0
    """Seconds before each answer."""

    async def handle(self, request: web.Request) -> web.Response:
        """Note a request and answer it; a body of bytes is sent as it is."""
        text = await request.text()
        asked = Asked(
            request.method,
            request.path,
            dict(request.query),
            dict(request.headers),
            json.loads(text) if text else None,
        )
        self.asked.append(asked)
        status, body = self.answer(asked)
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        await asyncio.sleep(self.pause)
        return web.Response(status=status, body=raw, headers=self.headers)


@asynccontextmanager
async def scripted(
    answer: Callable[[Asked], tuple[int, Any]] = lambda _: (200, {}),
) -> AsyncIterator[tuple[Cluster, Script]]:
    """A connection to a server that answers by a script."""
    script = Script(answer)
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", script.handle)
    async with TestServer(application) as server:
        script.configuration.host = f"{server.make_url('/')}"
        script.configuration.api_key = {"authorization": "Bearer first"}
        async with Cluster(Access(script.configuration)) as cluster:
            yield cluster, script
