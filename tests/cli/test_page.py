"""The page of one contract, as a person reads it."""

from __future__ import annotations

from dataclasses import replace
from textwrap import dedent

import pytest

from reconciliation_contract.cli.view.page import page
from reconciliation_contract.cli.view.terminal import Screen, columns
from reconciliation_contract.core.facts.comparison import Drift, Finding, Kind, changed, found_in
from reconciliation_contract.core.facts.dry_run import Refusal, Refusals
from reconciliation_contract.core.facts.field_owners import Author
from reconciliation_contract.core.facts.inventory import entry
from reconciliation_contract.core.facts.pruning import Departure, Departures
from reconciliation_contract.core.memory.memory import Memory, RollbackState, Taken
from reconciliation_contract.core.values.diff import Difference
from reconciliation_contract.core.values.object_key import ObjectKey
from tests.cli.objects import GOOD, NOW, before, condition, delivery, failing, healthy, objected, rolled, view

PROGRAM = "flux-contract"


def shown(memory: Memory | None = None, screen: Screen | None = None, **changes: object) -> str:
    """The page as one text."""
    return "\n".join(page(screen or Screen(100), view(memory, **changes), PROGRAM, NOW))


def text(page: str) -> str:
    """A page as it is written here."""
    return dedent(page).strip("\n")


def test_a_healthy_contract() -> None:
    """Where all is well the page is short: the delivery, the promises, the last good revision."""
    assert shown(healthy()) == text(
        """
        Contract       apps/shop, bound to Kustomization shop
        Ready          True  PromisesKept
                       main@sha1:aa11aa11 healthy after 8s of 5m

        Delivery       main@sha1:aa11aa11 "Change the prices"
                       ●──────────●──────────●──────────●──────────●──────────●──────────●
                       committed  seen       detected   attempted  built      applied    healthy
                       12:05:00   12:05:01   12:05:02   12:05:03   12:05:04   12:05:05   12:05:08
                                             +2s        +3s        +4s        +5s        +8s

        Promises       Detection       Kept  2s of 5m  detected by Flux after 2s of 5m
                       Reconciliation  Kept  8s of 5m  healthy after 8s of 5m

        Last good      main@sha1:aa11aa11, since 2026-11-23 11:10:00 UTC (60m ago), its health was checked

        Next           The next commit is awaited.
        """
    )


def test_a_rollback() -> None:
    """A rollback says from where to where, why, how long it took, what stays, and what can be done."""
    memory = rolled(RollbackState.ACTIVE, asked_by="zoe: prices", remains=("a thing stays", "another too"))

    assert shown(memory) == text(
        """
        Contract       apps/shop, bound to Kustomization shop
        Ready          False  PersistentFailure
                       runs main@sha1:aa11aa11 instead of main@sha1:bb22bb22 (HealthCheckFailed); push a fix

        Delivery       main@sha1:bb22bb22 "Change the prices"
                       ●──────────●──────────●──────────●──────────●──────────●──────────○
                       committed  seen       detected   attempted  built      applied    healthy
                       12:05:00   12:05:01   12:05:02   12:05:03   12:05:04   12:05:05   -
                                             +2s        +3s        +4s        +5s
        Failed         3 times, first 3m ago, last 10s ago: HealthCheckFailed: timeout waiting for:
                       [Deployment/apps/shop status: 'InProgress']

        Promises       Detection       Kept    2s of 5m  detected by Flux after 2s of 5m
                       Reconciliation  Broken  - of 5m   never became healthy; rolled back

        Rollback       Active, from main@sha1:bb22bb22 to main@sha1:aa11aa11
          because      HealthCheckFailed: timeout waiting for: [Deployment/apps/shop status: 'InProgress']
          asked by     zoe: prices
          since        2026-11-23 12:09:00 UTC (60s ago), done after 2.5s of 2m
          not undone   a thing stays
          not undone   another too

        Last good      main@sha1:aa11aa11, since 2026-11-23 11:10:00 UTC (60m ago), its health was checked

        Conditions     Healthy is False, Failing: HealthCheckFailed: timeout waiting for:
                       [Deployment/apps/shop status: 'InProgress']

        Next           The next commit that is not known to be bad ends the rollback.
        You can        push a fix
                       stay here even when a new commit arrives
                         flux-contract hold shop --why TEXT -n apps
                       follow the source again, to main@sha1:bb22bb22, bad as it is
                         flux-contract release shop -n apps
        """
    )


def test_an_invalid_contract() -> None:
    """A contract that makes no sense says so, and what to mend."""
    lines = shown(Memory(observed_generation=1), spec={"promises": {"detection": {"within": "5"}}})

    assert "Contract       apps/shop\n" in lines
    assert "Nothing is judged or done until the contract is mended." in lines
    assert "spec.promises.detection.within: '5' is not a duration" in lines


def test_a_contract_that_nobody_looked_at() -> None:
    """Without an operator there is nothing to show but that, and where to look."""
    lines = shown()

    assert "Ready          Unknown" in lines
    assert "The operator has not looked at this version of the contract yet." in lines
    assert "kubectl get deployments -A" in lines


def test_an_adopted_revision_says_why_it_is_not_judged() -> None:
    """Who sees no verdicts learns why."""
    memory = replace(healthy(), delivery=delivery(GOOD, adopted=True))

    assert "It was there before the contract, so it is not judged." in shown(memory)


def test_an_unknown_commit_time_is_explained() -> None:
    """Who sees no latency learns why."""
    memory = healthy()
    assert memory.delivery
    memory = replace(memory, delivery=replace(memory.delivery, commit_problem="the repository asks for a password"))

    assert "Time of the commit not known: the repository asks for a password" in shown(memory)


def test_why_there_is_no_rollback_is_among_the_conditions() -> None:
    """The condition RolledBack is as wished while nothing is rolled back, but its reason may matter."""
    lines = shown(objected("NotCurable", "a rollback would not help: a quota is used up"))

    assert "RolledBack is False, NotCurable: a rollback would not help: a quota is used up" in lines
    assert "RolledBack" not in shown(failing()).partition("Conditions")[2]


def test_ascii_has_to_do_where_nothing_can_be_drawn() -> None:
    """A terminal without Unicode gets stars and circles."""
    drawn = shown(failing(), Screen(100, drawing=False))

    assert "*----------*----------*----------*----------*----------o" in drawn
    assert drawn.isascii()


@pytest.mark.parametrize("width", [80, 120])
@pytest.mark.parametrize("state", [None, *RollbackState])
def test_every_line_fits(width: int, state: RollbackState | None) -> None:
    """No line is wider than the terminal, whatever the state; only commands to be copied are never broken."""
    memory = rolled(state) if state else failing()

    lines = page(Screen(width), view(memory), PROGRAM, NOW)

    assert [line for line in lines if columns(line) > width and PROGRAM not in line] == []


def test_a_pipe_gets_no_broken_lines_and_no_colour() -> None:
    """Each field is one line where a script reads."""
    lines = page(Screen(), view(rolled(RollbackState.ACTIVE)), PROGRAM, NOW)

    assert all(line.isprintable() for line in lines)
    assert any(line.startswith("Failed") and line.endswith("'InProgress']") for line in lines)


def test_a_hostile_status_stays_text() -> None:
    """Nothing that stands in a status reaches the terminal as it is."""
    evil = "\x1b[2J\u202e\r\n"
    memory = failing()
    assert memory.delivery
    assert memory.delivery.failures
    failures = replace(memory.delivery.failures, reason=evil, message=evil)
    memory = replace(
        memory,
        delivery=replace(memory.delivery, subject=evil, failures=failures),
        conditions={
            f"Odd{evil}": condition(f"False{evil}", f"Odd{evil}", evil),
            "Ready": condition(evil, evil, evil),
        },
    )

    lines = page(Screen(), view(memory), PROGRAM, NOW)

    assert all(line.isprintable() for line in lines)


def test_what_is_not_as_git_wants_it() -> None:
    """Each object with its fields, both values and who changed it; of a Secret no values; what is not kept is counted."""
    web, secret = ObjectKey("apps", "Deployment", "apps", "web"), ObjectKey("", "Secret", "apps", "db")
    differences = [Difference(("spec", "replicas"), 1, 3), Difference(("spec", "paused"), None, True)]
    found = [
        changed(web, differences, Author("kubectl-scale", before(300))),
        changed(secret, [Difference(("data", "password"), "a", "b")], None),
        Finding("ConfigMap/apps/settings", Kind.MISSING),
    ]
    drift = replace(found_in(GOOD, 12, found), drifted=9)

    page = shown(replace(healthy(), drift=drift), Screen(None))

    assert (
        text(
            """
        Drift          ConfigMap/apps/settings  Missing
                       Deployment/apps/web      Changed  /spec/replicas is 3, Git wants 1        by kubectl-scale 5m ago
                                                         /spec/paused is true, Git wants absent
                       Secret/apps/db           Changed  /data/password differs
                       6 more
        """
        )
        in page
    )


def test_what_the_api_server_refuses() -> None:
    """Each manifest with its file and the reason; what is not kept is counted."""
    named = (
        Refusal("Deployment/apps/web", "deploy/web.yaml", "Invalid: spec.replicas"),
        Refusal("Widget/w", "", "no"),
    )

    page = shown(replace(healthy(), refusals=Refusals(GOOD, 9, 4, named)))

    assert (
        text(
            """
        Refused        Deployment/apps/web  deploy/web.yaml  Invalid: spec.replicas
                       Widget/w                              no
                       2 more
        """
        )
        in page
    )


def test_what_is_not_gone_yet() -> None:
    """With what it waits for, the overdue first."""
    late, waiting = (entry(f"apps_{name}__ConfigMap", "v1") for name in ("old", "new"))
    assert late is not None
    assert waiting is not None
    held = "waits for finalizer example.com/hold"
    departures = Departures(
        overdue=(Departure(late, before(3600), account=held),), pending=(Departure(waiting, before(30)),), more=2
    )

    page = shown(replace(healthy(), departures=departures))

    assert (
        text(
            """
        Not gone yet   ConfigMap/apps/old  left Git 60m ago  waits for finalizer example.com/hold
                       ConfigMap/apps/new  left Git 30s ago
                       2 more
        """
        )
        in page
    )


def test_a_cluster_that_is_as_git_wants_it_takes_no_line() -> None:
    """The promise says so already."""
    assert "Drift " not in shown(replace(healthy(), drift=Drift(GOOD, 4)))


def test_what_people_asked_for() -> None:
    """The newest request stands first, with who, when and why; one that stands no more says so."""
    memory = replace(
        healthy(),
        taken=(
            Taken("forget", "bb22bb22 by zoe: the registry is back", before(3600)),
            Taken("pause", "2h", before(60), "asks for nothing; write a time such as 2026-11-28T18:00:00Z"),
        ),
        handled={"pause": "01234567"},
    )

    words = " ".join(shown(memory).split())

    told = (
        "Requests pause 2h asks for nothing; write a time such as 2026-11-28T18:00:00Z "
        "(2026-11-23 12:09:00 UTC (60s ago)) "
        "forget bb22bb22 by zoe: the registry is back (2026-11-23 11:10:00 UTC (60m ago), withdrawn since) Next"
    )
    assert told in words
