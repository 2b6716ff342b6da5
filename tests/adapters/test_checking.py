"""Manifests that are slow to try: their contract waits, and no other."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from reconciliation_contract.adapters.dry_run.apply import DryRun
from reconciliation_contract.adapters.dry_run.batch import check_all
from reconciliation_contract.adapters.dry_run.outcome import Applier
from reconciliation_contract.adapters.manifests.build import Built
from reconciliation_contract.core.facts.dry_run import Check
from reconciliation_contract.core.values.object_key import Manifest

pytestmark = pytest.mark.looptime


DELAYS = {"slow": 3600, "lame": 25, "sane": 1.9}
"""Seconds by how names begin."""


class Hanging:
    """An API server with a webhook that never answers for some names, or late."""

    async def discover(self, _group: str, _version: str) -> dict[str, Any]:
        return {"resources": [{"name": "configmaps", "kind": "ConfigMap", "namespaced": True}]}

    async def dry_run(self, _resource: Any, _space: str, name: str, _body: Any, **_how: Any) -> dict[str, Any]:
        await asyncio.sleep(next((s for word, s in DELAYS.items() if name.startswith(word)), 0.01))
        return {"metadata": {"resourceVersion": "1"}}


def built(*names: str) -> Built:
    return Built(tuple(Manifest("v1", "ConfigMap", "apps", name, {"metadata": {"name": name}}) for name in names), ())


def dry_run() -> DryRun:
    return DryRun(Hanging(), lambda: datetime.now(UTC))  # type: ignore[arg-type]  # a script


async def checked(trial: DryRun, *names: str) -> list[Check]:
    return await check_all(trial, built(*names), Applier("flux", limit=timedelta(seconds=30)))


async def test_a_webhook_that_hangs_is_not_waited_for_again_and_again() -> None:
    """After the second manifest the others are not tried, which is said."""
    began = asyncio.get_running_loop().time()

    found = await checked(dry_run(), *(f"slow-{n}" for n in range(100)))

    assert asyncio.get_running_loop().time() - began == pytest.approx(60, abs=1)
    assert [check.late for check in found[:3]] == [True, True, False]
    assert {check.unchecked for check in found[2:]} == {"not tried, as a webhook does not answer in time"}
    assert all(check.unanswered for check in found[2:])


async def test_a_webhook_that_is_slow_each_time_is_not_waited_for_all_day() -> None:
    """Each answer comes in time, a hundred of them would take three quarters of an hour."""
    began = asyncio.get_running_loop().time()

    found = await checked(dry_run(), *(f"lame-{n}" for n in range(100)))

    assert asyncio.get_running_loop().time() - began == pytest.approx(125, abs=1)
    assert [check.unchecked for check in found[:5]] == [""] * 5
    assert {check.unchecked for check in found[5:]} == {"not tried, as a webhook is slow: 2m5s were waited"}
    assert all(check.unanswered for check in found[5:])


async def test_answers_that_are_not_slow_may_be_many() -> None:
    """A large repository is tried to its end."""
    found = await checked(dry_run(), *(f"sane-{n}" for n in range(100)))

    assert {check.unchecked for check in found} == {""}


async def test_a_webhook_that_hangs_holds_up_nobody_else() -> None:
    """Four contracts wait for it; a fifth is done in seconds."""
    trial = dry_run()
    waiting = [asyncio.create_task(checked(trial, *(f"slow-{n}-{k}" for k in range(4)))) for n in range(4)]
    await asyncio.sleep(0.1)
    began = asyncio.get_running_loop().time()

    found = await checked(trial, "a", "b", "c")

    assert all(check.passed for check in found)
    assert asyncio.get_running_loop().time() - began < 5
    await asyncio.gather(*waiting)
