"""The commands that only look: ``get``, ``history``, ``wait`` and ``reconcile``."""

from __future__ import annotations

import json
from argparse import Namespace as Arguments
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from reconciliation_contract.api.contract.annotations import hash_in
from reconciliation_contract.cli.client.errors import Exit, Misuse
from reconciliation_contract.cli.commands import wait_goals
from reconciliation_contract.cli.commands.session import Session
from reconciliation_contract.cli.view import tables
from reconciliation_contract.cli.view.contract_view import Raw, View, view_of
from reconciliation_contract.cli.view.page import page


def get(session: Session, arguments: Arguments) -> Exit:
    """Show contracts as a table, or one as a page; with ``--watch`` go on with what changes."""
    if arguments.name and arguments.all_namespaces:
        raise Misuse("a name and -A do not go together; name its namespace with -n")
    if arguments.watch:
        return _watch(session, arguments)
    if arguments.name:
        return _one(session, arguments)
    namespace = "" if arguments.all_namespaces else session.namespace
    found = session.connection.contracts(namespace)
    if arguments.output:
        items = {"apiVersion": "v1", "kind": "List", "items": [_bare(raw) for raw in found]}
        session.console.say([document(items, arguments.output)])
    elif found:
        views = [view_of(raw) for raw in found]
        session.console.say(tables.contracts(session.console.screen, views, namespaces=not namespace))
    else:
        session.console.note(f"no contracts in {f'namespace {namespace}' if namespace else 'the cluster'}")
    return Exit.DONE


def _one(session: Session, arguments: Arguments) -> Exit:
    view = session.contract(arguments.name)
    if arguments.output:
        session.console.say([document(_bare(view.raw), arguments.output)])
    else:
        session.console.say(page(session.console.screen, view, session.program, session.now()))
    return Exit.DONE


def _watch(session: Session, arguments: Arguments) -> Exit:
    """Show the table, then a line for each contract that looks different."""
    namespace = "" if arguments.all_namespaces else session.namespace
    if arguments.name:
        views = [session.contract(arguments.name)]
    else:
        views = [view_of(raw) for raw in session.connection.contracts(namespace)]
    rows = _Rows(session, everywhere=not namespace)
    if not arguments.output:
        rows.begin(views)
    for seen in session.connection.watch(namespace, arguments.name or ""):
        view = view_of(seen.raw)
        if seen.gone:
            session.console.note(f"{view.name} was deleted")
        elif arguments.output:
            session.console.say([document(_bare(view.raw), arguments.output, stream=True)])
        else:
            rows.update(view)
    return Exit.DONE


class _Rows:
    """A table that grows, aligned among all contracts shown so far."""

    def __init__(self, session: Session, *, everywhere: bool) -> None:
        self._session = session
        self._everywhere = everywhere
        self._views: dict[tuple[str, str], View] = {}
        self._words: dict[tuple[str, str], list[str]] = {}

    def begin(self, views: Sequence[View]) -> None:
        """Show those that are there."""
        self._views = {(view.namespace, view.name): view for view in views}
        lines = self._lines() if views else []
        self._words = {key: line.split() for key, line in zip(self._views, lines[1:], strict=False)}
        self._session.console.say(lines)

    def update(self, view: View) -> None:
        """Show one again, unless it looks as before."""
        key = (view.namespace, view.name)
        self._views.pop(key, None)
        self._views[key] = view  # its line is the last one
        heading, *_, line = self._lines()
        if line.split() != self._words.get(key):
            self._session.console.say([line] if self._words else [heading, line])
            self._words[key] = line.split()

    def _lines(self) -> list[str]:
        return tables.contracts(self._session.console.screen, list(self._views.values()), namespaces=self._everywhere)


def history(session: Session, arguments: Arguments) -> Exit:
    """Show the deliveries of a contract, newest first."""
    view = session.contract(arguments.name)
    if arguments.output:
        status = view.raw.get("status") or {}
        session.console.say([document(status.get("history") or [], arguments.output)])
        return Exit.DONE
    lines = tables.deliveries(session.console.screen, view.memory, session.now())
    session.console.say(lines)
    if not lines:
        session.console.note(f"{view.name} has followed no revision yet")
    return Exit.DONE


def wait(session: Session, arguments: Arguments) -> Exit:
    """Wait until a contract is ready, or until a revision is healthy under it."""
    goal = goal_of(arguments.condition or ["ready"])
    view = session.contract(arguments.name)
    return session.conclude(view.name, session.follow(view, goal, arguments.timeout.total_seconds()))


def goal_of(words: Sequence[str]) -> wait_goals.Goal:
    """Read what to wait for; raises `Misuse` for what makes no sense."""
    what, _, joined = words[0].partition("=")
    revision = [*([joined] if joined else []), *words[1:]]
    match what, revision:
        case "ready", []:
            return wait_goals.ready
        case "healthy", [text] if hash_ := hash_in(text):
            return wait_goals.healthy(hash_)
        case _:
            raise Misuse(f"cannot wait for {' '.join(words)}; write: --for ready, or --for healthy COMMIT")


def reconcile(session: Session, arguments: Arguments) -> Exit:
    """Have the operator look at a contract now."""
    view = session.contract(arguments.name)
    mark = session.write(view, {})
    if not arguments.wait:
        return Exit.DONE
    ended = session.follow(view, wait_goals.handled(mark), arguments.timeout.total_seconds(), quiet=True)
    if ended.code is Exit.DONE:
        ended = wait_goals.Outcome(Exit.DONE, wait_goals.progress(session.contract(arguments.name)))
    return session.conclude(view.name, ended)


# Documents ---------------------------------------------------------------------------------------------------------


def document(thing: Any, form: str, *, stream: bool = False) -> str:
    """Write an object as JSON or YAML, in ASCII, so that nothing in it can steer a terminal."""
    if form == "yaml":
        return ("---\n" if stream else "") + str(yaml.safe_dump(thing, sort_keys=False)).rstrip("\n")
    return json.dumps(thing, indent=None if stream else 4)


def _bare(raw: Raw) -> Mapping[str, Any]:
    """Leave out who manages which field, as kubectl does."""
    meta = {key: value for key, value in (raw.get("metadata") or {}).items() if key != "managedFields"}
    return {"apiVersion": "reconciliation.dev/v1alpha1", "kind": "ReconciliationContract", **raw, "metadata": meta}
