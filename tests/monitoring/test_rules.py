"""The alerts, judged by the real promtool: each fires for its trouble, and ends with it."""

from __future__ import annotations

import itertools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from tests.monitoring.promtool import ROOT, read_groups, read_rules, run

pytestmark = pytest.mark.slow

SHOP = 'exported_namespace="apps",name="shop"'
OF_APPS = {"exported_namespace": "apps", "namespace": "apps"}
"""An AlertmanagerConfig of the team's takes what has its namespace in ``namespace``."""
OF_SHOP = {**OF_APPS, "name": "shop"}
ALERTS = read_rules("alert")
OF_A_POD = ("FluxContractWatchStale", "FluxContractQueueStuck")
"""Trouble of one process, which a new one does not have."""
GAP = 2
"""Minutes between the last sample of a pod and the first of the next: deploy/ has the old one leave first."""


@dataclass(frozen=True)
class Case:
    """Series at each minute (``VALUExTIMES``), and the minutes at which the alert fires and does not."""

    series: dict[str, str]
    fires: int
    quiet: tuple[int, ...]
    labels: dict[str, str] = field(default_factory=dict)

    @property
    def moments(self) -> dict[int, bool]:
        """Whether it fires, by minute."""
        return {self.fires: True, **dict.fromkeys(self.quiet, False)}


CASES = {
    "FluxContractIncident": Case(
        {
            f"flux_contract_open_incidents{{{SHOP}}}": "0x4 stale _x9 0x9",
            f'flux_contract_open_incidents{{{SHOP},severity="Critical"}}': "_x5 1x9 stale",
        },
        fires=8,
        quiet=(4, 16),
        labels={**OF_SHOP, "severity": "critical"},
    ),
    "FluxContractRollbackFailed": Case(
        {
            f"flux_contract_info{{{SHOP}}}": "1x130",
            f"flux_contract_rollback_failed{{{SHOP}}}": "_x5 1x100 stale",
        },
        fires=90,
        quiet=(4, 107),
        labels=OF_SHOP,
    ),
    "FluxContractRolledBackForLong": Case(
        {f"flux_contract_rolled_back{{{SHOP}}}": "0x4 1x1500 0x9"}, fires=1450, quiet=(1400, 1510), labels=OF_SHOP
    ),
    "FluxContractNotFollowed": Case(
        {
            f'flux_contract_info{{{SHOP},followed="true"}}': "1x4 stale _x20 1x9",
            f'flux_contract_info{{{SHOP},followed="false"}}': "_x5 1x20 stale",
        },
        fires=18,
        quiet=(12, 27),
        labels=OF_SHOP,
    ),
    "FluxContractInfeasible": Case(
        {f"flux_contract_feasible{{{SHOP}}}": "1x4 0x80 1x9"}, fires=70, quiet=(50, 90), labels=OF_SHOP
    ),
    "FluxContractBudgetBurnsFast": Case(
        {f"flux_contract_held{{{SHOP}}}": "1x60 0x10 1x60"},
        fires=70,
        quiet=(62, 80),
        labels=OF_APPS,
    ),
    "FluxContractBudgetBurnsSlowly": Case(
        {f"flux_contract_held{{{SHOP}}}": "1x360 0x40 1x360"},
        fires=400,
        quiet=(365, 440),
        labels=OF_APPS,
    ),
    "FluxContractOperatorAbsent": Case(
        {'flux_contract_build_info{version="1"}': "1x4 _x20 1x9"}, fires=18, quiet=(4, 30), labels={}
    ),
    "FluxContractControllerDown": Case(
        {'flux_contract_controller_ready{controller="source-controller"}': "1x4 0x9 1x9"},
        fires=8,
        quiet=(5, 20),
        labels={"controller": "source-controller"},
    ),
    "FluxContractWatchStale": Case({"flux_contract_watch_age_seconds": "1x4 60+60x9 1x9"}, fires=10, quiet=(5, 18)),
    "FluxContractOperatorBug": Case(
        {
            'flux_contract_errors_total{kind="bug"}': "0x4 1x40",
            'flux_contract_errors_total{kind="cluster"}': "0+1x50",
        },
        fires=8,
        quiet=(3, 30),
    ),
    "FluxContractNeedlessLooks": Case(
        {'flux_contract_needless_looks_total{part="comparison"}': "0x4 1x40"},
        fires=8,
        quiet=(3, 30),
        labels={"part": "comparison"},
    ),
    "FluxContractPassesWithoutChange": Case(
        {
            'flux_contract_passes_total{result="unchanged"}': "0+60x9 600+6000x30 180600+60x30",
            'flux_contract_passes_total{result="changed"}': "0+6000x80",
            'flux_contract_info{exported_namespace="apps",name="shop"}': "1x80",
        },
        fires=30,
        quiet=(8, 60),
    ),
    "FluxContractSinkFails": Case(
        {'flux_contract_sink_failing_seconds{sink="flux"}': "0x4 0+60x12 0x9"},
        fires=12,
        quiet=(9, 22),
        labels={"sink": "flux"},
    ),
    "FluxContractMessagesRefused": Case(
        {
            'flux_contract_notifications_total{sink="flux",result="refused"}': "0x4 1x90",
            'flux_contract_notifications_total{sink="flux",result="failed"}': "0+1x90",
        },
        fires=8,
        quiet=(3, 80),
        labels={"sink": "flux"},
    ),
    "FluxContractApiErrors": Case(
        {
            'flux_contract_api_requests_total{method="GET",code="200"}': "0+60x60",
            'flux_contract_api_requests_total{method="GET",code="503"}': "0x5 0+30x20 600x40",
        },
        fires=22,
        quiet=(10, 40),
    ),
    "FluxContractQueueStuck": Case({"flux_contract_queue_age_seconds": "0x4 90x12 0x9"}, fires=12, quiet=(8, 20)),
    "FluxContractEventLoopSlow": Case(
        {
            'flux_contract_event_loop_lag_seconds_bucket{le="0.5"}': "0+60x10 600+30x30 1500+60x30",
            'flux_contract_event_loop_lag_seconds_bucket{le="1"}': "0+60x70",
            'flux_contract_event_loop_lag_seconds_bucket{le="+Inf"}': "0+60x70",
        },
        fires=30,
        quiet=(12, 55),
    ),
}


def test_promtool_accepts_the_rules(promtool: Path, tmp_path: Path) -> None:
    """Syntax, names, templates and duplicates."""
    rules = tmp_path / "rules.yaml"
    rules.write_text(yaml.safe_dump({"groups": read_groups()}))

    said = run(promtool, "check", "rules", "--lint=all", "--lint-fatal", str(rules))

    assert "SUCCESS" in said


def test_every_alert_is_tried() -> None:
    """An alert without a case below is not known to work."""
    assert set(CASES) == set(ALERTS)


@pytest.mark.parametrize("name", CASES)
def test_an_alert_fires_and_ends(promtool: Path, tmp_path: Path, name: str) -> None:
    """It fires while the trouble lasts, neither before nor after."""
    _try(promtool, tmp_path, name, CASES[name].series, CASES[name].moments)


@pytest.mark.parametrize("name", [name for name in CASES if name not in OF_A_POD])
@pytest.mark.parametrize("early", [2, 0], ids=["while it waits", "while it fires"])
def test_an_alert_goes_on_with_another_pod(promtool: Path, tmp_path: Path, name: str, early: int) -> None:
    """A pod of the operator that comes two minutes after the last has gone neither delays nor repeats it."""
    gone = CASES[name].fires - early
    series = {}
    for found, text in CASES[name].series.items():
        values = list(_expanded(text))
        series[_with_pod(found, "a")] = " ".join([*values[:gone], "stale"])
        series[_with_pod(found, "b")] = " ".join([f"_x{gone + GAP}", *values[gone + GAP :]])

    meanwhile = dict.fromkeys(range(CASES[name].fires, gone + GAP + 1), True)
    _try(promtool, tmp_path, name, series, CASES[name].moments | meanwhile)


@pytest.mark.parametrize("name", [name for name in CASES if CASES[name].labels.items() >= OF_SHOP.items()])
def test_an_alert_about_a_contract_that_is_gone_ends(promtool: Path, tmp_path: Path, name: str) -> None:
    """Five minutes later, since it may have been the pod that went."""
    fires = CASES[name].fires
    series = {
        found: " ".join([*itertools.islice(_expanded(text), fires), "stale"])
        for found, text in CASES[name].series.items()
    }

    _try(promtool, tmp_path, name, series, {fires: True, fires + 5: False})


def _try(promtool: Path, folder: Path, name: str, series: dict[str, str], fires: dict[int, bool]) -> None:
    """Have promtool try an alert on these series; ``fires`` says of minutes whether it must, or must not."""
    alert = {"exp_labels": {**ALERTS[name]["labels"], **CASES[name].labels}}
    (folder / "rules.yaml").write_text(yaml.safe_dump({"groups": _without_words()}))
    story = {
        "interval": "1m",
        "input_series": [{"series": found, "values": text} for found, text in series.items()],
        "alert_rule_test": [
            {"eval_time": f"{minute}m", "alertname": name, "exp_alerts": [alert] if must else []}
            for minute, must in fires.items()
        ],
    }
    (folder / "test.yaml").write_text(
        yaml.safe_dump({"rule_files": ["rules.yaml"], "evaluation_interval": "30s", "tests": [story]})
    )

    said = run(promtool, "test", "rules", str(folder / "test.yaml"))

    assert "SUCCESS" in said


def _expanded(text: str) -> Iterator[str]:
    """Each value of promtool's shorthand: ``5``, ``5x2`` (three times), ``0+60x2`` (0 60 120), ``_``, ``_x2`` (twice)."""
    for part in text.split():
        start, _, times = part.partition("x")
        if start == "_":
            yield from ["_"] * int(times or 1)
        elif start == "stale":
            yield start
        else:
            first, _, step = start.partition("+")
            yield from (str(int(first) + int(step or 0) * n) for n in range(int(times or 0) + 1))


def _with_pod(series: str, pod: str) -> str:
    name, _, labels = series.rstrip("}").partition("{")
    kept = [label for label in labels.split(",") if label and not label.startswith("pod=")]
    return f"{name}{{{','.join([*kept, f'pod={chr(34)}{pod}{chr(34)}'])}}}"


def _without_words() -> list[dict[str, object]]:
    """The groups without annotations: what an alert says is looked at where it really fires."""
    return [
        {**group, "rules": [{k: v for k, v in rule.items() if k != "annotations"} for rule in group["rules"]]}
        for group in read_groups()
    ]


@pytest.mark.parametrize("name", ALERTS)
def test_an_alert_says_what_it_means_and_what_to_do(name: str) -> None:
    """Severity, a sentence for the pager, a text, and a page that answers the four questions."""
    rule = ALERTS[name]

    case = CASES[name]
    assert {**rule["labels"], **case.labels}["severity"] in ("info", "warning", "critical")
    assert set(re.findall(r"\$labels\.(\w+)", str(rule))) <= set(case.labels)
    assert 0 < len(rule["annotations"]["summary"]) < 120
    assert rule["annotations"]["description"].endswith(".")
    page = (ROOT / rule["annotations"]["runbook_url"]).read_text()
    headings = [line for line in page.splitlines() if line.startswith("#")]
    assert headings == [f"# {name}", "## Meaning", "## Impact", "## Diagnosis", "## Mitigation"]
    assert "    kubectl" in page


def test_every_page_belongs_to_an_alert() -> None:
    """A runbook of an alert that is gone misleads."""
    assert {page.stem for page in (ROOT / "docs" / "runbooks").glob("*.md")} == set(ALERTS)


def test_the_example_of_inhibition_names_alerts_that_there_are() -> None:
    """In docs/monitoring.md: what causes trouble silences what follows from it."""
    text = (ROOT / "docs" / "monitoring.md").read_text()
    (example,) = re.findall(r"^    inhibit_rules:\n(?:    .*\n)+", text, re.MULTILINE)

    rules = yaml.safe_load(textwrap.dedent(example))["inhibit_rules"]

    for rule in rules:
        sources, targets = (_matched(rule[f"{end}_matchers"]) for end in ("source", "target"))
        assert sources
        assert targets
        assert not sources & targets
        assert sources | targets <= set(ALERTS)
        for label in rule.get("equal", []):
            assert all(label in CASES[name].labels for name in sources | targets)


def _matched(matchers: list[str]) -> set[str]:
    """The alerts that matchers of ``alertname`` list."""
    (names,) = (re.fullmatch(r'alertname=~?"([\w|]+)"', matcher) for matcher in matchers)
    assert names
    return set(names[1].split("|"))
