"""The world of a story: raw objects that change as the story says, and that the operator's acts change too."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from reconciliation_contract.adapters.kubernetes.flux_acts import pinned
from reconciliation_contract.api.contract.parse import FINALIZER, REQUESTED_AT
from reconciliation_contract.core.facts.observation import Commit, Git, Head, Unreadable
from reconciliation_contract.core.memory.effects import (
    AllowDeletion,
    DeletePin,
    Effect,
    EmitEvent,
    EnsurePin,
    HoldDeletion,
    RequestReconcile,
    SwitchSource,
)
from reconciliation_contract.core.rollback.start import HOLD
from reconciliation_contract.core.spec.contract import Contract
from tests.support import builders
from tests.support.builders import Object, sha
from tests.support.builders_check import Impossible, check_kustomization, check_source
from tests.support.stories import BadStory, Happening, Story, made_at
from tests.support.stories_around import Around
from tests.support.stories_inspection import Inspected
from tests.support.stories_live import LiveObjects

LOOK = timedelta(seconds=5)
"""How often the operator looks at Git."""
_OTHER = "somewhere-else"


class Stage:
    """What exists, and what happened in Git. ``None`` is an object that does not exist."""

    def __init__(self, story: Story) -> None:
        spec = dict(story.kustomization)
        self._blank = builders.kustomization(parent=spec.pop("parent", False), **spec)
        self._made = story.made
        self.contract: Object | None = None
        self.contract_spec = story.contract
        self.kustomization: Object | None = self._blank
        kind = self._blank["spec"]["sourceRef"]["kind"]
        make = {"OCIRepository": builders.oci_repository, "Bucket": builders.bucket}.get(
            kind, builders.git_repository
        )
        self._make_source: Callable[[], Object] = lambda: _placed(make(), **story.source)
        self.source: Object | None = self._make_source()
        self.neighbour: Object | None = None
        """Another Kustomization on the same source."""
        self.pins: dict[str, Object] = {}
        self.pushes: list[tuple[datetime, str]] = []
        self.readable = True
        self.branch_exists = True
        self.refused = ""
        self.live = LiveObjects()
        self.inspected = Inspected()
        self.around = Around()
        self._commits: dict[str, str] = {}

    # What the story says --------------------------------------------------------------------------------------------

    def happen(self, deed: Happening, now: datetime) -> None:
        """Let one thing happen; raises `Impossible` or `BadStory` where it cannot."""
        acting: dict[str, Callable[[Happening, datetime], None]] = {
            "push": self._push,
            "git": self._change_git,
            "neighbour": self._change_neighbour,
            "source": self._change_source,
            "pin": self._change_pin,
            "kustomization": self._change_kustomization,
            "person": self._person,
            "parent": self._parent,
            "contract": self._change_contract,
            "inspection": lambda d, at: self.inspected.happen(d.deed, d.commit, at),
            "controller": lambda d, _: self.around.happen(d.deed, d.commit),
            "right": lambda d, _: self.around.happen(d.deed, d.commit),
            "chain": lambda d, at: self.around.chain(d.commit, at),
            "workloads": lambda d, at: self.live.fare(d.deed, at),
            "object": lambda d, at: self.live.happen(d.deed.removeprefix("COMMIT "), d.commit, at),
        }
        acting[deed.actor](deed, now)

    def _push(self, deed: Happening, now: datetime) -> None:
        self.pushes.append((now, deed.commit))
        self._commits[sha(deed.commit)] = deed.commit

    def _change_git(self, deed: Happening, _: datetime) -> None:
        if deed.deed.startswith("branch"):
            self.branch_exists = deed.deed == "branch restored"
        else:
            self.readable = deed.deed == "readable"

    def _change_neighbour(self, deed: Happening, now: datetime) -> None:
        phase = deed.deed.removesuffix(" COMMIT")
        self._must_be_served(deed.commit, phase)
        before = self.neighbour or builders.neighbour(self._blank)
        after = builders.advance(before, phase, deed.commit, now, ref=self._ref())
        self.neighbour = check_kustomization(after, self.neighbour)

    def _ref(self) -> str:
        return builders.ref_name(self.source["spec"].get("ref", {})) if self.source else "main"

    def _change_source(self, deed: Happening, now: datetime) -> None:
        before = self.source
        if deed.deed == "created":
            self.source = self._make_source()
            return
        if deed.deed == "elsewhere COMMIT":
            self._move(deed.commit, now)
            return
        if before is None:
            raise Impossible("the source does not exist")
        match deed.deed:
            case "deleted":
                self.source = None
                return
            case "COMMIT" | "torn COMMIT":
                self._must_be_pushed(deed.commit)
                after = builders.serve(before, deed.commit, now, torn=deed.deed != "COMMIT")
            case "failing":
                after = builders.source_failed(before, "failed to checkout: connection refused", now)
            case _:
                after = builders.changed(before, suspend=deed.deed == "suspended")
        self.source = check_source(after, before)

    def _move(self, commit: str, now: datetime) -> None:
        """Point the Kustomization at another source, which has served a commit since the day it was made."""
        self._made[commit] = "-2160h"
        self._push(Happening("push", "COMMIT", commit), now)
        self.source = builders.git_repository(commit, updated=made_at("-2160h", builders.T0), name="elsewhere")
        self._set_source("elsewhere", "the Kustomization has moved already")

    def _must_be_pushed(self, commit: str) -> None:
        if commit not in {pushed for _, pushed in self.pushes}:
            raise Impossible(f"the source has {commit}, which nobody has pushed yet")

    def _change_pin(self, deed: Happening, now: datetime) -> None:
        if not self.pins:
            raise Impossible("there is no pinned source")
        name, before = next(iter(self.pins.items()))
        match deed.deed:
            case "ready":
                commit = before["spec"]["ref"]["commit"]
                self.pins[name] = check_source(builders.serve(before, commit, now), before)
            case "failing":
                self.pins[name] = builders.source_failed(before, "commit not found", now)
            case _:
                del self.pins[name]

    def _change_kustomization(self, deed: Happening, now: datetime) -> None:
        before = self.kustomization
        if deed.deed in ("created", "deleted", "recreated"):
            self._replace_kustomization(deed.deed, now)
            return
        if before is None:
            raise Impossible("the Kustomization does not exist")
        if deed.deed in ("suspended", "resumed"):
            after = builders.changed(before, suspend=deed.deed == "suspended")
        else:
            phase = deed.deed.removesuffix(" COMMIT")
            self._must_be_served(deed.commit, phase)
            after = builders.advance(before, phase, deed.commit, now, ref="" if self._pinned() else self._ref())
        self.kustomization = check_kustomization(after, before)

    def _replace_kustomization(self, deed: str, now: datetime) -> None:
        exists = self.kustomization is not None
        if exists == (deed == "created"):
            raise Impossible(f"the Kustomization cannot be {deed}: it {'exists' if exists else 'does not exist'}")
        self.kustomization = None if deed == "deleted" else builders.changed(self._blank)
        if self.kustomization:
            self.kustomization["metadata"]["creationTimestamp"] = builders.stamp(now)
        if self.kustomization and deed == "recreated":
            self.kustomization["metadata"]["uid"] = "k-recreated"

    def _pinned(self) -> Object | None:
        return self.pins.get(self.kustomization["spec"]["sourceRef"]["name"]) if self.kustomization else None

    def _must_be_served(self, commit: str, phase: str) -> None:
        """Flux begins only with the commit that the Kustomization's source serves, and ends what it began."""
        known = (self.kustomization or {}).get("status", {}).get("lastAttemptedRevision", "")
        began = known.endswith((sha(commit), builders.digest(commit))) and phase not in ("fetching", "building")
        if began or phase in ("sourceless", "denied"):
            return
        source = self._pinned() or self.source
        artifact = (source or {}).get("status", {}).get("artifact", {})
        if not artifact.get("revision", "").endswith((sha(commit), builders.digest(commit))):
            raise Impossible(f"the Kustomization is {phase} {commit}, but its source does not serve {commit}")

    def _person(self, deed: Happening, now: datetime) -> None:
        match deed.deed:
            case "undoes the rollback":
                self._set_source(builders.NAME, "there is no rollback to undo")
                return
            case "changes the path":
                self.kustomization = builders.changed(self._existing(self.kustomization), path="./elsewhere")
                return
        contract = builders.changed(self._existing(self.contract))
        match deed.deed:
            case "approves COMMIT" | "releases COMMIT" | "forgets COMMIT":
                request = deed.deed.partition("s ")[0]
                annotations = contract["metadata"].setdefault("annotations", {})
                annotations[f"reconciliation.dev/{request}"] = sha(deed.commit)
            case "pauses rollbacks":
                until = {"reconciliation.dev/pause-until": builders.stamp(now + timedelta(hours=1))}
                contract["metadata"].setdefault("annotations", {}).update(until)
            case "deletes the contract":
                contract["metadata"]["deletionTimestamp"] = builders.stamp(now)
            case "spoils the contract":
                contract["spec"]["suspend"] = "perhaps"
                contract["metadata"]["generation"] += 1
            case _:
                contract["spec"]["suspend"] = deed.deed.startswith("suspends")
                contract["metadata"]["generation"] += 1
        self.contract = contract
        self._collect()

    def _existing(self, raw: Object | None) -> Object:
        if raw is None:
            raise Impossible("what the person changes does not exist")
        return raw

    def _parent(self, _: Happening, __: datetime) -> None:
        raw = self._existing(self.kustomization)
        if "labels" not in raw["metadata"]:
            raise Impossible("the Kustomization has no parent")
        if raw["metadata"].get("annotations", {}).get(HOLD) == "Ignore":
            return
        self._set_source(builders.NAME, "the parent has nothing to revert")

    def _set_source(self, name: str, otherwise: str) -> None:
        raw = self._existing(self.kustomization)
        if raw["spec"]["sourceRef"]["name"] == name:
            raise Impossible(otherwise)
        self.kustomization = builders.changed(raw, sourceRef={"kind": "GitRepository", "name": name})

    def _change_contract(self, deed: Happening, now: datetime) -> None:
        if deed.deed == "gone":
            self.contract = None
        elif self.contract is not None:
            raise BadStory("the contract exists already; leave out 'contract: created'")
        else:
            self.contract = builders.contract(created=now, **self.contract_spec)

    def _collect(self) -> None:
        """Let go of a contract that is being deleted and that no finalizer holds."""
        meta = self.contract["metadata"] if self.contract else {}
        if "deletionTimestamp" in meta and not meta.get("finalizers"):
            self.contract = None

    # What Git says --------------------------------------------------------------------------------------------------

    def git(self, now: datetime, since: datetime) -> Git:
        """What an operator knows that has looked at Git every `LOOK` since it started."""
        hashes = {sha(commit): commit for _, commit in self.pushes}
        if not self.readable:
            refusal = Unreadable("https://git.example.com/shop.git: access denied")
            return Git(commits=dict.fromkeys(hashes, refusal), problem=refusal.problem)
        commits = {hash_: Commit(self._made_at(commit), f"Change {commit}") for hash_, commit in hashes.items()}
        ref = self.source["spec"].get("ref", {}) if self.source else {}
        problem = "" if self.branch_exists else "https://git.example.com/shop.git: the ref does not exist"
        resolvable = not {"commit", "semver"} & ref.keys()  # the others only Flux resolves
        return Git(self._head(now, since) if resolvable else None, commits, problem)

    def _made_at(self, commit: str) -> datetime:
        first = next(when for when, pushed in self.pushes if pushed == commit)
        return made_at(self._made[commit], builders.T0) if commit in self._made else first

    def _head(self, now: datetime, since: datetime) -> Head | None:
        """What the looks up to now have found: the head, the first look that found it and the last one before."""
        found: list[tuple[datetime, str]] = []
        for pushed, _ in self.pushes:
            look = self._look_after(pushed, since)
            commit = self._branch(look)
            if look <= now and (not found or found[-1][1] != commit):
                found.append((look, commit))
        if not found:
            return None
        first, commit = found[-1]
        last = since + (now - since) // LOOK * LOOK
        return Head(sha(commit), first, first - LOOK if len(found) > 1 else None, last)

    def _look_after(self, pushed: datetime, since: datetime) -> datetime:
        """The first look that can find what was pushed then."""
        return since + -((since - max(pushed, since)) // LOOK) * LOOK

    def _branch(self, when: datetime) -> str:
        return next((commit for pushed, commit in reversed(self.pushes) if pushed <= when), "")

    def next_discovery(self, after: datetime, since: datetime) -> datetime | None:
        """When the next look finds something new; None if there is nothing to find."""
        if not self.pushes or not self.readable:
            return None
        look = self._look_after(self.pushes[-1][0], since)
        return look if look > after else None

    # What the operator does -----------------------------------------------------------------------------------------

    def perform(self, effect: Effect, contract: Contract) -> str:
        """Do one act as the cluster would; return it in words (empty for an event). Raises `Refused`."""
        if isinstance(effect, EmitEvent):
            return ""
        if self.refused and isinstance(effect, EnsurePin | DeletePin | SwitchSource):
            raise Refused(self.refused)
        match effect:
            case HoldDeletion() | AllowDeletion():
                return self._finalize(hold=isinstance(effect, HoldDeletion))
            case EnsurePin(pin, _, hash_, _):
                raw = pinned(self._existing(self.source), pin, hash_, contract)
                raw["metadata"] |= builders.metadata(pin.name, f"uid-of-{pin.name}")
                self.pins.setdefault(pin.name, raw)
                return f"pin {self._commits[hash_]}"
            case DeletePin(pin, _):
                self.pins.pop(pin.name, None)
                return "unpin"
            case SwitchSource():
                return self._switch(effect)
            case RequestReconcile(_, _, mark):
                return self._ask(mark)

    def _finalize(self, *, hold: bool) -> str:
        contract = builders.changed(self._existing(self.contract))
        contract["metadata"]["finalizers"] = [FINALIZER] if hold else []
        self.contract = contract
        self._collect()
        return "hold deletion" if hold else "allow deletion"

    def _ask(self, mark: str) -> str:
        after = builders.changed(self._existing(self.kustomization))
        after["metadata"]["annotations"] = {**after["metadata"].get("annotations", {}), REQUESTED_AT: mark}
        self.kustomization = after
        return "ask Flux"

    def _switch(self, act: SwitchSource) -> str:
        raw = self._existing(self.kustomization)
        meta = raw["metadata"]
        if (meta["uid"], meta["resourceVersion"]) != (act.uid, act.resource_version):
            raise AssertionError("the switch was decided on another version of the Kustomization")
        after = builders.changed(raw, sourceRef={"kind": act.source.kind, "name": act.source.name})
        kept = after["metadata"].get("annotations", {}) | act.annotations
        after["metadata"]["annotations"] = {key: value for key, value in kept.items() if value is not None}
        self.kustomization = after
        return "switch to the pin" if act.source.name in self.pins else "switch back"


def _placed(raw: Object, namespace: str = "", **spec: Any) -> Object:
    """A source with its own spec, and in another namespace where one is named."""
    raw["metadata"]["namespace"] = namespace or raw["metadata"]["namespace"]
    return builders.changed(raw, **spec) if spec else raw


class Refused(Exception):
    """The cluster refuses an act."""
