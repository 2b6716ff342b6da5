"""One real cluster for each worker, and the operator in it with the deployed account's rights.

Most tests share one operator, as the contracts of a cluster do. Tests that stop operators start their own: then the
shared one rests. What a test changes for the whole cluster, its fixture puts back: files run in any order.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_account import validating
from tests.support.flux_objects import CRD, Workspace, new_namespace
from tests.support.operator_process import OperatorProcess, StartOperator, operator_process

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / "deploy"
PODINFO = HERE.parents[2] / "shared" / "data" / "podinfo"
OPERATORS = pytest.StashKey[list[OperatorProcess]]()
FIRST_START = 1800
"""Seconds for a test; the first cluster on a machine builds its programs."""


# Hooks ----------------------------------------------------------------------------------------------------------


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give the tests here the time that building the cluster may take."""
    for item in items:
        if HERE in item.path.parents and item.get_closest_marker("timeout") is None:
            item.add_marker(pytest.mark.timeout(FIRST_START))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the logs of the operators of a test that failed."""
    report = yield
    if report.failed:
        for operator in item.stash.get(OPERATORS, []):
            report.sections.append((f"end of {operator.log}", operator.tail(80)))
    return report


# Cluster --------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    """A control plane, Flux and a Git server, with the CRD and everything in `deploy/`."""
    with Cluster() as running:
        running.kubectl_run("apply", "-k", str(DEPLOY))
        wait_until(lambda: running.api.find(f"{CRD}?limit=1"), 30, "the contracts to be served")
        yield running


@pytest.fixture
def workspace(cluster: Cluster) -> Iterator[Workspace]:
    """The test's own namespace, with what is written into it and waited for there."""
    with new_namespace(cluster) as found:
        yield found


@pytest.fixture
def namespace(workspace: Workspace) -> str:
    """The name of the test's own namespace."""
    return workspace.namespace


@pytest.fixture
def validation(cluster: Cluster) -> Iterator[None]:
    """The opt-in to try manifests as Flux would apply them."""
    with validating(cluster):
        yield


# Operators ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator that most tests share; not started yet."""
    with operator_process(cluster, tmp_path_factory.mktemp("operator") / "shared.log") as process:
        yield process


@pytest.fixture
def operator(request: pytest.FixtureRequest, shared: OperatorProcess) -> Iterator[OperatorProcess]:
    """The shared operator, ready, with exactly the rights of the deployed service account."""
    request.node.stash[OPERATORS] = [shared]
    shared.start()
    yield shared
    shared.check()


@pytest.fixture
def start_operator(
    request: pytest.FixtureRequest, cluster: Cluster, shared: OperatorProcess, tmp_path: Path
) -> Iterator[StartOperator]:
    """Start operators of the test's own, while the shared one rests."""
    shared.stop()
    numbers = itertools.count(1)
    operators = request.node.stash[OPERATORS] = []
    with ExitStack() as stack:

        def start(*arguments: str) -> OperatorProcess:
            log = tmp_path / f"operator-{next(numbers)}.log"
            operators.append(stack.enter_context(operator_process(cluster, log, *arguments)))
            operators[-1].start()
            return operators[-1]

        yield start
