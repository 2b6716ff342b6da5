"""Kubernetes Events: their form, their bounds, and that nothing waits for them."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reconciliation_contract.adapters.kubernetes.events import Events
from reconciliation_contract.core.memory.effects import EmitEvent
from reconciliation_contract.core.spec.contract import Contract
from tests.adapters.scripted import scripted
from tests.support.virtual_time import START

CONTRACT = Contract("apps", "shop", "uid-1", 1, START, "shop")


async def told(*effects: EmitEvent, contract: Contract = CONTRACT, status: int = 201) -> list[dict[str, Any]]:
    """Emit events, and return the bodies that the server was sent."""
    async with scripted(lambda _: (status, {})) as (cluster, script):
        events = Events(cluster, lambda: START, "pod-1", lambda _: None)
        for effect in effects:
            events.emit(contract, effect)
        await events.close()
    return [asked.body for asked in script.asked]


async def test_an_event_is_about_its_contract() -> None:
    """Type, reason, note, the object and who reports it are in the form of events.k8s.io/v1."""
    (body,) = await told(EmitEvent(True, "PromiseBroken", "not healthy within 5m"))

    name = body["metadata"].pop("name")
    assert name.startswith("shop.")
    assert body == {
        "apiVersion": "events.k8s.io/v1",
        "kind": "Event",
        "metadata": {"namespace": "apps"},
        "eventTime": "2026-01-05T12:00:00.000000Z",
        "type": "Warning",
        "reason": "PromiseBroken",
        "action": "Reconcile",
        "note": "not healthy within 5m",
        "regarding": {
            "apiVersion": "reconciliation.dev/v1alpha1",
            "kind": "ReconciliationContract",
            "namespace": "apps",
            "name": "shop",
            "uid": "uid-1",
        },
        "reportingController": "reconciliation-contract",
        "reportingInstance": "pod-1",
    }


async def test_the_same_transition_has_the_same_name() -> None:
    """Two replicas, or one after a crash, tell it under one name; another transition has another."""
    once = EmitEvent(False, "Delivered", "one")
    first, second, third = await told(once, once, EmitEvent(False, "Delivered", "two"))

    assert first["metadata"]["name"] == second["metadata"]["name"] != third["metadata"]["name"]


@pytest.mark.parametrize(
    ("message", "note"),
    [
        pytest.param("a\nb\x1b[31m", "a b[31m", id="control characters"),
        pytest.param("see https://user:secret@git.example/x?token=1", "see https://git.example/x", id="secrets"),
    ],
)
async def test_a_note_is_fit_to_be_shown(message: str, note: str) -> None:
    """Notes are one line, without anything that a terminal or a thief could use."""
    (body,) = await told(EmitEvent(False, "Delivered", message))

    assert body["note"] == note


@pytest.mark.parametrize("letter", ["x", "ü", "語", "🚢"])
async def test_a_long_note_fits_in_the_servers_limit(letter: str) -> None:
    """The API server counts bytes, 1,024 of them."""
    (body,) = await told(EmitEvent(False, "Delivered", letter * 5000))

    assert 900 < len(body["note"].encode()) <= 1024


@pytest.mark.parametrize("name", ["a" * 253, "a" * 199 + ".b", "a" * 198 + "--b"])
async def test_a_long_name_of_a_contract_still_makes_a_valid_name(name: str) -> None:
    """Each part of an event's name begins and ends with a letter or digit, and all is short enough."""
    (body,) = await told(
        EmitEvent(False, "Delivered", "x"), contract=Contract("apps", name, "uid-1", 1, START, "shop")
    )

    made = body["metadata"]["name"]
    assert len(made) <= 253
    assert all(part and part.strip("-") == part for part in made.split("."))


@pytest.mark.parametrize(("status", "result"), [(201, "told"), (409, "told"), (403, "failed"), (503, "failed")])
async def test_what_becomes_of_an_event_is_counted(status: int, result: str) -> None:
    """One that exists already was told; any other failure is counted and not tried again."""
    results: list[str] = []
    async with scripted(lambda _: (status, {"message": "no"})) as (cluster, script):
        events = Events(cluster, lambda: START, "pod-1", results.append)
        events.emit(CONTRACT, EmitEvent(False, "Delivered", "x"))
        await events.close()

        assert results == [result]
        assert len(script.asked) == 1


@pytest.mark.looptime
async def test_a_flood_is_bounded_and_the_end_does_not_wait_for_it() -> None:
    """Beyond 256 events under way more are dropped, and closing gives up on those that hang."""
    async with scripted() as (cluster, _):
        hanging = asyncio.Event()

        class Hanging:
            """A server that never answers."""

            async def create(self, *_: object) -> None:
                await hanging.wait()

        results: list[str] = []
        events = Events(Hanging(), lambda: START, "pod-1", results.append)  # type: ignore[arg-type]  # only this is called
        for number in range(300):
            events.emit(CONTRACT, EmitEvent(False, "Delivered", str(number)))
        began = asyncio.get_running_loop().time()
        await events.close()

        assert results == ["dropped"] * (300 - 256)
        assert asyncio.get_running_loop().time() - began == pytest.approx(1, abs=0.01)
        assert cluster is not None
