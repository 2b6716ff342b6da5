"""The real promtool, and the rules as it reads them."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import yaml

from playground.binaries import find_build
from playground.cache import cache_directory
from playground.toolset import MONITORING

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "monitoring"

Rule = dict[str, Any]


def find_promtool() -> Path | None:
    """The one that `make test` builds, or else the one on PATH."""
    build = find_build(cache_directory() / "playground", MONITORING)
    found = build.program("promtool") if build else shutil.which("promtool")
    return Path(found) if found else None


def run(promtool: Path, *arguments: str) -> str:
    """Run it; what it says is in the error if it fails."""
    result = subprocess.run([promtool, *arguments], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


def read_groups() -> list[dict[str, Any]]:
    """The groups of rules in the PrometheusRule."""
    groups: list[dict[str, Any]] = yaml.safe_load((DEPLOY / "rules.yaml").read_text())["spec"]["groups"]
    return groups


def read_rules(kind: str) -> dict[str, Rule]:
    """All rules of a kind, ``alert`` or ``record``, by name."""
    return {rule[kind]: rule for group in read_groups() for rule in group["rules"] if kind in rule}
