"""The real Alertmanager: what its reader gets of an incident, and of one that is told again and again."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from playground.waiting import wait_until
from reconciliation_contract.adapters.notification.alertmanager import AlertmanagerSink
from reconciliation_contract.core.incidents.message import Notice, notice
from reconciliation_contract.core.memory.memory import Incident
from reconciliation_contract.core.spec.contract import Severity
from tests.support.alertmanager import alertmanager
from tests.support.builders_core import CONTRACT
from tests.support.receiver import receiving_elsewhere

pytestmark = pytest.mark.e2e


def utc_now() -> datetime:
    """The time, as the operator reads it."""
    return datetime.now(UTC)


def send(url: str, *notices: Notice) -> None:
    """Send, one after the other, as a process of its own would: nothing is remembered from the time before."""

    async def once() -> None:
        sink = AlertmanagerSink(url, "", utc_now)
        for told in notices:
            await sink.send([told])
        await sink.close()

    asyncio.run(once())


def test_a_reader_gets_one_firing_and_one_resolved(tmp_path: Path) -> None:
    """However often an open incident and its end are sent, and though its revision and message change meanwhile."""
    began = utc_now() - timedelta(minutes=6)
    opened = Incident("Delivery", "Reconciliation", "HealthCheckFailed", Severity.WARNING, began, "broken", count=1)
    changed = replace(opened, message="still broken", revision="main@sha1:" + "c" * 40, count=2, told_at=utc_now())
    over = replace(changed, count=3, closed_at=utc_now() - timedelta(minutes=1))

    with receiving_elsewhere(200) as reader, alertmanager(tmp_path, reader.url) as url:
        for _ in range(3):
            send(url, notice(CONTRACT, "", opened, 1))
        wait_until(lambda: reader.taken, 30, "the firing alert")
        for _ in range(3):
            send(url, notice(CONTRACT, "", changed, 2))
        for _ in range(3):
            send(url, notice(CONTRACT, "", over, 3))
        wait_until(lambda: len(reader.taken) > 1, 30, "the resolved alert")
        send(url, notice(CONTRACT, "", over, 3))

    assert [body["status"] for body in reader.taken] == ["firing", "resolved"]
    (alert,) = reader.taken[1]["alerts"]
    assert alert["labels"]["alertname"] == "ContractDelivery"
    assert alert["annotations"]["summary"].startswith("apps/shop: Reconciliation recovered after 5m")


def test_a_severity_that_grows_resolves_the_one_before_at_once(tmp_path: Path) -> None:
    """Where people route by it: the warning ends when the critical alert fires, and that one ends with the incident."""
    began = utc_now() - timedelta(minutes=6)
    mild = Incident("Delivery", "Reconciliation", "HealthCheckFailed", Severity.WARNING, began, "broken", count=1)
    worse = replace(mild, severity=Severity.CRITICAL, count=2, told_at=utc_now())
    over = replace(worse, count=3, closed_at=utc_now())

    with receiving_elsewhere(200) as reader, alertmanager(tmp_path, reader.url, "severity") as url:
        send(url, notice(CONTRACT, "", mild, 1))
        wait_until(lambda: reader.taken, 30, "the warning")
        send(url, notice(CONTRACT, "", mild, 1), notice(CONTRACT, "", worse, 2), notice(CONTRACT, "", worse, 2))
        wait_until(lambda: len(reader.taken) > 2, 30, "the critical alert, and the end of the warning")
        send(url, notice(CONTRACT, "", worse, 2), notice(CONTRACT, "", over, 3))
        wait_until(lambda: len(reader.taken) > 3, 30, "the end")

    told = [(body["commonLabels"]["severity"], body["status"]) for body in reader.taken]
    assert told[0] == ("warning", "firing")
    assert sorted(told[1:3]) == [("critical", "firing"), ("warning", "resolved")]
    assert told[3:] == [("critical", "resolved")]
