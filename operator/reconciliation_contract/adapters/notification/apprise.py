"""Anything else, through Apprise: chat, mail and pagers by URL.

Each URL is a sink of its own: one that is dead keeps nothing from the others, and has them repeat nothing. They hold
secrets, so they come from a file, are read anew each time and are never shown; a sink is known by the place of its
URL. Apprise blocks, so each sink has a thread of its own, never the loop's, which looks up names for everybody.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.adapters.notification import SinkError
from reconciliation_contract.core.incidents.message import Kind, Notice
from reconciliation_contract.core.spec.contract import Severity
from reconciliation_contract.core.values.timing import TIMING, Timing

MOST: Final = 8
"""URLs; the status says of each what it has taken."""
_TYPES: Final = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}


def apprise_sinks(urls_file: str, timing: Timing = TIMING) -> Iterator[AppriseSink]:
    """Make a sink for every URL of a file: one a line, ``#`` begins a comment. Raises `SinkError`."""
    try:
        library: Any = importlib.import_module("apprise")
    except ImportError as error:
        raise SinkError("--notify-urls-file needs Apprise: pip install 'reconciliation-contract[notify]'") from error
    logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs what the services say
    urls = Urls(library, Path(urls_file))
    count = urls.check()
    return (AppriseSink(urls, place, timing) for place in range(count))


class Urls:
    """The URLs of a file, as it is now."""

    def __init__(self, library: Any, path: Path) -> None:
        self._path = path
        self.library = library

    def check(self) -> int:
        """Count them. Raises `SinkError` where one can never work."""
        count = len(self._read())
        if not 0 < count <= MOST:
            raise SinkError(f"the file {self._path} names {count or 'no'} URLs; write 1 to {MOST}, one a line")
        for place in range(count):
            self.open(place)
        return count

    def open(self, place: int) -> Any:
        """Read the URL at a place; one that is none is told by the number of its line. Raises `SinkError`."""
        lines = self._read()
        if place >= len(lines):
            raise SinkError(f"the file {self._path} names only {len(lines)} URLs now")
        number, line = lines[place]
        service = self.library.Apprise()
        if not service.add(line):
            raise SinkError(f"line {number} of {self._path} is no URL that Apprise knows")
        return service

    def _read(self) -> list[tuple[int, str]]:
        try:
            lines = self._path.read_text().splitlines()
        except (OSError, UnicodeError) as error:
            raise SinkError(f"the file {self._path} cannot be read: {type(error).__name__}") from error
        stripped = ((number, line.strip()) for number, line in enumerate(lines, 1))
        return [(number, line) for number, line in stripped if line and not line.startswith("#")]


class AppriseSink:
    """Sends to one URL, one message at a time."""

    gathers: Final = True
    by_namespace: Final = False
    repeats: Final = 0.0

    def __init__(self, urls: Urls, place: int, timing: Timing = TIMING) -> None:
        self._limit = timing.chat_limit.total_seconds()
        self.name = f"apprise-{place + 1}"
        self._urls = urls
        self._place = place
        self._thread = ThreadPoolExecutor(1, self.name)
        self._under_way: tuple[str, asyncio.Future[bool] | None] = ("", None)
        """The message that is being sent, by its identity: it may arrive after we gave up on it."""

    async def send(self, notices: Sequence[Notice]) -> None:
        """Send one after the other."""
        for notice in notices:
            try:
                async with asyncio.timeout(self._limit):
                    taken = await self._taken(notice)
            except TimeoutError as error:
                raise SinkError(f"the service behind {self.name} does not answer") from error
            if not taken:
                raise SinkError(f"the service behind {self.name} refused the message")

    async def _taken(self, notice: Notice) -> bool:
        """Whether the service takes a message; one that is still being sent is waited for, not sent again."""
        id_, sending = self._under_way
        if sending is not None and id_ != notice.id:
            await asyncio.wait((sending,))
            sending = None
        if sending is None:
            sending = asyncio.get_running_loop().run_in_executor(self._thread, self._notify, notice)
            self._under_way = notice.id, sending
        taken = await asyncio.shield(sending)
        self._under_way = "", None
        return taken

    def _notify(self, notice: Notice) -> bool:
        kind = "success" if notice.kind is Kind.RECOVERED else _TYPES[notice.severity]
        plain = self._urls.library.NotifyFormat.TEXT  # what looks like markup came from a cluster, and is to be shown
        service = self._urls.open(self._place)
        return bool(service.notify(title=notice.title, body=notice.text, notify_type=kind, body_format=plain))

    async def close(self) -> None:
        """End the thread; it finishes what it sends."""
        self._thread.shutdown(wait=False, cancel_futures=True)
