"""Whether a contract is held at this moment: what the share of time in contract is made of.

``Ready`` speaks of the last delivery until the next one, which may be days. A promise that was broken and whose goal
was reached since is over: it costs the time until then and no more.
"""

from __future__ import annotations

from reconciliation_contract.core import reasons
from reconciliation_contract.core.memory import Memory, Result
from reconciliation_contract.core.promises import Verdict


def is_held(memory: Memory) -> bool | None:
    """Whether nothing that was promised is amiss now; None where that is not known."""
    ready = memory.conditions.get("Ready")
    if ready is None or ready.status not in ("True", "False"):
        return None
    if ready.status == "True":
        return True
    if ready.reason != reasons.PROMISE_BROKEN:
        return False
    broken = [judgement for judgement in memory.judgements if judgement.verdict is Verdict.BROKEN]
    if broken:
        return all(judgement.measured is not None for judgement in broken)
    last = next((past for past in memory.history if past.broken or past.result is not Result.SUPERSEDED), None)
    return last is not None and last.result is Result.HEALTHY
