"""The command line's grammar."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Final, NoReturn

from reconciliation_contract.api.duration import InvalidDuration, parse_duration
from reconciliation_contract.cli.client.errors import Exit
from reconciliation_contract.cli.commands import read, request
from reconciliation_contract.cli.commands.session import Session
from reconciliation_contract.cli.commands.validate import validate
from reconciliation_contract.cli.view.check_reports import FORMATS

Command = Callable[[Session, argparse.Namespace], Exit]

EPILOG: Final = """\
What people ask for is written as annotations of the contract, so rights, audit and history apply to it.

exit statuses:
  0    done; for wait: the promises are kept
  1    it could not be done; for wait: a promise was broken, or the revision was rolled back;
       for validate: a manifest is refused
  2    timed out; for validate: it cannot be told (no flux-build, no access to the cluster)
  3    only wait: it cannot be told (no such contract, no access to the cluster)
  64   the command line makes no sense
  130  interrupted
"""
_DEFAULTS: Final = {"quick": timedelta(seconds=30), "act": timedelta(minutes=5), "wait": timedelta(minutes=10)}


class Parser(argparse.ArgumentParser):
    """A parser whose complaints end with 64, for 2 means that waiting timed out."""

    def error(self, message: str) -> NoReturn:
        """Say what makes no sense, and end."""
        self.exit(Exit.USAGE, f"{self.prog}: {message}\nSee '{self.prog} --help'.\n")


def parser(program: str) -> Parser:
    """Describe the command line; ``program`` is how it is called."""
    found = Parser(
        prog=program,
        description="See how Flux keeps the promises of ReconciliationContracts, and step in.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    found.add_argument("--version", action="version", version=f"%(prog)s {version('reconciliation-contract')}")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND", title="commands")
    _looking(commands)
    _stepping_in(commands)
    _before_a_merge(commands)
    return found


# Commands ----------------------------------------------------------------------------------------------------------

Commands = argparse._SubParsersAction  # noqa: SLF001 - argparse has no public name for it


def _looking(commands: Commands[Parser]) -> None:
    get = _command(commands, "get", read.get, "show contracts, or one of them in full", name_needed=False)
    get.add_argument("name", nargs="?", metavar="NAME", help="show this one in full")
    get.add_argument("-A", "--all-namespaces", action="store_true", help="those of all namespaces")
    get.add_argument("-w", "--watch", action="store_true", help="go on with what changes")
    _output(get)
    history = _command(commands, "history", read.history, "show the last deliveries of a contract")
    _output(history)
    wait = _command(commands, "wait", read.wait, "wait until a contract is ready, or a revision healthy")
    wait.add_argument(
        "--for",
        dest="condition",
        nargs="+",
        metavar=("WHAT", "COMMIT"),
        help="'ready' (default), or 'healthy COMMIT': every promise about that commit is kept",
    )
    _timeout(wait, "wait")
    reconcile = _command(commands, "reconcile", read.reconcile, "have the operator look at a contract now")
    _waiting(reconcile, "quick")


def _stepping_in(commands: Commands[Parser]) -> None:
    rollback = _command(commands, "rollback", request.rollback, "go back to a revision that was healthy")
    rollback.add_argument("--to", metavar="COMMIT", help="where to (default: the last good revision)")
    rollback.add_argument("-y", "--yes", action="store_true", help="do not ask for confirmation")
    _why(rollback, required=True)
    _waiting(rollback, "act")
    for name, command, text in (
        ("approve", request.approve, "let a proposed rollback begin"),
        ("release", request.release, "end a rollback, or decline a proposed one"),
    ):
        found = _command(commands, name, command, text)
        _why(found, required=False)
        _waiting(found, "act")
    hold = _command(commands, "hold", request.hold, "keep a rollback even when a new commit arrives")
    _why(hold, required=True)
    unhold = _command(commands, "unhold", request.unhold, "let a new commit end the rollback again")
    forget = _command(commands, "forget", request.forget, "count a revision as bad no more")
    forget.add_argument("revision", metavar="COMMIT", help="the revision that was rolled back from")
    _why(forget, required=False)
    pause = _command(commands, "pause", request.pause, "let no rollback begin by itself for a while")
    end = pause.add_mutually_exclusive_group(required=True)
    end.add_argument("--for", dest="duration", type=duration, metavar="DURATION", help="for so long, such as 2h")
    end.add_argument("--until", type=moment, metavar="TIME", help="until then, such as 2026-11-23T18:00:00Z")
    _why(pause, required=True)
    resume = _command(commands, "resume", request.resume, "let rollbacks begin by themselves again")
    for found in (hold, unhold, forget, pause, resume):
        _waiting(found, "quick")


def _before_a_merge(commands: Commands[Parser]) -> None:
    text = "build a checkout as Flux does and dry-run its manifests"
    found = _command(commands, "validate", validate, text, name_needed=False)
    found.add_argument("path", metavar="PATH", help="root of the checkout")
    how = found.add_mutually_exclusive_group()
    how.add_argument("--kustomization", metavar="NS/NAME", help="build as this Kustomization of the cluster says")
    how.add_argument("--kustomization-file", metavar="FILE", help="build as the Kustomization in this file says")
    found.add_argument("-o", "--output", dest="format", choices=tuple(FORMATS), default="text", help="how to tell it")
    found.add_argument(
        "--within", type=duration, default=_DEFAULTS["quick"], metavar="DURATION", help="time for one manifest"
    )
    found.add_argument(
        "--as", dest="user", default="", metavar="USER", help="try as the account that Flux applies with"
    )
    found.add_argument(
        "--strict-substitution",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="fail where a variable has neither value nor default, as Flux 2.9 and later do (default), or do not",
    )
    found.add_argument("--flux-build", default="", metavar="PROGRAM", help="the program that builds (default: ours)")


def _command(commands: Commands[Parser], name: str, run: Command, text: str, *, name_needed: bool = True) -> Parser:
    found: Parser = commands.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.")
    if name_needed:
        found.add_argument("name", metavar="NAME", help="name of the contract")
    found.add_argument("-n", "--namespace", metavar="NS", help="its namespace (default: the context's)")
    found.add_argument("--context", metavar="CONTEXT", help="the kubeconfig's context to use")
    found.add_argument("--kubeconfig", metavar="FILE", help="the kubeconfig to use")
    found.set_defaults(run=run)
    return found


# Options -----------------------------------------------------------------------------------------------------------


def _output(command: Parser) -> None:
    command.add_argument("-o", "--output", choices=("json", "yaml"), help="write the object as it is")


def _why(command: Parser, *, required: bool) -> None:
    command.add_argument(
        "--why", required=required, type=_words, metavar="TEXT", help="why, for those who come after"
    )


def _timeout(command: Parser, kind: str) -> None:
    default = _DEFAULTS[kind]
    text = f"how long to wait (default: {int(default.total_seconds())}s)"
    command.add_argument("--timeout", type=duration, default=default, metavar="DURATION", help=text)


def _waiting(command: Parser, kind: str) -> None:
    _timeout(command, kind)
    command.add_argument("--no-wait", dest="wait", action="store_false", help="do not wait for the operator")


def _words(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it says nothing; say why in a few words")
    return text


def duration(text: str) -> timedelta:
    """Read a duration as Go and Flux write it."""
    try:
        return parse_duration(text)
    except InvalidDuration as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def moment(text: str) -> datetime:
    """Read a time; one without a zone is meant as the clock on the wall."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise argparse.ArgumentTypeError(f"'{text}' is no time; write one such as 2026-11-23T18:00:00Z") from error
