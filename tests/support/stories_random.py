"""Histories that nobody wrote: any deeds in any order, as long as Flux could have done them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from hypothesis import strategies as st

from reconciliation_contract.core.facts.source_kind import GIT_REPOSITORY, SOURCE_KINDS
from reconciliation_contract.observers.store import Store
from tests.support.builders import NAME, T0, Object
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
DEEDS = [
    *(Happening("push", "COMMIT", commit) for commit in COMMITS),
    *(Happening("source", "COMMIT", commit) for commit in COMMITS * 2),
    *(Happening("source", deed) for deed in ("failing", "suspended", "resumed")),
    Happening("source", "elsewhere COMMIT", "C"),
    *(Happening("kustomization", f"{phase} COMMIT", commit) for phase in _PHASES for commit in COMMITS),
    *(Happening("kustomization", deed) for deed in ("suspended", "resumed", "recreated")),
    *(Happening("git", deed) for deed in ("unreadable", "readable")),
    *(
        Happening("inspection", f"{deed} COMMIT{result}", "B")
        for deed, result in [("validates", ""), ("refuses", ""), ("finds", " in sync"), ("finds", " drifted")]
    ),
    *(Happening("object", f"COMMIT {deed}", "old") for deed in ("leaves", "hangs", "is gone")),
    *(Happening("workloads", deed) for deed in ("steady", "short", "back")),
    Happening("pin", "ready"),
    Happening("person", "undoes the rollback"),
    Happening("operator", "stops"),
    Happening("operator", "starts"),
    Happening("operator", "loses sight"),
    Happening("operator", "sees again"),
]
BURSTS = st.lists(
    st.sampled_from(
        [
            *(Happening("source", "COMMIT", commit) for commit in COMMITS * 4),
            *(Happening("kustomization", f"{phase} COMMIT", commit) for phase in _PHASES for commit in COMMITS),
        ]
    ),
    min_size=6,
    max_size=16,
)
"""What happens within one moment."""
Tale = Sequence[tuple[int, Happening]]
"""Seconds since the deed before, and the deed."""

TALES: st.SearchStrategy[Tale] = st.lists(
    st.tuples(st.sampled_from([0, 0, 1, 4, 20, 70, 400]), st.sampled_from(DEEDS)), min_size=4, max_size=30
)
KINDS = st.sampled_from([*SOURCE_KINDS])
"""Kinds of sources that a tale may be about."""
MANY: Tale = [
    (seconds, Happening(actor, deed, commit))
    for commit in COMMITS * 5
    for seconds, actor, deed in [
        (60, "push", "COMMIT"),
        (2, "source", "COMMIT"),
        (2, "kustomization", "ready COMMIT"),
    ]
]
"""More deliveries than are remembered."""
TWICE: Tale = [
    (1, Happening("kustomization", "suspended")),
    (1, Happening("kustomization", "resumed")),
    (1, Happening("inspection", "validates COMMIT", "B")),
    (1, Happening("kustomization", "building COMMIT", "B")),
    (1, Happening("kustomization", "checking COMMIT", "B")),
    (1, Happening("kustomization", "ready COMMIT", "B")),
    (60, Happening("operator", "stops")),
    (1, Happening("operator", "starts")),
    (1, Happening("inspection", "refuses COMMIT", "B")),
    (1, Happening("kustomization", "building COMMIT", "B")),
    (1, Happening("kustomization", "checking COMMIT", "B")),
    (1, Happening("kustomization", "ready COMMIT", "B")),
]
"""One revision goes the same way twice, and fares otherwise the second time."""
THERE_AND_BACK: Tale = [
    (1, Happening("kustomization", "building COMMIT", "B")),
    (1, Happening("kustomization", "ready COMMIT", "B")),
    (70, Happening("push", "COMMIT", "C")),
    (20, Happening("push", "COMMIT", "B")),
    (20, Happening("push", "COMMIT", "A")),
]
"""A commit comes and goes before Flux has noticed it."""
STORM: Tale = [(45, Happening("push", "COMMIT", commit)) for commit in COMMITS * 3]
"""Pushes closer together than the budget, and Flux sees none of them."""
BEGINNING: Tale = [
    (0, Happening("push", "COMMIT", "A")),
    (1, Happening("source", "COMMIT", "A")),
    (1, Happening("kustomization", "ready COMMIT", "A")),
    (40, Happening("push", "COMMIT", "B")),
    (3, Happening("source", "COMMIT", "B")),
]
"""Without it, few tales get anywhere."""


def told(tale: Tale, policy: Object, kind: str = GIT_REPOSITORY.name) -> Replay:
    """Live through a tale; deeds that cannot be are left out."""
    contract = {"rollback": policy, "promises": {"drift": {"mode": "Correct"}}}
    refers = {"sourceRef": {"kind": kind, "name": NAME}}
    replay = Replay(Story("A tale", "", (), contract=contract, kustomization=refers))
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
        elif kind in SOURCE_KINDS:
            store.put_source(raw, replay.now, live=True, kind=SOURCE_KINDS[kind])
        else:
            store.put_contract(raw)
    return store
