"""The API server as a person uses it: a few calls, each answer or refusal at once.

The operator's own client is not used: it writes under the operator's field manager, and what a person asks for must
stay apart from what the operator does. Flux takes away what managers named ``kubectl…`` write on an object that it
applies from Git, but not what ours writes, so a request survives on a contract that lives in Git.
"""

from __future__ import annotations

import json
import re
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from http.client import HTTPException, HTTPResponse
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from reconciliation_contract.adapters.kubernetes.client import CONTRACTS, KUSTOMIZATIONS
from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.cli.client.errors import Absent, Changed, Misuse, Problem, Unreachable
from reconciliation_contract.core.values.text import bounded
from reconciliation_contract.errors import BadName

Raw = Mapping[str, Any]

FIELD_MANAGER: Final = "flux-contract"
REVIEWS: Final = Resource("authentication.k8s.io", "v1", "selfsubjectreviews", namespaced=False)
NAMESPACES: Final = Resource("", "v1", "namespaces", namespaced=False)
TIMEOUT: Final = 15.0
"""Seconds for one answer."""
_LONGEST: Final = 300
"""Seconds after which a watch is begun anew."""
_PATIENCE: Final = 3.0
"""Seconds more than a watch should last, after which the connection counts as dead."""
_PAUSE: Final = 1.0
"""Seconds between two attempts to watch."""
_LOOPBACK: Final = ("localhost", "127.0.0.1", "::1")
"""Never reached through a proxy, as with kubectl."""
_DENIED: Final = re.compile(r"denied (?:the )?request: (.*)", re.DOTALL)
_USER: Final = re.compile(r'User "([^"]*)"')


_VERBS: Final = {"GET": "get", "PATCH": "patch", "POST": "create"}


@dataclass(frozen=True, slots=True)
class Seen:
    """A contract as a watch tells of it."""

    raw: Raw
    gone: bool = False


@dataclass(frozen=True, slots=True)
class _Ask:
    """One request."""

    method: str
    resource: Resource
    namespace: str = ""
    name: str = ""
    body: Raw | None = None
    query: Mapping[str, str] = field(default_factory=dict)
    only: str = ""
    """Name of the only object to list."""

    @property
    def path(self) -> str:
        """Path and query of its URL. Raises `BadName`."""
        only = {"fieldSelector": self.resource.only(self.only)} if self.only else {}
        query = only | dict(self.query) | ({"fieldManager": FIELD_MANAGER} if self.body is not None else {})
        where, name = self.resource, self.name
        path = where.path_of(self.namespace, name) if name else where.path_of_all(self.namespace)
        return path + (f"?{urlencode(query)}" if query else "")

    @property
    def content(self) -> str:
        """Media type of its body."""
        return "application/merge-patch+json" if self.method == "PATCH" else "application/json"

    @property
    def right(self) -> str:
        """The right that it needs, as an administrator grants it."""
        verb = _VERBS[self.method] if self.name or self.method != "GET" else "list"
        return f"{verb} {self.resource.plural}.{self.resource.group or 'core'}{self.where}"

    @property
    def where(self) -> str:
        """The namespace that it is about, in words."""
        return f" in namespace {self.namespace}" if self.namespace else ""


class Connection:
    """Calls to one API server. Every call may raise `Problem`: `Absent`, `Unreachable`, `Changed` or a plain one."""

    def __init__(self, access: Access, timeout: float = TIMEOUT) -> None:
        self.access = access
        """The way to the API server."""
        self._timeout = timeout
        self._opener = _opener(access)

    # Calls ---------------------------------------------------------------------------------------------------------

    def contract(self, namespace: str, name: str) -> Raw:
        """Read one contract."""
        return self._call(_Ask("GET", CONTRACTS, namespace, name))

    def contracts(self, namespace: str = "") -> list[Raw]:
        """Read all contracts of a namespace, or of the cluster."""
        return _items(self._call(_Ask("GET", CONTRACTS, namespace)))

    def kustomization(self, namespace: str, name: str) -> Raw:
        """Read a Kustomization."""
        return self._call(_Ask("GET", KUSTOMIZATIONS, namespace, name))

    def namespaces(self) -> list[str]:
        """Read the names of all namespaces."""
        return [str(item["metadata"]["name"]) for item in _items(self._call(_Ask("GET", NAMESPACES)))]

    def annotate(self, contract: Raw, annotations: Mapping[str, str | None]) -> Raw:
        """Set annotations of this very contract, or remove them (None); `Changed` if it was replaced."""
        meta = contract["metadata"]
        patch = {"metadata": {"uid": meta["uid"], "annotations": dict(annotations)}}
        return self._call(_Ask("PATCH", CONTRACTS, meta["namespace"], meta["name"], patch))

    def user(self) -> str:
        """Who the API server takes us for; empty where it does not say."""
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        try:
            status = self._call(_Ask("POST", REVIEWS, body=review)).get("status") or {}
        except Problem:
            return ""
        return str((status.get("userInfo") or {}).get("username") or "")

    def watch(self, namespace: str, name: str = "", seconds: float | None = None) -> Iterator[Seen]:
        """Yield the contracts as they are, then each that changes, until the time is up.

        An API server that goes away is waited for; only the first look at it may raise `Unreachable`.
        """
        end = None if seconds is None else time.monotonic() + seconds
        known: dict[str, Raw] = {}
        first = True
        while first or end is None or time.monotonic() < end:
            try:
                yield from self._look(namespace, name, known, end)
            except Unreachable:
                if first:
                    raise
            first = False
            # A watch that ends at once must not become a busy loop.
            time.sleep(_PAUSE if end is None else max(0.0, min(_PAUSE, end - time.monotonic())))

    # Wire ----------------------------------------------------------------------------------------------------------

    def _look(self, namespace: str, name: str, known: dict[str, Raw], end: float | None) -> Iterator[Seen]:
        """List once, then watch until the server ends it."""
        answer = self._call(_Ask("GET", CONTRACTS, namespace, only=name))
        present = {str(item["metadata"]["uid"]): item for item in _items(answer)}
        for uid in [uid for uid in known if uid not in present]:
            yield Seen(known.pop(uid), gone=True)
        for uid, item in present.items():
            if _version(known.get(uid, {})) != _version(item):
                known[uid] = item
                yield Seen(item)
        left = _LONGEST if end is None else min(_LONGEST, max(1, round(end - time.monotonic())))
        for kind, item in self._stream(namespace, name, _version(answer), left):
            if kind not in ("ADDED", "MODIFIED", "DELETED"):
                return
            known[str(item["metadata"]["uid"])] = item
            if kind == "DELETED":
                del known[str(item["metadata"]["uid"])]
            yield Seen(item, gone=kind == "DELETED")

    def _stream(self, namespace: str, name: str, version: str, seconds: int) -> Iterator[tuple[str, Raw]]:
        """Yield type and object of each event; a stream that breaks off, or does not come about, just ends."""
        query = {"resourceVersion": version, "watch": "1", "timeoutSeconds": str(seconds)}
        ask = _Ask("GET", CONTRACTS, namespace, only=name, query=query)
        with suppress(Unreachable), self._open(ask, seconds + _PATIENCE) as answer:
            while event := _event(answer):
                yield str(event.get("type")), event.get("object") or {}

    def _call(self, ask: _Ask) -> Raw:
        with self._open(ask, self._timeout) as answer:
            try:
                read: Raw = json.loads(answer.read())
            except (OSError, HTTPException, ValueError) as error:
                raise Unreachable(f"the API server broke off its answer ({error}); try again") from error
        return read

    def _open(self, ask: _Ask, timeout: float) -> HTTPResponse:
        token = self.access.token()
        headers = {"Accept": "application/json", "Content-Type": ask.content}
        headers |= {"Authorization": f"Bearer {token}"} if token else {}
        data = None if ask.body is None else json.dumps(ask.body).encode()
        try:
            url = self.access.server + ask.path
        except BadName as error:
            raise Misuse(str(error)) from error
        request = urllib.request.Request(url, data, headers, method=ask.method)  # noqa: S310 - the kubeconfig's server
        try:
            opened: HTTPResponse = self._opener.open(request, timeout=timeout)
        except urllib.error.HTTPError as error:
            with error:
                raise refusal(error.code, error.read(), ask) from error
        except (OSError, HTTPException) as error:
            reason = getattr(error, "reason", error)
            raise Unreachable(f"{self.access.server} does not answer: {reason}; is the cluster up?") from error
        return opened


def _opener(access: Access) -> urllib.request.OpenerDirector:
    tls, proxy = access.tls(), access.configuration.proxy
    handlers: list[urllib.request.BaseHandler] = []
    if isinstance(tls, ssl.SSLContext):
        handlers.append(urllib.request.HTTPSHandler(context=tls))
    if urlsplit(access.server).hostname in _LOOPBACK:
        handlers.append(urllib.request.ProxyHandler({}))
    elif proxy:
        handlers.append(urllib.request.ProxyHandler({"http": str(proxy), "https": str(proxy)}))
    return urllib.request.build_opener(*handlers)


def _event(answer: HTTPResponse) -> Raw | None:
    """Read the next line of a watch; None at its end, and where it makes no sense."""
    try:
        line = answer.readline()
        read = json.loads(line) if line else None
    except (OSError, HTTPException, ValueError):
        return None
    return read if isinstance(read, dict) else None


def _items(answer: Raw) -> list[Raw]:
    return [item for item in answer.get("items") or () if isinstance(item, Mapping)]


def _version(raw: Raw) -> str:
    return str((raw.get("metadata") or {}).get("resourceVersion") or "")


# Refusals ----------------------------------------------------------------------------------------------------------


def refusal(code: int, body: bytes, ask: _Ask) -> Problem:
    """Turn an answer that is no success into a sentence with its mend."""
    status = _status(body)
    told = bounded(str(status.get("message") or ""), 600)
    denied = _DENIED.search(told)
    if denied:
        return Problem(f"refused: {denied.group(1)}")
    match code:
        case 401:
            return Problem("the API server does not know you (Unauthorized); log in again or mend the kubeconfig")
        case 403:
            user = _USER.search(told)
            who = f"user {user.group(1)}" if user else "you"
            return Problem(f"{who} may not {ask.right}; ask for that right")
        case 404 if ask.name and status.get("details"):
            return Absent(f"there is no {ask.name} among the {ask.resource.plural}{ask.where}")
        case 404:
            return Absent(f"the cluster has no {ask.resource.plural}; install what they belong to")
        case 422 if "metadata.uid" in told:
            return Changed(f"{ask.name} was replaced by another meanwhile; look at it again")
        case 409:
            return Changed(f"{ask.name} was changed at the same time; try again")
        case 429 | 500 | 502 | 503 | 504:
            return Unreachable(f"the API server cannot answer now ({code}): {told}; try again")
        case _:
            return Problem(f"the API server refused ({code}): {told}")


def _status(body: bytes) -> Raw:
    try:
        read = json.loads(body)
    except ValueError:
        return {}
    return read if isinstance(read, dict) else {}
