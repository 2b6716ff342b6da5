"""Who may read the metrics: whom Kubernetes lets ``get`` the non-resource URL ``/metrics``, as with its own programs.

A bearer token is shown to the API server (TokenReview), and whoever it belongs to is asked about
(SubjectAccessReview). Answers are remembered for a minute, by the token's digest. While the API server does not
answer, whoever was allowed to a short time ago still is: metrics are needed just then.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final

from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import ClusterError

_log = logging.getLogger(__name__)

TOKEN_REVIEWS: Final = Resource("authentication.k8s.io", "v1", "tokenreviews", namespaced=False)
ACCESS_REVIEWS: Final = Resource("authorization.k8s.io", "v1", "subjectaccessreviews", namespaced=False)
MOST: Final = 64
"""Tokens remembered of those that may, and as many of those that may not."""
_LONGEST: Final = 16_384
"""Characters of a token that are looked at."""


class Readers:
    """Decides about ``Authorization`` headers, one review at a time."""

    def __init__(self, cluster: Cluster, clock: Callable[[], datetime], timing: Timing = TIMING) -> None:
        self._timing = timing
        self._cluster = cluster
        self._clock = clock
        self._allowed: dict[str, datetime] = {}
        self._denied: dict[str, tuple[datetime, HTTPStatus]] = {}
        """Apart, so that a flood of wrong tokens drives no right one out."""
        self._turn = asyncio.Lock()

    async def admit(self, header: str) -> HTTPStatus:
        """Say what to answer: 200, 401 or 403, or 503 where nobody can tell."""
        scheme, _, token = header.partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not 0 < len(token) <= _LONGEST:
            return HTTPStatus.UNAUTHORIZED
        digest = hashlib.sha256(token.encode()).hexdigest()
        known = self._known(digest, self._timing.reader_believed)
        if known is not None:
            return known
        async with self._turn:
            return self._known(digest, self._timing.reader_believed) or await self._reviewed(token, digest)

    def _known(self, digest: str, age: timedelta) -> HTTPStatus | None:
        now = self._clock()
        if digest in self._allowed and now - self._allowed[digest] < age:
            return HTTPStatus.OK
        at, status = self._denied.get(digest, (None, HTTPStatus.UNAUTHORIZED))
        return status if at is not None and now - at < self._timing.reader_believed else None

    async def _reviewed(self, token: str, digest: str) -> HTTPStatus:
        try:
            status = await self._review(token)
        except ClusterError as error:
            known = self._known(digest, self._timing.reader_grace)
            if known is None:
                _log.warning("who may read the metrics cannot be asked", extra={"error": str(error)})
            return known or HTTPStatus.SERVICE_UNAVAILABLE
        self._allowed.pop(digest, None)
        self._denied.pop(digest, None)
        if status is HTTPStatus.OK:
            self._allowed[digest] = self._clock()
        else:
            self._denied[digest] = self._clock(), status
        for remembered in (self._allowed, self._denied):
            if len(remembered) > MOST:
                del remembered[next(iter(remembered))]
        return status

    async def _review(self, token: str) -> HTTPStatus:
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenReview", "spec": {"token": token}}
        found = _status(await self._cluster.create(TOKEN_REVIEWS, "", body))
        if found.get("authenticated") is not True:
            return HTTPStatus.UNAUTHORIZED
        user = found.get("user") or {}
        asked = {
            "user": user.get("username", ""),
            **{name: user[name] for name in ("uid", "groups", "extra") if user.get(name)},
            "nonResourceAttributes": {"path": "/metrics", "verb": "get"},
        }
        body = {"apiVersion": "authorization.k8s.io/v1", "kind": "SubjectAccessReview", "spec": asked}
        found = _status(await self._cluster.create(ACCESS_REVIEWS, "", body))
        return HTTPStatus.OK if found.get("allowed") is True else HTTPStatus.FORBIDDEN


def _status(answer: Any) -> dict[str, Any]:
    found = answer.get("status")
    return found if isinstance(found, dict) else {}
