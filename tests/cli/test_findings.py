"""How the checks of manifests are told, to people and to CI systems."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.cli.view.check_reports import FORMATS, Finding
from reconciliation_contract.cli.view.terminal import Screen
from reconciliation_contract.core.facts.dry_run import Check
from reconciliation_contract.core.values.object_key import ObjectKey


def finding(name: str, file: str = "deploy/a.yaml", **changes: Any) -> Finding:
    return Finding(Check(ObjectKey("", "ConfigMap", "apps", name), took=timedelta(seconds=0.5), **changes), file)


FINDINGS = [
    finding("good"),
    finding("bad", "deploy/a,b.yaml", refused="Invalid: 100% wrong"),
    finding("later", "", unchecked="not checkable before its namespace exists"),
    finding("slow", late=True),
    finding("odd", dropped=("/a", "/b")),
]


def told(name: str) -> list[str]:
    return list(FORMATS[name](Screen(), FINDINGS))


def test_people_get_a_table_and_a_sum() -> None:
    """One line for each manifest, with its file, its time and why it is not valid."""
    *rows, total = told("text")

    assert rows[0].split() == ["valid", "ConfigMap/apps/good", "deploy/a.yaml", "500ms"]
    assert rows[1].endswith("Invalid: 100% wrong")
    assert total == "2 valid, 2 refused, 1 unchecked"


def test_nothing_to_try_is_said() -> None:
    """An empty table would look like an error."""
    assert list(FORMATS["text"](Screen(), [])) == ["no manifests"]


def test_scripts_get_one_document() -> None:
    """With the same verdicts."""
    document = json.loads("\n".join(told("json")))

    assert document["valid"] is False
    assert [item["verdict"] for item in document["manifests"]] == [
        "valid",
        "refused",
        "unchecked",
        "refused",
        "valid",
    ]
    assert document["manifests"][0]["seconds"] == 0.5


@pytest.mark.parametrize(
    ("found", "valid"),
    [
        ([finding("good"), finding("later", unchecked="not checkable before its namespace exists")], True),
        ([finding("good"), finding("mute", unchecked="no answer", unanswered=True)], None),
        ([finding("bad", refused="no"), finding("mute", unchecked="no answer", unanswered=True)], False),
    ],
    ids=["what no dry-run can tell is no fault", "no answer is no verdict", "a refusal is one"],
)
def test_the_document_says_what_the_exit_code_says(found: list[Finding], valid: bool | None) -> None:
    """0 is true, 1 false, and 2 null."""
    assert json.loads("\n".join(FORMATS["json"](Screen(), found)))["valid"] is valid


def test_github_gets_workflow_commands() -> None:
    """Escaped as GitHub reads them; of what is valid only fields that Flux drops are told."""
    assert told("github") == [
        "::error file=deploy/a%2Cb.yaml,title=ConfigMap/apps/bad::Invalid: 100%25 wrong",
        "::warning title=ConfigMap/apps/later::not checkable before its namespace exists",
        "::error file=deploy/a.yaml,title=ConfigMap/apps/slow::it took longer than it may",
        "::warning file=deploy/a.yaml,title=ConfigMap/apps/odd::unknown field /a and 1 more, which Flux drops silently",
    ]


def test_gitlab_gets_a_code_quality_report() -> None:
    """Each issue has what the format requires, and a fingerprint of its own."""
    issues = json.loads("\n".join(told("gitlab")))

    assert [issue["severity"] for issue in issues] == ["blocker", "info", "blocker", "info"]
    assert {issue["location"]["lines"]["begin"] for issue in issues} == {1}
    assert len({issue["fingerprint"] for issue in issues}) == 4
