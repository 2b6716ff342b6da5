"""Which differences are meant to be: rules of the contract, and those that Flux itself honours."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any, Final

from reconciliation_contract.core.values.diff import Difference, steps, trimmed
from reconciliation_contract.core.values.object_key import ObjectKey

_FLUX: Final = "kustomize.toolkit.fluxcd.io/"
_OWNER: Final = (("metadata", "labels", f"{_FLUX}name"), ("metadata", "labels", f"{_FLUX}namespace"))
"""Flux's own labels; they tell whose an object is, not what it is."""
_RISKY: Final = re.compile(r"\)[*+?{]|\\[1-9]|\(\?|([*+{].*){3}", re.DOTALL)
"""Patterns that can take for ever; one of these is read as if it matched everything."""
_LONGEST_PATTERN: Final = 256


@dataclass(frozen=True, slots=True)
class IgnoreRule:
    """A rule of a contract: fields of these objects are left out; without paths, the objects themselves.

    ``kind`` and ``name`` are shell patterns, and empty ones match all. In a path ``*`` stands for any one step.
    """

    kind: str = ""
    name: str = ""
    paths: tuple[str, ...] = ()

    def matches(self, key: ObjectKey) -> bool:
        """Whether the rule is about an object."""
        return fnmatchcase(key.kind, self.kind or "*") and fnmatchcase(key.name, self.name or "*")


@dataclass(frozen=True, slots=True)
class FluxRule:
    """A rule of a Kustomization's ``spec.ignore``; its patterns are anchored regular expressions."""

    paths: tuple[str, ...]
    group: str = ""
    version: str = ""
    kind: str = ""
    name: str = ""
    namespace: str = ""
    labels: str = ""
    annotations: str = ""

    def matches(self, body: Mapping[str, Any]) -> bool:
        """Whether the rule is about an object. What cannot be read safely counts as matching: less is reported."""
        meta = _map(body, "metadata")
        group, _, version = str(body.get("apiVersion", "")).rpartition("/")
        pairs = (
            (group, self.group),
            (version, self.version),
            (str(body.get("kind", "")), self.kind),
            (str(meta.get("name", "")), self.name),
            (str(meta.get("namespace", "")), self.namespace),
        )
        selected = _selects(self.labels, _map(meta, "labels")) and _selects(
            self.annotations, _map(meta, "annotations")
        )
        return selected and all(not pattern or _matches(pattern, text) for text, pattern in pairs)


@dataclass(frozen=True, slots=True)
class Exemptions:
    """Everything that is left out when one Kustomization is compared."""

    contract: Sequence[IgnoreRule] = field(default_factory=tuple)
    flux: Sequence[FluxRule] = field(default_factory=tuple)

    def whole(self, key: ObjectKey) -> bool:
        """Whether a rule of the contract leaves out an object as a whole."""
        return any(not rule.paths and rule.matches(key) for rule in self.contract)

    def remaining(
        self, found: Sequence[Difference], key: ObjectKey, body: Mapping[str, Any]
    ) -> tuple[Difference, ...]:
        """What is left of an object's differences."""
        paths: list[tuple[str, ...]] = [*_OWNER]
        paths += [steps(path) for rule in self.contract if rule.matches(key) for path in rule.paths]
        paths += [steps(path) for rule in self.flux if rule.matches(body) for path in rule.paths]
        left: list[Difference] = []
        for difference in found:
            now: Difference | None = difference
            for path in paths:
                now = trimmed(now, path) if now else None
            if now:
                left.append(now)
        return tuple(left)


def is_left_alone(manifest: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Whether Flux does not apply an object, by annotations or labels of its manifest or of the live object."""
    if any(_marked(body, "reconcile", "disabled") or _marked(body, "ssa", "Ignore") for body in (manifest, live)):
        return True
    return live is not None and _marked(manifest, "ssa", "IfNotPresent")


def is_merged(manifest: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Whether Flux leaves in place the fields that others have added."""
    return _marked(manifest, "ssa", "Merge") or _marked(live, "ssa", "Merge")


def is_recreated(manifest: Mapping[str, Any], live: Mapping[str, Any] | None) -> bool:
    """Whether Flux makes the object anew where it cannot be changed."""
    return _marked(manifest, "force", "enabled") or _marked(live, "force", "enabled")


def _marked(body: Mapping[str, Any] | None, name: str, value: str) -> bool:
    meta = _map(body or {}, "metadata")
    said = (_map(meta, "labels").get(_FLUX + name), _map(meta, "annotations").get(_FLUX + name))
    return any(isinstance(text, str) and text.lower() == value.lower() for text in said)


def _map(raw: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = raw.get(key)
    return value if isinstance(value, Mapping) else {}


def _matches(pattern: str, text: str) -> bool:
    if len(pattern) > _LONGEST_PATTERN or _RISKY.search(pattern):
        return True
    try:
        return re.fullmatch(pattern, text) is not None
    except re.error:
        return True


def _selects(selector: str, said: Mapping[str, Any]) -> bool:
    """Whether a selector of ``key=value``, ``key!=value``, ``key`` and ``!key`` terms selects; others always do."""
    if "(" in selector:
        return True
    return all(_holds(term.strip(), said) for term in selector.split(",") if term.strip())


def _holds(term: str, said: Mapping[str, Any]) -> bool:
    if "!=" in term:
        key, _, value = term.partition("!=")
        return said.get(key.strip()) != value.strip()
    if "=" in term:
        key, _, value = term.replace("==", "=").partition("=")
        return said.get(key.strip()) == value.strip()
    return term[1:].strip() not in said if term.startswith("!") else term in said
