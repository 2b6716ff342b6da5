"""Replay a story: raw objects through the store, a pass, the status and back, as the running operator does.

The status is the only thing that outlives a pass. Between two steps the operator wakes when a look at Git finds
something new and when a deadline that it asked for has come, and at no other time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.evaluation import Decision, evaluate
from reconciliation_contract.core.facts.observation import API_SERVER, Observation
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.observers.store import Key, Record, Store, key_of
from tests.support.builders import NAME, NAMESPACE, T0, Object, digest, revision
from tests.support.builders_check import Impossible
from tests.support.stories import BadStory, Happening, Step, Story, words
from tests.support.stories_stage import Refused, Stage

KEY: Key = (NAMESPACE, NAME)
_JUST_AFTER = timedelta(milliseconds=10)
_ENOUGH = 20
"""Passes at one moment after which the operator counts as never settling."""


class Replay:
    """One story under way."""

    def __init__(self, story: Story) -> None:
        self.story = story
        self.stage = Stage(story)
        self.store: Store | None = None
        self.effects: list[str] = []
        self.events: list[str] = []
        self.now = T0 - timedelta(days=365)
        self.passes: list[tuple[Memory, Decision]] = []
        """Every pass: the memory with which it began, and what it decided."""
        self.times: list[datetime] = []
        """When each of them was."""
        self._since = T0
        self._due: datetime | None = None
        self._shown: dict[tuple[str, str], str] = {}
        self._fresh = True
        self._told = False

    def run(self) -> None:
        """Tell the whole story; raises AssertionError where an expectation is not met."""
        deeds = [h for step in self.story.steps for h in step.happenings]
        self.begin(T0 + self.story.steps[0].offset, contract=not any(h.actor == "contract" for h in deeds))
        for step in self.story.steps:
            self.advance(T0 + step.offset)
            self._tell(step)

    def _tell(self, step: Step) -> None:
        now = T0 + step.offset
        for deed in step.happenings:
            try:
                self.happen(deed, now)
            except (Impossible, BadStory) as error:
                raise BadStory(f"{step.where}: {error}") from error
        self.work(now)
        if step.expect is not None:
            Expectation(self, step.where).check(step.expect)

    def begin(self, now: datetime, *, contract: bool = True) -> None:
        """Start the operator, with a contract unless the story creates it later."""
        self._start(now)
        if contract:
            self.stage.happen(Happening("contract", "created"), now)

    def happen(self, deed: Happening, now: datetime) -> None:
        """Let one thing happen and the watch bring it; raises `Impossible` or `BadStory`."""
        if deed.actor == "operator":
            self._operate(deed.deed, now)
            return
        self.stage.happen(deed, now)
        if deed.actor in ("kustomization", "neighbour", "source"):
            self._feed(now)

    def _operate(self, deed: str, now: datetime) -> None:
        match deed:
            case "stops":
                self.store, self._due = None, None
            case "starts":
                self._start(now)
            case "is refused":
                self.stage.refused = "cannot change the Kustomization: forbidden (HTTP 403)"
            case "is allowed":
                self.stage.refused = ""
            case "loses sight":
                self._fresh = False
            case _:
                self._fresh = True
                self._feed(now, live=False)  # a watch that lost its place begins with a list

    # The operator ---------------------------------------------------------------------------------------------------

    def _start(self, now: datetime) -> None:
        self.store, self._since, self._shown = Store(), now, {}
        self._feed(now, live=False)

    def _feed(self, now: datetime, *, live: bool = True) -> None:
        """Bring what changed into the store, as the watch does."""
        store, stage = self.store, self.stage
        if store is None:
            return
        store.fresh = self._fresh
        store.note(API_SERVER, self._fresh, now)
        for controller in stage.around.controllers:
            store.note(controller.name, controller.ready, now)
        if not self._fresh:
            return
        if stage.contract:
            store.put_contract(stage.contract)
        else:
            store.drop_contract(KEY)
        if not stage.kustomization:
            store.drop_kustomization(KEY)
        elif self._news("kustomization", KEY[1], stage.kustomization):
            store.put_kustomization(stage.kustomization, now, live=live)
        if stage.neighbour and self._news("kustomization", "other", stage.neighbour):
            store.put_kustomization(stage.neighbour, now, live=live)
        for name, raw in stage.around.others.items():
            if self._news("kustomization", name, raw):
                store.put_kustomization(raw, now, live=live)
        self._feed_sources(store, now, live=live)

    def _feed_sources(self, store: Store, now: datetime, *, live: bool) -> None:
        stage = self.stage
        sources = stage.pins | ({NAME: stage.source} if stage.source else {})
        for name, raw in sources.items():
            if self._news("source", name, raw):
                store.put_source(raw, now, live=live, kind=store.kinds[raw["kind"]])
        for kind, known in store.sources.items():
            for key in known.keys() - {key_of(raw) for raw in sources.values()}:
                store.drop_source(key, kind=store.kinds[kind])

    def _news(self, kind: str, name: str, raw: Object) -> bool:
        version = f"{raw['metadata']['uid']}/{raw['metadata']['resourceVersion']}"
        known = self._shown.get((kind, name))
        self._shown[kind, name] = version
        return known != version

    def advance(self, then: datetime) -> None:
        """Wake whenever the operator would, up to a time."""
        for _ in range(1000):
            wake = self._wakes_at()
            if wake is None or wake >= then:
                self.now = then
                return
            self.work(wake)
        raise AssertionError("the operator wakes without end")

    def wakes_by(self, then: datetime) -> bool:
        """Whether something is due until then."""
        wake = self._wakes_at()
        return wake is not None and wake <= then

    def _wakes_at(self) -> datetime | None:
        wakes = [self.stage.next_discovery(self.now, self._since) if self.store else None, self._due]
        return min((at for at in wakes if at is not None), default=None)

    def work(self, now: datetime) -> None:
        """Pass after pass, until there is nothing more to do at this moment."""
        self.now = now
        refusal = ""
        for _ in range(_ENOUGH):
            self._feed(now)
            if self.store is None or KEY not in self.store.contracts:
                return
            again, refusal = self._pass(self.store, now, refusal)
            if not again:
                return
        raise AssertionError(f"the operator does not settle at {now}")

    def _pass(self, store: Store, now: datetime, refusal: str) -> tuple[bool, str]:
        record, decision, seen = self.decide(store, now, refusal)
        status = json.loads(json.dumps(render_status(decision.memory, seen.flux.kustomization, decision.conditions)))
        written = status != record.status
        if written and self.stage.contract:
            meta = self.stage.contract["metadata"]
            meta = meta | {"resourceVersion": str(int(meta["resourceVersion"]) + 1)}
            self.stage.contract = self.stage.contract | {"status": status, "metadata": meta}
            store.put_contract(self.stage.contract)
        if isinstance(record.contract, Contract):
            self.stage.live.remembered(record.contract, decision.memory, now)
        acted, problem = self._perform(decision, record.contract)
        self._due = decision.next_look.at + _JUST_AFTER if decision.next_look.at else None
        return written or acted or problem != refusal or not decision.settled, problem

    def decide(self, store: Store, now: datetime, refusal: str = "") -> tuple[Record, Decision, Observation]:
        """What a pass at this moment decides, without doing it."""
        record = store.contracts[KEY]
        memory = parse_memory(record.status)
        seen = Observation()
        if isinstance(record.contract, Contract):
            seen = store.observe(
                record.contract, memory, acts=self.story.acts, refused=self.stage.refused and refusal
            )
            seen = (
                replace(seen, git=self.stage.git(now, self._since))
                if seen.flux.source and seen.flux.source.kind.commits
                else seen
            )
            found, around = self.stage.inspected, self.stage.around
            seen = replace(
                seen,
                flux=replace(seen.flux, controllers=around.controllers),
                operator=replace(seen.operator, lacking=around.lacking),
            )
            seen = replace(
                seen, live=replace(seen.live, departures=self.stage.live.departures, rollout=self.stage.live.rollout)
            )
            seen = replace(seen, manifests=replace(seen.manifests, validation=found.validation, drift=found.drift))
        decision = evaluate(record.contract, memory, seen, now)
        self.passes.append((memory, decision))
        self.times.append(now)
        return record, decision, seen

    def _perform(self, decision: Decision, contract: Any) -> tuple[bool, str]:
        acted = False
        for effect in decision.effects:
            if isinstance(effect, EmitEvent):
                self.events += [effect.reason] if not effect.kustomization_uid else []
                continue
            assert isinstance(contract, Contract), "a story's contract is valid"
            try:
                self.effects.append(self.stage.perform(effect, contract))
            except Refused as error:
                return acted, str(error)
            acted = True
        return acted, ""

    @property
    def status(self) -> Mapping[str, Any]:
        """The contract's status as it was written last."""
        return (self.stage.contract or {}).get("status", {})


class Expectation:
    """Compares what a story expects at one step with what the status says."""

    def __init__(self, replay: Replay, where: str) -> None:
        self._replay = replay
        self._status = replay.status
        self._where = where

    def check(self, expect: Mapping[str, Any]) -> None:
        """Raise AssertionError with all differences. Acts that nobody expects are a difference."""
        found = {name: self._found(name, wanted) for name, wanted in expect.items()}
        found["effects"], self._replay.effects = self._replay.effects, []
        wanted = {
            name: words(v) if name in ("history", "effects", "events", "bad") else v for name, v in expect.items()
        }
        wanted.setdefault("effects", [])
        wrong = {name: (wanted[name], found[name]) for name in wanted if wanted[name] != found[name]}
        told = "".join(f"\n  {name}: expected {w!r}, found {f!r}" for name, (w, f) in wrong.items())
        assert not wrong, f"{self._where}{told}\n{json.dumps(self._status, indent=1)}"

    def _found(self, name: str, wanted: Any) -> Any:
        if name in (
            "ready",
            "detected",
            "healthy",
            "rolledBack",
            "stalled",
            "dependenciesReady",
            "validated",
            "inSync",
        ):
            return self._condition(name[0].upper() + name[1:], str(wanted))
        found: dict[str, Callable[[Any], Any]] = {
            "says": lambda parts: {kind: self._said(kind, part) for kind, part in parts.items()},
            "verdicts": self._verdicts,
            "measured": lambda kinds: {kind: self._promise(kind).get("measured", "none") for kind in kinds},
            "elapsed": lambda stages: {stage: self._stage(stage).get("elapsed", "none") for stage in stages},
            "delivery": lambda commit: self._commit(self._delivery.get("revision", ""), commit),
            "good": lambda commit: self._commit(self._status.get("lastGoodRevision", ""), commit),
            "rollback": lambda _: self._rollback.get("state", "none"),
            "bad": lambda _: [self._commit(hash_, []) for hash_ in self._rollback.get("badRevisions", [])],
            "history": lambda _: self._history(),
            "flagged": lambda part: _part(part, self._delivery.get("commitProblem", "")),
            "events": lambda _: self._events(),
            "effects": lambda _: None,
            "source": lambda _: self._source(),
            "annotations": lambda _: (self._replay.stage.kustomization or {})["metadata"].get("annotations", {}),
            "contract": lambda _: "exists" if self._replay.stage.contract else "gone",
        }
        return found[name](wanted)

    @property
    def _delivery(self) -> Mapping[str, Any]:
        return self._status.get("delivery", {})

    @property
    def _rollback(self) -> Mapping[str, Any]:
        return self._status.get("rollback", {})

    def _stage(self, name: str) -> Mapping[str, Any]:
        return self._delivery.get("stages", {}).get(name, {})

    def _events(self) -> list[str]:
        told, self._replay.events = self._replay.events, []
        return told

    def _history(self) -> list[str]:
        return [f"{self._commit(past['revision'], [])} {past['result']}" for past in self._status.get("history", [])]

    def _condition(self, kind: str, wanted: str) -> str:
        found = next((c for c in self._status.get("conditions", []) if c["type"] == kind), None)
        if found is None:
            return "absent"
        both = f"{found['status']} {found['reason']}"
        return both if " " in wanted else str(found["status"])

    def _said(self, kind: str, part: str) -> str:
        found = next((c["message"] for c in self._status.get("conditions", []) if c["type"] == kind), "")
        return _part(part, found)

    def _promise(self, kind: str) -> Mapping[str, Any]:
        return next((p for p in self._delivery.get("promises", []) if p["name"] == kind), {})

    def _verdicts(self, wanted: Mapping[str, str]) -> Mapping[str, str]:
        """The verdicts, with their reasons where the story gives them."""
        told = {kind: self._promise(kind) for kind in wanted}
        return {
            kind: f"{p['verdict']} {p['reason']}" if p and " " in wanted[kind] else p.get("verdict", "none")
            for kind, p in told.items()
        }

    def _commit(self, found: str, among: object) -> str:
        """The story's own word for a revision, where it is one of these."""
        pushed = [commit for _, commit in self._replay.stage.pushes]
        commits = [*words(among), *pushed]
        known = {revision(commit, ""): commit for commit in commits}
        known |= {f"sha256:{digest(commit)}": commit for commit in commits}
        return known.get(found.rpartition("@")[2], found or "none")

    def _source(self) -> str:
        raw = self._replay.stage.kustomization
        name = raw["spec"]["sourceRef"]["name"] if raw else ""
        return "the pin" if name in self._replay.stage.pins else "its own" if name == NAME else name


def _part(part: str, whole: str) -> str:
    """The part where the whole has it, else the whole, to be shown."""
    return part if part in whole else whole
