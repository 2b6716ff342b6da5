"""Whether a contract is held at this moment: what the share of time in contract is made of.

``Ready`` speaks of the last delivery until the next one, which may be days. A promise that was broken and whose goal
was reached since is over: it costs the time until then and no more. While an incident lasts the contract is not held,
whatever ``Ready`` says; where alerts are suspended there are none, and the promises alone decide.
"""

from __future__ import annotations

from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.incidents.broken_promises import lasting
from reconciliation_contract.core.memory.budget import Verdict
from reconciliation_contract.core.memory.memory import Memory, Result
from reconciliation_contract.core.values import reasons


def is_held(memory: Memory, ready: Condition | None) -> bool | None:
    """Whether nothing that was promised is amiss now, given what ``Ready`` says; None where that is not known."""
    if ready is None or ready.status not in ("True", "False"):
        return None
    open_ = [incident for incident in memory.incidents if incident.closed_at is None and incident.well_since is None]
    if open_:
        return None if all(incident.unclear_since for incident in open_) else False
    if ready.status == "True":
        return True
    if ready.reason != reasons.PROMISE_BROKEN:
        return False
    if any(judgement.verdict is Verdict.BROKEN for judgement in memory.judgements):
        return not lasting(memory)
    last = next((past for past in memory.history if past.broken or past.result is not Result.SUPERSEDED), None)
    return last is not None and last.result is Result.HEALTHY
