"""Whether the operator is alive: it must say so again and again, or it is not."""

from __future__ import annotations

import asyncio
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor

from reconciliation_contract.adapters.telemetry.heartbeat import Heartbeat
from reconciliation_contract.adapters.telemetry.http_server import served
from reconciliation_contract.config import Listen
from reconciliation_contract.core.values.timing import TIMING
from tests.support.virtual_time_port import free_port


class Clock:
    """A clock that goes when it is told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        """Read it."""
        return self.now


def test_a_loop_that_says_nothing_is_dead() -> None:
    """What it has said before does not count any more; as soon as it runs again it is alive."""
    clock = Clock()
    heart = Heartbeat(clock=clock)
    heart.beat("", "not synced")
    fresh = heart.alive(), heart.ready()

    clock.now += TIMING.loop_starved.total_seconds() + 1
    silent = heart.alive(), heart.ready()
    heart.beat("", "")

    assert fresh == ("", "not synced")
    assert silent == ("the event loop has not run for 31 s",) * 2
    assert (heart.alive(), heart.ready()) == ("", "")


def test_what_the_loop_says_is_passed_on() -> None:
    """Whoever is not alive is not ready either; before the first beat nobody is ready."""
    heart = Heartbeat(clock=Clock())
    before = heart.alive(), heart.ready()

    heart.beat("stopped: resync", "")

    assert before == ("", "not started")
    assert (heart.alive(), heart.ready()) == ("stopped: resync",) * 2


def read(url: str) -> tuple[int, str]:
    """Status and text of a probe, without an event loop."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


async def test_probes_answer_while_the_event_loop_stands_still() -> None:
    """A pass that never ends is noticed from outside: the probe does not hang, it says what is wrong."""
    clock, port = Clock(), free_port()
    heart = Heartbeat(clock=clock)
    heart.beat("", "")
    async with served(
        Listen("127.0.0.1", port),
        Listen("127.0.0.1", 0),
        alive=heart.alive,
        ready=heart.ready,
        scrape=lambda _: ("text/plain", iter(())),
    ):
        well = await asyncio.to_thread(read, f"http://127.0.0.1:{port}/healthz")
        clock.now += TIMING.loop_starved.total_seconds() + 1
        with ThreadPoolExecutor(1) as other:
            dead = other.submit(read, f"http://127.0.0.1:{port}/healthz").result()  # the event loop stands still

    assert well == (200, "ok\n")
    assert dead == (503, "the event loop has not run for 31 s\n")
