"""The page that a contributor reads first is true."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/architecture.md").read_text()
PACKAGE = ROOT / "operator/reconciliation_contract"


def rows() -> list[list[str]]:
    """The paths in the right column of the table, row by row."""
    lines = re.findall(r"^\| [^|]+ \| (`[^|]+) \|$", PAGE, re.MULTILINE)
    return [re.findall(r"`([^`]+)`", line) for line in lines]


def layers(container: str) -> list[str]:
    """Packages as import-linter has them, from the top; neighbours on one floor one after the other."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    found = next(each["layers"] for each in contracts if each.get("containers") == [container])
    return [name for layer in found for name in layer.split(" | ")]


def test_where_to_look_exists() -> None:
    assert len(rows()) >= 15
    for first, *others in rows():
        assert (ROOT / first).exists(), first
        for other in others:
            beside = (ROOT / first).parent / other
            assert (ROOT / other).exists() or beside.exists() or other.startswith("make "), other


def test_every_module_that_a_way_names_exists() -> None:
    named = re.findall(r"`((?:handlers|observers|runtime|core|api|adapters|notifier)/[\w/.]*)`", PAGE)

    assert len(named) >= 20
    for path in named:
        assert (PACKAGE / path).exists(), path


def test_the_drawing_is_what_the_import_rules_hold() -> None:
    drawn = re.findall(r"^ *(\w+)  ", PAGE, re.MULTILINE)

    outside = [name for name in layers("reconciliation_contract") if (PACKAGE / name).is_dir()]
    assert drawn == outside + layers("reconciliation_contract.core")
