"""Virtual time: the clock of a test is that of its event loop, which looptime moves on as soon as nothing happens."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

import looptime

T = TypeVar("T")

START: Final = datetime(2026, 1, 5, 12, 0, 0, tzinfo=UTC)
"""The wall clock of a test when its event loop begins."""
_STEP: Final = 0.02
"""Seconds between the first two looks at what is waited for; later ones are further apart."""


def now() -> datetime:
    """Read the wall clock of a test."""
    return START + timedelta(seconds=asyncio.get_running_loop().time())


def stamp(at: datetime | None = None) -> str:
    """Write a time stamp as the API server does: RFC 3339, whole seconds."""
    return (at or now()).strftime("%Y-%m-%dT%H:%M:%SZ")


async def eventually(found: Callable[[], T], what: str, within: float = 60.0) -> T:
    """Wait until something is truthy, and return it; fail after a bounded time, by the loop's own clock."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        value = found()
        if value:
            return value
        waited = loop.time() - began
        if waited >= within:
            raise AssertionError(f"waited {within:g} s for {what}")
        await asyncio.sleep(max(_STEP, waited / 50))


def virtually(story: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Run a story to its end in an event loop of virtual time of its own, as generated tests need."""
    loop = looptime.new_event_loop()
    try:
        loop.run_until_complete(story())
    finally:
        loop.close()


async def passing(seconds: float) -> None:
    """Let time pass."""
    await asyncio.sleep(seconds)
