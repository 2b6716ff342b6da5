"""The operator's own times: one table, handed to whatever waits, believes or remembers, and shortened by tests alone."""

from __future__ import annotations

import ast
import gc
import re
from dataclasses import fields, replace
from datetime import timedelta
from pathlib import Path

import pytest
from kubernetes.client import Configuration

import reconciliation_contract
from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.cli.operator import parser, settings_of
from reconciliation_contract.config import Settings
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.runtime.operator import Operator
from tests.support import builders

PACKAGE = Path(reconciliation_contract.__file__).parent
NAMES = [each.name for each in fields(Timing)]


def run(*arguments: str) -> Settings:
    """Read a command line."""
    return settings_of(parser().parse_args(["run", *arguments]))


@pytest.mark.parametrize("name", NAMES)
def test_each_time_is_used_and_has_its_reason(name: str) -> None:
    """Nothing is kept that nobody asks for."""
    used = re.compile(rf"timing\.{name}\b", re.IGNORECASE)
    table = (PACKAGE / "core/values/timing.py").read_text("utf-8")

    assert getattr(TIMING, name) > timedelta(0)
    assert re.search(rf'\b{name}: timedelta = .+\n    """\w', table)
    assert any(used.search(path.read_text("utf-8")) for path in PACKAGE.rglob("*.py"))


ELSEWHERE = {
    "core/spec/contract.py",  # defaults of the spec
    "api/contract/spec_models.py",  # bounds of the spec
    "api/duration.py",  # bounds of a format
    "core/facts/health_timeout.py",  # Flux's own
    "api/flux/kustomization.py",  # resolution of a time stamp
    "adapters/telemetry/metrics.py",  # a unit
    "core/values/timing.py",
    "cli/commands/arguments.py",  # defaults of options of another program
}


def test_no_other_module_has_a_time_of_its_own() -> None:
    """A time that is named at the top of a module belongs into the table."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        for node in ast.parse(path.read_text("utf-8")).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value
        for call in ast.walk(node.value)
        if isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "timedelta"
        and call.keywords
    }

    assert found <= ELSEWHERE


ODD = Timing(**{name: getattr(TIMING, name) + timedelta(seconds=7) for name in NAMES})
SINKS = Settings(
    timing=ODD,
    flux_events="http://127.0.0.1:9/",
    cloudevents="http://127.0.0.1:9/",
    alertmanagers=("http://127.0.0.1:9",),
)


@pytest.mark.looptime
async def test_whatever_the_operator_is_made_of_has_the_times_that_are_set() -> None:
    """None falls back on the defaults."""
    operator = Operator(SINKS, Cluster(Access(Configuration()), timing=ODD))
    operator.store.put_contract(builders.contract())

    outlets = operator.notifier._outlets
    limits = {outlet.sink._poster._limit.total for outlet in outlets}  # type: ignore[attr-defined]  # each has one
    assert set(held(operator)) == {ODD}
    assert {operator.queue._first, operator.queue._longest} == seconds("retry", "retry_longest")
    assert {outlet._settling for outlet in outlets} == seconds("settling")
    assert {outlet.attempts._first for outlet in outlets} == seconds("sink_retry")
    assert limits == seconds("sink_limit")
    assert {operator.lookout._longest_pause.total_seconds()} == seconds("git_pause_longest")


def seconds(*names: str) -> set[float]:
    """Times that were set, in seconds."""
    return {getattr(ODD, name).total_seconds() for name in names}


def held(thing: object) -> list[Timing]:
    """Every table of times that can be reached from a thing of ours."""
    found, seen, left = [], set[int](), [thing]
    while left:
        one = left.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        if isinstance(one, Timing):
            found.append(one)
        elif type(one).__module__.startswith("reconciliation_contract") or isinstance(one, dict | list | tuple | set):
            left += [each for each in gc.get_referents(one) if not isinstance(each, type)]
    return found


# For tests -----------------------------------------------------------------------------------------------------------


def test_a_test_may_set_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """By its name in the table."""
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)

    found = run("--test-time=recovery_hold=2s", "--test-time=retry_longest=500ms")

    assert found.timing == replace(TIMING, recovery_hold=timedelta(seconds=2), retry_longest=timedelta(seconds=0.5))
    assert run().timing is not None
    assert run().timing == TIMING


@pytest.mark.parametrize(
    ("text", "host", "told"),
    [
        ("recovery_hold=2s", "10.96.0.1", "times are set by tests only, never in a cluster; leave it out"),
        ("recovery=2s", "", "'recovery' is no time of the operator; write one of routine, retry,"),
        ("recovery_hold", "", "is not a duration"),
        ("recovery_hold=0s", "", "is too short"),
    ],
)
def test_a_time_is_refused(
    text: str, host: str, told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """In a cluster always, elsewhere where it makes no sense."""
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", host)

    with pytest.raises(SystemExit):
        run(f"--test-time={text}")

    assert told in capsys.readouterr().err


def test_the_help_does_not_tell_of_it(capsys: pytest.CaptureFixture[str]) -> None:
    """It is no setting for people."""
    with pytest.raises(SystemExit):
        run("--help")

    assert "test-time" not in capsys.readouterr().out
