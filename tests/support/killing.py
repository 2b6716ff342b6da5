"""An operator that is killed at chosen writes, by a proxy between it and the API server."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from playground.cluster import Cluster
from playground.process import ProcessDiedError
from tests.support.api_server_proxy import Fault, Passing, Proxy, Rule
from tests.support.operator_process import ACCOUNT, OperatorProcess, operator_process

Points = Mapping[str, tuple[str, bool]]
"""By the name of its contract: the write, and whether it is done when the operator dies."""


def points(acts: Sequence[str], prefix: str = "") -> Points:
    """Before and after each write, each with a contract of its own."""
    return {
        f"{prefix}{'after' if done else 'before'}-{act.lower().replace(' ', '-')}": (act, done)
        for act in acts
        for done in (False, True)
    }


class Killer:
    """Kills the operator at the point of each contract, once, and starts it again."""

    def __init__(self, points: Points) -> None:
        self._points = points
        self.operator: OperatorProcess | None = None
        self.sprung: set[str] = set()
        self._dead = threading.Event()

    def rule(self, passing: Passing) -> Fault | None:
        """Die at this contract's own write, unless that has happened already."""
        act, done = self._points.get(passing.contract, ("", False))
        if self._dead.is_set():
            return Fault()  # what the dying operator still sends does not arrive
        if passing.act != act or passing.contract in self.sprung:
            return None
        self.sprung.add(passing.contract)
        return Fault(done=done)

    def kill(self) -> None:
        """Kill the operator at once: it finishes nothing."""
        self._dead.set()
        if self.operator and self.operator.pid:
            os.kill(self.operator.pid, signal.SIGKILL)

    def revive(self) -> None:
        """Start the operator again if it is dead; where it dies again before it is ready, the next call does."""
        if self._dead.is_set() and self.operator:
            self.operator.kill()
            self._dead.clear()
            with suppress(ProcessDiedError):
                self.operator.start()


@contextmanager
def through_proxy(cluster: Cluster, folder: Path, rule: Rule, kill: Callable[[], None]) -> Iterator[OperatorProcess]:
    """The operator, started, with the proxy between it and the API server."""
    with ExitStack() as stack:
        proxy = stack.enter_context(Proxy(cluster.token_kubeconfig(ACCOUNT, ACCOUNT), rule, kill))
        kubeconfig = proxy.kubeconfig(folder / "kubeconfig")
        # Contracts that fail side by side are the test's doing, not an outage.
        process = operator_process(cluster, folder / "operator.log", "--fleet-brake=0", kubeconfig=kubeconfig)
        operator = stack.enter_context(process)
        operator.start()
        yield operator
