"""A small world for model tests: Git, Flux's controllers, a parent and people, on one API server."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from reconciliation_contract.adapters.kubernetes.client import CONTRACTS, KUSTOMIZATIONS
from reconciliation_contract.api.flux.kustomization import FIELD_MANAGER, ORIGINAL_ANNOTATION, OWNER_ANNOTATION
from reconciliation_contract.core.rollback.start import HOLD
from reconciliation_contract.observers.store import Store
from tests.support import builders
from tests.support.builders import NAME, NAMESPACE, Object, sha
from tests.support.builders_api import CONTRACT, KUSTOMIZATION, SOURCE, Api, Place, merged
from tests.support.builders_check import check_kustomization, check_source

HOSTILE: Mapping[str, Any] = {"include": [{"repository": {"name": "evil"}}]}


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
        self.told: list[str] = []
        """What the operator said that it leaves behind, and the commands that remove it."""
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

    @property
    def pinned(self) -> bool:
        """Whether the Kustomization uses a pinned source."""
        raw = self.kustomization
        return raw is not None and (SOURCE[0], raw["spec"]["sourceRef"]["name"]) in self.pins

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
        raw = self.kustomization
        if raw and any(raw["spec"].get(name) != value for name, value in spec.items()):
            self.api.put(KUSTOMIZATION, builders.changed(raw, **spec))

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

    def obey(self) -> None:
        """Run the commands that the operator said last."""
        for command in self.told.pop().partition("run: ")[2].split("; "):
            if patch := re.search(r" patch kustomization \S+ --type=merge -p '(.*)'", command):
                self._apply(json.loads(patch[1]))
            elif pin := re.search(r" delete gitrepository (\S+)", command):
                self.api.drop((SOURCE[0], pin[1]))

    def _apply(self, patch: Mapping[str, Any]) -> None:
        raw = self.kustomization
        if raw:
            after = merged(raw, patch)
            after["metadata"]["generation"] += after["spec"] != raw["spec"]
            self.api.put(KUSTOMIZATION, after)

    def disclaim(self) -> None:
        """Somebody applies all fields of the Kustomization: nothing of it is the operator's any more."""
        raw = self.kustomization
        if raw:
            claims = [claim for claim in raw["metadata"]["managedFields"] if claim["manager"] != FIELD_MANAGER]
            self.api.put(KUSTOMIZATION, merged(raw, {"metadata": {"managedFields": claims}}))

    # Attackers ------------------------------------------------------------------------------------------------------

    @property
    def named(self) -> Place | None:
        """Where the pinned copy is, or is to be, as the contract's status tells everybody."""
        rollback = (self.contract or {}).get("status", {}).get("rollback", {})
        return (SOURCE[0], rollback["pinRef"]["name"]) if "pinRef" in rollback else None

    def claim(self, owner: str) -> bool:
        """Make an object that has the copy's name, with an include of another repository; False where one is there."""
        place = self.named
        if place is None or place in self.api.objects:
            return False
        commit = self.contract["status"]["rollback"]["to"].rpartition(":")[2] if self.contract else ""
        raw = builders.git_repository(name=place[1], ref={"branch": "main", "commit": commit}, **HOSTILE)
        annotations = {OWNER_ANNOTATION: owner, ORIGINAL_ANNOTATION: NAME} if owner else {}
        raw["metadata"] |= {"uid": f"claimed-{self.api.version}", "annotations": annotations}
        self.api.put(place, raw)
        return True

    def tamper(self, act: str) -> bool:
        """Edit the copy, exchange what it serves, remove it, or put it right again; False where there is none."""
        place = self.named
        raw = self.api.objects.get(place) if place else None
        if raw is None or place is None:
            return False
        version = self.api.version
        match act:
            case "edit":
                self.api.put(place, builders.changed(raw, **HOSTILE))
            case "mend":
                spec = {key: value for key, value in raw["spec"].items() if key not in HOSTILE}
                self.api.put(place, builders.changed(raw | {"spec": spec}, timeout="60s"))
            case "swap" if "artifact" in raw.get("status", {}):
                status = merged(raw["status"], {"artifact": {"digest": f"sha256:{version}"}})
                self.api.put(place, raw | {"status": status})
            case "remove":
                self.api.drop(place)
        return self.api.version != version

    def is_claimed(self, place: Place) -> bool:
        """Whether an object was made by somebody else, to have the copy's name, and says nothing of whose it is."""
        meta = self.api.objects[place]["metadata"]
        return meta["uid"].startswith("claimed-") and not meta["annotations"]

    def is_right(self, place: Place) -> bool:
        """Whether an object is in everything a copy of the source that the operator made, and serves what it did."""
        raw, source = self.api.objects[place], self.api.objects[SOURCE]
        made = [write.after for write in self.api.writes if write.verb == "create" and write.place == place]
        ours = any(after and after["metadata"]["uid"] == raw["metadata"]["uid"] for after in made)
        own = {"ref", "interval"}
        same = {k: v for k, v in raw["spec"].items() if k not in own} == {
            k: v for k, v in source["spec"].items() if k not in own
        }
        commit = raw["spec"]["ref"].get("commit", "")
        digest = raw.get("status", {}).get("artifact", {}).get("digest")
        known = {f"sha256:{hashlib.sha256(name.encode()).hexdigest()}" for name in (*self.fate, commit)}
        return ours and same and digest in known

    def disclaim_names(self) -> None:
        """Somebody removes what has the copy's name and was not made by the operator."""
        for place in self.pins:
            if self.is_claimed(place):
                self.api.drop(place)

    # The watch ------------------------------------------------------------------------------------------------------

    def deliver(self, store: Store, *, only: Place | None = None, lossy: bool = False) -> bool:
        """Bring what happened into the operator's store; ``lossy`` brings only the newest of each object.

        True if something was lost, or brought before something older.
        """
        happened = self.api.news
        news = [item for item in happened if only is None or item[0] == only]
        self.api.news = [item for item in happened if only is not None and item[0] != only]
        overtakes = bool(news) and any(item[0] != only for item in happened[: happened.index(news[-1])])
        newest = list({place: (place, raw) for place, raw in news}.values()) if lossy else news
        for place, raw in newest:
            self._bring(store, place, raw, live=True)
        return len(newest) < len(news) or (only is not None and overtakes)

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
