"""The dashboards: JSON as Grafana reads it, over metrics that there are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.adapters.test_metrics import NAMES
from tests.monitoring.expression import groupings, selectors
from tests.monitoring.promtool import DEPLOY, read_groups, read_rules, run

pytestmark = pytest.mark.slow

Board = dict[str, Any]

BOARDS: dict[str, Board] = {
    path.stem: json.loads(path.read_text()) for path in sorted((DEPLOY / "dashboards").glob("*.json"))
}
STANDARD = {"process_resident_memory_bytes": set[str](), "process_cpu_seconds_total": set[str]()}
TARGET = {"job", "instance", "namespace", "pod"}
"""Labels that scraping adds."""
RECORDED = {name: {"exported_namespace"} if name.startswith("exported_") else set() for name in read_rules("record")}
VARIABLES = {"$__rate_interval": "5m", "$__range": "1h", "$namespace": "apps", "$contract": "shop"}


def expressions(board: Board) -> list[str]:
    """All of a dashboard's expressions, with its variables filled in."""
    found = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    return [_filled(expression) for expression in found]


def _filled(expression: str) -> str:
    for name, value in VARIABLES.items():
        expression = expression.replace(name, value)
    return expression


ALL = {
    **{f"{slug} {place}": text for slug, board in BOARDS.items() for place, text in enumerate(expressions(board))},
    **{name: rule["expr"] for kind in ("alert", "record") for name, rule in read_rules(kind).items()},
}
"""Every expression in deploy/monitoring."""


def labels_of(name: str) -> set[str] | None:
    """The labels that a metric has; None where there is no such metric."""
    known = {**NAMES, **STANDARD, **RECORDED}
    if name in known:
        return known[name]
    for end in ("_bucket", "_sum", "_count"):
        if name.endswith(end) and name.removesuffix(end) in NAMES:
            return NAMES[name.removesuffix(end)] | ({"le"} if end == "_bucket" else set())
    return None


@pytest.mark.parametrize("where", ALL)
def test_only_what_exists_is_read(where: str) -> None:
    """A renamed metric or label would leave an empty panel, or an alert that never fires."""
    read = list(selectors(ALL[where]))

    assert read
    for name, labels in read:
        known = labels_of(name)
        assert known is not None, name
        assert labels <= known | TARGET, name
    everything = set().union(*(labels_of(name) or set() for name, _ in read))
    assert groupings(ALL[where]) <= everything | TARGET


def test_promtool_understands_every_expression(promtool: Path) -> None:
    """Those of the rules are checked with the rules."""
    for board in BOARDS.values():
        for expression in expressions(board):
            assert run(promtool, "--experimental", "promql", "format", expression)


@pytest.mark.parametrize("slug", BOARDS)
def test_a_dashboard_is_one(slug: str) -> None:
    """Its identity, its data source as a variable, and panels that do not overlap."""
    board = BOARDS[slug]
    variables = [variable["name"] for variable in board["templating"]["list"]]

    assert board["uid"] == f"reconciliation-contract-{slug}"
    assert len(board["uid"]) <= 40
    assert variables[0] == "datasource"
    assert board["schemaVersion"] >= 39
    assert "id" not in board
    assert len({panel["id"] for panel in board["panels"]}) == len(board["panels"])
    cells = [cell for panel in board["panels"] for cell in _cells(panel["gridPos"])]
    assert len(cells) == len(set(cells))
    assert all(x < 24 for x, _ in cells)
    for panel in board["panels"]:
        assert panel["title"]
        assert all(target["datasource"]["uid"] == "${datasource}" for target in panel["targets"])


def _cells(grid: dict[str, int]) -> list[tuple[int, int]]:
    return [(x, y) for x in range(grid["x"], grid["x"] + grid["w"]) for y in range(grid["y"], grid["y"] + grid["h"])]


def test_variables_read_what_exists() -> None:
    """The lists of namespaces and contracts come from labels of the metrics."""
    queries = {
        variable["definition"]
        for board in BOARDS.values()
        for variable in board["templating"]["list"]
        if variable["type"] == "query"
    }

    assert queries == {
        "label_values(flux_contract_info, exported_namespace)",
        'label_values(flux_contract_info{exported_namespace="$namespace"}, name)',
    }
    assert {"exported_namespace", "name"} <= NAMES["flux_contract_info"]


def test_every_metric_of_a_contract_is_on_a_board() -> None:
    """What nobody looks at need not be stored."""
    read = {name for expression in ALL.values() for name, _ in selectors(expression)}

    assert {name for name, labels in NAMES.items() if "exported_namespace" in labels} <= read


OF_SHOP = 'exported_namespace="apps",name="shop"'
TWO_PODS = {
    f"{name}{{{OF_SHOP}{more},pod={pod}}}": values
    for name, more, first, second in (
        ("flux_contract_info", ',followed="true"', "1", "1"),
        ("flux_contract_held", "", "1", "0"),
        ("flux_contract_ready", "", "1", "0"),
        ("flux_contract_feasible", "", "0", "0"),
        ("flux_contract_dependencies_ready", "", "0", "0"),
        ("flux_contract_rolled_back", "", "1", "1"),
        ("flux_contract_rollback_failed", "", "1", "1"),
        ("flux_contract_drifted_objects", "", "3", "3"),
        ("flux_contract_open_incidents", ',severity="Critical"', "2", "2"),
        ("flux_contract_promise_kept", ',promise="Drift"', "0", "0"),
        ("flux_contract_stage_timestamp_seconds", ',stage="committed"', "100", "200"),
        ("flux_contract_stage_timestamp_seconds", ',stage="detected"', "110", "210"),
        ("flux_contract_stage_timestamp_seconds", ',stage="applied"', "120", "220"),
        ("flux_contract_stage_timestamp_seconds", ',stage="healthy"', "130", "230"),
    )
    for pod, values in (('"a"', f"{first}x29 stale"), ('"b"', f"_x30 {second}x29"))
}
"""A contract's series over an hour, in the middle of which another pod takes over, after a delivery by itself."""
OVERLAPPING = {name: values.replace("x29 stale", "x59") for name, values in TWO_PODS.items()}
"""The same where the old pod is not known to be gone."""
OVER_AN_HOUR = {
    ("contract", "Time in contract"): 0.5,
    ("contract", "Healthy deliveries"): 1,
    ("contract", "Commit to healthy"): 30,
    ("contract", "Open incidents"): 2,
    ("fleet", "Time in contract, 30 days"): 0.5,
}
"""What panels show of `TWO_PODS` at the end."""
COUNTS = {"Contracts": 1, "Rolled back": 1, "Rollbacks failed": 1, "Open incidents": 2, "Cannot be kept": 1}
"""What the first row of the fleet shows of `OVERLAPPING`."""


def _evaluate(promtool: Path, folder: Path, series: dict[str, str], expected: dict[str, float | None]) -> None:
    """Have promtool evaluate expressions at minute 59; each must give one value without labels, or none at all."""
    story = {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": text,
                "eval_time": "59m",
                "exp_samples": [] if value is None else [{"labels": "{}", "value": value}],
            }
            for text, value in expected.items()
        ],
    }
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": read_groups()}))
    test = {"rule_files": ["rules.yaml"], "evaluation_interval": "1m", "tests": [story]}
    (folder / "test.yaml").write_text(yaml.safe_dump(test))

    assert "SUCCESS" in run(promtool, "test", "rules", str(folder / "test.yaml"))


def _shown(slug: str, title: str) -> str:
    """The expression of a panel, as one value without labels."""
    (panel,) = [panel for panel in BOARDS[slug]["panels"] if panel["title"] == title]
    (target,) = panel["targets"]
    return f"sum({_filled(target['expr'])})"


def test_a_panel_shows_one_contract_over_two_pods(promtool: Path, tmp_path: Path) -> None:
    """A new pod of the operator is no other contract, and a delivery across it counts."""
    expected = {_shown(slug, title): value for (slug, title), value in OVER_AN_HOUR.items()}

    _evaluate(promtool, tmp_path, TWO_PODS, expected)


def test_nothing_counts_twice_while_pods_overlap(promtool: Path, tmp_path: Path) -> None:
    """Where the old pod is still known, too."""
    expected = {_shown("fleet", title): value for title, value in COUNTS.items()}

    _evaluate(promtool, tmp_path, OVERLAPPING, expected | {"sum(exported_namespace:flux_contract_held:count)": 1})


@pytest.mark.parametrize("applied", ["_x60", "220x60"])
def test_a_delivery_that_is_not_healthy_yet_has_no_time_to_it(promtool: Path, tmp_path: Path, applied: str) -> None:
    """The one before was healthy at 130; this one was committed at 50, before that, and pushed later."""
    stamps = {"committed": "50x60", "detected": "210x60", "applied": applied, "healthy": "130x60"}
    series = {
        f'flux_contract_stage_timestamp_seconds{{{OF_SHOP},stage="{stage}"}}': values
        for stage, values in stamps.items()
    }
    line = expressions(BOARDS["contract"])[-2]

    _evaluate(
        promtool,
        tmp_path,
        series,
        {
            _shown("contract", "Commit to healthy"): None,
            f"sum({line})": None,
            _shown("contract", "Since the last healthy delivery"): 59 * 60 - 130,
        },
    )


@pytest.mark.parametrize("slug", ["contract", "fleet"])
def test_no_line_is_of_a_pod(promtool: Path, tmp_path: Path, slug: str) -> None:
    """Each panel about contracts has one line for each contract, not one for each pod that told of it."""
    about = [text for text in expressions(BOARDS[slug]) if "flux_contract_" in text and "exported_namespace" in text]

    _evaluate(promtool, tmp_path, OVERLAPPING, {f"group by (pod) ({expression})": 1 for expression in about})
