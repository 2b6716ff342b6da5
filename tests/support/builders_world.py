"""A small world for model tests: Git, Flux's controllers, a parent and people, on one API server."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from reconciliation_contract.adapters.kubernetes.client import CONTRACTS, KUSTOMIZATIONS
from reconciliation_contract.api.flux.kustomization import FIELD_MANAGER
from reconciliation_contract.core.rollback.start import HOLD
from reconciliation_contract.observers.store import Store
from tests.support import builders
from tests.support.builders import NAME, NAMESPACE, Object, sha
from tests.support.builders_api import CONTRACT, KUSTOMIZATION, SOURCE, Api, Place, merged
from tests.support.builders_check import check_kustomization, check_source


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
