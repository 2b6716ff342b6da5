"""Post-build substitution: ``${name}`` and its operators, as Flux replaces them in the text of one object.

The grammar is that of fluxcd/pkg/envsubst, which is not quite a shell's: every default operator (``:-`` ``:=``
``=`` ``:?`` ``:+``) gives the default where the value is empty, ``$$`` is a dollar sign, and ``$name`` without
braces is text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final

_NAME: Final = re.compile(r"[^\W]+")
_VARIABLE: Final = re.compile(r"[_A-Za-z][_A-Za-z0-9]*")
_WHOLE: Final = re.compile(r"[-+]?[0-9]+")
_LONGEST: Final = 8 << 20
"""Characters that one object may become."""
_DEEPEST: Final = 50


class SubstitutionError(Exception):
    """The text cannot be substituted; the message names variables, never values."""


class TooMuch(SubstitutionError):
    """Flux might do it; we do not."""


class Unset(SubstitutionError):
    """A variable has no value and no default; only strict substitution minds."""


def substitute(text: str, values: Mapping[str, str], *, strict: bool = False) -> str:
    """Replace the variables in a text. Raises `SubstitutionError`.

    A variable without a value becomes empty; with ``strict`` it is an error unless a default is given.
    """
    for name in values:
        if not _VARIABLE.fullmatch(name):
            raise SubstitutionError(f"{name!r} is no name of a variable")
    return _Reader(text, values, strict).all()


class _Reader:
    """Reads the text once from the left and writes its replacement."""

    def __init__(self, text: str, values: Mapping[str, str], strict: bool) -> None:
        self._text = text
        self._values = values
        self._strict = strict
        self._at = 0
        self._depth = 0

    def all(self) -> str:
        parts: list[str] = []
        length = 0
        while self._at < len(self._text):
            parts.append(self._variable() if self._opens() else self._run(lambda _: True, escapes="$"))
            length += len(parts[-1])
            if length > _LONGEST:
                raise TooMuch("the values make the object too large")
        return "".join(parts)

    # Text -------------------------------------------------------------------------------------------------------

    def _opens(self) -> bool:
        return self._text.startswith("${", self._at)

    def _peek(self) -> str:
        return self._text[self._at : self._at + 1]

    def _run(self, accepts: Callable[[str], bool], escapes: str = "") -> str:
        """Take text up to a variable or a character that is not accepted."""
        taken: list[str] = []
        text = self._text
        while self._at < len(text) and not self._opens():
            pair = text[self._at : self._at + 2]
            if ("$" in escapes and pair == "$$") or ("\\" in escapes and pair in ("\\/", "\\\\")):
                taken.append(pair[1])
                self._at += 2
            elif accepts(pair[0]):
                taken.append(pair[0])
                self._at += 1
            else:
                break
        return "".join(taken)

    def _expect(self, pattern: str) -> str:
        found = re.compile(pattern).match(self._text, self._at)
        if not found:
            raise SubstitutionError(f"bad substitution near {self._near()}")
        self._at = found.end()
        return found.group()

    def _near(self) -> str:
        start = self._text.rfind("${", 0, self._at + 1)
        return repr(self._text[start : start + 40].split("\n")[0])

    # Variables --------------------------------------------------------------------------------------------------

    def _variable(self) -> str:
        """Read ``${...}`` and give what it stands for."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise TooMuch("variables nest too deeply")
        self._at += 2
        counts = self._peek() == "#"
        self._at += counts
        name = self._expect(_NAME.pattern)
        replaced = str(len(self._value(name).encode())) if counts else self._operation(name)
        self._expect("}")
        self._depth -= 1
        return replaced

    def _operation(self, name: str) -> str:
        match self._peek():
            case ":" if self._text[self._at + 1 : self._at + 2] in ("=", "-", "?", "+"):
                return self._default(name, self._expect(":."))
            case "=":
                return self._default(name, self._expect("="))
            case ":":
                return self._part(name)
            case "," | "^":
                return _cased(self._value(name), self._expect("[,^]{1,2}"))
            case "/":
                return self._replaced(name)
            case "#" | "%":
                operator = self._expect("##?|%%?")
                return _trimmed(self._value(name), operator, self._argument())
            case _:
                return self._value(name)

    def _value(self, name: str) -> str:
        if self._strict and name not in self._values:
            raise Unset(f"the variable {name!r} is not set, and substitution is strict")
        return self._values.get(name, "")

    def _argument(self, stop: str = "}", escapes: str = "") -> str:
        """Read one argument: a variable, or text that is not empty."""
        if self._opens():
            return self._variable()
        start = self._at
        text = self._run(lambda character: character not in stop, escapes)
        if self._at == start:
            raise SubstitutionError(f"bad substitution near {self._near()}")
        return text

    def _default(self, name: str, _operator: str) -> str:
        parts: list[str] = []
        while self._peek() != "}":
            parts.append(self._argument())
        return self._values.get(name, "") or "".join(parts)

    def _part(self, name: str) -> str:
        self._expect(":")
        start, length = self._argument(":}"), None
        if self._peek() == ":":
            self._expect(":+")
            length = self._argument()
        return _slice(self._value(name), start, length)

    def _replaced(self, name: str) -> str:
        operator = self._expect("/[/#%]?")
        old, new = self._argument("/", "$\\"), ""
        self._expect("/+")
        given = self._peek() != "}"
        if given:
            new = self._argument("}", "$\\")
        value = self._value(name)
        match operator:
            case "/#" if given:
                return new + value.removeprefix(old) if value.startswith(old) else value
            case "/%" if given:
                return value.removesuffix(old) + new if value.endswith(old) else value
            case "//":
                return value.replace(old, new)
            case "/":
                return value.replace(old, new, 1)
            case _:
                return value


# Operators ------------------------------------------------------------------------------------------------------


def _cased(value: str, operator: str) -> str:
    match operator:
        case ",":
            return value[:1].lower() + value[1:]
        case ",,":
            return value.lower()
        case "^":
            return value[:1].upper() + value[1:]
        case "^^":
            return value.upper()
        case _:
            return value


def _slice(value: str, start: str, length: str | None) -> str:
    """Cut bytes out of a value; a position that is no number leaves it whole."""
    data = value.encode()
    if not _WHOLE.fullmatch(start) or (length is not None and not _WHOLE.fullmatch(length)):
        return value
    begin = int(start)
    begin = max(0, len(data) + begin) if begin < 0 else begin
    end = len(data) if length is None else begin + int(length)
    if begin < len(data) and end < begin:
        raise SubstitutionError("a part of a negative length")
    return data[begin:end].decode(errors="replace")


def _trimmed(value: str, operator: str, pattern: str) -> str:
    """Cut off what a glob matches, at the beginning (``#``) or the end (``%``); doubled, as much as possible."""
    backwards = operator[0] == "%"
    if backwards:
        value, pattern = value[::-1], pattern[::-1]
    glob = _glob(pattern)
    lengths = range(len(value), 0, -1) if len(operator) > 1 else range(1, len(value) + 1)
    found = next((n for n in lengths if glob is not None and glob.fullmatch(value, 0, n)), 0)
    return value[found:][::-1] if backwards else value[found:]


def _glob(pattern: str) -> re.Pattern[str] | None:
    """Compile a glob of Go's `path.Match`, where ``*`` also matches a slash; None where it is malformed."""
    written = re.sub(
        r"\\(.)|(\*+)|(\?)|(\[\^?(?:\\.|[^\]\\])+\])|(.)",
        lambda m: (
            re.escape(m[1] or m[5] or "")
            if m[1] or m[5]
            else ".*"
            if m[2]
            else "."
            if m[3]
            else m[4].replace("[[", "[\\[")
        ),
        pattern,
        flags=re.DOTALL,
    )
    try:
        return re.compile(written, re.DOTALL)
    except re.error:
        return None
