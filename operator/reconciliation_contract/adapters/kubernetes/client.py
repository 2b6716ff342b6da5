"""The API server: the few calls that the operator makes, each with its precondition.

Every write names the field manager and, where it was decided on a version of an object, carries that version, so a
change in between is a `Conflict` and never overwritten.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from http import HTTPStatus
from types import TracebackType
from typing import Any, Final, Self

import aiohttp
from yarl import URL

from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.adapters.kubernetes.resource import Resource, group_path, header
from reconciliation_contract.api.flux.kustomization import FIELD_MANAGER
from reconciliation_contract.core.facts.source_kind import GIT_REPOSITORY, SourceKind
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import ClusterError, Conflict, Missing, Powerless, Refused, Unavailable

Raw = Mapping[str, Any]
Note = Callable[[str, str, float], None]
"""Takes method, HTTP status (``none`` without an answer) and duration in seconds of each request."""

_JSON_PATCH: Final = "application/json-patch+json"
_MERGE_PATCH: Final = "application/merge-patch+json"
_APPLY_PATCH: Final = "application/apply-patch+yaml"
"""Takes JSON, too, which is YAML."""
METADATA_LIST: Final = "application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
"""Asks for a list of nothing but metadata."""
_PARTIAL: Final = "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
_IN_FLIGHT: Final = 32
"""Requests under way at once."""
_PAGE: Final = 500
"""Objects of one page of a list."""


def resource_of(kind: SourceKind) -> Resource:
    """Say where the sources of a kind are."""
    return Resource(kind.group, kind.version, kind.plural)


CONTRACTS: Final = Resource("reconciliation.dev", "v1alpha1", "reconciliationcontracts")
KUSTOMIZATIONS: Final = Resource("kustomize.toolkit.fluxcd.io", "v1", "kustomizations")
GIT_REPOSITORIES: Final = resource_of(GIT_REPOSITORY)
SECRETS: Final = Resource("", "v1", "secrets")
DEPLOYMENTS: Final = Resource("apps", "v1", "deployments")
STATEFUL_SETS: Final = Resource("apps", "v1", "statefulsets")
DAEMON_SETS: Final = Resource("apps", "v1", "daemonsets")
LEASES: Final = Resource("coordination.k8s.io", "v1", "leases")
RECEIVERS: Final = Resource("notification.toolkit.fluxcd.io", "v1", "receivers")
ACCESS_REVIEWS: Final = Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", namespaced=False)
EVENTS: Final = Resource("events.k8s.io", "v1", "events")


class Cluster:
    """A connection to the API server; an async context manager."""

    def __init__(self, access: Access, note: Note = lambda *_: None, timing: Timing = TIMING) -> None:
        self._limit = timing.api_limit.total_seconds()
        self._connect = timing.api_connect.total_seconds()
        self._longest_silence = timing.api_silence.total_seconds()
        self._access = access
        self._note = note
        self._session: aiohttp.ClientSession | None = None
        self._streams: aiohttp.ClientSession | None = None
        self._slots = asyncio.Semaphore(_IN_FLIGHT)

    async def __aenter__(self) -> Self:
        """Open the session."""
        connector = aiohttp.TCPConnector(ssl=self._access.tls(), limit=_IN_FLIGHT)
        self._session = aiohttp.ClientSession(connector=connector)
        streams = aiohttp.TCPConnector(ssl=self._access.tls(), limit=0)
        lasting = aiohttp.ClientTimeout(total=None, sock_connect=self._connect, sock_read=self._longest_silence)
        self._streams = aiohttp.ClientSession(connector=streams, timeout=lasting)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the session."""
        for session in (self._session, self._streams):
            if session:
                await session.close()

    # Calls ------------------------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str, *, user: str = "") -> Raw:
        """Read one object."""
        return await self._request("GET", resource.path_of(namespace, name), "read", user=user)

    async def get_metadata(self, resource: Resource, namespace: str, name: str) -> Raw:
        """Read an object's metadata and nothing else of it."""
        found = await self._request("GET", resource.path_of(namespace, name), "get", accept=_PARTIAL)
        return found.get("metadata") or {}

    async def discover(self, group: str, version: str = "") -> Raw:
        """Read what the API's own discovery says of a group, or of one of its versions."""
        return await self._request("GET", group_path(group, version), "discover")

    async def dry_run(
        self, resource: Resource, namespace: str, name: str, body: Raw, *, manager: str, user: str, patience: float
    ) -> Raw:
        """Ask what a forced server-side apply by a field manager would come to; nothing is written."""
        query = {"dryRun": "All", "force": "true", "fieldManager": manager}
        path = resource.path_of(namespace, name)
        return await self._request(
            "PATCH", path, "dry-run", body, content=_APPLY_PATCH, query=query, user=user, patience=patience
        )

    async def create(self, resource: Resource, namespace: str, body: Raw, *, user: str = "") -> Raw:
        """Create an object; raises `Conflict` where one of that name exists."""
        return await self._request("POST", resource.path_of_all(namespace), "create", body, user=user)

    async def delete(self, resource: Resource, namespace: str, name: str, uid: str = "", *, user: str = "") -> None:
        """Delete an object, only if it has this uid; one that is gone already is fine."""
        body = {"preconditions": {"uid": uid}} if uid else None
        try:
            await self._request("DELETE", resource.path_of(namespace, name), "delete", body, user=user)
        except Missing:
            return

    async def merge(self, resource: Resource, namespace: str, name: str, patch: Raw, *, user: str = "") -> Raw:
        """Merge-patch an object. Put ``metadata.resourceVersion`` into the patch as a precondition."""
        path = resource.path_of(namespace, name)
        return await self._request("PATCH", path, "change", patch, content=_MERGE_PATCH, user=user)

    async def replace_status(self, namespace: str, name: str, version: str, status: Raw) -> Raw:
        """Write the whole status of a contract, if it still has this resourceVersion."""
        patch = [_decided_on(version), {"op": "add", "path": "/status", "value": status}]
        path = CONTRACTS.path_of(namespace, name, "status")
        return await self._request("PATCH", path, "write the status of", patch, content=_JSON_PATCH)

    async def amend(
        self, resource: Resource, namespace: str, name: str, version: str, patch: Sequence[Raw], *, user: str = ""
    ) -> Raw:
        """JSON-patch an object, if it still has this resourceVersion.

        A test in the patch that fails is a `Conflict`: it is made before the versions are compared.
        """
        path, whole = resource.path_of(namespace, name), [_decided_on(version), *patch]
        try:
            return await self._request("PATCH", path, "change", whole, content=_JSON_PATCH, user=user)
        except Refused as error:
            if error.code == HTTPStatus.UNPROCESSABLE_ENTITY:
                raise Conflict(error.verb, error.what, error.detail, error.code) from error
            raise

    async def list_all(self, resource: Resource, namespace: str = "") -> Raw:
        """List the objects of a kind of which there are few, in one page."""
        return await self._request("GET", resource.path_of_all(namespace), "list")

    async def find(self, resource: Resource, namespace: str, name: str) -> Raw | None:
        """Read one object with the right to list; None where it is not there."""
        query, around = {"fieldSelector": resource.only(name)}, resource.path_of(namespace, name).rpartition("/")[0]
        found = await self._request("GET", around, "list", query=query)
        return next(iter(found.get("items") or ()), None)

    async def select(
        self, resource: Resource, namespace: str, selector: str, *, user: str = "", accept: str = "application/json"
    ) -> tuple[list[Raw], str]:
        """List the objects that have these labels, and the resourceVersion from which on to watch them."""
        found: list[Raw] = []
        version = ""
        async for page in self._pages(resource, namespace, {"labelSelector": selector}, user=user, accept=accept):
            found += [item for item in page.get("items") or () if isinstance(item, dict)]
            version = str((page.get("metadata") or {}).get("resourceVersion", ""))
        return found, version

    async def pages(self, resource: Resource, namespace: str = "") -> AsyncIterator[list[Raw]]:
        """Read all objects of a kind, page by page."""
        async for page in self._pages(resource, namespace, {}):
            yield [item for item in page.get("items") or () if isinstance(item, dict)]

    async def _pages(
        self,
        resource: Resource,
        namespace: str,
        query: Mapping[str, str],
        *,
        user: str = "",
        accept: str = "application/json",
    ) -> AsyncIterator[Raw]:
        where, more = resource.path_of_all(namespace), {"limit": str(_PAGE)}
        while True:
            page = await self._request("GET", where, "list", query={**query, **more}, user=user, accept=accept)
            yield page
            token = (page.get("metadata") or {}).get("continue")
            if not token:
                return
            more["continue"] = token

    async def watch(
        self, resource: Resource, namespace: str, selector: str, version: str
    ) -> AsyncIterator[tuple[str, Raw]]:
        """Yield type and object of each change after a version, until the API server ends it.

        It takes no slot: the caller bounds how many there are. Raises `Missing` where the version is forgotten.
        """
        if self._streams is None:
            raise Unavailable("watch", resource.plural, "the connection is not open")
        query = {
            "watch": "true",
            "labelSelector": selector,
            "resourceVersion": version,
            "allowWatchBookmarks": "true",
        }
        path = resource.path_of_all(namespace)
        try:
            async with self._streams.get(self._url(path), params=query, headers=self._identity("")) as got:
                if not got.ok:
                    raise _refusal(got.status, "watch", path, await got.text())
                async for line in _lines(got.content):
                    event = _mapping(line)
                    if event.get("type") == "ERROR":
                        raise Missing("watch", path, str(event.get("object"))[:300])
                    yield str(event.get("type")), event.get("object") or {}
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable("watch", path, str(error) or type(error).__name__) from error
        except ValueError as error:
            raise Unavailable("watch", path, "the answer is not JSON") from error

    async def may(self, verb: str, group: str, resource: str, namespace: str, *, user: str = "") -> bool:
        """Ask whether the operator, or the user it acts as, may do something in a namespace."""
        asked = {"verb": verb, "group": group, "resource": resource, "namespace": namespace}
        body = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": asked},
        }
        answer = await self._request("POST", ACCESS_REVIEWS.path_of_all(), "ask", body, user=user)
        return bool((answer.get("status") or {}).get("allowed"))

    async def list_versions(self, resource: Resource, namespace: str = "") -> dict[tuple[str, str], str]:
        """List namespace, name and resourceVersion of all objects of a kind; nothing else is transferred."""
        found: dict[tuple[str, str], str] = {}
        async for page in self._pages(resource, namespace, {}, accept=METADATA_LIST):
            for item in page.get("items") or ():
                meta = item.get("metadata") or {}
                found[meta.get("namespace", ""), meta.get("name", "")] = meta.get("resourceVersion", "")
        return found

    # Wire -------------------------------------------------------------------------------------------------------

    async def _request(
        self,
        method: str,
        path: str,
        verb: str,
        body: Raw | Sequence[Raw] | None = None,
        *,
        content: str = "application/json",
        accept: str = "application/json",
        query: Mapping[str, str] | None = None,
        user: str = "",
        patience: float | None = None,
    ) -> Raw:
        if self._session is None:
            raise Unavailable(verb, path, "the connection is not open")
        headers = {"Accept": accept, "Content-Type": content} | self._identity(user)
        params = ({"fieldManager": FIELD_MANAGER} if method in ("POST", "PATCH") else {}) | dict(query or {})
        patience = patience or self._limit
        limit = aiohttp.ClientTimeout(total=patience, sock_connect=self._connect)
        data = json.dumps(body) if body is not None else None
        began, code = time.perf_counter(), "none"
        try:
            async with (
                self._slots,
                self._session.request(
                    method, self._url(path), params=params, data=data, headers=headers, timeout=limit
                ) as answer,
            ):
                text = await answer.text()
                code = str(answer.status)
                if answer.ok:
                    return _mapping(text)
                raise _of_whom(_refusal(answer.status, verb, path, text, answer.headers.get("Retry-After", "")), user)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable(verb, path, _silence(error, method, patience)) from error
        except ValueError as error:
            raise Unavailable(verb, path, "the answer is not JSON") from error
        finally:
            self._note(method, code, time.perf_counter() - began)

    def _identity(self, user: str) -> dict[str, str]:
        token = self._access.token()
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return headers | ({"Impersonate-User": header(user, "a user to act as")} if user else {})

    def _url(self, path: str) -> URL:
        """The path as it was written: what is encoded in it is not decoded again."""
        return URL(self._access.server + path, encoded=True)


def _silence(error: Exception, method: str, patience: float) -> str:
    """Say why there was no answer."""
    if not isinstance(error, TimeoutError):
        return str(error) or type(error).__name__
    hint = "" if method == "GET" else "; an admission webhook may hang"
    return f"no answer within {patience:g} s{hint}"


def _decided_on(version: str) -> Raw:
    return {"op": "replace", "path": "/metadata/resourceVersion", "value": version}


async def _lines(content: aiohttp.StreamReader) -> AsyncIterator[str]:
    """Split a stream into lines, however long."""
    rest = b""
    async for chunk in content.iter_any():
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            yield line.decode()


def _mapping(text: str) -> Raw:
    loaded = json.loads(text) if text else {}
    return loaded if isinstance(loaded, dict) else {}


def _of_whom(error: ClusterError, user: str) -> ClusterError:
    """Tell a right that the operator lacks, to act as an account, from one that the account lacks."""
    if not user or "cannot impersonate resource" not in error.detail:
        return error
    namespace, _, name = user.removeprefix("system:serviceaccount:").partition(":")
    right = f"grant the operator impersonate on serviceaccounts {name} in {namespace}"
    remedy = f"{right}, see deploy/components/impersonation (validation, if it is Flux's own)"
    return Powerless("act as", user, remedy, error.code, error.reason)


def _refusal(status: int, verb: str, path: str, text: str, retry_after: str = "") -> ClusterError:
    """Convert an answer that is no success; the server's own message is kept."""
    reason = ""
    try:
        said = _mapping(text)
        detail, reason = str(said.get("message") or text)[:1000], str(said.get("reason") or "")[:100]
    except ValueError:
        detail = text[:1000]
    kinds: dict[int, type[ClusterError]] = {404: Missing, 409: Conflict, 429: Unavailable}
    kind = kinds.get(status, Unavailable if status >= 500 else Refused)  # noqa: PLR2004 - server errors
    wait = float(retry_after) if retry_after.isdecimal() else 0.0
    return kind(verb, path, f"{detail} (HTTP {status})", status, reason, wait)
