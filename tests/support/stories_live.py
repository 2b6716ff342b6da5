"""What becomes of the objects of a story's inventory, as the operator's followers find it."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from reconciliation_contract.core.facts.inventory import Entry, Inventory
from reconciliation_contract.core.facts.pruning import Departures, Fate, Live, fate
from reconciliation_contract.core.facts.replicas import Drop, Rollout
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values.object_key import ObjectKey
from tests.support.builders import NAME, NAMESPACE
from tests.support.builders_check import Impossible

WEB = ObjectKey("apps", "Deployment", NAMESPACE, "web")
OWNER = f"{NAMESPACE}/{NAME}"


def config_map(name: str) -> Entry:
    """An object of an inventory."""
    return Entry(ObjectKey("", "ConfigMap", NAMESPACE, name), "v1")


class LiveObjects:
    """The objects that a story speaks of; each deed is a look that finds it."""

    def __init__(self) -> None:
        self.departures: Departures | None = None
        self.rollout: Rollout | None = None
        """How the workloads fare; None where nobody follows them."""

    def happen(self, deed: str, name: str, now: datetime) -> None:
        """Let an object leave or come back, or let a look find it so; raises `Impossible`."""
        known, entry = self.departures or Departures(), config_map(name)
        if deed == "leaves":
            self.departures = known.leave((entry,), now, prunes=True)
            return
        waiting = next((each for each in known.pending if each.entry == entry), None)
        if waiting is None:
            raise Impossible(f"{name} has not left, or is gone already")
        if deed == "comes back":
            self.departures = known.come_back(Inventory.of([(entry.id, entry.version)]))
            return
        hangs = Live(OWNER, deleted_at=now, finalizers={"example.com/hold": "holder"})
        found = {
            "is there": Live(OWNER),
            "hangs": hangs,
            "is gone": None,
            "is protected": Live(OWNER, "kustomize.toolkit.fluxcd.io/prune: disabled"),
            "is recreated": Live("apps/other"),
        }
        after = fate(waiting, found.get(deed, hangs), OWNER, now)
        if deed == "may not be read":
            after = type(waiting)(entry, waiting.left_at, Fate.UNREADABLE, "the operator may not get it", now)
        self.departures = known.look({entry.key: after})

    def fare(self, deed: str, now: datetime) -> None:
        """Let a look find the one workload steady, short of a replica, or with all of them back."""
        known = self.rollout or Rollout(now, now, steady=True, followed=1)
        drops = {"short": (Drop(WEB, 1, 2, now),), "back": tuple(replace(drop, ended=now) for drop in known.drops)}
        self.rollout = replace(known, drops=drops.get(deed, known.drops), settled=deed != "short")

    def remembered(self, contract: Contract, memory: Memory, now: datetime) -> None:
        """Go on after a pass, as the followers do."""
        if self.departures and memory.delivery:
            begun = memory.delivery.started_at
            self.departures = self.departures.count_for(begun, contract.promises.deletion, now)
        if self.rollout and memory.delivery and self.rollout.delivery != memory.delivery.started_at:
            self.rollout = Rollout(memory.delivery.started_at, now, steady=True, settled=True, followed=1)
