"""Tables of contracts and of deliveries."""

from __future__ import annotations

from dataclasses import replace

import pytest

from reconciliation_contract.cli.view import tables
from reconciliation_contract.cli.view.terminal import Screen, columns
from reconciliation_contract.core.memory.budget import PromiseName
from reconciliation_contract.core.memory.memory import Memory, Result, RollbackState
from tests.cli.objects import BAD, GOOD, NOW, OLD, condition, delivery, failing, healthy, past, rolled, view

VIEWS = [view(healthy()), view(rolled(RollbackState.ACTIVE), name="web"), view(name="new")]


def test_contracts_are_shown_one_a_line() -> None:
    """A pipe gets every column in full, hashes as the flux command line abbreviates them."""
    assert tables.contracts(Screen(), VIEWS, namespaces=False) == [
        "NAME  READY    REVISION            DETECT  APPLY  HEALTHY  LAST GOOD  STATUS",
        "shop  True     main@sha1:aa11aa11  2s      5s     8s       aa11aa11   PromisesKept: main@sha1:aa11aa11 healthy after 8s of 5m",
        "web   False    main@sha1:bb22bb22  2s      5s     -        aa11aa11   PersistentFailure: runs main@sha1:aa11aa11 instead of main@sha1:bb22bb22 (HealthCheckFailed); push a fix",
        "new   Unknown  -                   -       -      -        -          not looked at yet; is the operator running?",
    ]


def test_all_namespaces_are_named() -> None:
    """With -A each line says where the contract is."""
    lines = tables.contracts(Screen(), VIEWS, namespaces=True)

    assert [line.split()[:2] for line in lines] == [
        ["NAMESPACE", "NAME"],
        ["apps", "shop"],
        ["apps", "web"],
        ["apps", "new"],
    ]


@pytest.mark.parametrize(
    ("width", "heading"),
    [
        (120, "NAME  READY    REVISION            DETECT  APPLY  HEALTHY  LAST GOOD  STATUS"),
        (80, "NAME  READY    REVISION  DETECT  APPLY  HEALTHY  LAST GOOD  STATUS"),
        (70, "NAME  READY    REVISION  HEALTHY  LAST GOOD  STATUS"),
        (50, "NAME  READY    REVISION  HEALTHY  STATUS"),
    ],
)
def test_a_narrow_terminal_shows_what_matters(width: int, heading: str) -> None:
    """First the branch goes, then the stages, then the last good revision; the rest fits."""
    lines = tables.contracts(Screen(width), VIEWS, namespaces=False)

    assert lines[0] == heading
    assert max(map(columns, lines)) <= width


def test_a_hostile_message_stays_in_its_line() -> None:
    """What somebody wrote into a status cannot draw on the terminal."""
    memory = replace(healthy(), conditions={"Ready": condition("True\x1b[2J", "Kept", "a\nb\x1b[31m\u202ec")})

    lines = tables.contracts(Screen(), [view(memory)], namespaces=False)

    assert len(lines) == 2
    assert all(line.isprintable() for line in lines)


def test_deliveries_are_shown_newest_first() -> None:
    """The present delivery comes first; a script gets times."""
    broken = past(OLD, Result.ROLLED_BACK, broken=(PromiseName.DETECTION, PromiseName.RECONCILIATION))
    broken = replace(broken, left_for=f"main@sha1:{BAD}", because="zoe: wrong prices")
    memory = replace(healthy(), history=(broken, past(BAD, Result.SUPERSEDED, subject="")))

    assert tables.deliveries(Screen(), memory, NOW) == [
        "REVISION  SUBJECT            RESULT      LATENCY  BROKEN                    ENDED                     ROLLED BACK TO",
        "aa11aa11  Change the prices  Healthy     8s       -                         2026-11-23T12:05:08.000Z  -",
        "dd44dd44  Change the prices  RolledBack  -        Detection,Reconciliation  2026-11-23T11:10:00.000Z  bb22bb22 (zoe: wrong prices)",
        "bb22bb22  -                  Superseded  -        -                         2026-11-23T11:10:00.000Z  -",
    ]


def test_a_person_reads_ages() -> None:
    """On a terminal the time since is shown."""
    lines = tables.deliveries(Screen(100), healthy(), NOW)

    assert [line.split()[-4:] for line in lines[1:]] == [["-", "4m", "ago", "-"], ["-", "60m", "ago", "-"]]


@pytest.mark.parametrize(
    ("memory", "result"),
    [
        (healthy(), "Healthy"),
        (failing(), "Failing"),
        (replace(failing(), delivery=delivery(BAD, healthy=False)), "InProgress"),
        (replace(failing(), delivery=delivery(GOOD, adopted=True)), "Adopted"),
        (rolled(RollbackState.PROPOSED), "Failing"),
        (rolled(RollbackState.SWITCHING), "RolledBack"),
        (rolled(RollbackState.ACTIVE), "RolledBack"),
    ],
)
def test_the_present_delivery_says_how_it_stands(memory: Memory, result: str) -> None:
    """The delivery under way is told in the words of the finished ones where they fit."""
    row = tables.deliveries(Screen(), memory, NOW)[1]

    assert f"  {result}  " in row


def test_no_delivery_is_no_table() -> None:
    """A heading alone would look like a mistake."""
    assert tables.deliveries(Screen(), Memory(), NOW) == []
