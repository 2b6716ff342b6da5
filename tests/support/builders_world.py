"""A small world for model tests: an API server, Flux's controllers and a parent, and the watch in between.

The operator's own `Flux` works on it unchanged. Every request is answered at once; a crash can be
planned before or after any write. Versions, preconditions, merge patches and finalizers are those of Kubernetes.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from reconciliation_contract.adapters.cluster import CONTRACTS, GIT_REPOSITORIES, KUSTOMIZATIONS, Resource
from reconciliation_contract.api.contract import FINALIZER
from reconciliation_contract.core.onset import HOLD
from reconciliation_contract.errors import Conflict, Missing, Refused
from reconciliation_contract.store import Key, Store
from tests.support import builders
from tests.support.builders import NAME, NAMESPACE, Object, revision, sha
from tests.support.builders_check import check_kustomization, check_source

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
    _version: int = 100
    _moments: int = 0

    # For the world --------------------------------------------------------------------------------------------------

    def put(self, place: Place, raw: Object) -> Object:
        """Store an object in a new version and tell the watch."""
        self._version += 1
        raw = copy.deepcopy(raw)
        raw["metadata"]["resourceVersion"] = str(self._version)
        if "deletionTimestamp" in raw["metadata"] and not raw["metadata"].get("finalizers"):
            return self.drop(place, raw)
        self.objects[place] = raw
        self.news.append((place, raw))
        return raw

    def drop(self, place: Place, raw: Object | None = None) -> Object:
        """Remove an object and tell the watch."""
        gone = self.objects.pop(place, raw or {})
        self.news.append((place, None))
        return raw or gone

    # As the operator sees it ----------------------------------------------------------------------------------------

    async def get(self, resource: Resource, namespace: str, name: str, *, user: str = "") -> Object:
        """Read one object."""
        found = self.objects.get((resource.plural, name))
        if found is None or namespace != NAMESPACE:
            raise Missing("read", name)
        return copy.deepcopy(found)

    async def create(self, resource: Resource, _: str, body: Mapping[str, Any], *, user: str = "") -> Object:
        """Create an object."""
        place = (resource.plural, body["metadata"]["name"])
        self._allowed(place)
        if place in self.objects:
            raise Conflict("create", place[1], "it exists")
        made = copy.deepcopy(dict(body))
        made["metadata"] = builders.metadata(place[1], f"uid-{self._version}") | made["metadata"]
        return self._write("create", place, made)

    async def delete(self, resource: Resource, _: str, name: str, uid: str = "", *, user: str = "") -> None:
        """Delete an object, if it has this uid."""
        place = (resource.plural, name)
        self._allowed(place)
        found = self.objects.get(place)
        if found is None:
            return
        if uid and found["metadata"]["uid"] != uid:
            raise Conflict("delete", name, "another uid")
        self._write("delete", place, None)

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
        return self._write("change", place, after)

    async def replace_status(self, _: str, name: str, version: str, status: Mapping[str, Any]) -> Object:
        """Write the status, if the object still has this version."""
        place = (CONTRACTS.plural, name)
        before = self.objects.get(place)
        if before is None:
            raise Missing("write the status of", name)
        if before["metadata"]["resourceVersion"] != version:
            raise Conflict("write the status of", name, "another resourceVersion")
        return self._write("status", place, before | {"status": json.loads(json.dumps(status))})

    async def finalize(self, *, hold: bool) -> Object:
        """Put our finalizer on the contract, or take it off."""
        found = self.objects.get((CONTRACTS.plural, NAME))
        if found is None:
            raise Missing("change", NAME)
        return self._write(
            "finalize", CONTRACT, merged(found, {"metadata": {"finalizers": [FINALIZER] if hold else []}})
        )

    def _allowed(self, place: Place) -> None:
        if self.refuses and place[0] != CONTRACTS.plural:
            raise Refused("change", place[1], "forbidden (HTTP 403)")

    def _write(self, verb: str, place: Place, after: Object | None) -> Object:
        self._moment()
        before = self.objects.get(place)
        written = self.put(place, after) if after is not None else self.drop(place)
        write = Write(verb, place, before, written if after is not None else None)
        self.writes.append(write)
        if self.watcher:
            self.watcher(write)
        self._moment()
        return copy.deepcopy(written)

    def _moment(self) -> None:
        self._moments += 1
        if self.crash_at is not None and self._moments > self.crash_at:
            self.crash_at = None
            raise Crashed

    def plan_crash(self, moment: int | None) -> None:
        """Crash at this moment from now on; None plans none."""
        self.crash_at = None if moment is None else self._moments + moment


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


class World:
    """Flux's controllers, Git, a parent and people, on one API server."""

    def __init__(
        self,
        *,
        parent: bool = False,
        contract: Mapping[str, Any] | None = None,
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        self.now = builders.T0
        self.api = Api()
        self.parent = parent
        self.head = "A"
        self.fate: dict[str, str] = {"A": "ready"}
        """The phase in which Flux's attempts at a commit end."""
        self.healthy: set[tuple[str, str, str, str]] = set()
        """Uid, source's original name, path and hash of whatever was Ready once."""
        self._born = 0
        self.api.put(SOURCE, builders.git_repository("A", updated=self.now))
        self.create_kustomization(annotations)
        self.api.put(CONTRACT, builders.contract(created=self.now, **(contract or {})))

    # Objects --------------------------------------------------------------------------------------------------------

    @property
    def kustomization(self) -> Object | None:
        """The Kustomization as it is now."""
        return self.api.objects.get(KUSTOMIZATION)

    @property
    def contract(self) -> Object | None:
        """The contract as it is now."""
        return self.api.objects.get(CONTRACT)

    @property
    def pins(self) -> Sequence[Place]:
        """The pinned sources that exist."""
        return [place for place in self.api.objects if place[0] == SOURCE[0] and place != SOURCE]

    def create_kustomization(self, annotations: Mapping[str, str] | None = None) -> None:
        """Create the Kustomization, with a uid that no other had."""
        self._born += 1
        raw = builders.kustomization(parent=self.parent)
        raw["metadata"] |= {"uid": f"k-{self._born}", "annotations": dict(annotations or {})}
        self.api.put(KUSTOMIZATION, raw)

    # Flux -----------------------------------------------------------------------------------------------------------

    def fetch(self) -> None:
        """Source-controller brings the branch and every pin up to date."""
        for place, raw in list(self.api.objects.items()):
            if place[0] != SOURCE[0] or raw["spec"].get("suspend"):
                continue
            commit = self.head if place == SOURCE else raw["spec"]["ref"]["commit"]
            known = raw.get("status", {}).get("artifact", {}).get("revision", "")
            if not known.endswith(sha(commit)):
                self.api.put(place, check_source(builders.serve(raw, commit, self.now), raw))

    def attempt(self, *, steps: int = 9) -> None:
        """Kustomize-controller works at what the Kustomization's source serves, status patch by status patch."""
        raw = self.kustomization
        if raw is None or raw["spec"].get("suspend") or "deletionTimestamp" in raw["metadata"]:
            return
        source = self.api.objects.get((SOURCE[0], raw["spec"]["sourceRef"]["name"]), {})
        served = source.get("status", {}).get("artifact", {}).get("revision", "")
        commit = next((name for name in self.fate if served.endswith(sha(name))), "")
        if not commit:
            return
        ref = "" if "commit" in source["spec"]["ref"] else "main"
        for phase in ("fetching", "building", "checking", self.fate[commit])[:steps]:
            raw = self.kustomization or raw
            after = builders.advance(raw, phase, commit, self.now, ref=ref)
            self.api.put(KUSTOMIZATION, check_kustomization(after, raw))
            if phase == "ready":
                spec = raw["spec"]
                self.healthy.add((raw["metadata"]["uid"], NAME, spec["path"], sha(commit)))

    def revert_by_parent(self) -> bool:
        """The parent applies what is in Git; False where there is none, or it is told to leave the object alone."""
        raw = self.kustomization
        if raw is None or not self.parent or raw["metadata"].get("annotations", {}).get(HOLD) == "Ignore":
            return False
        self.set_source(NAME)
        return True

    # People ---------------------------------------------------------------------------------------------------------

    def set_source(self, name: str) -> None:
        """Point the Kustomization at a source."""
        raw = self.kustomization
        if raw and raw["spec"]["sourceRef"]["name"] != name:
            self.api.put(KUSTOMIZATION, builders.changed(raw, sourceRef={"kind": "GitRepository", "name": name}))

    def edit(self, **spec: Any) -> None:
        """Change the Kustomization's spec."""
        if self.kustomization:
            self.api.put(KUSTOMIZATION, builders.changed(self.kustomization, **spec))

    def annotate(self, place: Place, annotations: Mapping[str, str]) -> None:
        """Add annotations to an object, if it exists."""
        raw = self.api.objects.get(place)
        if raw:
            kept = raw["metadata"].get("annotations", {}) | annotations
            self.api.put(place, raw | {"metadata": raw["metadata"] | {"annotations": kept}})

    def delete_contract(self) -> None:
        """Ask for the contract's deletion."""
        raw = self.contract
        if raw and "deletionTimestamp" not in raw["metadata"]:
            meta = raw["metadata"] | {"deletionTimestamp": builders.stamp(self.now)}
            self.api.put(CONTRACT, raw | {"metadata": meta})

    # The watch ------------------------------------------------------------------------------------------------------

    def deliver(self, store: Store, *, only: Place | None = None, lossy: bool = False) -> None:
        """Bring what happened into the operator's store; ``lossy`` brings only the newest of each object."""
        news = [item for item in self.api.news if only is None or item[0] == only]
        self.api.news = [item for item in self.api.news if only is not None and item[0] != only]
        if lossy:
            news = list({place: (place, raw) for place, raw in news}.values())
        for place, raw in news:
            self._bring(store, place, raw, live=True)

    def fill(self, store: Store) -> None:
        """List everything into a new store."""
        self.api.news = []
        for place, raw in self.api.objects.items():
            self._bring(store, place, raw, live=False)
        store.fresh = True

    def _bring(self, store: Store, place: Place, raw: Object | None, *, live: bool) -> None:
        key = (NAMESPACE, place[1])
        match place[0], raw:
            case CONTRACTS.plural, None:
                store.drop_contract(key)
            case CONTRACTS.plural, found:
                store.put_contract(found)
            case KUSTOMIZATIONS.plural, None:
                store.drop_kustomization(key)
            case KUSTOMIZATIONS.plural, found:
                store.put_kustomization(found, self.now, live=live)
            case _, None:
                store.drop_source(key)
            case _, found:
                store.put_source(found, self.now, live=live)

    def pass_time(self, seconds: float) -> datetime:
        """Let time go by."""
        self.now += timedelta(seconds=seconds)
        return self.now


def finalized(raw: Object | None) -> bool:
    """Whether our finalizer holds the contract."""
    return FINALIZER in ((raw or {}).get("metadata", {}).get("finalizers") or [])


def rolled_back(raw: Object | None) -> str:
    """State of the rollback in a contract's status; empty where there is none."""
    return str((raw or {}).get("status", {}).get("rollback", {}).get("state", ""))


__all__ = [
    "CONTRACT",
    "KEY",
    "KUSTOMIZATION",
    "SOURCE",
    "Api",
    "Crashed",
    "World",
    "finalized",
    "revision",
    "rolled_back",
]
