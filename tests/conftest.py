"""For all tests: how hard the generated ones try, and how many run at a time, in which order.

Generated tests try little by default; ``HYPOTHESIS_PROFILE=thorough`` is for long runs. With `--dist loadfile`
workers take whole files, or single tests of files whose tests share nothing, the long ones first, so that no worker is
left alone with one at the end.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, settings
from xdist.scheduler import LoadScopeScheduling

from tests.support.timetable import Clock, timetable

# pytest-asyncio 1.5 makes a loop for the main thread where none was ever set, and leaks it.
asyncio.set_event_loop(None)

_FIND = (Phase.explicit, Phase.reuse, Phase.generate)
"""Without shrinking, which takes minutes for a history; `thorough` does it."""
_SLOW = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)

settings.register_profile(
    "quick",
    max_examples=30,
    stateful_step_count=20,
    deadline=None,
    derandomize=True,
    phases=_FIND,
    suppress_health_check=_SLOW,
)
settings.register_profile(
    "thorough", max_examples=1000, stateful_step_count=40, deadline=None, suppress_health_check=_SLOW
)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "quick"))

# Order ------------------------------------------------------------------------------------------------------------

SECONDS = {
    "e2e/test_kill_points.py": 250,
    "e2e/test_releases.py": 240,
    "e2e/test_cli.py": 151,
    "e2e/test_restart.py": 150,
    "e2e/test_faults.py": 120,
    "e2e/test_drift.py": 100,
    "e2e/test_monitoring.py": 100,
    "e2e/test_incident.py": 98,
    "e2e/test_live.py": 84,
    "e2e/test_identity.py": 76,
    "e2e/test_source_controller.py": 76,
    "e2e/test_parent.py": 75,
    "e2e/test_rollback_faults.py": 66,
    "e2e/test_demo.py": 60,
    "core/test_injected_faults.py": 60,
    "playground/test_cluster.py": 57,
    "e2e/test_ending.py": 57,
    "manifests/test_image.py": 55,
    "e2e/test_story.py": 50,
    "e2e/test_flux_operator.py": 30,
    "e2e/test_deploy.py": 3,
    "e2e/test_endpoints.py": 2,
    "e2e/test_crd.py": 2,
    "core/test_guards_off.py": 1,
    "handlers": 10,
    "adapters": 5,
    "monitoring": 5,
    "cli": 5,
}
"""What a file, or one of a folder, takes; measured on two cores."""
SPREAD = {"core/test_guards_off.py"}
"""Files whose tests may run in several workers at once."""
USUAL = 40
"""What one takes that is not measured."""
MEMORY = 1.5
"""GiB that a worker needs, with a cluster of its own."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run the files that take longest first; within a file, and among equals, nothing moves."""
    items.sort(key=lambda item: -_seconds(item.path))


class Scheduling(LoadScopeScheduling):
    """Gives a worker the next whole file, or the next test of those in `SPREAD`."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return nodeid if file.removeprefix("tests/") in SPREAD else file


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling | None:
    """Take the place of `--dist loadfile`."""
    return Scheduling(config, log) if config.getvalue("dist") == "loadfile" else None


def _seconds(path: Path) -> int:
    name = path.relative_to(Path(__file__).parent).as_posix()
    return SECONDS.get(name, SECONDS.get(name.partition("/")[0], USUAL))


def pytest_xdist_auto_num_workers() -> int:
    """Count the workers of `-n auto`: one more than cores, as most tests wait, as far as memory goes."""
    return max(1, min((os.cpu_count() or 1) + 1, int(_available() / MEMORY)))


def _available() -> float:
    """GiB of memory that are available; plenty where that is not told."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return 16
    return next(int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")) / 2**20


# Measures ---------------------------------------------------------------------------------------------------------

MEASURED = "measured"
MANY = 300
"""Reports, three a test; of fewer pytest's own line is enough."""
BEGAN = Clock.now()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print what the tests measured, in whichever worker, and where the time went."""
    found = [report for reports in terminalreporter.stats.values() for report in reports]
    reports = [report for report in found if isinstance(report, pytest.TestReport)]
    ends = sorted((report for report in reports if report.when == "teardown"), key=lambda report: report.nodeid)
    if lines := [str(line) for report in ends for kind, line in report.user_properties if kind == MEASURED]:
        _print(terminalreporter, "measured", lines)
    if len(reports) > MANY:
        _print(terminalreporter, "where the time went", timetable(reports, BEGAN, Clock.now()))


def _print(terminal: pytest.TerminalReporter, title: str, lines: Iterable[str]) -> None:
    terminal.section(title)
    terminal.write("".join(f"{line}\n" for line in lines))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Take a line to be printed at the end of the session."""
    return lambda line: request.node.user_properties.append((MEASURED, line))
