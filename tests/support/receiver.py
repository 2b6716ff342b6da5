"""A server on loopback that takes whatever is posted, and answers as the test says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

TOKEN = "kustomize.toolkit.fluxcd.io/token"


@dataclass(frozen=True)
class Post:
    """What was posted."""

    path: str
    headers: dict[str, str]
    body: Any
    status: int


@dataclass
class Receiver:
    """What came in, oldest first, and what the next one is answered with."""

    url: str = ""
    status: int = 202
    headers: dict[str, str] = field(default_factory=dict)
    stuck: bool = False
    """Whether answers never come."""
    came: list[Post] = field(default_factory=list)

    @property
    def taken(self) -> list[Any]:
        """Bodies that were taken."""
        return [post.body for post in self.came if post.status < 300 and post.body is not None]

    @property
    def reasons(self) -> list[str]:
        """Reasons of the events of Flux's form that a reader sees: each token once, as notification-controller does."""
        once = {body["metadata"][TOKEN]: body for body in self.taken}
        return [body["reason"] for body in once.values()]

    async def handle(self, request: web.Request) -> web.Response:
        """Take one."""
        body = await request.json() if request.can_read_body else None
        if self.stuck:
            await asyncio.sleep(3600)
        self.came.append(Post(request.path, dict(request.headers), body, self.status))
        if request.method == "GET":
            return web.json_response([])
        return web.json_response({"answer": "from the test"}, status=self.status, headers=self.headers)


@asynccontextmanager
async def receiving(status: int = 202) -> AsyncIterator[Receiver]:
    """A receiver in this event loop."""
    found = Receiver(status=status)
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", found.handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
        yield found
    finally:
        await runner.cleanup()


@contextmanager
def receiving_elsewhere(status: int = 202) -> Iterator[Receiver]:
    """A receiver in a thread of its own, for tests that have no event loop."""
    loop, ready, end = asyncio.new_event_loop(), threading.Event(), asyncio.Event()
    box: list[Receiver] = []

    async def serve() -> None:
        async with receiving(status) as found:
            box.append(found)
            ready.set()
            await end.wait()

    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), name="receiver", daemon=True)
    thread.start()
    assert ready.wait(10)
    try:
        yield box[0]
    finally:
        loop.call_soon_threadsafe(end.set)
        thread.join(10)
        loop.close()
