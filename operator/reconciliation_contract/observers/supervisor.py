"""Work that goes on for one contract or repository, kept going: a fault of ours in it must not end it unnoticed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Final

from reconciliation_contract.core.values.timing import TIMING, Timing

_log = logging.getLogger(__name__)

BUG: Final = "the operator failed at it; see its log, and please report it"
"""What is told of facts that are missing through a fault of ours."""


class Keeper:
    """Begins work and keeps it going; ``count`` is called for each fault."""

    def __init__(self, count: Callable[[], None] = lambda: None, timing: Timing = TIMING) -> None:
        self._timing = timing
        self._count = count

    def begin(
        self, work: Callable[[], Coroutine[None, None, None]], name: str, broke: Callable[[], None]
    ) -> asyncio.Task[None]:
        """Begin work, and again after each fault, until it ends by itself or the task is cancelled.

        ``broke`` is called at each fault, to have the facts say that something is missing.
        """
        return asyncio.create_task(self._keep(work, name, broke), name=name)

    async def _keep(
        self, work: Callable[[], Coroutine[None, None, None]], name: str, broke: Callable[[], None]
    ) -> None:
        pause = self._timing.restart
        while True:
            try:
                await work()
            except Exception:  # noqa: BLE001 - ours: this work only, never the rest
                _log.exception("work broke off and begins anew; please report this", extra={"work": name})
                self._count()
                broke()
                await asyncio.sleep(pause.total_seconds())
                pause = min(self._timing.restart_longest, pause * 2)
            else:
                return
