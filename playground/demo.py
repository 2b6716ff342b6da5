"""`python -m playground demo`: the story on a cluster of its own, told as it happens and checked as it is told."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import ExitStack
from types import FrameType
from typing import TextIO

from rich.console import Console

from playground.api_client import ApiError
from playground.binaries import BrokenBuildError
from playground.cluster import Cluster, KubectlError
from playground.compilation import BuildError
from playground.git_command import GitError
from playground.port import NoFreePortsError
from playground.process import Process, ProcessDiedError
from playground.story import evidence, setting
from playground.story.failure import StepFailed, explain
from playground.story.narrator import NarratedProgress, Narrator, Plain
from playground.story.play import play
from playground.story.scene import NAMESPACE, Scene
from playground.story.step import Outcome
from playground.story.steps import STEPS
from playground.story.summary import summarise
from playground.story.terminal import Terminal
from playground.toolchain import NoGoError
from playground.waiting import WaitTimeoutError

INTERRUPTED = 130
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
FAILURES = (
    StepFailed,
    ApiError,
    KubectlError,
    GitError,
    ProcessDiedError,
    WaitTimeoutError,
    BuildError,
    BrokenBuildError,
    NoGoError,
    NoFreePortsError,
    OSError,
)
"""What can go wrong with the story; anything else is a bug of the demo and shows its traceback."""
PROLOGUE = (
    "Real Kubernetes and real Flux, as processes on this machine. The pods are fake.",
    "The operator runs beside them, with the rights of deploy/ and two opt-ins, live",
    "and validation.",
    "The promises are the defaults. The rest is quicker than usual: the source looks",
    "at Git every 3 s, a failed commit is tried again after 3 s, a rollout fails",
    "after 5 s without progress, 2 failures (not 3) bring the rollback, and 2 s",
    "(not 30) without trouble prove a revision good. Times run from the commit, of",
    "which Git keeps whole seconds: they may be up to 1 s too long.",
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Tell the story; return 0 only if every step of it happened."""
    options = _parser().parse_args(arguments)
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    try:
        return Demo(choose_narrator(sys.stdout, os.environ.get("TERM", "")), keep=options.keep).run()
    except KeyboardInterrupt:
        print("\nInterrupted. Everything that the demo started is stopped.", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:
        # The reader of our output has gone; without this the interpreter would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


class Demo:
    """One telling of the story."""

    def __init__(self, narrator: Narrator, *, keep: bool) -> None:
        self._narrator = narrator
        self._keep = keep
        self._doing = "starting the cluster"
        self._cluster: Cluster | None = None
        self._operator: Process | None = None

    def run(self) -> int:
        """Start the cluster, tell the story, stop everything; return the exit code."""
        with ExitStack() as stack:
            try:
                self._introduce()
                self._tell(self._start(stack), stack)
                code = 0
            except BrokenPipeError:
                raise
            except FAILURES as error:
                self._explain(error)
                code = 1
            if self._keep and self._cluster is not None:
                code = max(code, self._hold(self._cluster))
            return code

    def _introduce(self) -> None:
        self._narrator.title("Reconciliation Contract: the demo")
        for line in PROLOGUE:
            self._narrator.say(line)

    def _start(self, stack: ExitStack) -> Cluster:
        with self._narrator.busy("Starting the cluster") as busy:
            self._cluster = stack.enter_context(Cluster(progress=NarratedProgress(self._narrator, busy)))
        return self._cluster

    def _tell(self, cluster: Cluster, stack: ExitStack) -> None:
        began = time.monotonic()
        scene = self._set(cluster, stack)
        outcomes: list[Outcome] = []
        for number, step in enumerate(STEPS, 1):
            self._doing = f"step {number} of {len(STEPS)}, {step.title}"
            self._narrator.chapter(f"Step {number} of {len(STEPS)}: {step.title}", step.scenario)
            outcomes.append(play(step, scene, self._narrator))
            self._narrator.conclude(f"Step {number} of {len(STEPS)} happened as promised.")
        summarise(outcomes, time.monotonic() - began, self._narrator)

    def _set(self, cluster: Cluster, stack: ExitStack) -> Scene:
        self._doing = "setting the scene"
        with self._narrator.busy("Applying deploy/: the CRD, the roles, the Deployment"):
            setting.deploy(cluster)
        with self._narrator.busy("Starting the operator with the token of its service account"):
            self._operator = stack.enter_context(setting.operator(cluster))
        return setting.open_scene(cluster, self._operator, self._narrator)

    def _explain(self, error: Exception) -> None:
        """Tell what failed, and keep what helps to find out why."""
        if self._cluster is None:
            self._narrator.failure(explain(self._doing, error, (), None))
        else:
            status = evidence.said(self._cluster)
            self._narrator.failure(explain(self._doing, error, status, evidence.keep(self._cluster)))

    def _hold(self, cluster: Cluster) -> int:
        """Leave everything running until Ctrl-C, or until a part of it ends, which is a failure."""
        self._narrator.chapter("Kept running", "The cluster and the operator run until Ctrl-C.")
        commands = f"export KUBECONFIG={cluster.kubeconfig}\n{cluster.kubectl} get fluxcd -n {NAMESPACE}"
        self._narrator.block("To look around:", commands, "shell")
        enough = threading.Event()
        try:
            while not enough.wait(1):
                cluster.check()
                if self._operator is not None:
                    self._operator.check()
        except KeyboardInterrupt:
            self._narrator.say("Stopping ...")
        except ProcessDiedError as error:
            self._narrator.failure(explain("keeping the cluster", error, (), None))
            return 1
        return 0


def choose_narrator(stream: TextIO, terminal: str) -> Narrator:
    """Return the live face for a terminal of that kind (`TERM`), the plain one for anything that is none."""
    if stream.isatty() and terminal not in ("", "dumb", "unknown"):
        return Terminal(Console(file=stream, highlight=False))
    return Plain(stream)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m playground demo",
        description="Five commits on a real local cluster: new resources, an update, a deletion, a release that"
        " never becomes ready and is rolled back, and the fix. Takes about a minute and a half.",
        epilog="The first use builds the cluster's programs with Go: 8 to 10 minutes.",
    )
    parser.add_argument("--keep", action="store_true", help="leave the cluster running at the end, until Ctrl-C")
    return parser


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """End the story; a second signal must not disturb the cleaning up that follows."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt
