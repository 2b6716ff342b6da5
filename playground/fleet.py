"""All programs of one cluster: started together, waited for, stopped together."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Self

from playground.component import Component
from playground.health import Health
from playground.process import Process, Starter
from playground.waiting import wait_until

START_TIMEOUT = 120.0
"""Seconds for a component to become ready; generous, for a machine that is busy with something else."""


class AbandonedError(Exception):
    """The start was given up, because something else failed or a person interrupted it."""


class Fleet:
    """The programs by name; leaving the context kills those that run."""

    def __init__(
        self,
        components: Sequence[Component],
        *,
        programs: Path,
        extra_args: Mapping[str, Sequence[str]],
        environment: Mapping[str, str],
        directory: Path,
        certificate: Path,
    ) -> None:
        """`directory` takes the logs; `certificate` is what HTTPS health endpoints are checked against."""
        self._starter = Starter()
        self._health = Health(certificate)
        self._abandoned = threading.Event()
        self._directory = directory
        self._arguments = {each.name: [*each.arguments, *extra_args.get(each.name, ())] for each in components}
        self._urls = {component.name: component.health for component in components}
        self._processes = {
            component.name: Process(
                component.name,
                [str(programs / component.name), *self._arguments[component.name]],
                env={**environment, **component.environment},
                log=directory / f"{component.name}.log",
                starter=self._starter,
            )
            for component in components
        }

    @property
    def names(self) -> Sequence[str]:
        """The names of all programs."""
        return tuple(self._processes)

    def arguments(self, name: str) -> Sequence[str]:
        """Return what one program is started with."""
        return self._arguments[name]

    def process(self, name: str) -> Process:
        """Return one program. Raises `KeyError` if it is not part of this cluster."""
        return self._processes[name]

    def start(self, *names: str) -> None:
        """Start programs at the same time and wait until every one is ready.

        Raises `ProcessDiedError` if one ends, `WaitTimeoutError` if one takes too long.
        """
        for name in names:
            self._processes[name].start()
        for name in names:
            process, url = self._processes[name], self._urls[name]
            self._wait([process], partial(self._health.is_ready, url), f"{name} at {url} (log: {process.log})")

    def wait_until(self, predicate: Callable[[], bool], what: str) -> None:
        """Wait for something that needs all programs; if one dies meanwhile, raise `ProcessDiedError`."""
        self._wait(self._processes.values(), predicate, f"{what} (logs: {self._directory})")

    def _wait(self, needed: Iterable[Process], predicate: Callable[[], bool], what: str) -> None:
        def alive_and_true() -> bool:
            if self._abandoned.is_set():
                raise AbandonedError(f"no longer waiting for {what}")
            for process in needed:
                process.check()
            return predicate()

        wait_until(alive_and_true, START_TIMEOUT, what)

    def check(self) -> None:
        """Raise `ProcessDiedError` if a program has ended by itself."""
        for process in self._processes.values():
            process.check()

    def abandon(self) -> None:
        """Make every `start` and `wait_until` in other threads end soon with `AbandonedError`."""
        self._abandoned.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        # Killed at once, since the state is thrown away: nothing needs time to save it.
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.stop(grace=0)
        self._starter.close()
