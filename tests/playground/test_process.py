"""Programs in the background end when they should, and at the latest with us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.process import Process, ProcessDiedError, Starter, last_lines
from playground.waiting import wait_until

ROOT = Path(__file__).parents[2]
FOREVER = ["/bin/sh", "-c", "echo started; exec sleep 1000"]
STUBBORN = ["/bin/sh", "-c", "trap '' TERM; echo started; while :; do sleep 1000; done"]


def state_of(pid: int) -> str:
    """The kernel's letter for a process; X if there is none."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


@pytest.fixture
def starter() -> Iterator[Starter]:
    starter = Starter()
    yield starter
    starter.close()


def process(starter: Starter, folder: Path, argv: list[str]) -> Process:
    return Process("program", argv, env={"PATH": os.defpath}, log=folder / "program.log", starter=starter)


def started(starter: Starter, folder: Path, argv: list[str]) -> tuple[Process, int]:
    """Start a program and wait until it really is that program, not the wrapper before it."""
    program = process(starter, folder, argv)
    program.start()
    wait_until(lambda: "started" in "".join(last_lines(program.log, 5)), 60, "the program to say so")
    assert program.pid is not None
    return program, program.pid


def test_a_program_stops_and_starts_again(starter: Starter, tmp_path: Path) -> None:
    """Stopping ends it, a second stop does nothing, starting again makes a new process."""
    program, first = started(starter, tmp_path, FOREVER)

    program.stop()
    program.stop()
    assert program.pid is None
    assert state_of(first) == "X"
    program.start()

    assert program.pid not in (None, first)
    program.stop()


def test_a_program_that_ignores_sigterm_is_killed(starter: Starter, tmp_path: Path) -> None:
    """After the grace time SIGKILL follows, also for a child of the program."""
    program, pid = started(starter, tmp_path, STUBBORN)

    program.stop(grace=0.2)

    assert state_of(pid) in "XZ"


def test_a_frozen_program_can_be_resumed_and_stopped(starter: Starter, tmp_path: Path) -> None:
    """Pause is SIGSTOP, resume SIGCONT; stopping works from the frozen state."""
    program, pid = started(starter, tmp_path, FOREVER)

    program.pause()
    wait_until(lambda: state_of(pid) == "T", 60, "the program to freeze")
    program.resume()
    wait_until(lambda: state_of(pid) != "T", 60, "the program to run on")
    program.pause()
    program.stop()

    assert state_of(pid) == "X"


def test_a_program_that_dies_shows_the_end_of_its_log(starter: Starter, tmp_path: Path) -> None:
    """The error has the exit code, the last lines and the path of the log."""
    program = process(starter, tmp_path, ["/bin/sh", "-c", "echo no such flag; exit 3"])
    program.start()

    with pytest.raises(ProcessDiedError, match="no such flag") as caught:
        wait_until(program.check, 60, "the program to die")

    assert caught.value.code == 3
    assert str(program.log) in str(caught.value)


def test_a_program_that_does_not_exist_says_so(starter: Starter, tmp_path: Path) -> None:
    """The wrapper reports what it could not run."""
    program = process(starter, tmp_path, ["/nowhere/etcd"])
    program.start()

    with pytest.raises(ProcessDiedError, match="cannot run /nowhere/etcd"):
        wait_until(program.check, 60, "the program to die")


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux kills children with their parent")
def test_programs_die_when_their_parent_is_killed(tmp_path: Path) -> None:
    """SIGKILL of the process that started them leaves nothing running."""
    code = (
        "import os, signal; from pathlib import Path; from playground.process import Process, Starter\n"
        "starter = Starter()\n"
        f"program = Process('p', {FOREVER!r}, env={{'PATH': os.defpath}},"
        f" log=Path({str(tmp_path)!r}) / 'log', starter=starter)\n"
        "program.start(); print(program.pid, flush=True); signal.pause()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )
    with parent:
        assert parent.stdout is not None
        child = int(parent.stdout.readline())
        wait_until(lambda: "started" in "".join(last_lines(tmp_path / "log", 5)), 60, "the program to start")
        parent.send_signal(signal.SIGKILL)

    wait_until(lambda: state_of(child) in "XZ", 60, "the child to die")


def test_the_end_of_a_long_log_is_short(tmp_path: Path) -> None:
    """Only the last lines are read, and a log that does not exist has none."""
    log = tmp_path / "log"
    log.write_text("".join(f"line {number}\n" for number in range(50_000)))

    assert last_lines(log, 2) == ["line 49998", "line 49999"]
    assert last_lines(tmp_path / "none", 2) == []
