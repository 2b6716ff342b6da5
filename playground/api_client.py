"""A small synchronous client for the API server: enough to set a cluster up and to look at it."""

from __future__ import annotations

import http.client
import json
import ssl
import weakref
from collections import deque
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode

from playground.credential import Access

FIELD_MANAGER = "playground"
TIMEOUT = 15.0
"""Seconds until a request without an answer counts as failed."""


class ApiError(Exception):
    """The API server refused a request."""

    def __init__(self, method: str, path: str, status: int, message: str) -> None:
        self.status = status
        self.message = message
        super().__init__(f"{method} {path}: {status} {message}")


class ApiClient:
    """Requests as one user; usable from several threads. Connection errors are `OSError`."""

    def __init__(self, access: Access, token: str) -> None:
        self._token = token
        self._idle = _Idle(access.server.removeprefix("https://"), ssl.create_default_context(cafile=access.ca_file))
        weakref.finalize(self, self._idle.close)

    def get(self, path: str) -> dict[str, Any]:
        """Return the object or list at a path such as `/api/v1/nodes`. Raises `ApiError`, also for 404."""
        return self._object("GET", path)

    def find(self, path: str) -> dict[str, Any] | None:
        """Return the object at a path, or None if there is none."""
        try:
            return self.get(path)
        except ApiError as error:
            if error.status == HTTPStatus.NOT_FOUND:
                return None
            raise

    def create(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POST an object to a collection."""
        return self._object("POST", path, body)

    def apply(self, path: str, body: dict[str, Any], *, manager: str = FIELD_MANAGER) -> dict[str, Any]:
        """Apply an object server-side at its own path; conflicts are forced."""
        query = urlencode({"fieldManager": manager, "force": "true"})
        return self._object("PATCH", f"{path}?{query}", body, "application/apply-patch+yaml")

    def merge(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """Merge-patch an object."""
        return self._object("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str) -> None:
        """Delete an object or collection; absent is fine."""
        try:
            self._object("DELETE", path)
        except ApiError as error:
            if error.status != HTTPStatus.NOT_FOUND:
                raise

    def text(self, path: str) -> str:
        """Return what a path answers, as text (`/readyz`, `/metrics`)."""
        return self._send("GET", path, None, "application/json").decode()

    def _object(
        self, method: str, path: str, body: dict[str, Any] | None = None, content_type: str = "application/json"
    ) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self._send(method, path, body, content_type))
        return answer

    def _send(self, method: str, path: str, body: dict[str, Any] | None, content_type: str) -> bytes:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": content_type}
        connection, kept = self._idle.take()
        try:
            status, answer, stays = _exchange(connection, method, path, data, headers)
        except (ConnectionResetError, BrokenPipeError):
            connection.close()
            if not kept:
                raise
            # The server gave the connection up while nobody used it, or has been started again since.
            self._idle.close()
            return self._send(method, path, body, content_type)
        except BaseException as error:
            connection.close()
            if isinstance(error, http.client.HTTPException):
                raise ConnectionError(repr(error)) from error
            raise
        if stays:
            self._idle.give(connection)
        else:
            connection.close()
        if status >= HTTPStatus.BAD_REQUEST:
            raise ApiError(method, path, status, _message(answer))
        return answer


class _Idle:
    """Connections that are open and not in use: a handshake costs more than most requests."""

    def __init__(self, address: str, context: ssl.SSLContext) -> None:
        self._address = address
        self._context = context
        self._connections: deque[http.client.HTTPSConnection] = deque()

    def take(self) -> tuple[http.client.HTTPSConnection, bool]:
        """Return a connection, and whether it was in use before."""
        try:
            return self._connections.pop(), True
        except IndexError:
            return http.client.HTTPSConnection(self._address, context=self._context, timeout=TIMEOUT), False

    def give(self, connection: http.client.HTTPSConnection) -> None:
        """Keep a connection for the next request."""
        self._connections.append(connection)

    def close(self) -> None:
        """Close all that are kept."""
        with suppress(IndexError):
            while True:
                self._connections.pop().close()


def _exchange(
    connection: http.client.HTTPSConnection, method: str, path: str, data: bytes | None, headers: dict[str, str]
) -> tuple[int, bytes, bool]:
    """Return status and body of an answer, and whether the connection stays open."""
    connection.request(method, path, data, headers)
    response = connection.getresponse()
    return response.status, response.read(), not response.will_close


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
