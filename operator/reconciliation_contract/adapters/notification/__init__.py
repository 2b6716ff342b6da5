"""Where incidents are told: one sink a file.

A sink sends what it is given, once, and says what became of it; waiting, repeating and counting is not its business.
A message may be sent again after a crash, with the same `id`: a sink passes that on where its reader can use it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from reconciliation_contract.core.delivery.milestone import Milestone
from reconciliation_contract.core.incidents.message import Notice
from reconciliation_contract.core.values.text import bounded


class SinkError(Exception):
    """The sink does not take messages now; the text is safe to show."""

    def __init__(self, message: str, retry_after: float = 0.0) -> None:
        super().__init__(bounded(message, 600))
        self.retry_after = retry_after
        """Seconds for which the sink asks to be left alone; 0 where it does not say."""


class Undeliverable(SinkError):
    """The sink will never take this message; others it may."""


class Sink(Protocol):
    """A way to tell people."""

    @property
    def name(self) -> str:
        """Its name in the status and in metrics."""

    @property
    def gathers(self) -> bool:
        """Whether it wants one message for a storm. False where it groups by itself or marks commits."""

    @property
    def repeats(self) -> float:
        """Seconds after which it must be told again of what is open; 0 where it remembers by itself."""

    @property
    def by_namespace(self) -> bool:
        """Whether each namespace has readers of its own, so that only its own messages are gathered."""

    async def send(self, notices: Sequence[Notice]) -> None:
        """Send messages together. Raises `SinkError`; a second call with the same ones does no harm."""

    async def close(self) -> None:
        """Free what it holds."""


@runtime_checkable
class Recorder(Protocol):
    """A sink that keeps a record of deployments, too."""

    @property
    def name(self) -> str:
        """Its name in metrics."""

    async def announce(self, milestone: Milestone) -> None:
        """Send one milestone, under the same terms as a message."""
