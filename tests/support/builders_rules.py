"""What must hold at every write of the operator, in the simulated world of model tests."""

from __future__ import annotations

from collections import Counter

from hypothesis import event

from reconciliation_contract.api.flux import kustomization
from reconciliation_contract.api.status.apart import join
from reconciliation_contract.core.facts.failure_cause import classify
from reconciliation_contract.core.memory.memory import RollbackState
from reconciliation_contract.core.rollback.start import HOLD, MARK
from reconciliation_contract.core.rollback.transitions import TRANSITIONS
from tests.support.builders import NAME, Object
from tests.support.builders_api import CONTRACT, KUSTOMIZATION, SOURCE, Write, claimed, finalized, rolled_back
from tests.support.builders_world import World

ROLLBACKS: Counter[str] = Counter()
"""Rollbacks that were done so far, by the phase in which the revision had failed."""


class Rules:
    """Judges each write at the moment it happens, and remembers what earlier ones did."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._switches: dict[tuple[str, str], int] = {}
        self.forgotten: set[str] = set()
        """Revisions that somebody asked to forget."""
        self.abandoned = False
        """A contract has gone and left something behind, and nobody has cleared it up."""

    def check(self, write: Write) -> None:
        """Check one write of the operator at the moment it happens."""
        assert write.place != SOURCE, "the source that people own is not ours to write"
        if write.place == KUSTOMIZATION:
            self._check_switch(write.before or {}, write.after or {})
        if write.after is None:
            used = (self._world.kustomization or {}).get("spec", {}).get("sourceRef", {}).get("name")
            assert write.place != (SOURCE[0], used), "a pinned source that is in use is not removed"
        if write.place == CONTRACT and self._world.contract is None:
            self._check_gone()
        if write.place == CONTRACT:
            self._check_transition(rolled_back(write.before), rolled_back(write.after))

    def _check_transition(self, before: str, after: str) -> None:
        """Check that the table of states has what was just written."""
        there = {str(then or "") for then in TRANSITIONS[RollbackState(before) if before else None].values()}
        assert after in there | {before}, f"no event leads from {before or 'none'} to {after or 'none'}"
        event(f"{before or 'none'} to {after or 'none'}")

    def _check_gone(self) -> None:
        world, raw = self._world, self._world.kustomization
        left = any(not world.is_claimed(place) for place in world.pins) or self._world.pinned
        if left or (raw and claimed(raw)):
            event("a rollback left behind")
            assert world.api.denied, "what can be given back is"
            assert world.told or not left, "what is left behind is told"
            self.abandoned = True

    def _check_switch(self, before: Object, after: Object) -> None:
        old, new = before["spec"]["sourceRef"]["name"], after["spec"]["sourceRef"]["name"]
        assert before["spec"] | {"sourceRef": 0} == after["spec"] | {"sourceRef": 0}, "only the source is ours"
        if new in (NAME, old):
            return
        spec, status, uid = before["spec"], before.get("status", {}), before["metadata"]["uid"]
        bad = status["lastAttemptedRevision"].rpartition(":")[2]
        pin = self._world.api.objects[SOURCE[0], new]
        good = pin["spec"]["ref"]["commit"]
        assert self._world.is_right((SOURCE[0], new)), "only to a copy that we made and that nobody changed"
        assert pin["metadata"]["generation"] == 1, "nobody has ever changed it"
        event("a rollback")
        ROLLBACKS[status["conditions"][0]["reason"]] += 1
        self._switches[uid, bad] = self._switches.get((uid, bad), 0) + 1
        assert self._switches[uid, bad] == 1 or bad in self.forgotten, (
            "at most one act for a bad revision of a Kustomization"
        )
        assert old == NAME, "never a rollback of a rollback"
        assert (uid, NAME, spec["path"], good) in self._world.healthy, "the target was healthy here"
        assert good != bad, "the target is another revision"
        assert spec.get("suspend") is not True, "a suspended Kustomization is left alone"
        ready = next(c for c in status["conditions"] if c["type"] == "Ready")
        assert ready["status"] != "True", "a healthy revision is not rolled back"
        assert after["metadata"]["annotations"][MARK] == bad, "the mark comes with the switch"
        held = after["metadata"]["annotations"].get(HOLD)
        assert (held == "Ignore") == self._world.parent, "the hold comes with the switch where there is a parent"
        self._check_intent(bad)
        now = kustomization.kustomization(before, self._world.now, live=False, before=None)
        decided = join((self._world.contract or {})["status"])["rollback"]
        assert decided["specDigest"] == now.spec, "its own spec is as it was decided on"
        assert decided["generation"] == now.generation, "the generation is as it was decided on"

    def _check_intent(self, bad: str) -> None:
        status = (self._world.contract or {})["status"]
        recorded, failures = status["rollback"], status["delivery"].get("failures")
        assert recorded["state"] == "Switching", "the intent was written before"
        assert recorded["from"].endswith(bad), "the intent names this revision"
        assert f"sha1:{bad}" in recorded["badRevisions"], "the revision is remembered as bad"
        assert finalized(self._world.contract), "the deletion is held before anything must be undone"
        if failures:  # Git may have a newer head that Flux has not fetched yet
            assert classify(failures["reason"], failures["message"]).curable, "an outage rolls nothing back"
