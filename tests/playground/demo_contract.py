"""Contracts as the API server gives them, at the moments of the demo's story."""

from __future__ import annotations

from typing import Any

COMMIT = "4bfc211e89fb1b970e5feb4584ab89707a0e1fcc"
OTHER = "0fb7cc1a7193fc3be611c66a047b686103a139fe"
SPEC = {
    "promises": {"detection": {"within": "1m"}, "reconciliation": {"within": "5m"}},
    "rollback": {"within": "2m", "settle": "2s", "after": {"failures": 2}},
}
STAGES = ("committed", "detected", "applied", "healthy")


def contract(
    *,
    commit: str = COMMIT,
    stages: tuple[str, ...] = (),
    verdicts: dict[str, str] | None = None,
    good: str = OTHER,
    **status: Any,
) -> dict[str, Any]:
    """A contract at a commit; every stage but the first took 2.448s, and so did whatever was kept."""
    reached = {name: {"elapsed": "2.448s"} if name != "committed" else {} for name in stages}
    promises = [promise(name, verdict) for name, verdict in (verdicts or {}).items()]
    delivery = {"revision": f"main@sha1:{commit}", "stages": reached, "promises": promises}
    delivery |= status.pop("delivery", {})
    return {"spec": SPEC, "status": {"delivery": delivery, "lastGoodRevision": f"main@sha1:{good}", **status}}


def promise(name: str, verdict: str) -> dict[str, str]:
    """A promise as the status has it; only a kept one was measured."""
    found = {"name": name, "verdict": verdict, "within": "5m", "message": "as it is"}
    return found | ({"measured": "2.448s"} if verdict == "Kept" else {})
