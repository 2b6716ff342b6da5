"""People's requests on the wire: annotations of the contract, so that RBAC, audit logs and GitOps apply to them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from reconciliation_contract.api.kubernetes.raw import moment
from reconciliation_contract.core.spec.requests import SHORTEST, Requests, Signature
from reconciliation_contract.core.values.text import bounded

PREFIX: Final = "reconciliation.dev/"
APPROVE: Final = PREFIX + "approve"
ROLLBACK: Final = PREFIX + "rollback"
"""``<head>..<good>``, as Git writes a range."""
RELEASE: Final = PREFIX + "release"
HOLD: Final = PREFIX + "hold"
FORGET: Final = PREFIX + "forget"
PAUSE: Final = PREFIX + "pause-until"

_HASH: Final = re.compile(rf"(?:.*sha1:)?([0-9a-f]{{{SHORTEST},40}})", re.DOTALL)
_LONGEST_VALUE: Final = 300
_LONGEST_NAME: Final = 100


def hash_in(text: str) -> str:
    """Read a revision or a (possibly abbreviated) commit hash; empty where it is neither."""
    found = _HASH.fullmatch(text[:_LONGEST_VALUE].strip().lower())
    return found.group(1) if found else ""


def signed(value: str, signature: Signature) -> str:
    """Write who asks, and why, behind what is asked: in one value, so that nobody else's name is on it."""
    return f"{value}{signature}".strip()


def unsigned(value: str) -> tuple[str, Signature]:
    """Read what is asked and who asks: ``<what> by <who> at <time>: <why>``, of which each part may be missing."""
    asked, _, why = value.partition(": ")
    before, _, time = f" {asked.rstrip()}".rpartition(" at ")
    at = moment(time)
    what, _, by = f" {before if at else asked} ".partition(" by ")
    return what.strip(), Signature(bounded(by, _LONGEST_NAME), bounded(why), at)


def parse_requests(annotations: Mapping[str, str]) -> Requests:
    """Read the requests; an annotation that makes no sense asks for nothing."""
    found = {key: unsigned(annotations.get(key, "")) for key in (APPROVE, ROLLBACK, RELEASE, FORGET, PAUSE)}
    asked = {key: what for key, (what, _) in found.items()}
    hold, holder = _hold(annotations.get(HOLD, ""))
    start, _, end = asked[ROLLBACK].partition("..")
    signatures = {_NAMES[key]: signature for key, (_, signature) in found.items()} | {"hold": holder}
    requests = Requests(
        approve=hash_in(asked[APPROVE]),
        rollback_from=hash_in(start) if hash_in(end) else "",
        rollback_to=hash_in(end) if hash_in(start) else "",
        release=hash_in(asked[RELEASE]),
        hold=hold,
        forget=hash_in(asked[FORGET]),
        paused_until=moment(asked[PAUSE]),
        signatures={name: signature for name, signature in signatures.items() if signature != Signature()},
    )
    written = {name: annotations.get(key, "").strip() for key, name in _NAMES.items()}
    unclear = {name: bounded(value) for name, value in written.items() if value and not requests.written(name)}
    return replace(requests, unclear=unclear)


def _hold(value: str) -> tuple[str, Signature]:
    """Read why it is held, and by whom where the value begins with that: a hold asks for nothing but itself."""
    what, signature = unsigned(value)
    if what or not signature.by:
        return bounded(value), Signature()
    return signature.why, Signature(signature.by)


_NAMES: Final = {APPROVE: "approve", ROLLBACK: "rollback", RELEASE: "release", FORGET: "forget", PAUSE: "pause"}
