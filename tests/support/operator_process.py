"""The operator as a process of its own, with exactly the rights of the deployed one."""

from __future__ import annotations

import contextlib
import os
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

from playground.cache import cache_directory
from playground.cluster import Cluster
from playground.port import reserve
from playground.process import Process, Starter, last_lines
from playground.waiting import wait_until

ACCOUNT = "reconciliation-contract"
"""Namespace and name of the service account in `deploy/`."""
START = 60.0
"""Seconds to become ready; it takes two on an idle machine."""
PASSED_ON = ("PATH", "LANG", "HOME", "TMPDIR", "PYTHONPATH")


class OperatorProcess:
    """`reconciliation-contract run`; it can be stopped, killed and started again on the same ports."""

    def __init__(self, process: Process, health: str, metrics: str) -> None:
        self._process = process
        self.health = health
        """URL of the probes, without a slash at its end."""
        self.metrics = metrics
        """URL of the metrics, without a slash at its end."""

    @property
    def log(self) -> Path:
        """Its log file, from the first start on."""
        return self._process.log

    @property
    def pid(self) -> int | None:
        """The process id, or None while it does not run."""
        return self._process.pid

    def start(self) -> None:
        """Start it and wait until it is ready."""
        self.launch()
        self.wait_ready()

    def launch(self) -> None:
        """Start it without waiting."""
        self._process.start()

    def wait_ready(self) -> None:
        """Wait until /readyz says so; raises `ProcessDiedError` if it ends instead."""

        def ready() -> bool:
            self._process.check()
            return fetch(f"{self.health}/readyz")[0] == 200

        wait_until(ready, START, f"the operator to be ready (log: {self.log})")

    def stop(self) -> None:
        """Stop it as a rollout does."""
        self._process.stop()

    def kill(self) -> None:
        """Kill it at once; it cannot finish anything."""
        self._process.stop(grace=0)

    def check(self) -> None:
        """Raise `ProcessDiedError` if it ended by itself."""
        self._process.check()

    def tail(self, lines: int = 40) -> str:
        """The end of its log."""
        return "\n".join(last_lines(self.log, lines))

    def sample(self, name: str, /, **labels: str) -> float | None:
        """The value of one metric; None where there is no such series."""
        for line in fetch(f"{self.metrics}/metrics")[1].splitlines():
            series, _, value = line.rpartition(" ")
            found, _, rest = series.partition("{")
            if found == name and all(f'{key}="{text}"' in rest for key, text in labels.items()):
                return float(value)
        return None


class StartOperator(Protocol):
    """Starts an operator with more arguments and waits until it is ready; it ends with the test."""

    def __call__(self, *arguments: str) -> OperatorProcess: ...


def fetch(url: str) -> tuple[int, str]:
    """Status and text of a URL on loopback; status 0 where nothing answers."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=5) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()
    except OSError as error:
        return 0, str(error)


@contextlib.contextmanager
def operator_process(
    cluster: Cluster, log: Path, *arguments: str, kubeconfig: Path | None = None
) -> Iterator[OperatorProcess]:
    """An operator that is not started yet; it ends with the context, or with this process."""
    with contextlib.ExitStack() as stack:
        ports = stack.enter_context(reserve(cache_directory() / "ports", ("health", "metrics")))
        starter = Starter()
        stack.callback(starter.close)
        addresses = {name: f"127.0.0.1:{port}" for name, port in ports.items()}
        kubeconfig = kubeconfig or cluster.token_kubeconfig(ACCOUNT, ACCOUNT)
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        process = Process(
            "reconciliation-contract",
            _command(addresses, arguments),
            env={**passed_on, "KUBECONFIG": str(kubeconfig)},
            log=log,
            starter=starter,
        )
        stack.callback(process.stop)
        yield OperatorProcess(process, f"http://{addresses['health']}", f"http://{addresses['metrics']}")


def _command(addresses: dict[str, str], arguments: Sequence[str]) -> list[str]:
    program = Path(sys.executable).with_name("reconciliation-contract")
    listen = [f"--{name}-listen={address}" for name, address in addresses.items()]
    return [str(program), "run", "--allow-local-git", "--artifact-server=127.0.0.1", *listen, *arguments]
