"""The commands that only look: ``get``, ``history``, ``wait`` and ``reconcile``."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

import yaml

from reconciliation_contract.cli import listing, outcome
from reconciliation_contract.cli.page import page
from reconciliation_contract.cli.problem import Exit, Problem
from reconciliation_contract.cli.session import Arguments, Session
from reconciliation_contract.cli.view import view_of
from reconciliation_contract.core.request import SHORTEST

_SECOND: Final = "the operator has looked at it"


def get(session: Session, arguments: Arguments) -> Exit:
    """Show contracts as a table, or one as a page; with ``--watch`` what changes, as it changes."""
    everywhere = arguments.all_namespaces
    if arguments.name and everywhere:
        raise Problem("a name and -A do not go together; name the namespace with -n")
    namespace = "" if everywhere else session.namespace
    if arguments.watch:
        return _watch(session, namespace, arguments)
    if arguments.name:
        view = session.contract(arguments.name)
        if arguments.output:
            session.console.say([document(view.raw, arguments.output)])
        else:
            session.console.say(page(session.console.screen, view, session.program, session.now()))
        return Exit.DONE
    found = session.connection.contracts(namespace)
    if arguments.output:
        items = {"apiVersion": "v1", "kind": "List", "items": [_bare(raw) for raw in found]}
        session.console.say([document(items, arguments.output)])
    elif found:
        views = [view_of(raw) for raw in found]
        session.console.say(listing.contracts(session.console.screen, views, namespaces=everywhere))
    else:
        session.console.note(f"no contracts in {f'namespace {namespace}' if namespace else 'the cluster'}")
    return Exit.DONE


def _watch(session: Session, namespace: str, arguments: Arguments) -> Exit:
    if arguments.name:
        session.contract(arguments.name)
    heading = True
    for seen in session.connection.watch(namespace, arguments.name or ""):
        if arguments.output:
            session.console.say([document(seen.raw, arguments.output)])
            continue
        view, screen = view_of(seen.raw), session.console.screen
        rows = listing.contracts(screen, [view], namespaces=not namespace, heading=heading)
        session.console.say(rows)
        heading = False
    return Exit.DONE


def history(session: Session, arguments: Arguments) -> Exit:
    """Show the deliveries of a contract, newest first."""
    view = session.contract(arguments.name)
    if arguments.output:
        status = view.raw.get("status") or {}
        session.console.say([document(status.get("history") or [], arguments.output)])
        return Exit.DONE
    lines = listing.deliveries(session.console.screen, view.memory, session.now())
    if lines:
        session.console.say(lines)
    else:
        session.console.note(f"{view.name} has followed no revision yet")
    return Exit.DONE
