"""What is served: probes with their reason, and metrics in the format that is asked for."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from reconciliation_contract.adapters.telemetry.exposition import expose
from reconciliation_contract.adapters.telemetry.http_server import Guard, everybody, served
from reconciliation_contract.config import Listen
from reconciliation_contract.errors import Unavailable
from tests.support.virtual_time_port import free_port

OPENMETRICS = "application/openmetrics-text; version=1.0.0"


@asynccontextmanager
async def serving(alive: str = "", ready: str = "", guard: Guard = everybody) -> AsyncIterator[tuple[str, str]]:
    """URLs of the probes and the metrics, with what the probes say is wrong."""
    registry = CollectorRegistry()
    Counter("things_total", "Things.", registry=registry).inc()
    health, metrics = free_port(), free_port()
    async with served(
        Listen("127.0.0.1", health),
        Listen("127.0.0.1", metrics),
        alive=lambda: alive,
        ready=lambda: ready,
        scrape=lambda accept: expose(registry, (), accept),
        guard=guard,
    ):
        yield f"http://127.0.0.1:{health}", f"http://127.0.0.1:{metrics}"


def nothing(_: str) -> tuple[str, Iterator[bytes]]:
    """An empty scrape."""
    return "text/plain", iter(())


async def fetch(url: str, accept: str = "*/*") -> tuple[int, str, str]:
    """Status, content type and text of a URL."""
    async with aiohttp.ClientSession() as client, client.get(url, headers={"Accept": accept}) as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


@pytest.mark.parametrize("status", [HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.SERVICE_UNAVAILABLE])
async def test_whoever_is_not_admitted_gets_no_metric(status: HTTPStatus) -> None:
    """The guard sees what he shows, and its answer is all he gets; probes are for everybody."""
    shown: list[str] = []

    async def guard(header: str) -> HTTPStatus:
        shown.append(header)
        return status

    async with serving(guard=guard) as (health, metrics), aiohttp.ClientSession() as client:
        async with client.get(f"{metrics}/metrics", headers={"Authorization": "Bearer x"}) as answer:
            text, challenge = await answer.text(), answer.headers.get("WWW-Authenticate")
        probe, _, _ = await fetch(f"{health}/readyz")

    assert (answer.status, text) == (status, f"{status.phrase}\n")
    assert challenge == ("Bearer" if status is HTTPStatus.UNAUTHORIZED else None)
    assert (shown, probe) == (["Bearer x"], 200)


@pytest.mark.parametrize("path", ["healthz", "readyz"])
async def test_a_probe_that_is_well_says_ok(path: str) -> None:
    """200 and a word."""
    async with serving() as (health, _):
        status, _, text = await fetch(f"{health}/{path}")

    assert (status, text) == (200, "ok\n")


async def test_each_probe_fails_with_its_own_reason() -> None:
    """503 and what is wrong; the one does not speak for the other."""
    async with serving(ready="not synced: no answer") as (health, _):
        ready, alive = await fetch(f"{health}/readyz"), await fetch(f"{health}/healthz")
    async with serving(alive="stopped: sweep") as (health, _):
        dead = await fetch(f"{health}/healthz")

    assert (ready[0], ready[2]) == (503, "not synced: no answer\n")
    assert alive[0] == 200
    assert (dead[0], dead[2]) == (503, "stopped: sweep\n")


async def test_metrics_come_as_text_or_openmetrics() -> None:
    """The format follows the Accept header, and both can be parsed."""
    async with serving() as (_, metrics):
        plain = await fetch(f"{metrics}/metrics")
        opened = await fetch(f"{metrics}/metrics", OPENMETRICS)

    assert plain[1].startswith("text/plain; version=")
    assert opened[1].startswith("application/openmetrics-text; version=")
    assert next(family.name for family in parse_text(plain[2])) == "things"
    assert next(family.name for family in parse_openmetrics(opened[2])) == "things"


async def test_probes_and_metrics_are_apart() -> None:
    """Metrics may be behind other rules than probes, so neither address serves the other."""
    async with serving() as (health, metrics):
        statuses = [(await fetch(f"{health}/metrics"))[0], (await fetch(f"{metrics}/readyz"))[0]]

    assert statuses == [404, 404]


async def test_an_address_in_use_is_told_with_what_to_do() -> None:
    """A second operator on the same ports ends with a sentence, not with a traceback."""
    async with serving() as (health, _):
        port = int(health.rpartition(":")[2])
        with pytest.raises(Unavailable, match=rf"^cannot listen on 127\.0\.0\.1:{port}: .*choose another address"):
            async with served(
                Listen("127.0.0.1", port),
                Listen("127.0.0.1", 0),
                alive=str,
                ready=str,
                scrape=nothing,
            ):
                pass


async def test_an_address_that_is_none_is_told() -> None:
    """A host that does not exist here is one of our errors."""
    with pytest.raises(Unavailable, match="cannot listen on"):
        async with served(Listen("192.0.2.1", 8081), Listen("127.0.0.1", 0), alive=str, ready=str, scrape=nothing):
            pass
