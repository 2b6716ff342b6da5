"""A contract that makes no sense is an incident: one opening, one end, whatever happens in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.evaluation import Decision, evaluate
from reconciliation_contract.core.facts.observation import FluxFacts, NotificationFacts, Observation
from reconciliation_contract.core.incidents.message import identity, notice
from reconciliation_contract.core.memory.effects import AllowDeletion, EmitEvent
from reconciliation_contract.core.memory.memory import Incident, Memory
from reconciliation_contract.core.spec.contract import (
    AlertPolicy,
    AlertRule,
    Declared,
    InvalidContract,
    Severity,
    Topic,
)
from tests.support.builders import at
from tests.support.builders_core import CONTRACT, delivery, source, standing

PROBLEM = "spec.promises.detection.within is 'soon'; write a duration like 90s"
INVALID = InvalidContract("apps", "shop", CONTRACT.uid, 7, PROBLEM, kustomization="shop")
SEEN = Observation(
    flux=FluxFacts(kustomization=standing("B"), source=source()), notifications=NotificationFacts(sinks=("one",))
)
BLIND = Observation(notifications=NotificationFacts(sinks=("one",)))
"""What is known around a contract that makes no sense."""
OPEN = Incident("Delivery", "Reconciliation", "HealthCheckFailed", Severity.WARNING, at(-60), "broken", count=1)


def after(*steps: tuple[float, Declared], memory: Memory | None = None) -> list[Decision]:
    """The decisions of passes at these seconds, each with a memory that was read back from the status."""
    found: list[Decision] = []
    memory = memory or Memory()
    for seconds, contract in steps:
        seen = BLIND if isinstance(contract, InvalidContract) else SEEN
        found.append(evaluate(contract, memory, seen, at(seconds)))
        memory = parse_memory(render_status(found[-1].memory, None, found[-1].conditions))
    return found


def counts(decision: Decision) -> list[tuple[str, int, bool]]:
    """Key, messages due, and whether it is over."""
    return [(i.key, i.count, i.closed_at is not None) for i in decision.memory.incidents]


def events(decisions: Sequence[Decision]) -> list[str]:
    """Reasons of the Events about incidents, on the contract."""
    told = [effect for decision in decisions for effect in decision.effects if isinstance(effect, EmitEvent)]
    return [e.reason for e in told if e.reason.startswith("Incident") and not e.kustomization_uid]


def test_it_is_told_once_and_so_is_its_end() -> None:
    """Passes and restarts in between add nothing; it is over when it has made sense for a minute."""
    decisions = after((0, INVALID), (1, INVALID), (600, INVALID), (700, CONTRACT), (730, CONTRACT), (761, CONTRACT))

    assert [counts(decision) for decision in decisions] == [
        *[[("Spec", 1, False)]] * 5,
        [("Spec", 2, True)],
    ]
    assert events(decisions) == ["IncidentOpened", "IncidentClosed"]
    assert decisions[3].next_look.at == at(760)


def test_what_is_said_mends_it() -> None:
    """The problem with its mend, what it means, and where to look."""
    (found,) = after((0, INVALID))[0].memory.incidents

    told = notice(INVALID, "", found, 1)
    assert told.title == "apps/shop: Spec broken (InvalidSpec)"
    assert PROBLEM in told.text
    assert "Nothing is judged or rolled back until it is mended" in told.text
    assert "flux contract get shop -n apps" in told.text
    assert (told.kustomization, told.severity) == ("shop", Severity.WARNING)


def test_its_end_is_told_without_a_revision() -> None:
    """No revision mended it."""
    (found,) = after((0, INVALID), (60, CONTRACT), (121, CONTRACT))[-1].memory.incidents

    assert notice(CONTRACT, "", found, 2).text == "It is well again: Spec was broken (InvalidSpec) for 1m"


def test_it_is_reminded_of() -> None:
    """As every incident that lasts."""
    four_hours = 4 * 3600
    decisions = after((0, INVALID), (four_hours - 1, INVALID), (four_hours, INVALID))

    assert [counts(decision) for decision in decisions] == [[("Spec", n, False)] for n in (1, 1, 2)]
    assert decisions[0].next_look.at == at(four_hours)


def test_all_else_stays_as_it_was() -> None:
    """An incident that was open is neither over nor told again; it goes on once the contract makes sense."""
    memory = Memory(delivery=delivery(), incidents=(replace(OPEN, told_at=at(-60)),))

    *_, last = after((0, INVALID), (86_400 * 2, INVALID), memory=memory)

    assert counts(last)[0] == ("Delivery", 1, False)
    assert last.memory.incidents[0] == memory.incidents[0]
    assert last.memory.delivery == memory.delivery


def test_what_a_sink_took_is_noted() -> None:
    """Of all incidents, so that none is sent again."""
    first = evaluate(INVALID, Memory(incidents=(OPEN,)), BLIND, at(0)).memory
    told = {identity(CONTRACT.uid, each): {"one": 1} for each in first.incidents}

    second = evaluate(
        INVALID, first, replace(BLIND, notifications=replace(BLIND.notifications, told=told)), at(1)
    ).memory

    assert [dict(each.told) for each in second.incidents] == [{"one": 1}] * 2


def test_a_contract_that_is_mended_and_suspended_makes_sense() -> None:
    """Whether it does is read from it alone."""
    resting = replace(CONTRACT, suspended=True)

    assert counts(after((0, INVALID), (60, resting), (121, resting))[-1]) == [("Spec", 2, True)]


@pytest.mark.parametrize(
    "alerts",
    [AlertPolicy(suspended=True), AlertPolicy(rules=(AlertRule((Topic.SPEC,), suspended=True),))],
    ids=["all", "this"],
)
def test_nobody_is_told_who_does_not_want_to_be(alerts: AlertPolicy) -> None:
    """Terms that make sense hold."""
    decisions = after((0, replace(INVALID, alerts=alerts)))

    assert counts(decisions[0]) == []
    assert events(decisions) == []


def test_trouble_shorter_than_the_threshold_is_never_told() -> None:
    """A slip that is mended at once."""
    patient = AlertPolicy(after=timedelta(minutes=2))
    sound = replace(CONTRACT, alerts=patient)
    decisions = after((0, replace(INVALID, alerts=patient)), (60, sound), (600, sound))

    assert decisions[0].next_look.at == at(120)
    assert events(decisions) == []


@pytest.mark.parametrize("memory", [Memory(), Memory(incidents=(OPEN,))])
def test_a_deletion_waits_for_nobody_and_tells_nothing(memory: Memory) -> None:
    """It goes at once."""
    decision = evaluate(replace(INVALID, deleting=True, finalized=True), memory, BLIND, at(0))

    assert decision.effects == (AllowDeletion(),)
    assert decision.memory.incidents == memory.incidents
