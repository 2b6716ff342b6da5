"""How a controller of Flux was started, as far as its Deployment tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from reconciliation_contract.api.kubernetes.raw import Raw, read_list, read_map, read_text

_CANCELS: Final = "CancelHealthCheckOnNewRevision"
_STRICT: Final = "StrictPostBuildSubstitutions"
_STRICT_SINCE: Final = (1, 9)
"""Version of kustomize-controller from which on the gate is open unless it is closed."""
_T = TypeVar("_T")
_VERSION: Final = re.compile(r":v(\d+)\.(\d+)\.\d+(?:$|[-@+])")


@dataclass(frozen=True, slots=True)
class Started:
    """How kustomize-controller was started; what all of its shards agree in."""

    default_service_account: str = ""
    """With which Flux applies where a Kustomization names no account; empty: with the controller's own."""
    strict: bool | None = None
    """A variable without value or default fails a build; None where that is not known."""
    cancels_health_checks: bool | None = None
    """A new revision ends the health check of the one before; None where that is not known."""
    overrides: tuple[str, ...] = ()
    """Field managers whose fields it takes over, besides those that it always does."""


def started(deployments: Sequence[Raw]) -> Started:
    """Read the Deployments of kustomize-controller and its shards; nothing is known without any."""
    if not deployments:
        return Started()
    accounts = {argument(each, "default-service-account") for each in deployments}
    strict = {_is_strict(each) for each in deployments}
    cancels = all(_gates(each).get(_CANCELS, False) for each in deployments)
    overrides = {tuple(sorted(set(arguments(each, "override-manager")))) for each in deployments}
    return Started(_agreed(accounts) or "", _agreed(strict), cancels, _agreed(overrides) or ())


def argument(deployment: Raw, name: str) -> str:
    """The last value of an argument; empty where it is not given."""
    return ("", *arguments(deployment, name))[-1]


def arguments(deployment: Raw, name: str) -> Iterator[str]:
    """All values of an argument, written with or without ``=``."""
    for word, following in pairwise([*_words(deployment), ""]):
        flag, equals, said = word.partition("=")
        if flag == f"--{name}":
            yield said if equals else following


def _agreed(values: set[_T]) -> _T | None:
    return next(iter(values)) if len(values) == 1 else None


def _gates(deployment: Raw) -> dict[str, bool]:
    pairs = (pair.partition("=") for pair in argument(deployment, "feature-gates").split(","))
    return {name.strip(): value.strip().lower() == "true" for name, _, value in pairs}


def _is_strict(deployment: Raw) -> bool | None:
    said = _gates(deployment).get(_STRICT)
    images = (read_text(container, "image") for container in _containers(deployment))
    version = next((found for image in images if (found := _VERSION.search(image))), None)
    if said is not None or version is None:
        return said
    return (int(version[1]), int(version[2])) >= _STRICT_SINCE


def _containers(deployment: Raw) -> list[Raw]:
    pod = read_map(read_map(read_map(deployment, "spec"), "template"), "spec")
    return [*read_list(pod, "containers")]


def _words(deployment: Raw) -> Iterator[str]:
    for container in _containers(deployment):
        for part in ("command", "args"):
            found = container.get(part)
            yield from (str(word) for word in found) if isinstance(found, list) else ()
