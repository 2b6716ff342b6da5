"""Writes `docs/reference` from the code: ``make docs``, and a test fails when it is stale.

Each page has one source: the CRD's schema, the reasons with their docstrings, the grammars of the command lines.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import itertools
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.api.contract.spec_models import Spec
from reconciliation_contract.api.crd import structural
from reconciliation_contract.api.status.models import Status
from reconciliation_contract.cli import operator
from reconciliation_contract.cli.commands import arguments
from reconciliation_contract.core.rollback.transitions import TRANSITIONS
from reconciliation_contract.core.values import reasons, timing
from reconciliation_contract.core.values.duration import spoken

PAGES: Final = Path(__file__).parent / "reference"
HEADER: Final = "<!-- Made by `make docs`; do not edit. -->\n"


def pages() -> dict[str, str]:
    """Return the text of each page by the name of its file."""
    return {name: HEADER + "\n".join(lines) + "\n" for name, lines in _pages()}


def _pages() -> Iterator[tuple[str, Iterable[str]]]:
    yield "fields.md", _fields_page()
    yield "reasons.md", _reasons_page()
    yield "commands.md", _commands_page()
    yield "times.md", _times_page()
    yield "rollback.md", _rollback_page()


# Fields ------------------------------------------------------------------------------------------------------------


def _fields_page() -> Iterator[str]:
    yield from (
        "# Fields",
        "",
        "What `kubectl explain contract --recursive` knows. Durations are Go strings: `90s`, `5m`.",
    )
    for name, model in (("spec", Spec), ("status", Status)):
        yield from ("", f"## {name}", "", "| field | type | default | |", "|---|---|---|---|")
        for path, schema in _fields(structural(model)):
            default = schema.get("default", "")
            told = "" if isinstance(default, dict | list) else str(default)
            yield _row(f"`{path}`", _type(schema), f"`{told}`" if told else "", schema.get("description", ""))


def _fields(schema: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Mapping[str, Any]]]:
    for name, child in schema.get("properties", {}).items():
        yield above + name, child
        yield from _fields(child, f"{above}{name}.")
        yield from _fields(child.get("items", {}), f"{above}{name}[].")
        values = child.get("additionalProperties")
        if isinstance(values, Mapping):
            yield from _fields(values, f"{above}{name}.*.")


def _type(schema: Mapping[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if schema.get("type") == "array":
        return f"list of {_type(schema['items'])}"
    if schema.get("format") == "date-time":
        return "time"
    return str(schema.get("type", "integer or string"))


# Rollback ----------------------------------------------------------------------------------------------------------


def _rollback_page() -> Iterator[str]:
    yield from (
        "# States of a rollback",
        "",
        "`.status.rollback.state`, and what leads from one to another. Anything else changes nothing.",
        "",
        "```mermaid",
        "stateDiagram-v2",
    )
    for state, events in TRANSITIONS.items():
        for event, then in events.items():
            yield f"    {state or '[*]'} --> {then or '[*]'}: {event.value}"
    yield "```"


# Reasons -----------------------------------------------------------------------------------------------------------


def _reasons_page() -> Iterator[str]:
    yield from ("# Reasons", "", *(inspect.getdoc(reasons) or "").splitlines())
    for section, found in _reasons(inspect.getsource(reasons)).items():
        yield from ("", f"## {section}", "", "| reason | when, and what to do |", "|---|---|")
        yield from (_row(f"`{reason}`", text) for reason, text in sorted(found))


def _reasons(source: str) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Find the sections of the module, each with its reasons and what they mean."""
    heads = [
        (source[: head.start()].count("\n"), head[1]) for head in re.finditer(r"^# (\w+) -+$", source, re.MULTILINE)
    ]
    body = ast.parse(source).body
    found: dict[str, list[tuple[str, str]]] = {title: [] for _, title in heads}
    for one, following in itertools.pairwise(body):
        match one, following:
            case ast.AnnAssign(value=ast.Constant(value=str(reason))), ast.Expr(value=ast.Constant(value=str(text))):
                title = [title for line, title in heads if line < one.lineno][-1]
                found[title].append((reason, text))
            case _:
                pass
    return found


# Commands ----------------------------------------------------------------------------------------------------------


def _commands_page() -> Iterator[str]:
    yield from ("# Commands",)
    for grammar in (arguments.parser("flux-contract"), operator.parser()):
        yield from ("", f"## {grammar.prog}", "", grammar.description or "")
        for action in grammar._actions:  # noqa: SLF001 - argparse tells its grammar in no other way
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - the same
                for command in action.choices.values():
                    yield from _command(command)
        if grammar.epilog:
            yield from ("", "```text", grammar.epilog.strip(), "```")


def _command(command: argparse.ArgumentParser) -> Iterator[str]:
    yield from ("", f"### {command.prog}", "", command.description or "", "", "| argument | |", "|---|---|")
    for action in command._actions:  # noqa: SLF001 - argparse tells its grammar in no other way
        hidden = isinstance(action, argparse._HelpAction) or action.help == argparse.SUPPRESS  # noqa: SLF001 - the same
        if not hidden:
            yield _row(_argument(action), _help(action))


def _argument(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else _value(action)
    if not action.option_strings:
        return f"`{value}`"
    return ", ".join(f"`{f'{flag} {value}'.strip()}`" for flag in action.option_strings)


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "{" + ",".join(map(str, action.choices)) + "}"
    if isinstance(action.metavar, tuple):
        return " ".join(action.metavar)
    return action.metavar or action.dest.upper()


def _help(action: argparse.Action) -> str:
    text = action.help or ""
    told = action.default not in (None, False, argparse.SUPPRESS, "", []) and "(default" not in text
    return f"{text} (default: {action.default})" if told and action.nargs != 0 else text


# Times -------------------------------------------------------------------------------------------------------------


def _times_page() -> Iterator[str]:
    yield from ("# Times", "", *(inspect.getdoc(timing) or "").splitlines())
    defaults = timing.Timing()
    for section, found in _times(inspect.getsource(timing)).items():
        yield from ("", f"## {section}", "", "| time | is | |", "|---|---|---|")
        yield from (_row(f"`{name}`", f"`{spoken(getattr(defaults, name))}`", text) for name, text in found)


def _times(source: str) -> Mapping[str, Sequence[tuple[str, str]]]:
    """Find the sections of the table, each with its times and their reasons."""
    heads = [
        (source[: head.start()].count("\n"), head[1]) for head in re.finditer(r"^    # (.+)$", source, re.MULTILINE)
    ]
    found: dict[str, list[tuple[str, str]]] = {title: [] for _, title in heads}
    (table,) = (node for node in ast.parse(source).body if isinstance(node, ast.ClassDef))
    for one, following in itertools.pairwise(table.body):
        match one, following:
            case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                found[[title for line, title in heads if line < one.lineno][-1]].append((name, text))
            case _:
                pass
    return found


def _row(*cells: str) -> str:
    return "| " + " | ".join(" ".join(cell.split()).replace("|", "\\|") for cell in cells) + " |"


def main() -> None:
    """Write the pages."""
    PAGES.mkdir(exist_ok=True)
    for name, text in pages().items():
        (PAGES / name).write_text(text)


if __name__ == "__main__":
    main()
