"""One real cluster for the whole session, and the operator in it with the deployed account's rights.

Most tests share one operator, as the contracts of a cluster do, and the sixteen releases of `test_releases` are
delivered beside them. Tests that stop operators start their own: then the shared one rests.
"""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import pytest

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.support.flux_objects import CRD, Workspace, new_namespace
from tests.support.flux_objects_releases import Releases, deliver
from tests.support.operator_process import ACCOUNT, OperatorProcess, StartOperator, operator_process

HERE = Path(__file__).parent
DEPLOY = HERE.parents[1] / "deploy"
PODINFO = HERE.parents[2] / "shared" / "data" / "podinfo"
BINDING = f"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/{ACCOUNT}-act"
MEASURED = pytest.StashKey[list[str]]()
OPERATORS = pytest.StashKey[list[OperatorProcess]]()
DELIVERIES = pytest.StashKey[Future[Releases]]()
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


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Print what the tests measured."""
    if lines := config.stash.get(MEASURED, []):
        terminalreporter.section("measured")
        terminalreporter.write("".join(f"{line}\n" for line in lines))


@pytest.fixture
def measured(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Take a line to be printed at the end of the session."""
    return request.config.stash.setdefault(MEASURED, []).append


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
def rights(cluster: Cluster) -> None:
    """The deployed account may act, even if another test took that right away."""
    if cluster.api.find(BINDING) is None:
        cluster.kubectl_run("apply", "-k", str(DEPLOY))


# Operators ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def shared(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[OperatorProcess]:
    """The operator that most tests share; not started yet."""
    with operator_process(cluster, tmp_path_factory.mktemp("operator") / "shared.log") as process:
        yield process


@pytest.fixture
def operator(request: pytest.FixtureRequest, rights: None, shared: OperatorProcess) -> Iterator[OperatorProcess]:
    """The shared operator, ready, with exactly the rights of the deployed service account."""
    request.node.stash[OPERATORS] = [shared]
    shared.start()
    wanted = any("deliveries" in getattr(item, "fixturenames", ()) for item in request.session.items)
    if wanted and PODINFO.is_dir():
        # They take minutes: begin with the first test.
        request.getfixturevalue("deliveries")
    yield shared
    shared.check()


@pytest.fixture
def start_operator(
    request: pytest.FixtureRequest, rights: None, cluster: Cluster, shared: OperatorProcess, tmp_path: Path
) -> Iterator[StartOperator]:
    """Start operators of the test's own, while the shared one rests."""
    if under_way := request.config.stash.get(DELIVERIES, None):
        under_way.exception()
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


# Long work beside the tests -------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def deliveries(
    request: pytest.FixtureRequest, cluster: Cluster, shared: OperatorProcess
) -> Iterator[Future[Releases]]:
    """The sixteen releases of podinfo, delivered in the background."""
    if not PODINFO.is_dir():
        pytest.skip(f"the releases are not at {PODINFO.relative_to(HERE.parents[2])} beside the repository")
    stop = threading.Event()
    shared.start()
    with new_namespace(cluster) as workspace, ThreadPoolExecutor(1, "deliveries") as pool:
        under_way = request.config.stash[DELIVERIES] = pool.submit(deliver, workspace, PODINFO, stop)
        yield under_way
        stop.set()
