"""Run a program that dies with the process that started it.

A script of its own, started as `python -I -S tether.py PARENT_PID PROGRAM ARGUMENTS...`: it asks the kernel to
be killed when its parent dies, then becomes the program. The wish survives `exec`. A SIGKILL of the parent,
which nothing can catch, therefore leaves nothing running. Only Linux offers this; elsewhere the program is
stopped on every orderly end of the parent, but not on a SIGKILL of it.

The kernel counts the death of the *thread* that forked as the death of the parent, so the starter must be a
thread that lives as long as the programs should (`playground.process.Starter`).
"""

from __future__ import annotations

import os
import signal
import sys

PR_SET_PDEATHSIG = 1
PROGRAM_NOT_STARTED = 127


def main(arguments: list[str]) -> int:
    """Tie this process to its parent, then become the program."""
    parent, program = int(arguments[0]), arguments[1:]
    if sys.platform == "linux":
        import ctypes  # noqa: PLC0415 - only Linux needs it, and it is most of this script's start time

        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        # The parent died before the kernel knew our wish.
        return PROGRAM_NOT_STARTED
    try:
        os.execv(program[0], program)  # noqa: S606 - becoming the program is the point; no shell is wanted
    except OSError as error:
        sys.stderr.write(f"cannot run {program[0]}: {error}\n")
    return PROGRAM_NOT_STARTED


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
