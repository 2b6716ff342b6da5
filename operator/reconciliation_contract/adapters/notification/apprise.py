"""Anything else, through Apprise: chat, mail and pagers by URL.

The URLs hold secrets, so they come from a file, are read anew each time and are never shown. Apprise blocks, so it
runs in a thread.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.adapters.notification import SinkError
from reconciliation_contract.core.contract import Severity
from reconciliation_contract.core.notice import Kind, Notice

_PATIENCE: Final = 30.0
_TYPES: Final = {Severity.INFO: "info", Severity.WARNING: "warning", Severity.CRITICAL: "failure"}


class AppriseSink:
    """Sends to every URL of a file: one a line, ``#`` begins a comment."""

    name: Final = "apprise"
    gathers: Final = True
    by_namespace: Final = False
    repeats: Final = 0.0

    def __init__(self, urls_file: str) -> None:
        self._file = Path(urls_file)
        try:
            self._apprise: Any = importlib.import_module("apprise")
        except ImportError as error:
            raise SinkError(
                "--notify-urls-file needs Apprise: pip install 'reconciliation-contract[notify]'"
            ) from error
        logging.getLogger("apprise").setLevel(logging.CRITICAL)  # it logs what the services say
        self._open()

    def _open(self) -> Any:
        """Read the URLs; a line that is none is told by its number."""
        try:
            lines = self._file.read_text().splitlines()
        except (OSError, UnicodeError) as error:
            raise SinkError(f"the file {self._file} cannot be read: {type(error).__name__}") from error
        sender = self._apprise.Apprise()
        for number, line in enumerate((line.strip() for line in lines), 1):
            if line and not line.startswith("#") and not sender.add(line):
                raise SinkError(f"line {number} of {self._file} is no URL that Apprise knows")
        if not len(sender):
            raise SinkError(f"the file {self._file} names no URL")
        return sender

    async def send(self, notices: Sequence[Notice]) -> None:
        """Send one after the other."""
        for notice in notices:
            try:
                async with asyncio.timeout(_PATIENCE):
                    taken = await asyncio.to_thread(self._notify, notice)
            except TimeoutError as error:
                raise SinkError("a service behind Apprise does not answer") from error
            if not taken:
                raise SinkError("a service behind Apprise refused the message")

    def _notify(self, notice: Notice) -> bool:
        kind = "success" if notice.kind is Kind.RECOVERED else _TYPES[notice.severity]
        try:
            return bool(self._open().notify(title=notice.title, body=notice.text, notify_type=kind))
        except TypeError as error:  # Apprise's way to refuse an empty list
            raise SinkError("no service behind Apprise could be reached") from error

    async def close(self) -> None:
        """Nothing is held."""
