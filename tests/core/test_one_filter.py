"""Words of others pass one filter: whoever adds an entry or an exit finds out here that it has to."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

import reconciliation_contract
from reconciliation_contract.adapters.telemetry.contract_series import write_row
from reconciliation_contract.api.status.parse import parse_memory
from reconciliation_contract.api.status.render import render_status
from reconciliation_contract.core.facts.observation import Condition
from reconciliation_contract.core.incidents.message import notice
from reconciliation_contract.core.memory.memory import Memory
from reconciliation_contract.core.spec.contract import Declared
from reconciliation_contract.observers.store import Store
from tests.api import full_memory
from tests.support import builders

SECRET = "s3cr3t"
HOSTILE = f'x: Invalid value: "{SECRET}": see https://ann:{SECRET}@example.com/?token={SECRET} and\u202e\x1b[2J\nmore'
PACKAGE = Path(reconciliation_contract.__file__).parent

INTERNAL = {
    "CommitFound": "ends a reading of Git, and is caught there",
    "Moved": "ends a comparison, and is caught there",
    "UnsupportedSchema": "names a model of ours, when the CRD is written",
}
"""Errors whose words are shown to nobody."""
READERS = {
    "adapters/kubernetes/client.py": "makes a ClusterError of it",
    "cli/client/connection.py": "makes a Problem of it",
    "adapters/manifests/program.py": "makes a BuildError of it",
    "api/status/repetition.py": "compares what is about to be written",
    "api/status/size.py": "cuts what is about to be written",
}
"""Who reads a message otherwise than by `read_words`, and why that does no harm."""


def _errors() -> Iterator[type[Exception]]:
    for module in pkgutil.walk_packages([str(PACKAGE)], "reconciliation_contract."):
        found = importlib.import_module(module.name)
        for thing in vars(found).values():
            if inspect.isclass(thing) and issubclass(thing, Exception) and thing.__module__ == module.name:
                yield thing


def _hostile(kind: type[Exception]) -> Exception:
    """An error all of whose texts are hostile."""
    given = [
        1 if parameter.annotation in ("int", "float", int, float) else HOSTILE
        for parameter in inspect.signature(kind).parameters.values()
        if parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    return kind(*given)


@pytest.mark.parametrize(
    "kind", [each for each in _errors() if each.__name__ not in INTERNAL], ids=lambda k: k.__name__
)
def test_no_error_of_ours_shows_a_secret(kind: type[Exception]) -> None:
    """Its constructor takes what it is given through the filter, whatever it is made of."""
    told = str(_hostile(kind))

    assert SECRET not in told
    assert told.isprintable()


def _messages_read(tree: ast.AST) -> Iterator[int]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
            if name in ("get", "read_text", "pop") and "message" in texts:
                yield node.lineno
        elif isinstance(node, ast.Subscript) and ast.unparse(node.slice) == "'message'":
            yield node.lineno


def test_messages_are_read_through_the_filter() -> None:
    """A message of anybody's object is read by `read_words`, or by whom the list above names."""
    found = {
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if [*_messages_read(ast.parse(path.read_text("utf-8")))]
    }

    assert found - set(READERS) == set()


# Whatever the memory holds ----------------------------------------------------------------------------------------

POISON = f'got "{SECRET}"'
"""As short as a text is that the status has room for."""
EXACT = re.compile(
    r"\.(?:restore\..*|handledRequests\..*|lastHandledReconcileAt|(?:source|pin)Ref\..*|specDigest|kustomizationUID|path|pin\.(?:uid|artifact|content)"
    r"|badRevisions|places|inventory|manifests|binding|id|v|status|type|footing|requests\.name|drift\.revision|storms\..*|told\..*)$"
)
"""Parts of a status that are no words but names, digests and answered requests, which are compared exactly."""


def _written(value: Any, write: Callable[[str], str]) -> Any:
    """The same with every text written anew; what is no text stays."""
    if type(value) is str:
        return write(value)
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: _written(getattr(value, f.name), write) for f in fields(value) if f.init})
    if type(value) is tuple:
        return tuple(_written(item, write) for item in value)
    if isinstance(value, dict):
        return {key: _written(item, write) for key, item in value.items()}
    return value


def _texts(value: Any, path: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _texts(item, f"{path}.{key}")
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item, path)
    elif isinstance(value, str):
        yield path, value


def _part(name: str, write: Callable[[str], str]) -> dict[str, Any]:
    """The status of a memory that knows of the delivery and of one thing more, so that there is room for all of it."""
    whole = _written(full_memory.full_memory(), write)
    return render_status(Memory(delivery=whole.delivery, **{name: getattr(whole, name)}), full_memory.kustomization())


@pytest.mark.parametrize("name", [each.name for each in fields(Memory) if each.name != "delivery"])
def test_whatever_a_memory_holds_its_status_shows_no_secret(name: str) -> None:
    """Each text of each record is hostile; a field that is new is poisoned, too."""
    shown = [*_texts(_part(name, lambda _: POISON))]

    assert {path for path, text in shown if SECRET in text and not EXACT.search(path)} == set()


def test_whatever_a_status_holds_nothing_else_shows_a_secret() -> None:
    """A forged status is words of others: what is read out of it goes into messages and metrics."""
    forged = parse_memory(_forged(_part("incidents", lambda text: text[-60:])))

    told = [notice(_contract(), "uid", each, number) for each in forged.incidents for number in (1, 2)]

    assert told
    assert all("Invalid value: ***" in each.text for each in told)
    assert all(SECRET not in text for text in [*map(repr, told), *write_row(_contract(), forged, {})])


def _contract() -> Declared:
    store = Store()
    store.put_contract(builders.contract())
    return store.contracts["apps", "shop"].contract


def _forged(value: Any, key: str = "") -> Any:
    """A status all of whose words are hostile; what has to be of a form to be read stays."""
    if isinstance(value, dict):
        return {name: _forged(item, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_forged(item, key) for item in value]
    words = ("promise", "reason", "message", "cause", "outcome", "plea", "nextStep", "subject", "revision")
    return HOSTILE if isinstance(value, str) and key in words else value


def test_a_condition_is_clean_whoever_makes_it() -> None:
    """Also where it is made of an error's text, or of a status."""
    made = Condition("False", HOSTILE, HOSTILE)

    assert SECRET not in made.reason + made.message
