"""The rollback against a simulated world that crashes, loses events, conflicts and changes its mind.

The operator here is the real one from the watch to the acts: `Store`, `evaluate`, the status and back, `Flux`. The
world's rules are checked at every write, the promises to people whenever everything has come to rest.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import event
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from reconciliation_contract.api import flux
from reconciliation_contract.core.cause import classify
from reconciliation_contract.core.onset import HOLD, MARK
from reconciliation_contract.errors import ClusterError, Conflict, Unavailable
from tests.support import builders
from tests.support.builders import NAME, Object, sha
from tests.support.builders_api import (
    CONTRACT,
    KUSTOMIZATION,
    SOURCE,
    Crashed,
    Write,
    claimed,
    finalized,
    rolled_back,
)
from tests.support.builders_operator import Operator
from tests.support.builders_world import World

POLICY = {"after": {"failures": 2, "duration": "2m"}, "within": "1m", "settle": "5s"}
FATES = ["ready", "unhealthy", "invalid", "unhealthy", "webhookless", "forbidden"]
SOURCE_REF = {"kind": "GitRepository", "name": NAME}
REST_ACTIVE = 5
"""Rounds after which a rollback only waits for Flux to be Ready at the good revision."""
REST = 40
"""Rounds after which the operator must have come to rest."""


FAULTS: Counter[str] = Counter()
"""What was injected so far, by its name."""
ROLLBACKS: Counter[str] = Counter()
"""Rollbacks that were done so far, by the phase in which the revision had failed."""


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
        self.operator = Operator(self.world)
        self.switches: dict[tuple[str, str], int] = {}
        self.forgotten: set[str] = set()
        self.world.api.watcher = self.check_write
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
        FAULTS["forced push"] += 1
        self.world.head = data.draw(st.sampled_from(sorted(self.world.fate)))
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
        FAULTS["lost or reordered events"] += lossy or only is not None
        self.world.deliver(self.operator.store, only=only, lossy=lossy)

    @rule(passes=st.integers(1, 4), crash=st.none() | st.integers(0, 7))
    def look(self, passes: int, crash: int | None) -> None:
        """Passes without news, the last of which may crash before or after any of its writes."""
        self.world.api.plan_crash(crash)
        try:
            for _ in range(passes):
                self.operator.look()
        except Crashed:
            FAULTS["crash at a write"] += 1
            self.operator = Operator(self.world)
        self.world.api.plan_crash(None)

    @rule()
    def work(self) -> None:
        """News and passes alternate, as they mostly do."""
        for _ in range(4):
            self.world.deliver(self.operator.store)
            self.operator.look()
            self.world.fetch()

    @rule()
    def restart(self) -> None:
        FAULTS["restart"] += 1
        self.operator = Operator(self.world)

    @rule(refuses=st.booleans())
    def rights_change(self, refuses: bool) -> None:
        FAULTS["rights withdrawn"] += refuses
        self.world.api.refuses = refuses

    @rule(
        failures=st.lists(st.tuples(st.sampled_from([Conflict, Unavailable]), st.booleans()), min_size=1, max_size=3),
        passes=st.integers(1, 3),
    )
    def writes_fail(self, failures: list[tuple[type[ClusterError], bool]], passes: int) -> None:
        """The next writes are answered with 409 or 5xx, some of them done all the same."""
        self.world.api.failing = list(failures)
        for _ in range(passes):
            self.operator.look()
        FAULTS["write failed"] += len(failures) - len(self.world.api.failing)
        self.world.api.failing = []

    # People and parents -----------------------------------------------------------------------------------------------

    @rule()
    def parent_reverts(self) -> None:
        if self.world.revert_by_parent():
            FAULTS["parent reverts"] += 1
            self.theirs["source"] = NAME

    @rule(
        act=st.sampled_from(
            [
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
        )
    )
    def person(self, act: str) -> None:
        """Somebody changes the Kustomization, or removes it or the contract."""
        FAULTS[f"person: {act}"] += 1
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
            self.forgotten.add(sha(self.world.head))

    # What must hold at every write --------------------------------------------------------------------------------------

    def check_write(self, write: Write) -> None:
        """Check one write of the operator at the moment it happens."""
        assert write.place != SOURCE, "the source that people own is not ours to write"
        if write.place == KUSTOMIZATION:
            self._check_switch(write.before or {}, write.after or {})

    def _check_switch(self, before: Object, after: Object) -> None:
        old, new = before["spec"]["sourceRef"]["name"], after["spec"]["sourceRef"]["name"]
        assert before["spec"] | {"sourceRef": 0} == after["spec"] | {"sourceRef": 0}, "only the source is ours"
        if new in (NAME, old):
            return
        spec, status, uid = before["spec"], before.get("status", {}), before["metadata"]["uid"]
        bad = status["lastAttemptedRevision"].rpartition(":")[2]
        pin = self.world.api.objects[SOURCE[0], new]
        good = pin["spec"]["ref"]["commit"]
        event("a rollback")
        ROLLBACKS[status["conditions"][0]["reason"]] += 1
        self.switches[uid, bad] = self.switches.get((uid, bad), 0) + 1
        assert self.switches[uid, bad] == 1 or bad in self.forgotten, (
            "at most one act for a bad revision of a Kustomization"
        )
        assert old == NAME, "never a rollback of a rollback"
        assert (uid, NAME, spec["path"], good) in self.world.healthy, "the target was healthy here"
        assert good != bad, "the target is another revision"
        assert spec.get("suspend") is not True, "a suspended Kustomization is left alone"
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        assert ready["status"] != "True", "a healthy revision is not rolled back"
        assert after["metadata"]["annotations"][MARK] == bad, "the mark comes with the switch"
        held = after["metadata"]["annotations"].get(HOLD)
        assert (held == "Ignore") == self.world.parent, "the hold comes with the switch where there is a parent"
        self._check_intent(bad)
        now = flux.kustomization(before, self.world.now, live=False, before=None)
        decided = (self.world.contract or {})["status"]["rollback"]
        assert decided["specDigest"] == now.spec, "its own spec is as it was decided on"
        assert decided["generation"] == now.generation, "the generation is as it was decided on"

    def _check_intent(self, bad: str) -> None:
        status = (self.world.contract or {})["status"]
        recorded, failures = status["rollback"], status["delivery"].get("failures")
        assert recorded["state"] == "Switching", "the intent was written before"
        assert recorded["from"].endswith(bad), "the intent names this revision"
        assert f"sha1:{bad}" in recorded["badRevisions"], "the revision is remembered as bad"
        assert finalized(self.world.contract), "the deletion is held before anything must be undone"
        if failures:  # Git may have a newer head that Flux has not fetched yet
            assert classify(failures["reason"], failures["message"]).curable, "an outage rolls nothing back"

    # What must hold at rest ---------------------------------------------------------------------------------------------

    def rest(self) -> None:
        """Let everything come to rest; afterwards a pass writes nothing."""
        world = self.world
        world.api.refuses = False
        for _ in range(REST):
            written = len(world.api.writes)
            world.deliver(self.operator.store)
            self.operator.look()
            world.fetch()
            if len(world.api.writes) == written and not world.api.news:
                break
        else:
            raise AssertionError("the operator does not come to rest")
        written = len(world.api.writes)
        self.operator.look()
        assert len(world.api.writes) == written, "nothing changed, so nothing is written"

    @rule()
    def come_to_rest(self) -> None:
        self.rest()
        self._check_rest()

    def _check_rest(self) -> None:
        raw, state = self.world.kustomization, rolled_back(self.world.contract)
        if state in ("", "Proposed"):
            assert not self.world.pins or self._pinned(), "no pinned source is left over"
        if not state:
            assert not finalized(self.world.contract), "nothing holds the deletion"
        if raw and not self._pinned():
            kept = raw["metadata"].get("annotations", {})
            assert kept == self.theirs["annotations"], "the annotations are as people left them"
            assert raw["spec"]["sourceRef"]["name"] == self.theirs["source"], "the source is as people left it"
            assert not claimed(raw), "no field is ours any more"

    def _pinned(self) -> bool:
        raw = self.world.kustomization
        return bool(raw) and (SOURCE[0], (raw or {})["spec"]["sourceRef"]["name"]) in self.world.pins

    def teardown(self) -> None:
        """Whatever happened: a deletion ends, and takes back everything."""
        if not hasattr(self, "operator"):
            return
        self.rest()
        self._check_rest()
        self.world.delete_contract()
        self.rest()
        assert self.world.contract is None, "the deletion ends"
        assert not self.world.pins, "no pinned source survives its contract"
        assert not self._pinned()
        self._check_rest()


TestRollbackModel = RollbackModel.TestCase
