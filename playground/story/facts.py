"""A contract as the API server has it, read with one commit in mind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from reconciliation_contract.api.duration import parse_duration
from reconciliation_contract.core.values.duration import spoken

SHORT = 7
"""Digits of a hash that tell commits apart for a person."""


@dataclass(frozen=True, slots=True)
class Promise:
    """A verdict from the status; times are as people read them."""

    name: str
    verdict: str
    within: str
    measured: str
    """Empty where nothing was measured."""
    message: str

    @property
    def concluded(self) -> bool:
        """Whether the verdict is final."""
        return self.verdict != "Pending"

    @property
    def took(self) -> str:
        """The time that it took; a promise can be kept without taking any."""
        return self.measured or ("-" if self.verdict == "Kept" else "never")


@dataclass(frozen=True, slots=True)
class Facts:
    """What the contract says of one commit. What it says of other commits counts as not said."""

    contract: Mapping[str, Any]
    commit: str
    """The full hash."""

    @property
    def status(self) -> Mapping[str, Any]:
        """The contract's whole status."""
        return dict(self.contract.get("status") or {})

    @property
    def delivery(self) -> Mapping[str, Any]:
        """The delivery of the commit; empty while the contract is at another one."""
        delivery = self.status.get("delivery") or {}
        return dict(delivery) if str(delivery.get("revision", "")).endswith(self.commit) else {}

    @property
    def rollback(self) -> Mapping[str, Any]:
        """The rollback in force; it has no state while there is none."""
        return dict(self.status.get("rollback") or {})

    @property
    def failures(self) -> Mapping[str, Any]:
        """The failed attempts at the commit."""
        return dict(self.delivery.get("failures") or {})

    @property
    def is_good(self) -> bool:
        """Whether the commit has proved itself as the one to roll back to."""
        return str(self.status.get("lastGoodRevision", "")).endswith(self.commit)

    @property
    def promises(self) -> tuple[Promise, ...]:
        """The verdicts on the commit's delivery, in the order of the status."""
        return tuple(_promise(found) for found in self.delivery.get("promises", ()))

    def promise(self, name: str) -> Promise | None:
        """The verdict on one promise, if there is one yet."""
        return next((promise for promise in self.promises if promise.name == name), None)

    def elapsed(self, stage: str) -> str | None:
        """The time from the commit to a stage; None until both are known."""
        stages = self.delivery.get("stages", {})
        # Until the commit's own time is read from Git, the status counts from the detection.
        found = stages.get(stage, {}).get("elapsed") if "committed" in stages else None
        return readable(str(found)) if found else None

    def budget(self, *path: str) -> str:
        """A duration in the contract's spec, as in `budget("promises", "detection", "within")`."""
        value: Any = self.contract.get("spec", {})
        for key in path:
            value = value.get(key, {})
        return value if isinstance(value, str) else ""


def readable(duration: str) -> str:
    """Round a duration of the status to what a person can use: `2.448s` becomes `2.4s`."""
    return spoken(parse_duration(duration, shortest=timedelta(0))) if duration else ""


def of_budget(measured: str, within: str) -> str:
    """Put a measure beside its limit: `2.4s of 1m`."""
    if not within:
        return measured or "-"
    return f"{measured} of {within}" if measured else f"never, of {within}"


def short(revision: str) -> str:
    """Shorten a revision, with or without its branch, to the beginning of its hash."""
    return revision.rpartition(":")[2][:SHORT]


def conditions(thing: Mapping[str, Any] | None) -> list[str]:
    """The conditions of any object, one line each: `Ready=False HealthCheckFailed: why`."""
    found = ((thing or {}).get("status") or {}).get("conditions", [])
    return [f"{each['type']}={each['status']} {each.get('reason', '')}: {each.get('message', '')}" for each in found]


def _promise(found: Mapping[str, Any]) -> Promise:
    return Promise(
        name=str(found.get("name", "")),
        verdict=str(found.get("verdict", "")),
        within=readable(str(found.get("within", ""))),
        measured=readable(str(found.get("measured", ""))),
        message=str(found.get("message", "")),
    )
