"""What a rollback will do, as it is shown before it is confirmed."""

from __future__ import annotations

from textwrap import dedent

from reconciliation_contract.cli.commands import request_annotations
from reconciliation_contract.cli.commands.rollback_preview import UNREAD, plan
from reconciliation_contract.cli.view.terminal import Screen
from reconciliation_contract.core.facts.observation import Kustomization
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.requests import Signature
from tests.cli.objects import NOW, OLD, SOURCE, failing, healthy, view

SHOP = Kustomization("apps", "shop", "uid", "1", 1, SOURCE, prunes=False, substitutes=True)


def shown(memory: Memory, to: str = "", kustomization: Kustomization | None = SHOP, width: int = 110) -> str:
    """The plan as one text."""
    seen, signature = view(memory), Signature("zoe", "prices are wrong")
    way = request_annotations.way(seen, to)
    lines = plan(Screen(width), seen, way, kustomization, signature, program="flux-contract", now=NOW)
    return "\n".join(lines)


def test_the_plan_says_everything_that_a_person_decides_on() -> None:
    """From where to where, how, in whose name, what stays, and how it ends."""
    assert shown(failing()) == dedent(
        """\
        Rollback of apps/shop
          from        main@sha1:bb22bb22 "Change the prices"
          to          main@sha1:aa11aa11 "Change the prices", good since 2026-11-23 11:10:00 UTC (60m ago)
          how         Kustomization shop is pointed at a copy of its GitRepository shop that is fixed to that commit
          by          zoe
          why         prices are wrong
          not undone  data that was changed or deleted, Jobs that ran, CustomResourceDefinitions that were upgraded
          not undone  substituted values come from ConfigMaps and Secrets as they are now
          not undone  the Kustomization does not prune, so what the bad revision added stays
          until       a commit arrives that is not known to be bad, or: flux-contract release shop -n apps"""
    )


def test_an_older_revision_says_when_it_was_healthy() -> None:
    """A revision of the history is shown with the time of its health."""
    assert f'main@sha1:{OLD[:8]} "Change the prices", healthy 2026-11-23 11:10:00 UTC' in shown(healthy(), OLD)


def test_limits_that_cannot_be_read_are_said_to_be_unknown() -> None:
    """Who may not read the Kustomization is not told that all is well."""
    assert UNREAD in shown(failing(), kustomization=None)


def test_the_plan_fits_the_terminal() -> None:
    """Long texts are broken at the width, below their beginning."""
    lines = shown(failing(), width=80).splitlines()

    assert max(map(len, lines)) <= 80
    assert all(line.startswith("  ") for line in lines[1:])
