"""When a revision is validated and the cluster compared: as often as promised, and never twice for nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciliation_contract.core.facts.comparison import Drift, Finding, Kind, found_in
from reconciliation_contract.core.facts.correction import Correction
from reconciliation_contract.core.facts.dry_run import Validation
from reconciliation_contract.core.facts.inventory import Inventory
from reconciliation_contract.core.facts.metadata_scan import Census
from reconciliation_contract.core.facts.observation import FluxFacts, Observation, Since
from reconciliation_contract.core.memory.budget import Judgement, PromiseName, Verdict
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.promises.drift import mark
from reconciliation_contract.core.spec.contract import Contract, DriftMode, Promises
from reconciliation_contract.errors import Unavailable
from reconciliation_contract.observers.manifest_checks import Moved
from reconciliation_contract.observers.manifests import Inspection, Key
from tests.support.builders import at, sha
from tests.support.builders_core import CONTRACT, delivery, source, standing
from tests.support.virtual_time import now, passing, virtually

pytestmark = pytest.mark.looptime

KEY = (CONTRACT.namespace, CONTRACT.name)
QUICK = replace(CONTRACT, promises=Promises(drift_interval=timedelta(minutes=5)))
STANDS = Observation(flux=FluxFacts(kustomization=standing("A"), source=source("A")))
DETECTED = Observation(flux=FluxFacts(kustomization=standing("A", delivered=None), source=source("B")))
ADOPTED = Memory(delivery=delivery("A", adopted=True))
NEW = Memory(delivery=delivery("B"))
MADE = Since(Inventory.of([("apps_a__ConfigMap", "v1")]), at(1), exact=True)
IN_SYNC = Drift(sha("A"), 1)
DRIFTED = found_in(sha("A"), 1, [Finding("ConfigMap/apps/a", Kind.MISSING)])


class Script:
    """Stands in for the trial: answers in turn, the last one again and again; errors are raised."""

    def __init__(self, *answers: Any) -> None:
        self.answers = list(answers)
        self.asked: list[str] = []
        self.mark = ""
        """What a census comes to now."""
        self.counted = 0
        self.outage: Exception | None = None

    async def validate(self, _space: str, _name: str, _source: object, hash_: str, _within: timedelta) -> Any:
        return await self._answer(f"validate {hash_}")

    async def compare(self, _found: object, hash_: str, _rules: object) -> Any:
        before = Census(mark=self.mark)
        return await self._answer(f"compare {hash_}"), before

    async def count(self, _found: object, _user: str, _places: object, _pause: float) -> Census:
        self.counted += 1
        if self.outage:
            raise self.outage
        return Census(mark=self.mark)

    async def _answer(self, question: str) -> Any:
        self.asked.append(question)
        await asyncio.sleep(1)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer


class Desk:
    """An inspection that is attended to every second, as passes would when something happens."""

    def __init__(self, script: Script) -> None:
        self.told: list[set[Key]] = []
        self.compared: list[Drift] = []
        self.script = script
        self.inspection = Inspection(script, self.told.append, self.compared.append, now)  # type: ignore[arg-type]  # a script

    async def attend(self, contract: Contract, memory: Memory, seen: Observation, seconds: int = 5) -> None:
        for _ in range(seconds):
            self.inspection.attend(KEY, contract, memory, seen)
            await passing(1)


@asynccontextmanager
async def inspecting(*answers: Any) -> AsyncIterator[Desk]:
    """An inspection that ends with the context."""
    desk = Desk(Script(*answers))
    patrol = asyncio.create_task(desk.inspection.patrol())
    try:
        yield desk
    finally:
        desk.inspection.close()
        patrol.cancel()
        await asyncio.gather(patrol, return_exceptions=True)


# Validation ------------------------------------------------------------------------------------------------------


async def test_a_revision_is_validated_once() -> None:
    """As soon as the source serves it, and told when it is done."""
    found = Validation(sha("B"), at(3), total=1)
    async with inspecting(found) as desk:
        await desk.attend(CONTRACT, NEW, DETECTED)

        assert desk.script.asked == [f"validate {sha('B')}"]
        assert desk.inspection.validation(KEY) == found
        assert desk.told == [{KEY}]


@pytest.mark.parametrize(
    ("memory", "seen"),
    [
        (Memory(), DETECTED),
        (Memory(delivery=delivery("B", adopted=True)), DETECTED),
        (Memory(delivery=delivery("C")), DETECTED),
        (NEW, replace(DETECTED, flux=replace(DETECTED.flux, source=None))),
        (NEW, replace(DETECTED, operator=replace(DETECTED.operator, fresh=False))),
        (NEW, replace(DETECTED, flux=replace(DETECTED.flux, kustomization=None))),
        (
            replace(
                NEW,
                judgements=(Judgement(PromiseName.VALIDATION, Verdict.KEPT, timedelta(seconds=30), "WithinBudget"),),
            ),
            DETECTED,
        ),
    ],
)
async def test_what_needs_no_validation_gets_none(memory: Memory, seen: Observation) -> None:
    """Adopted or not yet detected revisions, those with a verdict, and whatever cannot be seen."""
    async with inspecting(Validation(sha("B"))) as desk:
        await desk.attend(CONTRACT, memory, seen)

        assert [asked for asked in desk.script.asked if asked.startswith("validate")] == []


async def test_an_outage_is_waited_for() -> None:
    """It is not held against the revision."""
    found = Validation(sha("B"), at(3), total=1)
    async with inspecting(Unavailable("read", "it"), Unavailable("read", "it"), found) as desk:
        await desk.attend(CONTRACT, NEW, DETECTED, 90)

        assert len(desk.script.asked) == 3
        assert desk.inspection.validation(KEY) == found


async def test_a_bug_of_ours_is_told_and_harms_no_other() -> None:
    """The verdict is unknown then."""
    async with inspecting(RuntimeError("bug")) as desk:
        await desk.attend(CONTRACT, NEW, DETECTED)

        found = desk.inspection.validation(KEY)
        assert found is not None
        assert "please report it" in found.problem


async def test_a_revision_that_is_overtaken_is_left() -> None:
    """The next one is validated instead."""
    async with inspecting(Validation(sha("C"), at(3))) as desk:
        desk.inspection.attend(KEY, CONTRACT, NEW, DETECTED)
        await passing(0.5)
        await desk.attend(
            CONTRACT,
            Memory(delivery=delivery("C")),
            replace(DETECTED, flux=replace(DETECTED.flux, source=source("C"))),
        )

        assert desk.script.asked == [f"validate {sha('B')}", f"validate {sha('C')}"]
        assert desk.told == [{KEY}]


# Drift -----------------------------------------------------------------------------------------------------------


async def test_the_cluster_is_compared_at_every_interval() -> None:
    """And at once when a revision stands."""
    async with inspecting(IN_SYNC) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS, 60 * 11)

        assert desk.script.asked == [f"compare {sha('A')}"] * 3
        assert desk.inspection.drift(KEY) == IN_SYNC


async def test_drift_is_looked_at_again_sooner() -> None:
    """So that its end is noticed."""
    async with inspecting(DRIFTED) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS, 150)

        assert len(desk.script.asked) == 3


@pytest.mark.parametrize(
    "seen",
    [
        replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", 50))),
        replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("B"))),
        replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", generation=2))),
        replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", uid="another"))),
        replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", inventory=MADE))),
    ],
)
async def test_another_occasion_is_compared_at_once(seen: Observation) -> None:
    """A new revision, the same one delivered again, another spec, another Kustomization, another inventory."""
    async with inspecting(IN_SYNC) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS)
        await desk.attend(QUICK, ADOPTED, seen)

        assert len(desk.script.asked) == 2


async def test_a_person_may_ask() -> None:
    """By the annotation that asks for everything."""
    async with inspecting(IN_SYNC) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS)
        await desk.attend(replace(QUICK, requested_at="now"), ADOPTED, STANDS)

        assert len(desk.script.asked) == 2


async def test_a_correction_that_flux_took_up_is_looked_at() -> None:
    """Not when it is asked for, but when it is done."""
    asked = Correction(("0123",), at(50))
    memory = replace(ADOPTED, drift=replace(DRIFTED, correction=asked))
    done = replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", handled_request=mark(asked))))
    async with inspecting(IN_SYNC) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS)
        await desk.attend(QUICK, memory, STANDS)
        assert len(desk.script.asked) == 1

        await desk.attend(QUICK, memory, done)

        assert len(desk.script.asked) == 2


@pytest.mark.parametrize(
    ("contract", "seen"),
    [
        (replace(QUICK, promises=Promises(drift_mode=DriftMode.IGNORE)), STANDS),
        (replace(QUICK, suspended=True), STANDS),
        (replace(QUICK, deleting=True), STANDS),
        (QUICK, replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", suspended=True)))),
        (QUICK, replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", delivered=None)))),
        (QUICK, replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", deleting=True)))),
    ],
)
async def test_what_is_not_to_be_compared_is_not(contract: Contract, seen: Observation) -> None:
    """Ignored, paused, going, or while Flux is at work."""
    async with inspecting(IN_SYNC) as desk:
        await desk.attend(contract, ADOPTED, seen)

        assert desk.script.asked == []
        assert desk.inspection.drift(KEY) is None


@pytest.mark.parametrize("error", [Moved(), Unavailable("read", "it")])
async def test_a_comparison_that_could_not_be_made_is_made_soon(error: Exception) -> None:
    """What was known stays."""
    async with inspecting(IN_SYNC, error, DRIFTED) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS, 302)
        assert desk.inspection.drift(KEY) == IN_SYNC

        await desk.attend(QUICK, ADOPTED, STANDS, 35)

        assert desk.inspection.drift(KEY) == DRIFTED


async def test_a_comparison_that_flux_overtakes_is_not_told() -> None:
    """It ends as soon as Flux begins something else, and is made anew afterwards."""
    async with inspecting(IN_SYNC) as desk:
        desk.inspection.attend(KEY, QUICK, ADOPTED, STANDS)
        await passing(0.5)
        await desk.attend(
            QUICK, ADOPTED, replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", delivered=None)))
        )
        assert (desk.inspection.drift(KEY), desk.told) == (None, [])

        await desk.attend(QUICK, ADOPTED, STANDS)

        assert len(desk.script.asked) == 2
        assert desk.inspection.drift(KEY) == IN_SYNC


@pytest.mark.parametrize(
    ("answer", "seen", "told"),
    [
        (Unavailable("read", "it", "no route"), STANDS, "cannot read it: no route"),
        (
            IN_SYNC,
            replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", delivered=None))),
            "Flux is at work, or fails at it",
        ),
    ],
)
async def test_a_comparison_that_is_too_old_is_not_believed(answer: Any, seen: Observation, told: str) -> None:
    """After two intervals nothing is known any more, and why is told."""
    async with inspecting(IN_SYNC, answer) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS)
        await desk.attend(QUICK, ADOPTED, seen, 60 * 9)
        assert desk.inspection.drift(KEY) == IN_SYNC

        await desk.attend(QUICK, ADOPTED, seen, 60 * 3)

        found = desk.inspection.drift(KEY)
        assert found is not None
        assert found.problem.startswith("nothing could be compared since ")
        assert found.problem.endswith(told)


# Census ----------------------------------------------------------------------------------------------------------


async def test_what_others_change_is_compared_soon() -> None:
    """Long before the interval is over, and only once."""
    async with inspecting(IN_SYNC, DRIFTED) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS)
        desk.script.mark = "edited"
        await desk.attend(QUICK, ADOPTED, STANDS, 20)

        assert len(desk.script.asked) == 2
        assert desk.inspection.drift(KEY) == DRIFTED


async def test_a_change_during_a_comparison_is_not_lost() -> None:
    """A comparison is held against the census of before it."""
    async with inspecting(IN_SYNC) as desk:
        desk.inspection.attend(KEY, QUICK, ADOPTED, STANDS)
        await passing(0.5)
        desk.script.mark = "edited"
        await desk.attend(QUICK, ADOPTED, STANDS, 20)

        assert len(desk.script.asked) == 2


async def test_what_is_written_to_all_the_time_is_left_in_peace() -> None:
    """Comparisons that find nothing new become rarer, up to the interval."""
    async with inspecting(IN_SYNC) as desk:
        for second in range(60 * 60):
            desk.script.mark = str(second)
            await desk.attend(QUICK, ADOPTED, STANDS, 1)

        assert len(desk.script.asked) < 12 * 2


async def test_an_outage_ends_no_census() -> None:
    """The next one is made as if nothing had been."""
    async with inspecting(IN_SYNC, DRIFTED) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS)
        for desk.script.outage in (Unavailable("list", "it"), RuntimeError("bug"), None):
            desk.script.mark = "edited"
            await desk.attend(QUICK, ADOPTED, STANDS, 20)

        assert len(desk.script.asked) == 2


@pytest.mark.parametrize(
    ("contract", "seen"),
    [
        (replace(QUICK, promises=Promises(drift_mode=DriftMode.IGNORE)), STANDS),
        (replace(QUICK, suspended=True), STANDS),
        (QUICK, replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", suspended=True)))),
        (QUICK, replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", delivered=None)))),
        (QUICK, replace(STANDS, flux=replace(STANDS.flux, kustomization=standing("A", requested_at="2")))),
    ],
)
async def test_no_census_of_what_is_not_to_be_compared(contract: Contract, seen: Observation) -> None:
    """Ignored, paused, or while Flux is at work or asked to be."""
    async with inspecting(IN_SYNC) as desk:
        await desk.attend(QUICK, ADOPTED, STANDS, 20)
        assert desk.script.counted
        await desk.attend(contract, ADOPTED, seen, 1)
        counted = desk.script.counted

        await desk.attend(contract, ADOPTED, seen, 60)

        assert desk.script.counted == counted


async def test_a_contract_that_is_gone_costs_nothing() -> None:
    """What is under way for it ends."""
    async with inspecting(IN_SYNC) as desk:
        desk.inspection.attend(KEY, QUICK, ADOPTED, STANDS)
        await passing(0.5)
        desk.inspection.forget(KEY)
        await passing(5)

        assert desk.told == []
        assert desk.inspection.drift(KEY) is None


# When the next comparison is due -----------------------------------------------------------------------------------


SUSPENDED = replace(STANDS, flux=replace(STANDS.flux, kustomization=replace(standing("A"), suspended=True)))
WORLDS = {
    "stands": (QUICK, ADOPTED, STANDS),
    "is being delivered": (QUICK, NEW, DETECTED),
    "is gone": (QUICK, ADOPTED, Observation()),
    "is suspended": (QUICK, ADOPTED, SUSPENDED),
    "is unseen": (QUICK, ADOPTED, replace(STANDS, operator=replace(STANDS.operator, fresh=False))),
    "has a suspended contract": (replace(QUICK, suspended=True), ADOPTED, STANDS),
    "has a contract that is being deleted": (replace(QUICK, deleting=True), ADOPTED, STANDS),
    "is not compared": (replace(QUICK, promises=Promises(drift_mode=DriftMode.IGNORE)), ADOPTED, STANDS),
}
ANSWERS = [IN_SYNC, DRIFTED, Moved(), Unavailable("get", "it", "no answer"), ValueError("ours")]


@given(
    st.lists(st.tuples(st.sampled_from(sorted(WORLDS)), st.sampled_from([1, 40, 299, 400])), min_size=1, max_size=8),
    st.lists(st.sampled_from(ANSWERS), min_size=1, max_size=6),
)
def test_the_next_comparison_is_never_due_in_the_past(states: list[tuple[str, int]], answers: list[Any]) -> None:
    """Whatever a Kustomization and its contract go through: a pass knows when to look again, or waits for an event."""

    async def story() -> None:
        async with inspecting(*answers) as desk:
            for state, seconds in states:
                for _ in range(3):
                    desk.inspection.attend(KEY, *WORLDS[state])
                    due = desk.inspection.due(KEY)
                    assert due is None or due > now(), state
                    await passing(seconds / 3)

    virtually(story)
