"""Rules and dashboards on a real Prometheus that scrapes a real operator."""

from __future__ import annotations

from pathlib import Path

import pytest

from playground.waiting import wait_until
from tests.monitoring.promtool import read_groups
from tests.monitoring.test_dashboards import ALL, BOARDS, expressions
from tests.support.flux_objects import PATIENCE, Workspace, config_map, deployment
from tests.support.operator_process import OperatorProcess
from tests.support.prometheus import Prometheus, prometheus

pytestmark = pytest.mark.e2e

NEEDS_DATA = ("fleet", "contract", "operator")
"""Boards that show something as soon as one contract was delivered; the four keys need days."""
RARE = (
    "== 0",
    "verdicts_total",
    "[30d]",
    ":flux_contract",
    "dependencies_ready",
    "rollback_failed",
    ":30s]",
    "drifted",
    'code=~"5..',
    "by (sink",
)
"""Expressions that are empty while all is well or cannot be seen, until their rules were evaluated for long, or
without a sink, as the operator of these tests has none."""


def check_answers(server: Prometheus, workspace: Workspace) -> None:
    """Ask everything that is in deploy/monitoring; none may be an error, and most must have data."""
    for expression in ALL.values():
        server.query(expression)
    empty = [
        expression
        for slug in NEEDS_DATA
        for expression in expressions(BOARDS[slug])
        if not any(rare in expression for rare in RARE)
        and not server.query(expression.replace("apps", workspace.namespace))
    ]
    assert empty == []


def test_a_broken_contract_is_alerted_and_its_recovery_ends_the_alert(
    operator: OperatorProcess, workspace: Workspace, tmp_path: Path
) -> None:
    """Good, broken, mended: the boards have data, the alert fires with words of its own, and ends."""
    repository = workspace.repository("shop")
    good = repository.commit({"deploy/web.yaml": deployment("1")}, "Good")
    workspace.follow("shop", repository)
    workspace.wait_good("shop", good)
    second = repository.commit({"deploy/web.yaml": deployment("2")}, "Better")
    workspace.wait_good("shop", second)

    mine = {"exported_namespace": workspace.namespace, "name": "shop"}
    with prometheus(operator.metrics.removeprefix("http://"), read_groups(), tmp_path) as server:
        held = f'flux_contract_held{{exported_namespace="{workspace.namespace}"}}'
        wait_until(lambda: server.query(held), PATIENCE, "the first scrape")
        wait_until(lambda: server.query(f"rate({held}[5m])"), PATIENCE, "a second one")
        assert server.firing("FluxContractIncident", **mine) is None
        check_answers(server, workspace)

        repository.commit({"deploy/web.yaml": deployment("never-ready")}, "Broken")
        alert = wait_until(lambda: server.firing("FluxContractIncident", **mine), 2 * PATIENCE, "the alert")
        assert workspace.namespace in alert["annotations"]["description"]
        assert server.query(f"{held} == 0")
        # By now it was rolled back, and stays so until a commit mends it.
        workspace.wait_state("shop", "Active")
        wait_until(lambda: server.firing("FluxContractRolledBackForLong", **mine), PATIENCE, "the reminder")

        mended = repository.commit({"deploy/web.yaml": deployment("3"), "deploy/x.yaml": config_map("x")}, "Mended")
        workspace.wait_good("shop", mended)
        ended = 2 * PATIENCE  # it must stay well for a minute first
        wait_until(lambda: server.firing("FluxContractIncident", **mine) is None, ended, "the alert to end")
        exemplars = server.ask(
            "query_exemplars",
            query="flux_contract_stage_duration_seconds_bucket",
            start="0",
            end="99999999999",
        )
        assert mended[:12] in str(exemplars)
