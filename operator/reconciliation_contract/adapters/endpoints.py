"""What the operator serves: /healthz, /readyz and /metrics."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from reconciliation_contract.config import Listen
from reconciliation_contract.errors import Unavailable

Handler = Callable[[web.Request], Awaitable[web.Response]]
Probe = Callable[[], str]
"""Return what is wrong; empty when all is well."""


def _answer(probe: Probe) -> Handler:
    async def handle(_: web.Request) -> web.Response:
        problem = probe()
        return web.Response(text=f"{problem or 'ok'}\n", status=503 if problem else 200)

    return handle


def _scrape(registry: CollectorRegistry) -> Handler:
    async def handle(request: web.Request) -> web.Response:
        encoder, content_type = choose_encoder(request.headers.get("Accept", ""))
        return web.Response(body=encoder(registry), headers={"Content-Type": content_type})

    return handle


@asynccontextmanager
async def served(
    health: Listen, metrics: Listen, *, alive: Probe, ready: Probe, registry: CollectorRegistry
) -> AsyncIterator[None]:
    """Serve while the context lasts. Raises `Unavailable` where an address cannot be listened on."""
    probes, scrapes = web.Application(), web.Application()
    probes.router.add_get("/healthz", _answer(alive))
    probes.router.add_get("/readyz", _answer(ready))
    scrapes.router.add_get("/metrics", _scrape(registry))
    async with AsyncExitStack() as stack:
        for app, listen in ((probes, health), (scrapes, metrics)):
            runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            try:
                await web.TCPSite(runner, listen.host, listen.port).start()
            except OSError as error:
                detail = f"{error.strerror or error}; choose another address or free it"
                raise Unavailable("listen on", f"{listen.host}:{listen.port}", detail) from error
        yield
