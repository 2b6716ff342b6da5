"""Histories that nobody wrote: any deeds in any order, as long as Flux could have done them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from hypothesis import strategies as st

from reconciliation_contract.store import Store
from tests.support.builders import T0, Object
from tests.support.builders_check import Impossible
from tests.support.stories import Happening, Story
from tests.support.stories_replay import Replay

COMMITS = ("A", "B", "C")
_PHASES = (
    "fetching",
    "building",
    "checking",
    "ready",
    "ready",
    "torn",
    "unhealthy",
    "invalid",
    "dependent",
    "unpruned",
)
_DEEDS = [
    *(Happening("push", "COMMIT", commit) for commit in COMMITS),
    *(Happening("source", "COMMIT", commit) for commit in COMMITS * 2),
    *(Happening("source", deed) for deed in ("failing", "suspended", "resumed")),
    *(Happening("kustomization", f"{phase} COMMIT", commit) for phase in _PHASES for commit in COMMITS),
    *(Happening("kustomization", deed) for deed in ("suspended", "resumed", "recreated")),
    Happening("pin", "ready"),
    Happening("person", "undoes the rollback"),
    Happening("operator", "stops"),
    Happening("operator", "starts"),
]
Tale = Sequence[tuple[int, Happening]]
"""Seconds since the deed before, and the deed."""

TALES: st.SearchStrategy[Tale] = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 4, 20, 70, 400]), st.sampled_from(_DEEDS)), min_size=4, max_size=40
)
BEGINNING: Tale = [
    (0, Happening("push", "COMMIT", "A")),
    (1, Happening("source", "COMMIT", "A")),
    (1, Happening("kustomization", "ready COMMIT", "A")),
    (40, Happening("push", "COMMIT", "B")),
    (3, Happening("source", "COMMIT", "B")),
]
"""Without it, few tales get anywhere."""


def told(tale: Tale, policy: Object) -> Replay:
    """Live through a tale; deeds that cannot be are left out."""
    replay = Replay(Story("A tale", "", (), contract={"rollback": policy}))
    replay.begin(T0)
    now = T0
    for seconds, deed in (*BEGINNING, *tale):
        now += timedelta(seconds=seconds)
        replay.advance(now)
        with suppress(Impossible):
            replay.happen(deed, now)
        replay.work(now)
    return replay


def refilled(replay: Replay, order: Sequence[Object]) -> Store:
    """A store that was given raw objects in this order, as live events."""
    store = Store()
    store.fresh = True
    for raw in order:
        kind = raw["kind"]
        if kind == "Kustomization":
            store.put_kustomization(raw, replay.now, live=True)
        elif kind == "GitRepository":
            store.put_source(raw, replay.now, live=True)
        else:
            store.put_contract(raw)
    return store
