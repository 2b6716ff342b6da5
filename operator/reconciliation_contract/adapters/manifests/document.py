"""YAML read as Flux reads it: sigs.k8s.io/yaml, which is go-yaml v2 by way of JSON.

PyYAML differs in what a plain scalar means: there `y` is a string, `1:30` a number and `2020-01-01` a date.
"""

from __future__ import annotations

import math
import re
from collections.abc import Hashable, Iterator
from typing import Any, Final

import yaml

NODES: Final = 1_000_000
"""Values that a document may come to, each counted as often as an alias repeats it."""
DEPTH: Final = 200
_INT64: Final = range(-(1 << 63), 1 << 63)
_EXPONENT: Final = 1e21
"""From here on JSON in Go writes an exponent, so that a whole number does not read as an integer."""

_NUMBER: Final = "tag:yaml.org,2002:int"
_INTEGER: Final = re.compile(r"([-+]?)(?:0[xX]([0-9a-fA-F]+)|0[bB]([01]+)|0[oO]?([0-7]+)|(0|[1-9][0-9]*))")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")


class DocumentError(Exception):
    """Not YAML that Kubernetes can take."""


class TooManyNodes(DocumentError):
    """More than one reads."""


class _Loader(yaml.CSafeLoader):
    """Go's scalars in Python's parser."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - PyYAML's own way

    def construct_number(self, node: yaml.ScalarNode) -> int | float | str:
        """Read a number; what is none, as `1:30`, stays a string."""
        return number(str(self.construct_scalar(node)))

    def construct_text(self, node: yaml.ScalarNode) -> str:
        """Keep the text: time stamps and bytes are strings in JSON."""
        return str(self.construct_scalar(node))

    def construct_truth(self, node: yaml.ScalarNode) -> bool:
        """Read a Boolean of YAML 1.1."""
        return str(self.construct_scalar(node)).lower() in {"y", "yes", "true", "on"}


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(pattern), list(first))


_resolve("bool", r"(?:y|Y|[yY]es|YES|[tT]rue|TRUE|[oO]n|ON|n|N|[nN]o|NO|[fF]alse|FALSE|[oO]ff|OFF)\Z", "yYtToOnNfF")
_resolve("null", r"(?:~|null|Null|NULL|)\Z", "~nN")
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"\Z"), [""])
_resolve("float", r"[-+]?\.(?:inf|Inf|INF)\Z|\.(?:nan|NaN|NAN)\Z", "-+.")
_resolve("int", r"[-+.0-9][-+.0-9a-zA-Z_]*\Z", "-+.0123456789")
_resolve("merge", r"<<\Z", "<")
_Loader.add_constructor(_NUMBER, _Loader.construct_number)
_Loader.add_constructor("tag:yaml.org,2002:bool", _Loader.construct_truth)
for _tag in ("timestamp", "binary"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _Loader.construct_text)


def number(text: str) -> int | float | str:
    """Read a plain scalar that begins like a number; a string where it is none."""
    plain = text.replace("_", "")
    if found := _INTEGER.fullmatch(plain):
        sign, hexadecimal, binary, octal, decimal = found.groups()
        digits, base = next((d, b) for d, b in ((hexadecimal, 16), (binary, 2), (octal, 8), (decimal, 10)) if d)
        value = int(digits, base) * (-1 if sign == "-" else 1)
        return value if value in _INT64 else float(value)
    if not _FLOAT.fullmatch(text if text.startswith(".") else plain):
        return text
    # Too large for a number, as the abbreviated hash 6e74912, is text.
    return parsed if math.isfinite(parsed := float(plain)) else text


def read_document(text: str, nodes: int = NODES) -> Any:
    """Read one document into what JSON can hold. Raises `DocumentError`."""
    try:
        return _Plain(nodes).value(yaml.load(text, _Loader), 0)  # noqa: S506 - a subclass of the safe loader
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise DocumentError(_problem(error)) from error


def split_documents(text: str) -> Iterator[str]:
    """Split a stream of documents as kustomize writes them."""
    return (part for part in re.split(r"^---\s*$", text, flags=re.MULTILINE) if part.strip())


class _Plain:
    """Converts parsed YAML to JSON's types, counting what it comes to with every alias written out."""

    def __init__(self, nodes: int) -> None:
        self._left = nodes

    def value(self, found: Any, depth: int) -> Any:
        self._left -= 1
        if self._left < 0 or depth > DEPTH:
            raise TooManyNodes("it holds too many values, or nests too deeply")
        if isinstance(found, dict):
            return {_key(key): self.value(item, depth + 1) for key, item in found.items()}
        if isinstance(found, list):
            return [self.value(item, depth + 1) for item in found]
        return _whole(found) if isinstance(found, float) else found


def _key(key: Hashable) -> str:
    if isinstance(key, bool):
        return str(key).lower()
    if isinstance(key, str | int | float):
        return str(key)
    raise DocumentError("a key is neither text nor a number")


def _whole(value: float) -> int | float:
    """A float as it comes back from Go's JSON: a whole number is an integer."""
    if not math.isfinite(value):
        raise DocumentError("a number is not finite")
    return int(value) if value.is_integer() and abs(value) < _EXPONENT and int(value) in _INT64 else value


def _problem(error: Exception) -> str:
    """The first line of what is wrong, with its place; the text itself is not quoted."""
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"line {error.problem_mark.line + 1}: {error.problem}"
    return "it nests too deeply" if isinstance(error, RecursionError) else "it is not YAML"
