"""What people ask for, as annotations that the operator understands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from reconciliation_contract.api.contract.annotations import parse_requests
from reconciliation_contract.api.kubernetes.raw import read_strings
from reconciliation_contract.cli.client.errors import Problem
from reconciliation_contract.cli.commands import request_annotations as requests
from reconciliation_contract.cli.commands.request_annotations import Petition, Way
from reconciliation_contract.cli.view.contract_view import View
from reconciliation_contract.core.memory.memory import Memory, Result, Revision, RollbackState
from reconciliation_contract.core.spec.requests import Requests, Signature
from tests.cli.objects import BAD, GOOD, OLD, failing, good, healthy, past, revision, rolled, view

ZOE = Signature("zoe", "prices are wrong")
NOBODY = Signature()
WAY = Way(Revision(revision(BAD), BAD), Revision(revision(GOOD), GOOD))
ACTIVE, PROPOSED = rolled(RollbackState.ACTIVE), rolled(RollbackState.PROPOSED)
UNTIL = datetime(2026, 11, 23, 14, tzinfo=UTC)

Write = Callable[[View], Petition]


def after(before: View, annotations: dict[str, str | None]) -> Requests:
    """What the operator reads once the annotations are merged into those that stand."""
    merged = {**before.annotations, **annotations}
    return parse_requests(read_strings({key: value for key, value in merged.items() if value is not None}))


WRITTEN: dict[str, tuple[Memory, Write, Requests]] = {
    "a rollback": (
        failing(),
        lambda seen: requests.rollback(seen, WAY, ZOE),
        Requests(rollback_from=BAD, rollback_to=GOOD, signatures={"rollback": ZOE}),
    ),
    "an approval": (
        PROPOSED,
        lambda seen: requests.approve(seen, ZOE),
        Requests(approve=BAD, signatures={"approve": ZOE}),
    ),
    "an approval without a word": (PROPOSED, lambda seen: requests.approve(seen, NOBODY), Requests(approve=BAD)),
    "a release": (ACTIVE, lambda seen: requests.release(seen, NOBODY), Requests(release=BAD)),
    "declining a proposal": (PROPOSED, lambda seen: requests.release(seen, NOBODY), Requests(release=BAD)),
    "a hold": (
        ACTIVE,
        lambda seen: requests.hold(seen, ZOE),
        Requests(hold="prices are wrong", signatures={"hold": Signature("zoe")}),
    ),
    "forgetting": (
        replace(healthy(), bad=(BAD,)),
        lambda seen: requests.forget(seen, BAD[:9], NOBODY),
        Requests(forget=BAD),
    ),
    "a pause": (
        healthy(),
        lambda _: requests.pause(UNTIL, ZOE),
        Requests(paused_until=UNTIL, signatures={"pause": ZOE}),
    ),
    "a pause in another zone": (
        healthy(),
        lambda _: requests.pause(UNTIL.astimezone(timezone(timedelta(hours=5))), NOBODY),
        Requests(paused_until=UNTIL),
    ),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_what_is_written_is_what_the_operator_reads(case: str) -> None:
    """Each request comes out of the operator's own reader as it was meant, and nothing else does."""
    memory, write, expected = WRITTEN[case]
    before = view(memory)

    assert after(before, write(before).annotations) == expected


@pytest.mark.parametrize("case", WRITTEN)
def test_a_request_is_not_signed_with_words_for_another(case: str) -> None:
    """Who asked for something else, and why, stays with that."""
    memory, write, expected = WRITTEN[case]
    before = view(memory, annotations={"reconciliation.dev/forget": f"{OLD} by max: old"})

    found = after(before, write(before).annotations)

    theirs = {} if expected.forget else {"forget": Signature("max", "old")}
    assert found.signatures == {**theirs, **expected.signatures}


CONTRADICTIONS: dict[str, tuple[Memory, Write, str, str]] = {
    "a rollback is not released by what is left": (
        failing(),
        lambda v: requests.rollback(v, WAY, ZOE),
        "release",
        BAD,
    ),
    "an approval is not released by what is left": (PROPOSED, lambda v: requests.approve(v, ZOE), "release", BAD[:8]),
    "a release is not undone by the old request": (
        ACTIVE,
        lambda v: requests.release(v, ZOE),
        "rollback",
        f"{BAD}..{GOOD} by max: wrong prices",
    ),
    "a release is not undone by the old approval": (ACTIVE, lambda v: requests.release(v, ZOE), "approve", BAD),
    "a released rollback holds no other": (ACTIVE, lambda v: requests.release(v, ZOE), "hold", "audit"),
    "forgetting does not begin the old rollback again": (
        replace(healthy(), bad=(BAD,)),
        lambda v: requests.forget(v, BAD, ZOE),
        "rollback",
        f"main@sha1:{BAD}..{GOOD}",
    ),
}


@pytest.mark.parametrize("case", CONTRADICTIONS)
def test_a_request_takes_away_what_contradicts_it(case: str) -> None:
    """What an earlier request left behind is removed in the same write."""
    memory, write, key, value = CONTRADICTIONS[case]

    annotations = write(view(memory, annotations={f"reconciliation.dev/{key}": value})).annotations

    assert annotations[f"reconciliation.dev/{key}"] is None


def test_requests_about_other_revisions_are_left() -> None:
    """What is about another revision does no harm and stays for the record."""
    annotations = requests.rollback(
        view(failing(), annotations={"reconciliation.dev/release": OLD}), WAY, ZOE
    ).annotations

    assert "reconciliation.dev/release" not in annotations


def test_a_withdrawn_request_is_gone() -> None:
    """A rollback that cannot begin now must not begin later, unawares."""
    before = view(failing(), annotations={"reconciliation.dev/rollback": f"{BAD}..{GOOD}"})

    assert after(before, requests.withdrawal()) == Requests()


@pytest.mark.parametrize(("write", "key"), [(requests.unhold, "hold"), (requests.resume, "pause-until")])
def test_what_stands_can_be_taken_back(write: Write, key: str) -> None:
    """Hold and pause end by removing them; to end what does not stand is told."""
    asked = write(view(ACTIVE, annotations={f"reconciliation.dev/{key}": "x"}))

    assert asked.annotations == {f"reconciliation.dev/{key}": None}
    with pytest.raises(Problem, match="shop is not "):
        write(view(ACTIVE))


# Where a rollback goes -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("memory", "to", "expected"),
    [
        (failing(), "", GOOD),
        (failing(), GOOD, GOOD),
        (failing(), f"main@sha1:{GOOD}", GOOD),
        (failing(), f" {GOOD[:7].upper()} ", GOOD),
        (healthy(), OLD[:12], OLD),
        (replace(failing(), history=(past(OLD, Result.ADOPTED),)), OLD, OLD),
    ],
)
def test_a_rollback_goes_where_it_was_healthy(memory: Memory, to: str, expected: str) -> None:
    """By default to the last good revision, else to the one that is named, by whatever part of its hash."""
    head = memory.delivery.hash if memory.delivery else ""

    found = requests.way(view(memory), to)

    assert (found.bad.hash, found.good.hash) == (head, expected)


UNDER_WAY = (
    "shop is being rolled back already (Active, to main@sha1:aa11aa11);"
    " to run main@sha1:bb22bb22 again, try: flux-contract release shop -n apps"
)

TWIN = GOOD[:10] + "f" * 30
REFUSED: dict[str, tuple[Memory, dict[str, Any], str, str]] = {
    "the last good revision is the present one": (
        healthy(),
        {},
        "",
        f"the last good revision is the present one; name another with --to: {OLD[:12]}",
    ),
    "nothing else was ever healthy": (
        replace(healthy(), history=()),
        {},
        "",
        "the last good revision is the present one, and no other was healthy under this contract; push a fix",
    ),
    "nothing is known to be good": (
        replace(failing(), good=None),
        {},
        "",
        f"no revision is known to be good; name another with --to: {GOOD[:12]}",
    ),
    "the revision was never healthy": (
        replace(failing(), history=(past(OLD, Result.SUPERSEDED),)),
        {},
        OLD,
        f"{OLD[:8]} is none of the revisions that were healthy under this contract; there are: main@sha1:aa11aa11",
    ),
    "the revision is the present one": (
        healthy(),
        {},
        GOOD,
        f"{GOOD[:8]} is none of the revisions that were healthy under this contract; there are: main@sha1:dd44dd44",
    ),
    "too short a hash": (failing(), {}, "aa11", "'aa11' is no revision; write 7 to 40 characters of a commit hash"),
    "a word": (failing(), {}, "HEAD~1", "'HEAD~1' is no revision; write 7 to 40 characters of a commit hash"),
    "a hash that means two": (
        replace(failing(), history=(past(TWIN, Result.HEALTHY),)),
        {},
        GOOD[:8],
        f"'aa11aa11' can mean {GOOD}, {TWIN}; write more of the hash",
    ),
    "the revision was rolled back from": (
        replace(failing(), bad=(BAD,)),
        {},
        "",
        f"main@sha1:bb22bb22 was rolled back from once; to allow it again, first try: flux-contract forget shop {BAD[:12]} -n apps",
    ),
    "a rollback is in force": (
        ACTIVE,
        {},
        "",
        UNDER_WAY,
    ),
    "rollbacks are disabled": (
        failing(),
        {"spec": {"rollback": {"mode": "Disabled"}}},
        "",
        "shop has spec.rollback.mode: Disabled; set it to Manual or Automatic first",
    ),
    "a rollback is proposed": (
        PROPOSED,
        {},
        "",
        "a rollback to main@sha1:aa11aa11 is proposed already; try: flux-contract approve shop -n apps",
    ),
    "nothing is followed": (Memory(), {}, "", "shop follows no revision yet, so there is nothing to go back from"),
    "the contract is suspended": (
        failing(),
        {"spec": {"suspend": True}},
        "",
        "shop is suspended; set spec.suspend to false first",
    ),
    "the contract is deleted": (
        failing(),
        {"meta": {"deletionTimestamp": "2026-11-23T12:00:00Z"}},
        "",
        "shop is being deleted",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_rollback_that_cannot_be_is_refused_with_the_mend(case: str) -> None:
    """Nothing is written for what the operator would not do; the message names what would work."""
    memory, changes, to, message = REFUSED[case]

    with pytest.raises(Problem) as problem:
        requests.way(view(memory, **changes), to)

    assert str(problem.value) == message


def test_an_invalid_contract_is_not_rolled_back() -> None:
    """What is wrong with it is said instead."""
    with pytest.raises(Problem, match=r"shop is not valid: spec\.suspend is 1; write true or false"):
        requests.way(view(failing(), spec={"suspend": 1}), "")


@pytest.mark.parametrize(
    ("memory", "write", "message"),
    [
        (failing(), lambda v: requests.approve(v, ZOE), "nothing to approve for shop: no rollback is proposed"),
        (ACTIVE, lambda v: requests.approve(v, ZOE), "nothing to approve for shop: its rollback is Active already"),
        (failing(), lambda v: requests.release(v, ZOE), "nothing to release: shop is not rolled back"),
        (rolled(RollbackState.RELEASING), lambda v: requests.release(v, ZOE), "rollback of shop is ending already"),
        (failing(), lambda v: requests.hold(v, ZOE), "nothing to hold: shop is not rolled back"),
        (
            ACTIVE,
            lambda v: requests.forget(v, BAD, ZOE),
            "is rolled back from just now; first try: flux-contract release",
        ),
        (
            healthy(),
            lambda v: requests.forget(v, BAD, ZOE),
            "none of the revisions rolled back from; there are: none",
        ),
    ],
)
def test_what_makes_no_sense_now_is_refused(memory: Memory, write: Write, message: str) -> None:
    """A request that would do nothing, or something else than meant, is not written."""
    with pytest.raises(Problem, match=message):
        write(view(memory))


def test_the_last_good_revision_is_the_default_even_after_newer_ones() -> None:
    """What proved itself last is gone back to, not what was merely healthy for a moment."""
    memory = replace(failing(), good=good(OLD), history=(past(GOOD, Result.HEALTHY),))

    assert requests.way(view(memory), "").good.hash == OLD
