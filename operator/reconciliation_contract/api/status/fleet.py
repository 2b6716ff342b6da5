"""The few facts of a contract's status that are asked for of all contracts at once, read without the rest."""

from __future__ import annotations

from reconciliation_contract.api.flux.kustomization import revision_hash
from reconciliation_contract.api.kubernetes.raw import Raw, moment, read_list, read_map, read_text
from reconciliation_contract.api.status.apart import join
from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.memory.budget import Verdict
from reconciliation_contract.core.rollback.fleet_brake import Pulse
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.values import reasons


def pulse(contract: Contract, status: Raw, kustomization: Kustomization, source: str) -> Pulse:
    """Read how a contract stands, as it was written last."""
    status = join(status)
    delivery, undo, said = (read_map(status, name) for name in ("delivery", "rollback", "standing"))
    manifests = kustomization.manifests.get(revision_hash(read_text(delivery, "revision")), "")
    begun = undo.get("begun")
    return Pulse(
        contract=f"{contract.namespace}/{contract.name}",
        source=source,
        failing_since=moment(read_map(delivery, "failures").get("firstAt")),
        unchanged=bool(manifests) and manifests == read_text(read_map(status, "lastGood"), "manifests"),
        braked=read_text(said, "reason") == reasons.FLEET_BRAKE,
        rolling=bool(read_text(undo, "state")),
        begun=moment(begun[-1]) if isinstance(begun, list) and begun else None,
    )


def is_at_rest(status: Raw, generation: int, served: str) -> bool:
    """Whether a contract is kept at the revision that its source serves (a hash), with nothing under way."""
    delivery, undone = read_map(status, "delivery"), read_text(read_map(status, "rollback"), "state")
    if undone or status.get("observedGeneration") != generation or "failures" in delivery:
        return False
    verdicts = {read_text(each, "verdict") for each in read_list(delivery, "promises")}
    arrived = "healthy" in read_map(delivery, "stages") or delivery.get("adopted") is True
    served_now = revision_hash(read_text(delivery, "revision")) == served
    return served_now and arrived and not verdicts & {Verdict.PENDING, Verdict.BROKEN}
