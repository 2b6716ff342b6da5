"""What the operator serves: /healthz, /readyz and /metrics.

Probes have a thread and an event loop of their own, so that they answer however busy the operator is.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import Future
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from http import HTTPStatus

from aiohttp import web

from reconciliation_contract.config import Listen
from reconciliation_contract.core.values.text import bounded
from reconciliation_contract.errors import Unavailable

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Probe = Callable[[], str]
"""Return what is wrong; empty when all is well."""
Scrape = Callable[[str], tuple[str, Iterator[bytes]]]
"""Return content type and body for an Accept header."""
Guard = Callable[[str], Awaitable[HTTPStatus]]
"""Return what to answer to whoever shows an Authorization header: 200 admits him."""


async def everybody(_: str) -> HTTPStatus:
    """Admit whoever can reach the address, which is enough on loopback."""
    return HTTPStatus.OK


def _answer(probe: Probe) -> Handler:
    async def handle(_: web.Request) -> web.StreamResponse:
        problem = probe()
        return web.Response(text=f"{bounded(problem) or 'ok'}\n", status=503 if problem else 200)

    return handle


def _serve(scrape: Scrape, guard: Guard) -> Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        status = await guard(request.headers.get("Authorization", ""))
        if status is not HTTPStatus.OK:
            challenge = {"WWW-Authenticate": "Bearer"} if status is HTTPStatus.UNAUTHORIZED else {}
            return web.Response(text=f"{status.phrase}\n", status=status, headers=challenge)
        content_type, body = scrape(request.headers.get("Accept", ""))
        response = web.StreamResponse(headers={"Content-Type": content_type})
        await response.prepare(request)
        for part in body:
            await response.write(part)
            await asyncio.sleep(0)  # a large scrape must not hold up the passes
        await response.write_eof()
        return response

    return handle


@asynccontextmanager
async def served(
    health: Listen, metrics: Listen, *, alive: Probe, ready: Probe, scrape: Scrape, guard: Guard = everybody
) -> AsyncIterator[None]:
    """Serve while the context lasts. Probes are asked from another thread.

    Raises `Unavailable` where an address cannot be listened on.
    """
    scrapes = web.Application()
    scrapes.router.add_get("/metrics", _serve(scrape, guard))
    async with _probed(health, alive, ready), _listening(scrapes, metrics):
        yield


@asynccontextmanager
async def _listening(app: web.Application, listen: Listen) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await runner.setup()
        stack.push_async_callback(runner.cleanup)
        try:
            await web.TCPSite(runner, listen.host, listen.port).start()
        except OSError as error:
            detail = f"{error.strerror or error}; choose another address or free it"
            raise Unavailable("listen on", f"{listen.host}:{listen.port}", detail) from error
        yield


@asynccontextmanager
async def _probed(listen: Listen, alive: Probe, ready: Probe) -> AsyncIterator[None]:
    probes = web.Application()
    probes.router.add_get("/healthz", _answer(alive))
    probes.router.add_get("/readyz", _answer(ready))
    begun: Future[Callable[[], object]] = Future()
    """How to end it."""

    async def serve() -> None:
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        async with _listening(probes, listen):
            begun.set_result(partial(loop.call_soon_threadsafe, over.set))
            await over.wait()

    def run() -> None:
        try:
            asyncio.run(serve())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            if not begun.done():
                begun.set_exception(error)

    thread = threading.Thread(target=run, name="probes", daemon=True)
    thread.start()
    end = begun.result()
    try:
        yield
    finally:
        end()
        await asyncio.to_thread(thread.join)
