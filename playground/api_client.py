"""A small synchronous client for the API server: enough to set a cluster up and to look at it."""

from __future__ import annotations

import json
import ssl
import urllib.error
import urllib.request
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
        self._server = access.server
        self._token = token
        self._context = ssl.create_default_context(cafile=access.ca_file)
        # Nothing here may go through a proxy: everything is on loopback.
        self._opener = urllib.request.build_opener(
            urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=self._context)
        )

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
        request = urllib.request.Request(  # noqa: S310 - the URL is the API server's own
            self._server + path,
            method=method,
            data=None if body is None else json.dumps(body).encode(),
            headers={"Authorization": f"Bearer {self._token}", "Content-Type": content_type},
        )
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                answer: bytes = response.read()
                return answer
        except urllib.error.HTTPError as error:
            with error:
                raise ApiError(method, path, error.code, _message(error.read())) from error


def _message(body: bytes) -> str:
    try:
        return str(json.loads(body)["message"])
    except (ValueError, KeyError, TypeError):
        return body.decode(errors="replace")
