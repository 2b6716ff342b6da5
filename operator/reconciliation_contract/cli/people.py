"""``flux-contract`` and ``kubectl-contract``: the command line for people, one program with two names.

Flux runs ``flux-contract`` as ``flux contract``, kubectl runs ``kubectl-contract`` as ``kubectl contract``.
"""

from __future__ import annotations

import os
import sys
from argparse import Namespace
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import PurePath
from typing import Final

from reconciliation_contract.cli.client import kubeconfig
from reconciliation_contract.cli.client.connection import Connection
from reconciliation_contract.cli.client.errors import Exit, Misuse, Problem
from reconciliation_contract.cli.commands.arguments import parser
from reconciliation_contract.cli.commands.completion import COMPLETE, complete
from reconciliation_contract.cli.commands.session import Console, Session
from reconciliation_contract.cli.view.terminal import Screen, clean

_OTHERWISE: Final = {"wait": Exit.CANNOT_TELL, "validate": Exit.UNTRIED}
"""How a command ends that could not do its work, where 1 means something else."""
_PROGRAMS: Final = {"kubectl-contract": "kubectl contract"}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    program = _program()
    try:
        if words[:1] and words[0] in COMPLETE:
            print("\n".join(complete(words[1:], program)))
            return Exit.DONE
        return run(parser(program).parse_args(words), program)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except BrokenPipeError:
        # The reader has seen enough; nothing may be written to it at the end either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE


def run(arguments: Namespace, program: str) -> int:
    """Run one command against the cluster that it names."""
    try:
        place = kubeconfig.find(arguments.kubeconfig, arguments.context)
        namespace = arguments.namespace or place.namespace
        session = Session(Connection(place.access), namespace, _console(), program, lambda: datetime.now(UTC))
        code: Exit = arguments.run(session, arguments)
    except Misuse as misuse:
        return _complain(program, misuse, Exit.USAGE)
    except Problem as problem:
        return _complain(program, problem, _OTHERWISE.get(arguments.command, Exit.FAILED))
    return code


def _complain(program: str, problem: Problem, code: Exit) -> Exit:
    print(f"{program}: {clean(str(problem))}", file=sys.stderr)
    return code


def _console() -> Console:
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    screens = (Screen.of(stream, os.environ) for stream in (sys.stdout, sys.stderr))
    return Console(sys.stdout, sys.stderr, sys.stdin, *screens)


def _program() -> str:
    """How this program is called, to be repeated in what it advises."""
    name = PurePath(sys.argv[0]).name.removesuffix(".exe")
    return _PROGRAMS.get(name, "flux-contract")


if __name__ == "__main__":
    sys.exit(main())
