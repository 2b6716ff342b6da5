"""The commands that ask for something: each writes annotations, then tells what comes of it."""

from __future__ import annotations

from argparse import Namespace as Arguments
from datetime import datetime, timedelta
from typing import Final

from reconciliation_contract.api.flux.kustomization import kustomization
from reconciliation_contract.cli.client.errors import Exit, Misuse, Problem
from reconciliation_contract.cli.commands import request_annotations, wait_goals
from reconciliation_contract.cli.commands.request_annotations import Petition
from reconciliation_contract.cli.commands.rollback_preview import plan
from reconciliation_contract.cli.commands.session import Session
from reconciliation_contract.cli.commands.wait_goals import Goal, Outcome
from reconciliation_contract.cli.view.contract_view import View, date
from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.core.spec.requests import Signature

NOBODY: Final = "the operator has not taken it up yet; the request stands. Does the operator run?"


def rollback(session: Session, arguments: Arguments) -> Exit:
    """Show what a rollback will do, have it confirmed, ask for it and tell of its progress."""
    view, signature = session.contract(arguments.name), _signature(session, arguments)
    way, screen = request_annotations.way(view, arguments.to or ""), session.console.notes
    bound = _kustomization(session, view)
    for line in plan(screen, view, way, bound, signature, program=session.program, now=session.now()):
        session.console.note(line)
    if not arguments.yes and not session.console.confirm("Roll back?"):
        session.console.note("nothing was done")
        return Exit.FAILED
    mark = session.ask(view, request_annotations.rollback(view, way, signature))
    if not arguments.wait:
        return Exit.DONE
    ended = session.follow(view, wait_goals.rolled_back(way.bad.hash, mark), arguments.timeout.total_seconds())
    if ended.code is Exit.FAILED and session.contract(view.name).memory.rollback is None:
        session.write(view, request_annotations.withdrawal())
        ended = Outcome(Exit.FAILED, f"{ended.message} (the request is withdrawn)")
    return session.conclude(view.name, ended)


def _kustomization(session: Session, view: View) -> Kustomization | None:
    """Read the Kustomization, where that is allowed: it tells what a rollback cannot undo."""
    if not isinstance(view.contract, Contract):
        return None
    try:
        raw = session.connection.kustomization(view.namespace, view.contract.kustomization)
    except Problem:
        return None
    return kustomization(raw, session.now(), live=False, before=None)


def approve(session: Session, arguments: Arguments) -> Exit:
    """Let the proposed rollback begin."""
    view = session.contract(arguments.name)
    mark = session.ask(view, request_annotations.approve(view, _signature(session, arguments)))
    undo = view.memory.rollback
    return _followed(session, view, arguments, wait_goals.rolled_back(undo.bad.hash if undo else "", mark))


def release(session: Session, arguments: Arguments) -> Exit:
    """End the rollback in force."""
    view = session.contract(arguments.name)
    session.ask(view, request_annotations.release(view, _signature(session, arguments)))
    undo = view.memory.rollback
    return _followed(session, view, arguments, wait_goals.released(undo.bad.hash if undo else ""))


def hold(session: Session, arguments: Arguments) -> Exit:
    """Keep the rollback in force, whatever is pushed."""
    view = session.contract(arguments.name)
    return _taken_up(session, view, arguments, request_annotations.hold(view, _signature(session, arguments)))


def unhold(session: Session, arguments: Arguments) -> Exit:
    """Let a new commit end the rollback again."""
    view = session.contract(arguments.name)
    return _taken_up(session, view, arguments, request_annotations.unhold(view))


def forget(session: Session, arguments: Arguments) -> Exit:
    """Count a revision as bad no more."""
    view = session.contract(arguments.name)
    asked = request_annotations.forget(view, arguments.revision, _signature(session, arguments))
    return _taken_up(session, view, arguments, asked)


def pause(session: Session, arguments: Arguments) -> Exit:
    """Let no rollback begin by itself for a while."""
    now = session.now()
    until = end_of(arguments.duration, arguments.until, now)
    view = session.contract(arguments.name)
    return _taken_up(session, view, arguments, request_annotations.pause(until, _signature(session, arguments)))


def end_of(duration: timedelta | None, until: datetime | None, now: datetime) -> datetime:
    """When a pause ends; raises `Misuse` where that is over already."""
    end = now + duration if duration is not None else until
    if end is None or end <= now:
        raise Misuse(f"a pause until {date(end, now) if end else 'nothing'} is over already; name a later time")
    return end


def resume(session: Session, arguments: Arguments) -> Exit:
    """Let rollbacks begin by themselves again."""
    view = session.contract(arguments.name)
    return _taken_up(session, view, arguments, request_annotations.resume(view))


def _signature(session: Session, arguments: Arguments) -> Signature:
    return Signature(session.connection.user(), (arguments.why or "").strip(), session.now())


def _followed(session: Session, view: View, arguments: Arguments, goal: Goal) -> Exit:
    if not arguments.wait:
        return Exit.DONE
    return session.conclude(view.name, session.follow(view, goal, arguments.timeout.total_seconds()))


def _taken_up(session: Session, view: View, arguments: Arguments, asked: Petition) -> Exit:
    """Write a request and wait until the operator knows of it; it stands in any case."""
    mark = session.write(view, asked.annotations)
    if not arguments.wait:
        return session.conclude(view.name, Outcome(Exit.DONE, asked.told))
    ended = session.follow(view, wait_goals.handled(mark), arguments.timeout.total_seconds(), quiet=True)
    if ended.code is Exit.TIMED_OUT:
        ended = Outcome(Exit.TIMED_OUT, f"{asked.told}, but {NOBODY}")
    elif ended.code is Exit.DONE:
        ended = Outcome(Exit.DONE, asked.told)
    return session.conclude(view.name, ended)
