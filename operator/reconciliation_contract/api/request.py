"""People's requests on the wire: annotations of the contract, so that RBAC, audit logs and GitOps apply to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from reconciliation_contract.api.raw import moment
from reconciliation_contract.core.request import SHORTEST, Requests
from reconciliation_contract.core.text import bounded

PREFIX: Final = "reconciliation.dev/"
APPROVE: Final = PREFIX + "approve"
ROLLBACK: Final = PREFIX + "rollback"
"""``<head>..<good>``, as Git writes a range."""
RELEASE: Final = PREFIX + "release"
HOLD: Final = PREFIX + "hold"
FORGET: Final = PREFIX + "forget"
PAUSE: Final = PREFIX + "pause-until"
BY: Final = PREFIX + "by"
WHY: Final = PREFIX + "why"

_HASH: Final = re.compile(rf"(?:.*sha1:)?([0-9a-f]{{{SHORTEST},40}})", re.DOTALL)
_LONGEST_VALUE: Final = 300


def hash_in(text: str) -> str:
    """Read a revision or a (possibly abbreviated) commit hash; empty where it is neither."""
    found = _HASH.fullmatch(text[:_LONGEST_VALUE].strip().lower())
    return found.group(1) if found else ""


def parse_requests(annotations: Mapping[str, str]) -> Requests:
    """Read the requests; an annotation that makes no sense asks for nothing."""
    start, _, end = annotations.get(ROLLBACK, "").partition("..")
    return Requests(
        approve=hash_in(annotations.get(APPROVE, "")),
        rollback_from=hash_in(start) if hash_in(end) else "",
        rollback_to=hash_in(end) if hash_in(start) else "",
        release=hash_in(annotations.get(RELEASE, "")),
        hold=bounded(annotations.get(HOLD, "")),
        forget=hash_in(annotations.get(FORGET, "")),
        paused_until=moment(annotations.get(PAUSE)),
        by=bounded(annotations.get(BY, ""), 100),
        why=bounded(annotations.get(WHY, "")),
    )
