"""Completion for shells, in the protocol of cobra, by which Flux and kubectl ask their plugins.

They run ``flux-contract __complete WORD... LAST`` and read candidates, one a line with an optional description after
a tab, and last a directive: ``:4``, no file names. Whatever goes wrong, there are just no candidates.
"""

from __future__ import annotations

import argparse
import contextlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from reconciliation_contract.cli.client import kubeconfig
from reconciliation_contract.cli.client.connection import Connection
from reconciliation_contract.cli.client.errors import Problem
from reconciliation_contract.cli.commands.arguments import parser
from reconciliation_contract.cli.view.contract_view import View, healthy_revisions, short, view_of
from reconciliation_contract.cli.view.terminal import clean, cut
from reconciliation_contract.core.memory.memory import Revision

COMPLETE: Final = ("__complete", "__completeNoDesc")
DIRECTIVE: Final = ":4"
"""ShellCompDirectiveNoFileComp."""
_TIMEOUT: Final = 3.0
"""Seconds that a person at a prompt waits for the cluster."""
_DESCRIPTION: Final = 60
_SPANS: Final = ("30m", "1h", "2h", "8h", "24h")

Candidates = Iterable[tuple[str, str]]
"""Words with their descriptions."""


@dataclass(frozen=True, slots=True)
class _Line:
    """A command line up to the cursor."""

    command: str
    values: Mapping[str, str]
    """Options with a value, by their longest spelling."""
    given: tuple[str, ...]
    """Arguments that are not options."""
    open: str
    """The option whose value comes next; empty where none does."""


def complete(words: Sequence[str], program: str) -> list[str]:
    """Answer with the candidates for the last word, then the directive."""
    *before, last = words or [""]
    found: list[tuple[str, str]] = []
    with contextlib.suppress(Problem):
        found = list(_candidates(parser(program), before, last))
    lines = [_written(word, text) for word, text in found if word.startswith(last)]
    return [*lines, DIRECTIVE]


def _written(word: str, text: str) -> str:
    return f"{word}\t{cut(clean(text), _DESCRIPTION)}" if text else word


def _candidates(top: argparse.ArgumentParser, before: Sequence[str], last: str) -> Candidates:
    commands = next(action for action in top._actions if isinstance(action.choices, Mapping))  # noqa: SLF001 - argparse tells nothing else of itself
    known: Mapping[str, Any] = dict(commands.choices or {})
    if not before:
        return ((name, command.description) for name, command in known.items())
    if before[0] not in known:
        return ()
    options = {flag: action for action in known[before[0]]._actions for flag in action.option_strings}  # noqa: SLF001 - same
    line = _read(before, options)
    if line.open:
        return _VALUES.get(line.open, _nothing)(line)
    if last.startswith("-"):
        return ((flag, action.help or "") for flag, action in options.items() if flag.startswith("--"))
    return _arguments(line)


def _read(words: Sequence[str], options: Mapping[str, argparse.Action]) -> _Line:
    values, given, open_ = {}, [], ""
    for word in words[1:]:
        flag, _, value = word.partition("=")
        action = options.get(flag)
        if open_:
            values[open_], open_ = word, ""
        elif action is None:
            given.append(word)
        elif value:
            values[action.option_strings[-1]] = value
        elif action.nargs != 0:
            open_ = action.option_strings[-1]
    return _Line(words[0], values, tuple(given), open_)


def _arguments(line: _Line) -> Candidates:
    if line.command == "validate":
        return ()
    if not line.given:
        return ((view.name, view.condition("Ready").reason) for view in _views(line))
    if line.command == "forget" and len(line.given) == 1:
        view = next((view for view in _views(line) if view.name == line.given[0]), None)
        return _hashes(Revision(f"sha1:{hash_}", hash_) for hash_ in view.memory.bad) if view else ()
    return ()


# Values of options -------------------------------------------------------------------------------------------------


def _nothing(_line: _Line) -> Candidates:
    return ()


def _namespaces(line: _Line) -> Candidates:
    connection, _ = _reach(line)
    try:
        return ((name, "") for name in connection.namespaces())
    except Problem:
        # Not everybody may list namespaces; those with contracts are what is looked for.
        return ((name, "") for name in sorted({view_of(raw).namespace for raw in connection.contracts()}))


def _contexts(line: _Line) -> Candidates:
    return ((name, "") for name in kubeconfig.context_names(line.values.get("--kubeconfig")))


def _conditions(line: _Line) -> Candidates:
    if line.command == "pause":
        return ((span, "") for span in _SPANS)
    return (
        ("ready", "all promises of the last delivery are kept"),
        ("healthy", "a commit is healthy: healthy COMMIT"),
    )


def _targets(line: _Line) -> Candidates:
    view = next((view for view in _views(line) if view.name in line.given), None)
    if view is None:
        return ()
    head = view.memory.delivery.hash if view.memory.delivery else ""
    return _hashes(revision for revision in healthy_revisions(view.memory) if revision.hash != head)


def _outputs(_line: _Line) -> Candidates:
    return (("json", ""), ("yaml", ""))


_VALUES: Final[Mapping[str, Callable[[_Line], Candidates]]] = {
    "--namespace": _namespaces,
    "--context": _contexts,
    "--for": _conditions,
    "--to": _targets,
    "--output": _outputs,
}


def _hashes(revisions: Iterable[Revision]) -> Iterator[tuple[str, str]]:
    return ((revision.hash[:12], short(revision.name)) for revision in revisions)


def _reach(line: _Line) -> tuple[Connection, str]:
    place = kubeconfig.find(line.values.get("--kubeconfig"), line.values.get("--context"))
    return Connection(place.access, _TIMEOUT), line.values.get("--namespace") or place.namespace


def _views(line: _Line) -> list[View]:
    connection, namespace = _reach(line)
    return [view_of(raw) for raw in connection.contracts(namespace)]
