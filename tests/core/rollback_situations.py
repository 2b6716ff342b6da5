"""Every state of a rollback in every situation it can meet, and what comes of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from reconciliation_contract.core.facts.observation import Failure
from reconciliation_contract.core.memory.effects import (
    AllowDeletion,
    DeletePin,
    Disown,
    Effect,
    EnsurePin,
    HoldDeletion,
    SwitchSource,
)
from reconciliation_contract.core.memory.memory import Copy, RollbackState
from reconciliation_contract.core.spec.contract import RollbackMode
from reconciliation_contract.core.spec.requests import Requests, Signature
from reconciliation_contract.core.values import reasons
from tests.support.builders import CONTRACT_UID, KUSTOMIZATION_UID, at, sha
from tests.support.builders_core import (
    HOLD,
    MARK,
    OWN,
    PIN,
    PIN_UID,
    failing,
    good,
    pin,
    since,
    source,
    standing,
)

PROPOSED, INTENDED, SWITCHING = RollbackState.PROPOSED, RollbackState.INTENDED, RollbackState.SWITCHING
ACTIVE, RELEASING, FAILED = RollbackState.ACTIVE, RollbackState.RELEASING, RollbackState.FAILED
NONE = None
MAKE, DROP = EnsurePin(PIN, OWN, sha("A")), DeletePin(PIN, CONTRACT_UID)
HELD, LET_GO = HoldDeletion(), AllowDeletion()
COPY = Copy(uid=PIN_UID)
TOKEN = "fedcba9876543210"
THERE = SwitchSource(KUSTOMIZATION_UID, "7", PIN, {MARK: sha("B")}, sha("A"), COPY)
HELD_THERE = SwitchSource(KUSTOMIZATION_UID, "7", PIN, {MARK: sha("B"), HOLD: "Ignore"}, sha("A"), COPY)
BACK = SwitchSource(KUSTOMIZATION_UID, "7", OWN, {MARK: None})
PAUSED = Requests(paused_until=at(101))
APPROVED = Requests(approve=sha("B"))
TOLD = Requests(rollback_from=sha("B"), rollback_to=sha("A"))
"""What people ask for stands in an annotation until the switch."""
OTHER = OWN.__class__("GitRepository", "apps", "other")
WEBHOOK_DOWN = 'dry-run failed (InternalError): failed calling webhook "policy.example.org": connection refused'
AT_B = failing().seen.flux.kustomization
OUTAGE = (Failure(at(98), "ReconciliationFailed", WEBHOOK_DOWN, sha("A")),)
STRUCK = {"kustomization__failures": (*AT_B.failures, replace(OUTAGE[0], hash=sha("B")))} if AT_B else {}
A_FAILS = (Failure(at(98), "HealthCheckFailed", "still not healthy", sha("A")),)


@dataclass(frozen=True)
class Situation:
    """A state, what differs from what it expects, and what comes of it."""

    state: RollbackState
    changes: dict[str, Any] = field(default_factory=dict)
    to: RollbackState | None = None
    acts: tuple[Effect, ...] = ()
    says: str = ""
    """Reason of the condition RolledBack; empty where it does not matter."""


def arriving(**changes: Any) -> dict[str, Any]:
    """The Kustomization is switched and not Ready yet."""
    record = {"source": PIN, "hold": {MARK: sha("B")}} | changes
    return {f"kustomization__{name}": value for name, value in record.items()}


SITUATIONS: dict[str, Situation] = {
    # Proposed
    "a proposal waits": Situation(PROPOSED, {"contract__finalized": False}, to=PROPOSED),
    "a proposal needs no hold": Situation(PROPOSED, to=PROPOSED, acts=(AllowDeletion(),)),
    "a proposal is approved by the whole hash": Situation(
        PROPOSED, {"contract__requests": Requests(approve=sha("B"))}, INTENDED, says=reasons.ROLLING_BACK
    ),
    "a proposal is approved by a short hash": Situation(
        PROPOSED, {"contract__requests": Requests(approve=sha("B")[:7])}, INTENDED
    ),
    "approving another revision approves nothing": Situation(
        PROPOSED, {"contract__requests": Requests(approve=sha("A")), "contract__finalized": False}, PROPOSED
    ),
    "a proposal ends when the revision becomes healthy": Situation(
        PROPOSED, {"kustomization__delivered": since("B", 95)}, NONE, says=reasons.CANCELLED
    ),
    "a proposal ends when a new commit arrives": Situation(
        PROPOSED, {"seen__flux__source": source("C", 95)}, NONE, says=reasons.CANCELLED
    ),
    "a proposal ends when the Kustomization has another source": Situation(
        PROPOSED, {"kustomization__source": OTHER}, NONE, says=reasons.CANCELLED
    ),
    "a proposal ends when nobody wants rollbacks any more": Situation(
        PROPOSED, {"contract__rollback__mode": RollbackMode.DISABLED}, NONE, says=reasons.ROLLBACK_DISABLED
    ),
    "a proposal ends when nothing waits for approval any more": Situation(
        PROPOSED, {"contract__rollback__mode": RollbackMode.AUTOMATIC}, NONE, says=reasons.CANCELLED
    ),
    "a pause leaves a proposal to people": Situation(
        PROPOSED, {"contract__requests": PAUSED, "contract__finalized": False}, PROPOSED
    ),
    # Intended
    "an intent is given up when nobody wants rollbacks any more": Situation(
        INTENDED, {"contract__rollback__mode": RollbackMode.DISABLED}, NONE, says=reasons.ROLLBACK_DISABLED
    ),
    "an intent is given up when people are to approve": Situation(
        INTENDED, {"contract__rollback__mode": RollbackMode.MANUAL}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up in a pause": Situation(
        INTENDED, {"contract__requests": PAUSED}, NONE, says=reasons.PAUSED
    ),
    "what a person approved of is done in a pause, too": Situation(
        INTENDED,
        {"contract__requests": replace(APPROVED, paused_until=at(101)), "rollback__asked_by": "ann"},
        INTENDED,
        (MAKE,),
    ),
    "what a person approved of is done with approvals": Situation(
        INTENDED,
        {
            "contract__rollback__mode": RollbackMode.MANUAL,
            "contract__requests": APPROVED,
            "rollback__asked_by": "ann",
        },
        INTENDED,
        (MAKE,),
    ),
    "who a status says has approved of it has not": Situation(
        INTENDED,
        {"contract__rollback__mode": RollbackMode.MANUAL, "rollback__asked_by": "ann"},
        NONE,
        says=reasons.CANCELLED,
    ),
    "what a status says was asked for was not": Situation(
        INTENDED, {"rollback__reason": reasons.REQUESTED, "rollback__asked_by": "ann"}, NONE, says=reasons.CANCELLED
    ),
    "an approval of one revision is no request for another": Situation(
        INTENDED,
        {"contract__requests": APPROVED, "rollback__reason": reasons.REQUESTED, "rollback__asked_by": "ann"},
        NONE,
        says=reasons.CANCELLED,
    ),
    "a request for one good revision is none for another": Situation(
        INTENDED,
        {
            "contract__requests": replace(TOLD, rollback_to=sha("C")),
            "rollback__reason": reasons.REQUESTED,
            "rollback__asked_by": "ann",
        },
        NONE,
        says=reasons.CANCELLED,
    ),
    "a failure that does not last is no ground, whatever was decided": Situation(
        INTENDED, {"delivery__failures__count": 1}, NONE, says=reasons.CANCELLED
    ),
    "what cannot be built has reached nothing, whatever was decided": Situation(
        INTENDED, {"delivery__failures__reason": "BuildFailed"}, NONE, says=reasons.CANCELLED
    ),
    "the same manifests are no cause, whatever was decided": Situation(
        INTENDED,
        {"memory__good": good(manifests="1"), "kustomization__manifests": {sha("B"): "1"}},
        NONE,
        says=reasons.CANCELLED,
    ),
    "before the switch a request that is taken back takes the pin back": Situation(
        SWITCHING,
        {"rollback__reason": reasons.REQUESTED, "rollback__asked_by": "ann"},
        SWITCHING,
        (DROP,),
        says=reasons.CANCELLED,
    ),
    "what a person asked for is given up when nobody wants rollbacks": Situation(
        INTENDED,
        {
            "contract__rollback__mode": RollbackMode.DISABLED,
            "rollback__asked_by": "ann",
            "rollback__reason": reasons.REQUESTED,
        },
        NONE,
        says=reasons.ROLLBACK_DISABLED,
    ),
    "before the switch a pause cancels it": Situation(
        SWITCHING, {"contract__requests": PAUSED}, SWITCHING, (DROP,), says=reasons.PAUSED
    ),
    "an active rollback outlives a pause": Situation(ACTIVE, {"contract__requests": PAUSED}, ACTIVE),
    "a rollback that failed before its act ends when nobody wants rollbacks": Situation(
        FAILED,
        {
            "seen__flux__kustomization": AT_B,
            "seen__flux__pin": None,
            "contract__rollback__mode": RollbackMode.DISABLED,
        },
        NONE,
        says=reasons.ROLLBACK_DISABLED,
    ),
    "the intent makes the pin": Situation(INTENDED, to=INTENDED, acts=(MAKE,)),
    "the intent holds the deletion first": Situation(
        INTENDED, {"contract__finalized": False}, INTENDED, (HELD, MAKE)
    ),
    "a pin that serves nothing yet is waited for": Situation(
        INTENDED, {"seen__flux__pin": pin(artifact=None)}, INTENDED
    ),
    "a pin that serves another commit is waited for": Situation(
        INTENDED, {"seen__flux__pin": pin("C"), "pin__ref": {"commit": sha("A")}}, INTENDED
    ),
    "an object that has the copy's name before it is made is not used": Situation(
        INTENDED, {"seen__flux__claimed": True}, FAILED, says=reasons.COPY_DIFFERS
    ),
    "an intent is given up when the source's own spec changes": Situation(
        INTENDED,
        {"rollback__copy": Copy("old"), "source__content": "new"},
        NONE,
        says=reasons.CANCELLED,
    ),
    "a pin that is being deleted is waited for": Situation(
        INTENDED, {"seen__flux__pin": pin(deleting=True)}, INTENDED
    ),
    "a pin that serves leads on, without an act": Situation(
        INTENDED, {"seen__flux__pin": pin()}, SWITCHING, says=reasons.ROLLING_BACK
    ),
    "without the finalizer nothing leads on": Situation(
        INTENDED, {"seen__flux__pin": pin(), "contract__finalized": False}, INTENDED, (HELD,)
    ),
    "exactly on the deadline the pin is still waited for": Situation(
        INTENDED, {"seen__flux__pin": pin(artifact=None), "now": at(210)}, INTENDED
    ),
    "a pin that never serves fails after the promised time": Situation(
        INTENDED, {"seen__flux__pin": pin(artifact=None), "now": at(210.1)}, FAILED, says=reasons.TARGET_UNREACHABLE
    ),
    "a pin that was made late has the promised time from then on": Situation(
        INTENDED, {"seen__flux__pin": pin(artifact=None, created_at=at(200)), "now": at(320)}, INTENDED
    ),
    "a pin that cannot be made is tried beyond the promised time": Situation(
        INTENDED, {"now": at(210.1)}, INTENDED, (MAKE,)
    ),
    "an intent that cannot be carried out for too long is left to people": Situation(
        INTENDED, {"now": at(90 + 3600.1)}, NONE, says=reasons.CANCELLED
    ),
    "a switch that cannot be done for too long is left to people": Situation(
        SWITCHING, {"now": at(90 + 3600.1), "seen__flux__pin": None}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when a person suspends": Situation(
        INTENDED, {"kustomization__suspended": True}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when a new commit arrives": Situation(
        INTENDED, {"seen__flux__source": source("C", 95)}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the source is suspended": Situation(
        INTENDED, {"source__suspended": True}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the source is gone": Situation(
        INTENDED, {"seen__flux__source": None}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the revision becomes healthy": Situation(
        INTENDED, {"kustomization__delivered": since("B", 95)}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when Flux is at another revision": Situation(
        INTENDED, {"kustomization__attempted": since("C", 95)}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when another contract acts": Situation(
        INTENDED, {"seen__operator__rival": "shop-b"}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the Kustomization is gone": Situation(
        INTENDED, {"seen__flux__kustomization": None}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the Kustomization is being deleted": Situation(
        INTENDED, {"kustomization__deleting": True}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the Kustomization is another": Situation(
        INTENDED, {"kustomization__uid": "another"}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the path changes": Situation(
        INTENDED, {"kustomization__path": "./elsewhere"}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when the Kustomization's own spec changes": Situation(
        INTENDED, {"rollback__spec": "old", "kustomization__spec": "new"}, NONE, says=reasons.CANCELLED
    ),
    "an intent outlives what only sets the pace": Situation(
        INTENDED,
        {"rollback__spec": "same", "kustomization__spec": "same", "kustomization__generation": 5},
        INTENDED,
        (MAKE,),
    ),
    "an intent is given up when failed attempts are counted anew": Situation(
        INTENDED, {"delivery__failures": None, "kustomization__failures": ()}, NONE, says=reasons.CANCELLED
    ),
    "an intent is given up when an outage comes in between": Situation(
        INTENDED, STRUCK, NONE, says=reasons.NOT_CURABLE
    ),
    "what a person asked for is done in an outage, too": Situation(
        INTENDED, STRUCK | {"rollback__reason": reasons.REQUESTED, "contract__requests": TOLD}, INTENDED, (MAKE,)
    ),
    "before the switch an outage takes the pin back": Situation(
        SWITCHING, STRUCK, SWITCHING, (DROP,), says=reasons.NOT_CURABLE
    ),
    "an intent is given up when the source changes": Situation(
        INTENDED, {"kustomization__source": OTHER}, NONE, says=reasons.CANCELLED
    ),
    "giving up removes the pin before forgetting": Situation(
        INTENDED, {"kustomization__suspended": True, "seen__flux__pin": pin()}, INTENDED, (DROP,), reasons.CANCELLED
    ),
    "what a person asked for may leave a healthy revision": Situation(
        INTENDED,
        {
            "rollback__reason": reasons.REQUESTED,
            "contract__requests": TOLD,
            "kustomization__delivered": since("B", 95),
            "seen__flux__pin": pin(),
        },
        SWITCHING,
    ),
    # Switching
    "the switch carries its precondition and the mark": Situation(SWITCHING, to=SWITCHING, acts=(THERE,)),
    "with a parent the annotation to be replaced is written down first": Situation(
        SWITCHING, {"kustomization__parent": "flux-system/flux-system"}, SWITCHING
    ),
    "with a parent the switch comes with the hold": Situation(
        SWITCHING,
        {"kustomization__parent": "flux-system/flux-system", "rollback__kept_annotations": {HOLD: ""}},
        SWITCHING,
        (HELD_THERE,),
    ),
    "an annotation changed since is written down anew": Situation(
        SWITCHING,
        {
            "kustomization__parent": "flux-system/flux-system",
            "kustomization__hold": {HOLD: "Merge"},
            "rollback__kept_annotations": {HOLD: ""},
        },
        SWITCHING,
    ),
    "a pin that is lost before the switch is made again": Situation(
        SWITCHING, {"seen__flux__pin": None, "rollback__copy": Copy()}, SWITCHING, (MAKE,)
    ),
    "a pin that is lost before the switch gets another name first": Situation(
        SWITCHING, {"seen__flux__pin": None, "seen__operator__token": TOKEN}, SWITCHING
    ),
    "a copy that is not what was decided on is never switched to": Situation(
        SWITCHING, {"pin__uid": "another"}, FAILED, says=reasons.COPY_DIFFERS
    ),
    "switched to a copy that was exchanged it does not say that the good one runs": Situation(
        SWITCHING,
        {
            "seen__flux__kustomization": standing("A", 97, source=PIN, hold={MARK: sha("B")}),
            "pin__uid": "another",
        },
        SWITCHING,
        says=reasons.COPY_DIFFERS,
    ),
    "before the switch a suspension cancels it": Situation(
        SWITCHING, {"kustomization__suspended": True, "seen__flux__pin": None}, NONE, says=reasons.CANCELLED
    ),
    "before the switch a healthy revision cancels it": Situation(
        SWITCHING, {"kustomization__delivered": since("B", 95), "seen__flux__pin": None}, NONE, says=reasons.CANCELLED
    ),
    "before the switch another path cancels it": Situation(
        SWITCHING, {"kustomization__path": "./elsewhere"}, SWITCHING, (DROP,), reasons.CANCELLED
    ),
    "a mark without the pin is a person's undo": Situation(
        SWITCHING, {"kustomization__hold": {MARK: sha("B")}}, RELEASING, says=reasons.UNDONE
    ),
    "source and mark removed at once are a person's undo": Situation(
        SWITCHING, {"kustomization__generation": 3}, RELEASING, says=reasons.UNDONE
    ),
    "one change of the pace before the switch is written down first": Situation(
        SWITCHING, {"kustomization__generation": 2}, SWITCHING
    ),
    "before the switch another spec cancels it": Situation(
        SWITCHING,
        {
            "rollback__spec": "old",
            "kustomization__spec": "new",
            "kustomization__generation": 2,
            "seen__flux__pin": None,
        },
        NONE,
        says=reasons.CANCELLED,
    ),
    "another's mark is no undo": Situation(SWITCHING, {"kustomization__hold": {MARK: sha("C")}}, SWITCHING, (THERE,)),
    "a third source is respected": Situation(
        SWITCHING, {"kustomization__source": OTHER}, RELEASING, says=reasons.UNDONE
    ),
    "a Kustomization that is gone ends it": Situation(SWITCHING, {"seen__flux__kustomization": None}, RELEASING),
    "another Kustomization of the same name ends it": Situation(
        SWITCHING, {"kustomization__uid": "another"}, RELEASING
    ),
    "switched and at work it waits": Situation(SWITCHING, arriving(), SWITCHING),
    "switched and Ready at the good one it is done": Situation(
        SWITCHING,
        {"seen__flux__kustomization": standing("A", 97, source=PIN, hold={MARK: sha("B")})},
        ACTIVE,
        says=reasons.PERSISTENT_FAILURE,
    ),
    "switched and still Ready at the bad one it waits": Situation(
        SWITCHING, arriving(delivered=since("B", 80), failures=()), SWITCHING
    ),
    "one failure of the good revision is borne": Situation(
        SWITCHING, arriving(attempted=since("A", 96), failures=A_FAILS), SWITCHING
    ),
    "a good revision that fails often ends it": Situation(
        SWITCHING,
        arriving(attempted=since("A", 96), failures=A_FAILS * 3),
        FAILED,
        says=reasons.TARGET_FAILED,
    ),
    "a good revision that fails long ends it": Situation(
        SWITCHING,
        arriving(attempted=since("A", 96), failures=A_FAILS) | {"now": at(398)},
        FAILED,
        says=reasons.TARGET_FAILED,
    ),
    "an outage on the way back says nothing of the good revision": Situation(
        SWITCHING, arriving(attempted=since("A", 96), failures=OUTAGE * 3), SWITCHING
    ),
    "failures of the bad revision do not count against the good one": Situation(
        SWITCHING, arriving() | {"now": at(5000)}, SWITCHING
    ),
    "a fix that arrives during the switch releases": Situation(
        SWITCHING, arriving() | {"seen__flux__source": source("C", 99)}, RELEASING
    ),
    # Active
    "an active rollback does nothing": Situation(ACTIVE, to=ACTIVE, says=reasons.PERSISTENT_FAILURE),
    "one failure at the good revision is borne": Situation(ACTIVE, {"kustomization__failures": A_FAILS}, ACTIVE),
    "a good revision that fails later ends it": Situation(
        ACTIVE, {"kustomization__failures": A_FAILS * 3}, FAILED, says=reasons.TARGET_FAILED
    ),
    "a lost pin is made again": Situation(
        ACTIVE, {"seen__flux__pin": None, "rollback__copy": Copy()}, ACTIVE, (MAKE,)
    ),
    "a lost pin is another object from then on": Situation(ACTIVE, {"seen__flux__pin": None}, ACTIVE),
    "a name that was taken when the pin was lost is told": Situation(
        ACTIVE, {"seen__flux__pin": None, "seen__flux__claimed": True}, ACTIVE, says=reasons.COPY_DIFFERS
    ),
    "a copy that is no more what was decided is told": Situation(
        ACTIVE, {"pin__ref": {"commit": sha("C")}}, ACTIVE, says=reasons.COPY_DIFFERS
    ),
    "a new commit releases": Situation(
        ACTIVE, {"seen__flux__source": source("C", 99)}, RELEASING, says=reasons.RELEASING
    ),
    "a known bad commit does not release": Situation(
        ACTIVE, {"seen__flux__source": source("C", 99), "memory__bad": (sha("B"), sha("C"))}, ACTIVE
    ),
    "the good commit as head releases": Situation(ACTIVE, {"seen__flux__source": source("A", 99)}, RELEASING),
    "a new commit is held back by a person": Situation(
        ACTIVE,
        {
            "seen__flux__source": source("C", 99),
            "contract__requests": Requests(hold="freeze", signatures={"hold": Signature("ann")}),
        },
        ACTIVE,
        says=reasons.HELD,
    ),
    "a source without artifact does not release": Situation(
        ACTIVE, {"seen__flux__source": source("B", artifact=None)}, ACTIVE
    ),
    "a person's undo is respected": Situation(ACTIVE, {"kustomization__source": OWN}, RELEASING, says=reasons.UNDONE),
    "another source is respected": Situation(
        ACTIVE, {"kustomization__source": OTHER}, RELEASING, says=reasons.UNDONE
    ),
    "an active rollback of a Kustomization that is gone ends": Situation(
        ACTIVE, {"seen__flux__kustomization": None}, RELEASING
    ),
    "an active rollback of another Kustomization ends": Situation(
        ACTIVE, {"kustomization__uid": "another"}, RELEASING
    ),
    "a person releases": Situation(
        ACTIVE,
        {"contract__requests": Requests(release=sha("B"), signatures={"release": Signature("ann")})},
        RELEASING,
        says=reasons.RELEASING,
    ),
    "a release of another revision releases nothing": Situation(
        ACTIVE, {"contract__requests": Requests(release=sha("A"))}, ACTIVE
    ),
    # Releasing
    "releasing switches back and removes the mark": Situation(RELEASING, to=RELEASING, acts=(BACK,)),
    "releasing gives back the annotation that was there": Situation(
        RELEASING,
        {"rollback__kept_annotations": {HOLD: "Merge"}},
        RELEASING,
        (SwitchSource(KUSTOMIZATION_UID, "7", OWN, {MARK: None, HOLD: "Merge"}),),
    ),
    "releasing removes the hold where there was none": Situation(
        RELEASING,
        {"rollback__kept_annotations": {HOLD: ""}},
        RELEASING,
        (SwitchSource(KUSTOMIZATION_UID, "7", OWN, {MARK: None, HOLD: None}),),
    ),
    "releasing keeps a source that a person chose": Situation(
        RELEASING,
        {"kustomization__source": OTHER},
        RELEASING,
        (SwitchSource(KUSTOMIZATION_UID, "7", OTHER, {MARK: None}),),
    ),
    "releasing gives up our claim on the Kustomization before the pin": Situation(
        RELEASING,
        {"kustomization__source": OWN, "kustomization__hold": {}, "kustomization__claim": 2},
        RELEASING,
        (Disown("7", 2),),
    ),
    "releasing gives up our claim on a Kustomization that was made anew": Situation(
        RELEASING,
        {"kustomization__uid": "another", "kustomization__source": OWN, "kustomization__claim": 2},
        RELEASING,
        (Disown("7", 2),),
    ),
    "releasing then removes the pin": Situation(
        RELEASING, {"kustomization__source": OWN, "kustomization__hold": {}}, RELEASING, (DROP,)
    ),
    "releasing ends when nothing is left": Situation(
        RELEASING,
        {"kustomization__source": OWN, "kustomization__hold": {}, "seen__flux__pin": None},
        NONE,
        (LET_GO,),
        reasons.RELEASED,
    ),
    "releasing without finalizer ends all the same": Situation(
        RELEASING,
        {
            "kustomization__source": OWN,
            "kustomization__hold": {},
            "seen__flux__pin": None,
            "contract__finalized": False,
        },
        NONE,
    ),
    "releasing leaves a Kustomization that is being deleted": Situation(
        RELEASING, {"kustomization__deleting": True}, RELEASING, (DROP,)
    ),
    "releasing leaves another Kustomization of the same name": Situation(
        RELEASING, {"kustomization__uid": "another", "kustomization__source": OWN}, RELEASING, (DROP,)
    ),
    "releasing switches back a Kustomization that was made anew with the pin": Situation(
        RELEASING,
        {"kustomization__uid": "another"},
        RELEASING,
        (SwitchSource("another", "7", OWN, {MARK: None}),),
    ),
    "releasing needs no Kustomization": Situation(
        RELEASING, {"seen__flux__kustomization": None, "seen__flux__pin": None}, NONE, (LET_GO,)
    ),
    "a deletion looks for a copy that nobody has seen": Situation(
        RELEASING,
        {"seen__flux__kustomization": AT_B, "seen__flux__pin": None, "contract__deleting": True},
        NONE,
        (DROP, LET_GO),
    ),
    # Failed
    "a failed rollback waits for a person": Situation(
        FAILED, {"kustomization__delivered": None, "kustomization__failures": A_FAILS * 3}, FAILED
    ),
    "a failed rollback is released by a new commit": Situation(
        FAILED, {"seen__flux__source": source("C", 99)}, RELEASING
    ),
    "a failed rollback ends with its Kustomization": Situation(
        FAILED, {"seen__flux__kustomization": None}, RELEASING
    ),
    "a failed rollback of another Kustomization ends": Situation(
        FAILED, {"kustomization__uid": "another"}, RELEASING
    ),
    "a failed rollback is active once the good revision is Ready": Situation(
        FAILED,
        {"seen__flux__kustomization": standing("A", 99, source=PIN, hold={MARK: sha("B")})},
        ACTIVE,
        says=reasons.PERSISTENT_FAILURE,
    ),
    "a copy that is Ready late is used all the same": Situation(
        FAILED,
        {"seen__flux__kustomization": AT_B},
        INTENDED,
        says=reasons.ROLLING_BACK,
    ),
    "a copy that is Ready much too late is left to people": Situation(
        FAILED,
        {
            "seen__flux__kustomization": AT_B,
            "now": at(2 * 3600),
        },
        FAILED,
    ),
    "an undo of a failed rollback is respected": Situation(
        FAILED, {"kustomization__source": OWN}, RELEASING, says=reasons.UNDONE
    ),
    "a rollback that failed before its act ends when the revision heals": Situation(
        FAILED,
        {"seen__flux__kustomization": standing("B", 98), "seen__flux__pin": None},
        NONE,
        says=reasons.CANCELLED,
    ),
}
