"""An API server for model tests, as far as the operator can tell it from a real one.

Versions, preconditions, merge patches and finalizers are those of Kubernetes. Every request is answered at once; a
crash of the operator can be planned before or after any of its writes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from reconciliation_contract.adapters.kubernetes.client import CONTRACTS, GIT_REPOSITORIES, KUSTOMIZATIONS
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.api.contract.parse import FINALIZER
from reconciliation_contract.api.flux.kustomization import FIELD_MANAGER
from reconciliation_contract.errors import ClusterError, Conflict, Missing, Refused, Unavailable
from reconciliation_contract.observers.store import Key
from tests.support import builders
from tests.support.builders import NAME, NAMESPACE, Object

KEY: Key = (NAMESPACE, NAME)
Place = tuple[str, str]
"""Plural and name; everything lives in one namespace."""
CONTRACT: Place = (CONTRACTS.plural, NAME)
KUSTOMIZATION: Place = (KUSTOMIZATIONS.plural, NAME)
SOURCE: Place = (GIT_REPOSITORIES.plural, NAME)


class Crashed(BaseException):
    """The operator's process is gone, in the middle of whatever it did."""


@dataclass
class Write:
    """One write that the API server accepted from the operator."""

    verb: str
    place: Place
    before: Object | None
    after: Object | None
    user: str = ""
    """Whose rights were used; empty for the operator's own."""


@dataclass(frozen=True)
class Failure:
    """How a write is answered that fails."""

    code: int
    """HTTP status."""
    done: bool = False
    """Only the answer is lost: the write is done all the same."""

    def error(self, verb: str, name: str) -> ClusterError:
        """As what `Cluster` raises it."""
        kind = Conflict if self.code == HTTPStatus.CONFLICT else Unavailable
        return kind(verb, name, f"injected (HTTP {self.code})", self.code)


@dataclass
class Api:
    """The API server. Writes of the operator go through the methods that `Cluster` has; others through `put`."""

    objects: dict[Place, Object] = field(default_factory=dict)
    news: list[tuple[Place, Object | None]] = field(default_factory=list)
    """What the watch has not brought yet, oldest first; None is a deletion."""
    writes: list[Write] = field(default_factory=list)
    crash_at: int | None = None
    """Crash at this write, counted from 0: even numbers are before, odd ones after each write."""
    watcher: Callable[[Write], None] | None = None
    """Is shown every write of the operator at the moment it happens."""
    refuses: bool = False
    """Acts on Flux's objects are forbidden."""
    refusals: int = 0
    """Acts that were forbidden."""
    denied: bool = False
    """The last act on Flux's objects was decided against, as far as its answer tells."""
    failing: list[Failure] = field(default_factory=list)
    """How the next writes fail, the first first."""
    version: int = 100
    """Grows with every change."""
    _moments: int = 0

    # For the world --------------------------------------------------------------------------------------------------

    def put(self, place: Place, raw: Object) -> Object:
        """Store an object in a new version and tell the watch; what changes nothing is no new version."""
        known, raw = self.objects.get(place), copy.deepcopy(raw)
        if known and raw | {"metadata": raw["metadata"] | _version(known)} == known:
            return known
        self.version += 1
        raw["metadata"]["resourceVersion"] = str(self.version)
        if "deletionTimestamp" in raw["metadata"] and not raw["metadata"].get("finalizers"):
            return self.drop(place, raw)
        self.objects[place] = raw
        self.news.append((place, raw))
        return raw

    def drop(self, place: Place, raw: Object | None = None) -> Object:
        """Remove an object and tell the watch."""
        self.version += 1
        gone = self.objects.pop(place, raw or {})
        self.news.append((place, None))
        return raw or gone

    # As the operator sees it ----------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str, *, user: str = "") -> Object:
        """Read one object; the operator does so with its own rights."""
        if user:
            raise AssertionError("a read under another identity")
        found = self.objects.get((resource.plural, name))
        if found is None or namespace != NAMESPACE:
            raise Missing("read", name)
        return copy.deepcopy(found)

    async def find(self, resource: Resource, namespace: str, name: str) -> Object | None:
        """Read one object; None where it is not there."""
        try:
            return await self.get(resource, namespace, name)
        except Missing:
            return None

    async def create(self, resource: Resource, _: str, body: Mapping[str, Any], *, user: str = "") -> Object:
        """Create an object."""
        place = (resource.plural, body["metadata"]["name"])
        self._allowed(place)
        if place in self.objects:
            raise Conflict("create", place[1], "it exists")
        made = copy.deepcopy(dict(body))
        made["metadata"] = builders.metadata(place[1], f"uid-{self.version}") | made["metadata"]
        return self._write("create", place, made, user)

    async def delete(self, resource: Resource, _: str, name: str, uid: str = "", *, user: str = "") -> None:
        """Delete an object, if it has this uid."""
        place = (resource.plural, name)
        self._allowed(place)
        found = self.objects.get(place)
        if found is None:
            return
        if uid and found["metadata"]["uid"] != uid:
            raise Conflict("delete", name, "another uid")
        self._write("delete", place, None, user)

    async def merge(
        self, resource: Resource, _: str, name: str, patch: Mapping[str, Any], *, user: str = ""
    ) -> Object:
        """Merge-patch an object, under the preconditions in the patch."""
        place = (resource.plural, name)
        self._allowed(place)
        before = self.objects.get(place)
        if before is None:
            raise Missing("change", name)
        for key in ("uid", "resourceVersion"):
            if patch.get("metadata", {}).get(key, before["metadata"][key]) != before["metadata"][key]:
                raise Conflict("change", name, f"another {key}")
        after = merged(before, patch)
        if after["spec"] != before["spec"]:
            after["metadata"]["generation"] += 1
        if resource is KUSTOMIZATIONS and not claimed(after):
            after["metadata"]["managedFields"] = [*after["metadata"]["managedFields"], {"manager": FIELD_MANAGER}]
        return self._write("change", place, after, user)

    async def amend(
        self,
        resource: Resource,
        _: str,
        name: str,
        version: str,
        patch: Sequence[Mapping[str, Any]],
        *,
        user: str = "",
    ) -> Object:
        """Take our entry off the managed fields, if the object still has this version; no other patch is known."""
        place = (resource.plural, name)
        self._allowed(place)
        before = self.objects.get(place)
        if before is None:
            raise Missing("change", name)
        test, remove = patch
        index = int(remove["path"].rpartition("/")[2])
        claims = list(before["metadata"]["managedFields"])
        if before["metadata"]["resourceVersion"] != version or claims[index]["manager"] != test["value"]:
            raise Conflict("change", name, "another version")
        del claims[index]
        return self._write("change", place, merged(before, {"metadata": {"managedFields": claims}}), user)

    async def replace_status(self, _: str, name: str, version: str, status: Mapping[str, Any]) -> Object:
        """Write the status, if the object still has this version."""
        place = (CONTRACTS.plural, name)
        before = self.objects.get(place)
        if before is None:
            raise Missing("write the status of", name)
        if before["metadata"]["resourceVersion"] != version:
            raise Conflict("write the status of", name, "another resourceVersion")
        return self._write("status", place, before | {"status": json.loads(json.dumps(status))})

    def _allowed(self, place: Place) -> None:
        if self.refuses and place[0] != CONTRACTS.plural:
            self.refusals += 1
            self.denied = True
            raise Refused("change", place[1], "forbidden (HTTP 403)", HTTPStatus.FORBIDDEN, "Forbidden")

    def _write(self, verb: str, place: Place, after: Object | None, user: str = "") -> Object:
        self._moment()
        failure = self.failing.pop(0) if self.failing else None
        if place[0] != CONTRACTS.plural:
            self.denied = failure is not None and failure.code == HTTPStatus.INTERNAL_SERVER_ERROR
        if failure and not failure.done:
            raise failure.error(verb, place[1])
        before = self.objects.get(place)
        written = self.put(place, after) if after is not None else self.drop(place)
        write = Write(verb, place, before, written if after is not None else None, user)
        self.writes.append(write)
        if self.watcher:
            self.watcher(write)
        self._moment()
        if failure:
            raise failure.error(verb, place[1])
        return copy.deepcopy(written)

    def _moment(self) -> None:
        self._moments += 1
        if self.crash_at is not None and self._moments > self.crash_at:
            self.crash_at = None
            raise Crashed

    def plan_crash(self, moment: int | None) -> None:
        """Crash at this moment from now on; None plans none."""
        self.crash_at = None if moment is None else self._moments + moment


def _version(raw: Object) -> dict[str, str]:
    return {"resourceVersion": raw["metadata"]["resourceVersion"]}


def merged(before: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7386)."""
    if not isinstance(patch, Mapping):
        return patch
    result = dict(before) if isinstance(before, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def finalized(raw: Object | None) -> bool:
    """Whether our finalizer holds the contract."""
    return FINALIZER in ((raw or {}).get("metadata", {}).get("finalizers") or [])


def claimed(raw: Object) -> bool:
    """Whether our field manager owns a part of an object."""
    return any(claim["manager"] == FIELD_MANAGER for claim in raw["metadata"].get("managedFields", []))


def rolled_back(raw: Object | None) -> str:
    """State of the rollback in a contract's status; empty where there is none."""
    return str((raw or {}).get("status", {}).get("rollback", {}).get("state", ""))
