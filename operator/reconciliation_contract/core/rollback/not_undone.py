"""What a rollback will not undo, as far as the Kustomization tells."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.memory.memory import Memory

_IMMUTABLE: Final = re.compile(
    r"immutable|updates to \w+ spec for fields other than|may not change once set", re.IGNORECASE
)
"""How the API server says of a field that it cannot be changed, in the words of its several kinds."""
_DATA: Final = "data in volumes stays as it is"
_LASTING: Final = {
    ("batch", "Job"): "Jobs that have run stay run",
    ("apiextensions.k8s.io", "CustomResourceDefinition"): "custom resources may be stored in a newer version",
    ("", "PersistentVolumeClaim"): _DATA,
    ("apps", "StatefulSet"): _DATA,
}
"""By group and kind: what stays of an object of the inventory, whichever revision is applied."""


def remains(kustomization: Kustomization, memory: Memory, target: str) -> Iterator[str]:
    """Say what stays when the current delivery is left for a revision with the hash ``target``; each thing once."""
    failures = memory.delivery.failures if memory.delivery else None
    good = memory.good
    if good is None or good.hash != target:
        yield "nobody knows whether the Kustomization's own spec has changed since; it stays as it is"
    elif good.spec and good.spec != kustomization.spec:
        yield "the Kustomization's own spec has changed since the good revision and stays as it is"
    if kustomization.substitutes:
        yield "substituted values come from ConfigMaps and Secrets as they are now"
    if not kustomization.prunes:
        yield "the Kustomization does not prune, so what the bad revision added stays"
    if failures is not None and failures.reason == "ReconciliationFailed":
        yield "objects of an apply that stopped half-way may stay; Flux does not know of them"
    if failures is not None and _IMMUTABLE.search(failures.message):
        yield "an immutable field is involved; the object may have to be replaced by hand"
    if kustomization.inventory:
        yield from _lasting(kustomization.inventory.value)


def _lasting(inventory: Inventory) -> Iterator[str]:
    named: dict[str, list[str]] = {}
    for entry in inventory.entries():
        if text := _LASTING.get((entry.key.group, entry.key.kind)):
            named.setdefault(text, []).append(str(entry.key))
    for text, names in sorted(named.items()):
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        yield f"{text}: {names[0]}{more}"
