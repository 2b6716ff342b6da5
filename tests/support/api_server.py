"""An emulated Kubernetes API server, as far as operators notice.

kmock brings the HTTP server, the parsing of requests and the discovery documents. What it lacks and an operator
depends on is here: resourceVersions and preconditions, generations, the status subresource, finalizers, pages, watches
that resume at a version and end with 410, and faults. There is no schema: what is written is kept. Namespaces cannot
be listed, as kmock 0.8 takes that path for a cut-off one, so operators must watch cluster-wide.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

import kmock
from aiohttp import web
from kubernetes import client

from reconciliation_contract.adapters.kubernetes.credentials import Access
from tests.support.api_server_objects import (
    CONFIG_MAPS,
    CONTRACTS,
    CRDS,
    DEPLOYMENTS,
    EVENTS,
    FLUX,
    KINDS,
    KUSTOMIZATIONS,
    LEASES,
    SECRETS,
    SOURCES,
    Entry,
    Objects,
    Raw,
    Refusal,
    merged,
)

__all__ = [
    "CONFIG_MAPS",
    "CONTRACTS",
    "CRDS",
    "DEPLOYMENTS",
    "EVENTS",
    "FLUX",
    "KUSTOMIZATIONS",
    "LEASES",
    "SECRETS",
    "SOURCES",
    "ApiServer",
    "Raw",
    "Seen",
    "elsewhere",
]

_BOOKMARK: Final = 60.0
"""Seconds of silence after which a watch sends a bookmark, as a real API server does."""
_REVIEWS: Final = "selfsubjectaccessreviews"
_CLUSTER_WIDE: Final = (CRDS, "namespaces")
_STALE: Final = "the object has been modified; please apply your changes to the latest version and try again"


@dataclass(frozen=True)
class Seen:
    """A request, and the status with which it was answered (0 while it is not)."""

    method: str
    plural: str
    """Path of a document of the discovery."""
    namespace: str
    name: str
    sub: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: Any
    at: float
    """By the loop's clock."""
    status: int = 0

    def __str__(self) -> str:
        where = "/".join(part for part in (self.plural, self.namespace, self.name, self.sub) if part)
        return f"{self.method} {where}"


Where = Callable[[Seen], bool]


@dataclass
class _Fault:
    """Requests that are refused, the first ``times`` or (with 0) all."""

    where: Where
    refusal: Refusal
    times: int
    refused: list[Seen]
    after: float

    def strikes(self, seen: Seen) -> bool:
        return self.where(seen) and not (self.times and len(self.refused) >= self.times)


class _Handler(kmock.KubernetesScaffold):
    """kmock's handler: discovery is its own, objects are ours."""

    api: ApiServer

    async def _handle(self, request: kmock.Request) -> web.StreamResponse:
        return await self.api.answer(request, super()._handle)


class ApiServer:
    """The API server of a test, on a port of its own; an async context manager."""

    def __init__(self) -> None:
        self.requests: list[Seen] = []
        """All requests for objects, oldest first."""
        self.frozen: set[str] = set()
        """Plurals whose watches are silently stuck."""
        self.hangs_up = False
        """Whether each connection is cut as soon as a request arrives."""
        self.denied: set[tuple[str, str]] = set()
        """Verb and plural of what access reviews say no to; what is really refused is up to `failing`."""
        self.objects = Objects()
        self._faults: list[_Fault] = []
        self._handler = _Handler()
        self._handler.api = self
        self._server = kmock.Server(self._handler)
        self._stack = AsyncExitStack()
        for plural in KINDS:
            self.serve(plural)

    async def __aenter__(self) -> Self:
        await self._stack.enter_async_context(self._handler)
        await self._stack.enter_async_context(self._server)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.objects.cut()
        await self._stack.aclose()

    @property
    def access(self) -> Access:
        """The way to this server."""
        found = client.Configuration()
        found.host = str(self._server.url)
        found.api_key = {"authorization": "Bearer token-0"}
        return Access(found)

    # The test's own hands -------------------------------------------------------------------------------------------

    def create(self, plural: str, namespace: str, name: str, spec: Raw, **more: Any) -> Raw:
        """Make an object; ``metadata`` is merged, other arguments are further top-level fields."""
        metadata = {"namespace": namespace, "name": name, **more.pop("metadata", {})}
        return self.objects.create(plural, {"metadata": metadata, "spec": spec, **more})

    def get(self, plural: str, namespace: str, name: str) -> Raw:
        """Read an object, which must exist."""
        found = self.objects.find(plural, (namespace, name))
        assert found is not None, f"no {plural} {namespace}/{name}"
        return found

    def change(self, plural: str, namespace: str, name: str, patch: Raw) -> Raw:
        """Merge-patch all of an object, its status included, as somebody else."""
        return self.objects.store(plural, (namespace, name), merged(self.get(plural, namespace, name), patch))

    def delete(self, plural: str, namespace: str, name: str) -> None:
        """Delete an object as somebody else."""
        self.objects.delete(plural, (namespace, name))

    def serve(self, plural: str) -> None:
        """Know a kind, as after its definition was created."""
        version, kind = KINDS[plural]
        self._handler.resources[f"{version}/{plural}"] = {
            "namespaced": plural not in _CLUSTER_WIDE,
            "kind": kind,
            "singular": kind.lower(),
            "verbs": {"get", "list", "watch", "create", "patch", "delete"},
            "shortnames": set(),
            "categories": set(),
            "subresources": {"status"},
        }

    def withdraw(self, plural: str) -> None:
        """Know a kind no more: its objects are gone, and all that is asked about it is answered with 404."""
        for thing in self.objects.list(plural):
            self.objects.remove(plural, (thing["metadata"]["namespace"], thing["metadata"]["name"]))
        del self._handler.resources[f"{KINDS[plural][0]}/{plural}"]

    @contextmanager
    def failing(
        self, status: int, message: str = "", *, where: Where = lambda _: True, times: int = 0, after: float = 0
    ) -> Iterator[list[Seen]]:
        """Refuse requests, all or the first ``times``, ``after`` so many seconds; yields those that were refused.

        ``#`` in the message becomes the number of the refusal.
        """
        fault = _Fault(where, Refusal(status, message or f"refused with {status} by the test"), times, [], after)
        self._faults.append(fault)
        try:
            yield fault.refused
        finally:
            self._faults.remove(fault)

    # What was seen --------------------------------------------------------------------------------------------------

    def writes(self, *plurals: str) -> list[Seen]:
        """Requests that could change something, refused or not, of these kinds or of all."""
        changing = (seen for seen in self.requests if seen.method != "GET" and seen.plural != _REVIEWS)
        return [seen for seen in changing if not plurals or seen.plural in plurals]

    def accepted(self, *plurals: str) -> list[Seen]:
        """Those writes that were not refused."""
        return [seen for seen in self.writes(*plurals) if 200 <= seen.status < 300]

    # Requests -------------------------------------------------------------------------------------------------------

    async def answer(
        self, request: kmock.Request, discover: Callable[[kmock.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        """Serve a request."""
        seen, place = _seen(request), len(self.requests)
        if request.resource is None or request.resource.plural is None:
            return await self._fault(request, seen) or await discover(request)
        self.requests.append(seen)
        response = await self._fault(request, seen) or await self._serve(request, seen)
        self.requests[place] = replace(seen, status=response.status)
        return response

    async def _fault(self, request: kmock.Request, seen: Seen) -> web.StreamResponse | None:
        if self.hangs_up:
            request._raw_request.transport.abort()
            return _refused(Refusal(503, "hung up"))
        fault = next((fault for fault in self._faults if fault.strikes(seen)), None)
        if fault is None:
            return None
        fault.refused.append(seen)
        await asyncio.sleep(fault.after)
        message = fault.refusal.message.replace("#", str(len(fault.refused)))
        return _refused(replace(fault.refusal, message=message))

    async def _serve(self, request: kmock.Request, seen: Seen) -> web.StreamResponse:
        if seen.plural == _REVIEWS:
            asked = seen.body["spec"]["resourceAttributes"]
            allowed = (asked["verb"], asked["resource"]) not in self.denied
            return web.json_response({**seen.body, "status": {"allowed": allowed}}, status=201)
        if seen.plural not in {resource.plural for resource in self._handler.resources}:
            return _refused(Refusal(404, "the server could not find the requested resource"))
        try:
            if seen.query.get("watch") == "true":
                return await self._watch(request, seen)
            return web.json_response(self._body(seen), status=201 if seen.method == "POST" else 200)
        except Refusal as refusal:
            return _refused(refusal)

    def _body(self, seen: Seen) -> Raw:
        if seen.method == "POST":
            return self.objects.create(seen.plural, merged(seen.body, {"metadata": {"namespace": seen.namespace}}))
        if not seen.name:
            return self._list(seen)
        known = self.objects.find(seen.plural, (seen.namespace, seen.name))
        if known is None:
            raise Refusal(404, f'{seen.plural} "{seen.name}" not found')
        match seen.method:
            case "PATCH":
                return self.objects.store(seen.plural, (seen.namespace, seen.name), _patched(seen, known))
            case "DELETE":
                _must_be(known, "uid", ((seen.body or {}).get("preconditions") or {}).get("uid"))
                self.objects.delete(seen.plural, (seen.namespace, seen.name))
                return {"kind": "Status", "status": "Success"}
            case _:
                return known

    def _list(self, seen: Seen) -> Raw:
        items = [thing for thing in self.objects.list(seen.plural, seen.namespace) if _selected(seen, thing)]
        start, limit = int(seen.query.get("continue", "0")), int(seen.query.get("limit", "0")) or len(items)
        page, more = items[start : start + limit], start + limit < len(items)
        if "as=PartialObjectMetadataList" in seen.headers.get("Accept", ""):
            page = [{"metadata": thing["metadata"]} for thing in page]
        meta = {"resourceVersion": str(self.objects.version), "continue": str(start + limit) if more else ""}
        version, kind = KINDS[seen.plural]
        return {"apiVersion": version, "kind": f"{kind}List", "metadata": meta, "items": page}

    # Watches --------------------------------------------------------------------------------------------------------

    async def _watch(self, request: kmock.Request, seen: Seen) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request._raw_request)
        try:
            events = self.objects.watch(seen.plural, int(seen.query.get("resourceVersion", "0")))
        except Refusal as refusal:
            await response.write(_line("ERROR", _failure(refusal)))
            return response
        try:
            with suppress(ConnectionError):
                await self._stream(response, seen, events)
        finally:  # a client that leaves cancels this
            self.objects.unwatch(seen.plural, events)
        return response

    async def _stream(self, response: web.StreamResponse, seen: Seen, events: asyncio.Queue[Entry | None]) -> None:
        while True:
            try:
                async with asyncio.timeout(_BOOKMARK):
                    entry = await events.get()
            except TimeoutError:
                meta = {"resourceVersion": str(self.objects.version), "namespace": seen.namespace}
                entry = (0, "BOOKMARK", {"kind": KINDS[seen.plural][1], "metadata": meta})
            if entry is None:
                return
            _, kind, thing = entry
            ours = seen.namespace in ("", thing["metadata"].get("namespace")) and _selected(seen, thing)
            if (ours or kind == "BOOKMARK") and seen.plural not in self.frozen:
                await response.write(_line(kind, thing))


@contextmanager
def elsewhere() -> Iterator[ApiServer]:
    """An API server in a thread of its own: kopf waits at its end for all tasks of its loop, those of a server too.

    Change its objects only while nobody watches.
    """
    loop, api = asyncio.new_event_loop(), ApiServer()
    thread = threading.Thread(target=loop.run_forever, name="api server", daemon=True)
    thread.start()
    asyncio.run_coroutine_threadsafe(api.__aenter__(), loop).result(10)
    try:
        yield api
    finally:
        asyncio.run_coroutine_threadsafe(api.__aexit__(None, None, None), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def _patched(seen: Seen, known: Raw) -> Raw:
    """What a patch makes of an object, if its preconditions hold."""
    wanted = _json_patched(seen.body, known) if isinstance(seen.body, list) else merged(known, seen.body)
    _must_be(known, "resourceVersion", wanted["metadata"]["resourceVersion"])
    _must_be(known, "uid", wanted["metadata"]["uid"])
    if seen.sub == "status":
        return {**known, "status": wanted.get("status", {})}
    added = set(wanted["metadata"].get("finalizers") or ()) - set(known["metadata"].get("finalizers") or ())
    if added and known["metadata"].get("deletionTimestamp"):
        raise Refusal(422, "no new finalizers can be added if the object is being deleted")
    return {**wanted, **({"status": known["status"]} if "status" in known else {})}


def _json_patched(changes: list[Raw], known: Raw) -> Raw:
    wanted = {**known, "metadata": dict(known["metadata"])}
    for change in changes:
        match change["op"], change["path"]:
            case "replace", "/metadata/resourceVersion":
                wanted["metadata"]["resourceVersion"] = change["value"]
            case "add", "/status":
                wanted["status"] = change["value"]
            case step:
                raise Refusal(422, f"this server does not know the step {step}")
    return wanted


def _selected(seen: Seen, thing: Raw) -> bool:
    """Whether an object has the name and the labels that a list or watch is limited to."""
    _, _, name = seen.query.get("fieldSelector", "").partition("metadata.name=")
    if name and name != thing["metadata"]["name"]:
        return False
    wanted = (pair.split("=") for pair in seen.query.get("labelSelector", "").split(",") if pair)
    labels = thing["metadata"].get("labels") or {}
    return all(labels.get(key) == value for key, value in wanted)


def _must_be(known: Raw, field: str, value: str | None) -> None:
    if value and value != known["metadata"][field]:
        raise Refusal(409, f"Operation cannot be fulfilled: {_STALE}")


def _seen(request: kmock.Request) -> Seen:
    resource = request.resource
    return Seen(
        method=str(request.method.value),
        plural=(resource.plural if resource else None) or request.url.path,
        namespace=request.namespace or "",
        name=request.name or "",
        sub=request.subresource or "",
        query=dict(request.params),
        headers=dict(request.headers),
        body=request.data,
        at=asyncio.get_running_loop().time(),
    )


def _line(kind: str, thing: Raw) -> bytes:
    return json.dumps({"type": kind, "object": thing}).encode() + b"\n"


def _failure(refusal: Refusal) -> Raw:
    code, message = refusal.status, refusal.message
    return {"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message, "code": code}


def _refused(refusal: Refusal) -> web.Response:
    return web.json_response(_failure(refusal), status=refusal.status)
