"""One program that runs in the background: its log, its signals, its end.

Each program leads a process group of its own, so that Ctrl-C in a terminal reaches only the playground, which
then stops the programs in order, and so that a program's own children go with it.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

TETHER = Path(__file__).with_name("tether.py")
SHOWN_LOG_LINES = 20


class ProcessDiedError(Exception):
    """A program ended although it should be running."""

    def __init__(self, name: str, code: int, log: Path) -> None:
        self.name = name
        self.code = code
        """The exit code; negative if a signal ended it."""
        self.log = log
        tail = "\n".join(f"  | {line}" for line in last_lines(log, SHOWN_LOG_LINES))
        super().__init__(f"{name} ended with code {code}; the end of its log {log}:\n{tail}")


class Starter:
    """The one thread that starts programs, and with whose end the kernel kills them.

    It lives until `close`, until the interpreter exits, or until the process is killed.
    """

    def __init__(self) -> None:
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="playground-starter")

    def start(
        self, argv: Sequence[str], *, env: Mapping[str, str], log: Path, cwd: Path | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a program with its output appended to `log`."""
        with log.open("ab") as output:
            return self._thread.submit(
                subprocess.Popen,
                tethered(argv),
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            ).result()

    def close(self) -> None:
        """End the thread; the kernel kills what it started and still runs."""
        self._thread.shutdown()


class Process:
    """A program that can be started, stopped, frozen and started again with the same arguments."""

    def __init__(
        self, name: str, argv: Sequence[str], *, env: Mapping[str, str], log: Path, starter: Starter
    ) -> None:
        self.name = name
        self.argv = tuple(argv)
        self.log = log
        self._env = env
        self._starter = starter
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The process id, or None while it does not run."""
        return self._popen.pid if self._popen is not None and self._popen.poll() is None else None

    def start(self) -> None:
        """Start it; nothing happens if it runs already."""
        if self.pid is None:
            self._popen = self._starter.start(self.argv, env=self._env, log=self.log)

    def check(self) -> None:
        """Raise `ProcessDiedError` if it was started and has ended by itself."""
        if self._popen is not None and self._popen.poll() is not None:
            raise ProcessDiedError(self.name, self._popen.returncode, self.log)

    def pause(self) -> None:
        """Freeze it: its connections stay open and nothing answers (SIGSTOP)."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let it run on after `pause` (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def stop(self, grace: float = 10.0) -> None:
        """Ask it to end (SIGTERM), and kill it after `grace` seconds; 0 kills at once. Once is enough."""
        if self._popen is None:
            return
        if grace > 0:
            self._signal(signal.SIGTERM)
            # A frozen process cannot handle SIGTERM.
            self._signal(signal.SIGCONT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._popen.wait(grace)
        self._signal(signal.SIGKILL)
        self._popen.wait()
        self._popen = None

    def kill(self) -> None:
        """Send SIGKILL without waiting for the end; `stop` collects it."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        # poll() first: the id of a collected process may belong to somebody else by now.
        if self._popen is not None and self._popen.poll() is None:
            os.killpg(self._popen.pid, number)


def tethered(argv: Sequence[str]) -> list[str]:
    """Return the command that runs `argv` until the thread that starts it ends."""
    return [sys.executable, "-I", "-S", str(TETHER), str(os.getpid()), *argv]


def last_lines(log: Path, count: int) -> list[str]:
    """Return the last lines of a log, at most `count`, from its last 64 KiB; none if there is no log."""
    try:
        with log.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - 65_536))
            return file.read().decode(errors="replace").splitlines()[-count:]
    except FileNotFoundError:
        return []
