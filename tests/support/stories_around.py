"""What stands around a story's delivery: Flux's controllers, our rights, and a chain of other Kustomizations."""

from __future__ import annotations

from datetime import datetime

from reconciliation_contract.core.facts.observation import Dependency
from tests.support import builders
from tests.support.builders import Object, changed

WAITING = 20
"""Kustomizations that wait for one; the contract's own is to depend on `waiting-19`."""


class Around:
    """How all of it stands now."""

    def __init__(self) -> None:
        self.controllers: tuple[Dependency, ...] = ()
        self.lacking = ""
        self.others: dict[str, Object] = {}
        """Other Kustomizations, by name."""

    def happen(self, deed: str, name: str) -> None:
        """Let a controller die or come back, or a right be lacking or granted."""
        match deed:
            case "COMMIT dies":
                self.controllers = (Dependency(name, False, f"{name} is scaled to zero; scale it up"),)
            case "COMMIT is back":
                self.controllers = (Dependency(name, True, ""),)
            case _:
                lacking = "the operator may not patch Kustomizations in apps; apply deploy/components/rollback"
                self.lacking = lacking if deed == "is lacking" else ""

    def chain(self, root: str, now: datetime) -> None:
        """Let each wait for the one before it, and the first for a root that cannot be built; or let all stand."""
        names = [root or "database", *(f"waiting-{n}" for n in range(WAITING))]
        for before, name in zip(["", *names], names, strict=False):
            needs = {"dependsOn": [{"name": before}]} if before else {}
            phase = "ready" if not root else "dependent" if before else "unbuildable"
            blank = self.others.get(name) or builders.kustomization(**needs)
            raw = changed(builders.advance(blank, phase, "A", now))
            raw["metadata"] |= {"name": name, "uid": f"uid-of-{name}"}
            self.others[name] = raw
