"""How long a scrape takes, and how long it holds up everything else.

The operator's endpoint with its metrics, scraped over HTTP by another process while a heartbeat runs beside it on the
same event loop.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import replace

from reconciliation_contract.adapters.telemetry.http_server import served
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.config import Listen
from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.memory.timeline import Stages
from tests.support import builders_core as core
from tests.support.virtual_time_port import free_port

SIZES = (1_000, 10_000)
SCRAPES = 100
BEAT = 0.001
"""Seconds between two heartbeats."""
CLIENT = """
import http.client, sys, time
port, times = int(sys.argv[1]), int(sys.argv[2])
for _ in range(times):
    began = time.perf_counter()
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("GET", "/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    size = len(connection.getresponse().read())
    print(time.perf_counter() - began, size)
    time.sleep(0.02)
"""


def memory() -> Memory:
    """A contract with every promise judged and every stage reached."""
    stages = Stages(
        committed=core.moment(0), detected=core.moment(5), applied=core.moment(20), healthy=core.moment(50)
    )
    minute = core.CONTRACT.promises.detection
    return Memory(
        delivery=core.delivery(stages=stages),
        judgements=tuple(Judgement(name, Verdict.KEPT, minute, "WithinBudget") for name in PromiseName),
    )


TOLD = {name: Condition("True", "Fine") for name in ("Ready", "Feasible", "DependenciesReady")}


def filled(contracts: int) -> Metrics:
    """Metrics of so many contracts."""
    metrics, full = Metrics(), memory()
    for number in range(contracts):
        metrics.passed(
            replace(core.CONTRACT, namespace=f"team-{number % 100}", name=f"app-{number}"), Memory(), full, TOLD
        )
    return metrics


async def beat(gaps: list[float]) -> None:
    """Note how long each heartbeat took."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(BEAT)
        gaps.append(time.perf_counter() - began - BEAT)


async def scrape(port: int, times: int) -> tuple[list[float], int]:
    """Seconds of each scrape by another process, and the size of the last."""
    command = (sys.executable, "-c", CLIENT, str(port), str(times))
    client = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
    output, _ = await client.communicate()
    lines = [line.split() for line in output.decode().splitlines()]
    return [float(seconds) for seconds, _ in lines], int(lines[-1][1])


async def measure(contracts: int) -> str:
    """Scrape and write a line of figures."""
    began = time.perf_counter()
    metrics = filled(contracts)
    feeding = (time.perf_counter() - began) / contracts
    port, gaps = free_port(), list[float]()
    async with served(
        Listen("127.0.0.1", free_port()), Listen("127.0.0.1", port), alive=str, ready=str, scrape=metrics.scrape
    ):
        heart = asyncio.create_task(beat(gaps))
        await scrape(port, 3)
        gaps.clear()
        seconds, size = await scrape(port, SCRAPES)
        heart.cancel()
    return (
        f"{contracts:>6} contracts  {size / 1e6:5.1f} MB  p50 {_ms(seconds, 50)}  p99 {_ms(seconds, 99)}"
        f"  longest stall {max(gaps) * 1000:6.1f} ms  lines of a contract written in {feeding * 1e6:.0f} us"
    )


def _ms(seconds: Sequence[float], percentile: int) -> str:
    return f"{statistics.quantiles(seconds, n=100)[percentile - 1] * 1000:6.1f} ms"


def main() -> None:
    """Print a line for each size."""
    for contracts in SIZES:
        print(asyncio.run(measure(contracts)))


if __name__ == "__main__":
    main()
