"""POST to a sink: bounded in time and size, without redirects, and without ever showing a secret."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp

from reconciliation_contract.adapters.notification import SinkError, Undeliverable
from reconciliation_contract.core.values.timing import TIMING, Timing

_SPOILT: Final = (400, 413, 422)
"""Statuses that speak of the message, not of the sink."""
_BUSY: Final = (429, 503)
"""Statuses that may say when to try again."""


class Poster:
    """One address, with the bearer token that a file holds.

    ``known`` are the statuses with which this receiver says that it has the message already. Nothing but the
    receiver's own protocol gives them that sense: anywhere else, and from any proxy before it, 429 means "not now".
    """

    def __init__(self, url: str, token_file: str = "", known: Collection[int] = (), timing: Timing = TIMING) -> None:
        self._limit = aiohttp.ClientTimeout(
            total=timing.sink_limit.total_seconds(), sock_connect=timing.api_connect.total_seconds()
        )
        self._url = url
        self._known = known
        self._token = Path(token_file) if token_file else None
        self._host = urlsplit(url).netloc
        self._session: aiohttp.ClientSession | None = None

    async def post(
        self, body: object, *, content: str = "application/json", headers: Mapping[str, str] | None = None
    ) -> int:
        """Send a JSON body; return the status of success. Raises `SinkError`."""
        if self._session is None:
            self._session = aiohttp.ClientSession(timeout=self._limit)
        data = json.dumps(body, ensure_ascii=False).encode()
        headers = {"Content-Type": content, **(headers or {}), **self._secret()}
        try:
            async with self._session.post(self._url, data=data, headers=headers, allow_redirects=False) as answer:
                await answer.content.read(1024)  # what it says may repeat what it was sent, and is told to nobody
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise SinkError(f"{self._host} does not answer: {type(error).__name__}") from error
        if answer.status // 100 == 2 or answer.status in self._known:  # noqa: PLR2004 - the class of success
            return answer.status
        kind = Undeliverable if answer.status in _SPOILT else SinkError
        pause = _pause(answer.headers) if answer.status in _BUSY else 0.0
        raise kind(f"{self._host} answers {answer.status}", pause)

    def _secret(self) -> Mapping[str, str]:
        """Read the token anew each time: a mounted Secret changes while we run."""
        if self._token is None:
            return {}
        try:
            token = self._token.read_text().strip()
        except (OSError, UnicodeError) as error:
            raise SinkError(f"the token file {self._token} cannot be read: {type(error).__name__}") from error
        if not (token.isascii() and token.isprintable()):
            raise SinkError(f"the token file {self._token} holds more than one line, or characters outside ASCII")
        return {"Authorization": f"Bearer {token}"}

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()


def _pause(headers: Mapping[str, str]) -> float:
    """Read ``Retry-After`` (RFC 9110, 10.2.3) in seconds: a number of them, or a date by the other side's clock."""
    said = headers.get("Retry-After", "")
    if said.isascii() and said.isdecimal():
        return float(said)
    try:
        pause = parsedate_to_datetime(said) - parsedate_to_datetime(headers.get("Date", ""))
    except (ValueError, TypeError):  # no date, or only one of the two with a time zone
        return 0.0
    return max(0.0, pause.total_seconds())


def lean(wire: Mapping[str, Any]) -> dict[str, Any]:
    """Leave out what is empty."""
    return {key: value for key, value in wire.items() if value not in (None, "")}


def stamp(at: datetime) -> str:
    """Write a time stamp: RFC 3339, UTC."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
