"""The rollback against a simulated world that crashes, loses events, conflicts and changes its mind.

The operator here is the real one from the watch to the acts: `Store`, `Queue`, `Reconciler`, `Flux`; only the API
server behind it, and what it sees besides, are simulated. The world's rules are checked at every write, the promises to
people whenever everything has come to rest.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from reconciliation_contract.core.rollback.start import HOLD
from tests.support import builders
from tests.support.builders import CONTRACT_UID, NAME, sha
from tests.support.builders_api import (
    CONTRACT,
    KUSTOMIZATION,
    SOURCE,
    Crashed,
    Failure,
    claimed,
    finalized,
    rolled_back,
)
from tests.support.builders_operator import Operator, WorldLoop
from tests.support.builders_rules import Rules
from tests.support.builders_world import World

POLICY = {"after": {"failures": 2, "duration": "2m"}, "within": "1m", "settle": "5s"}
FATES = ["ready", "unhealthy", "invalid", "unhealthy", "webhookless", "forbidden"]
SOURCE_REF = {"kind": "GitRepository", "name": NAME}
FAILURES = [Failure(409), Failure(429), *(Failure(code, done) for code in (500, 503) for done in (False, True))]
"""A conflict, and a request that is one too many, are never done."""
NEWS = st.sampled_from([True, True, False])
"""Whether passes know what has happened."""
ACTS = [
    "source",
    "source",
    "elsewhere",
    "suspend",
    "resume",
    "path",
    "own path",
    "undo",
    "pace",
    "targetNamespace",
    "annotate",
    "replace",
    "delete",
]
"""What people do to the Kustomization and the contract."""
REST_ACTIVE = 5
"""Rounds after which a rollback only waits for Flux to be Ready at the good revision."""
REST = 40
"""Rounds after which the operator must have come to rest."""


FAULTS: Counter[str] = Counter()
"""What was injected so far, by its name."""


class RollbackModel(RuleBasedStateMachine):
    """Rules are what can happen in the world; invariants are what must hold whatever happens."""

    @initialize(
        parent=st.booleans(),
        kept=st.sampled_from([None, "Merge", "IfNotPresent"]),
        mode=st.sampled_from(["Automatic", "Automatic", "Manual"]),
        far=st.integers(0, 5),
    )
    def begin(self, parent: bool, kept: str | None, mode: str, far: int) -> None:
        """A first revision has proved itself, and a rollback may already be some way on."""
        annotations = {HOLD: kept} if kept else {}
        self.world = World(parent=parent, contract={"rollback": POLICY | {"mode": mode}}, annotations=annotations)
        self.theirs: dict[str, Any] = {"source": NAME, "annotations": annotations}
        self.loop = WorldLoop(self.world)
        self.operator = Operator(self.world, self.loop)
        self.judge = Rules(self.world)
        self.world.api.watcher = self.judge.check
        self.world.attempt()
        self.rest()
        self.world.pass_time(6)
        self.rest()
        if far:
            self.push_and_fail_often("unhealthy")
            self.request("approve")
        for _ in range(far - 1):
            self.world.deliver(self.operator.store)
            self.operator.look()
            self.world.fetch()
        if far == REST_ACTIVE:
            self.world.attempt()

    # The world ------------------------------------------------------------------------------------------------------

    @rule(fate=st.sampled_from(FATES))
    def push(self, fate: str) -> None:
        name = f"C{len(self.world.fate)}"
        self.world.fate[name] = fate
        self.world.head = name
        self.world.pass_time(1)

    @rule(fate=st.sampled_from(["unhealthy", "invalid"]))
    def push_and_fail_often(self, fate: str) -> None:
        """The way to a rollback, at one go: otherwise few histories get there."""
        self.push(fate)
        self.world.fetch()
        for _ in range(3):
            self.world.pass_time(31)
            self.world.attempt()
            self.world.deliver(self.operator.store)
            self.operator.look()

    @rule(data=st.data())
    def force_push(self, data: st.DataObject) -> None:
        head = data.draw(st.sampled_from(sorted(self.world.fate)))
        FAULTS["forced push"] += head != self.world.head
        self.world.head = head
        self.world.pass_time(1)

    @rule(data=st.data(), fate=st.sampled_from(FATES))
    def commit_changes_its_fate(self, data: st.DataObject, fate: str) -> None:
        self.world.fate[data.draw(st.sampled_from(sorted(self.world.fate)))] = fate

    @rule()
    def fetch(self) -> None:
        self.world.fetch()
        self.world.pass_time(1)

    @rule(steps=st.sampled_from([9, 9, 9, 3, 2]))
    def attempt(self, steps: int) -> None:
        self.world.pass_time(2)
        self.world.attempt(steps=steps)

    @rule(seconds=st.sampled_from([1, 10, 61, 121]))
    def time_passes(self, seconds: int) -> None:
        self.world.pass_time(seconds)

    @rule(only=st.sampled_from([None, None, CONTRACT, KUSTOMIZATION, SOURCE]), lossy=st.booleans())
    def deliver(self, only: tuple[str, str] | None, lossy: bool) -> None:
        FAULTS["lost or reordered events"] += self.world.deliver(self.operator.store, only=only, lossy=lossy)

    @rule(passes=st.integers(1, 4), news=NEWS, crash=st.none() | st.integers(0, 7))
    def look(self, passes: int, news: bool, crash: int | None) -> None:
        """Passes, one of which may crash before or after any of its writes."""
        self.world.api.plan_crash(crash)
        try:
            self._passes(passes, news=news)
        except Crashed:
            FAULTS["crash at a write"] += 1
            self._start_anew()
        self.world.api.plan_crash(None)

    @rule(failures=st.lists(st.sampled_from(FAILURES), min_size=1, max_size=3), passes=st.integers(1, 3), news=NEWS)
    def writes_fail(self, failures: list[Failure], passes: int, news: bool) -> None:
        """The next writes are answered with 409, 429 or 5xx; some of the latter are done all the same."""
        api = self.world.api
        api.failing = list(failures)
        self._passes(passes, news=news)
        for failure in failures[: len(failures) - len(api.failing)]:
            FAULTS[f"write answered with {failure.code}{', but done' * failure.done}"] += 1
        api.failing = []

    def _passes(self, number: int, *, news: bool) -> None:
        """Make passes, without news or as they mostly are: with what has happened since, to sources as well."""
        for _ in range(number):
            if news:
                self.world.deliver(self.operator.store)
            self.operator.look()
            if news:
                self.world.fetch()

    @rule()
    def restart(self) -> None:
        FAULTS["restart"] += bool(self.world.api.news or rolled_back(self.world.contract))
        self._start_anew()

    def _start_anew(self) -> None:
        self.operator = Operator(self.world, self.loop)

    @rule(refuses=st.booleans())
    def rights_change(self, refuses: bool) -> None:
        self._refuse(refuses)

    def _refuse(self, refuses: bool) -> None:
        """Withdraw the rights to act, or give them back; it counts once, if it was felt."""
        api = self.world.api
        if not refuses:
            FAULTS["rights withdrawn"] += bool(api.refusals)
            api.refusals = 0
        api.refuses = refuses

    # People and parents -----------------------------------------------------------------------------------------------

    @rule()
    def parent_reverts(self) -> None:
        version = self.world.api.version
        if self.world.revert_by_parent():
            FAULTS["parent reverts"] += self.world.api.version != version
            self.theirs["source"] = NAME

    @rule(act=st.sampled_from(ACTS))
    def person(self, act: str) -> None:
        """Somebody changes the Kustomization, or removes it or the contract."""
        version = self.world.api.version
        self._change(act)
        FAULTS[f"person: {act}"] += self.world.api.version != version

    @precondition(lambda self: rolled_back(self.world.contract) in ("Intended", "Switching"))
    @rule(act=st.sampled_from(ACTS), passes=st.integers(0, 2))
    def person_unseen(self, act: str, passes: int) -> None:
        """Somebody changes what the operator has not seen yet when it acts."""
        self._passes(passes, news=True)
        self.person(act)
        self._passes(2, news=False)

    @precondition(lambda self: rolled_back(self.world.contract) in ("Intended", "Switching"))
    @rule(code=st.sampled_from([500, 503]), then=st.sampled_from(["delete", "push"]))
    def act_unseen(self, code: int, then: str) -> None:
        """The copy is made, or the switch done, and neither the answer nor the watch tells of it before the next passes."""
        self.writes_fail([Failure(code, done=True)], passes=1, news=False)
        if then == "delete":
            self.person("delete")
        else:
            self.push("unhealthy")
            self.world.fetch()
        for place in (SOURCE, CONTRACT):
            self.deliver(place, lossy=False)
        self._passes(2, news=False)

    @precondition(lambda self: rolled_back(self.world.contract) in ("Intended", "Switching", "Active", "Failed"))
    @rule(owner=st.sampled_from([CONTRACT_UID, ""]), removes=st.booleans(), passes=st.integers(0, 2), news=NEWS)
    def somebody_claims_the_copy(self, owner: str, removes: bool, passes: int, news: bool) -> None:
        """Somebody reads the copy's name in the status and makes an object of that name, before the copy or for it."""
        if removes:
            self.world.tamper("remove")
        FAULTS["copy claimed"] += self.world.claim(owner)
        self.world.fetch()
        self._passes(passes, news=news)

    @precondition(lambda self: bool(self.world.pins))
    @rule(act=st.sampled_from(["edit", "swap", "mend", "remove"]), passes=st.integers(0, 2), news=NEWS)
    def somebody_tampers_with_the_copy(self, act: str, passes: int, news: bool) -> None:
        """Somebody edits the copy, exchanges its artifact, or removes it, at any time."""
        FAULTS[f"copy: {act}"] += self.world.tamper(act)
        self._passes(passes, news=news)

    def _change(self, act: str) -> None:
        match act:
            case "source" | "elsewhere":
                self.theirs["source"] = NAME if act == "source" else act
                self.world.set_source(self.theirs["source"])
            case "suspend" | "resume":
                self.world.edit(suspend=act == "suspend")
            case "path" | "own path":
                self.world.edit(path="./deploy" if act == "own path" else "./elsewhere")
            case "undo":
                self._undo()
            case "pace":
                self.world.edit(interval=f"{self.world.now.timestamp():.0f}s")
            case "targetNamespace":
                self.world.edit(targetNamespace=f"n{self.world.now.timestamp():.0f}")
            case "annotate":
                self.theirs["annotations"] = self.theirs["annotations"] | {"example.com/owner": "me"}
                self.world.annotate(KUSTOMIZATION, {"example.com/owner": "me"})
            case "replace":
                self._replace()
            case "delete":
                self.world.delete_contract()

    def _undo(self) -> None:
        """Take back everything that a rollback has set, the mark and the hold included, at once."""
        raw = self.world.kustomization
        if raw is None or raw["spec"]["sourceRef"]["name"] == NAME:
            return
        self.theirs["source"] = NAME
        meta = raw["metadata"] | {"annotations": dict(self.theirs["annotations"])}
        self.world.api.put(KUSTOMIZATION, builders.changed(raw | {"metadata": meta}, sourceRef=SOURCE_REF))

    def _replace(self) -> None:
        if self.world.kustomization:
            self.world.api.drop(KUSTOMIZATION)
        else:
            self.world.create_kustomization()
        self.theirs = {"source": NAME, "annotations": {}}

    @rule(what=st.sampled_from(["approve", "approve", "release", "forget"]))
    def request(self, what: str) -> None:
        """Somebody asks something of the contract, about the revision that is the head now."""
        self.world.annotate(CONTRACT, {f"reconciliation.dev/{what}": sha(self.world.head)})
        if what == "forget":
            self.judge.forgotten.add(sha(self.world.head))

    # What must hold at rest ---------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Let everything come to rest; afterwards a pass writes nothing."""
        world = self.world
        self._refuse(False)
        for _ in range(REST):
            written = len(world.api.writes)
            world.deliver(self.operator.store)
            self.operator.look()
            self._clear_up()
            world.fetch()
            if len(world.api.writes) == written and not world.api.news:
                break
        else:
            raise AssertionError("the operator does not come to rest")
        written = len(world.api.writes)
        self.operator.look()
        assert len(world.api.writes) == written, "nothing changed, so nothing is written"

    def _clear_up(self) -> None:
        """Somebody does as a contract said that left something behind, and applies the Kustomization."""
        if not rolled_back(self.world.contract):
            self.world.disclaim_names()
        if not self.judge.abandoned:
            return
        self.judge.abandoned = False
        FAULTS["rollback left behind"] += 1
        if self.world.told:
            self.world.obey()
        self.world.disclaim()

    @rule()
    def come_to_rest(self) -> None:
        self.rest()
        self._check_rest()

    def _check_rest(self) -> None:
        raw, state = self.world.kustomization, rolled_back(self.world.contract)
        if state in ("", "Proposed"):
            assert not self.world.pins or self.world.pinned, "no pinned source is left over"
        if not state:
            assert not finalized(self.world.contract), "nothing holds the deletion"
        if state == "Active" and raw and self.world.pinned:
            self._check_told((SOURCE[0], raw["spec"]["sourceRef"]["name"]))
        if raw and not self.world.pinned:
            kept = raw["metadata"].get("annotations", {})
            assert kept == self.theirs["annotations"], "the annotations are as people left them"
            assert raw["spec"]["sourceRef"]["name"] == self.theirs["source"], "the source is as people left it"
            assert not claimed(raw), "no field is ours any more"

    def _check_told(self, copy: tuple[str, str]) -> None:
        conditions = (self.world.contract or {})["status"]["conditions"]
        told = next(c["reason"] for c in conditions if c["type"] == "RolledBack")
        if not self.world.is_right(copy):
            event("a copy that differs, told")
            assert told == "PinnedCopyDiffers", "what Flux runs by a copy that differs is not called good"

    def teardown(self) -> None:
        """Whatever happened: a deletion ends, and takes back everything."""
        if not hasattr(self, "loop"):
            return
        try:
            self._end()
        finally:
            self.loop.close()

    def _end(self) -> None:
        self.rest()
        self._check_rest()
        self.world.delete_contract()
        self.rest()
        assert self.world.contract is None, "the deletion ends"
        assert not self.world.pins, "no pinned source survives its contract"
        assert not self.world.pinned
        self._check_rest()


TestRollbackModel = RollbackModel.TestCase
