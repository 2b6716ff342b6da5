"""Tries at a sink by one queue, one at a time: each is counted, and one that fails has the next wait, ever longer.

A sink that refuses deliveries may still take messages about incidents, so each of its queues has tries of its own.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable

from reconciliation_contract.adapters.notification import SinkError, Undeliverable
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.core.values.timing import TIMING, Timing

_log = logging.getLogger(__name__)


class Attempts:
    """At one sink, by one queue."""

    def __init__(self, sink: str, metrics: Metrics, longest: float = 0.0, timing: Timing = TIMING) -> None:
        self._sink = sink
        self._metrics = metrics
        self._first = timing.sink_retry.total_seconds()
        self._longest = longest or timing.sink_retry_longest.total_seconds()
        self._failures = 0
        self._failing_since = 0.0
        self.not_before = 0.0
        """When the next may be made; the queue sees to that."""

    def failing(self) -> float:
        """For how many seconds none has succeeded; 0 where the last one did."""
        return asyncio.get_running_loop().time() - self._failing_since if self._failures else 0.0

    async def make(self, sending: Awaitable[None]) -> bool:
        """Send, and count what became of it; False where it is to be tried again, not before `not_before`.

        A message that is refused for good counts as told.
        """
        try:
            await sending
        except Undeliverable as error:
            self._metrics.notified(self._sink, "refused")
            _log.error("a sink refuses a message", extra={"sink": self._sink, "error": str(error)})
        except SinkError as error:
            self._failed(str(error), error.retry_after)
            return False
        except Exception as error:  # noqa: BLE001 - ours, or a library's: this sink only
            _log.exception("a sink failed; please report this", extra={"sink": self._sink})
            self._failed(type(error).__name__)
            return False
        else:
            self._metrics.notified(self._sink, "taken")
        if self._failures:
            _log.info("a sink takes messages again", extra={"sink": self._sink})
        self._failures = 0
        return True

    def _failed(self, problem: str, asked: float = 0.0) -> None:
        """Pause before the next try; the first failure of a row is logged, all are counted.

        ``asked`` is for how many seconds the sink asks to be left alone.
        """
        self._metrics.notified(self._sink, "failed")
        now = asyncio.get_running_loop().time()
        if not self._failures:
            self._failing_since = now
            _log.warning("a sink does not take messages", extra={"sink": self._sink, "error": problem})
        pause = min(self._longest, self._first * 2 ** min(self._failures, 12))
        self._failures += 1
        jitter = random.uniform(0.5, 1)  # noqa: S311 - only so that not all ask at once
        self.not_before = now + max(pause * jitter, min(self._longest, asked))
