"""Asking a component whether it is ready."""

from __future__ import annotations

import http.client
import ssl
import urllib.error
import urllib.request
from http import HTTPStatus
from pathlib import Path

TIMEOUT = 5.0
"""Seconds for an answer; a component that starts may accept a connection long before it answers."""


class Health:
    """Requests to health endpoints on loopback, HTTPS ones checked against the API server's certificate."""

    def __init__(self, certificate: Path) -> None:
        self._certificate = certificate
        self._context: ssl.SSLContext | None = None

    def is_ready(self, url: str) -> bool:
        """Tell whether the URL answers 200; a refused connection or another answer means no."""
        try:
            with self._opener(url).open(url, timeout=TIMEOUT) as response:
                return bool(response.status == HTTPStatus.OK)
        except (OSError, http.client.HTTPException):
            # urllib's errors are OSErrors, and so is a certificate that is not written yet.
            return False

    def _opener(self, url: str) -> urllib.request.OpenerDirector:
        handlers: list[urllib.request.BaseHandler] = [urllib.request.ProxyHandler({})]
        if url.startswith("https:"):
            if self._context is None:
                self._context = ssl.create_default_context(cafile=self._certificate)
            handlers.append(urllib.request.HTTPSHandler(context=self._context))
        return urllib.request.build_opener(*handlers)
