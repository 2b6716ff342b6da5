"""How a controller of Flux was started, as far as its Deployment tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, TypeVar

from reconciliation_contract.api.kubernetes.raw import Raw, read_list, read_map, read_text
from reconciliation_contract.core.values import sharding

_CANCELS: Final = "CancelHealthCheckOnNewRevision"
_STRICT: Final = "StrictPostBuildSubstitutions"
_STRICT_SINCE: Final = (1, 9)
"""Version of kustomize-controller from which on the gate is open unless it is closed."""
_LOCKDOWN: Final = "--no-cross-namespace-refs"
_PROGRAM: Final = "kustomize-controller"
_MANAGER: Final = "manager"
"""Name of the controller's container in Flux's own manifests."""
_EXPANDED: Final = "$("
"""How Kubernetes marks what it fills in from the container's environment."""
_BOOLEANS: Final = {
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
"""How Go's flags write them (strconv.ParseBool)."""
_T = TypeVar("_T")
_VERSION: Final = re.compile(r":v(\d+)\.(\d+)\.\d+(?:$|[-@+])")


@dataclass(frozen=True, slots=True)
class Started:
    """How the kustomize-controllers that may serve an object were started; None where that is not known."""

    default_service_account: str | None = None
    """With which Flux applies where a Kustomization names no account; empty: with the controller's own."""
    crosses_namespaces: bool | None = None
    """A Kustomization may take its manifests from a source in another namespace."""
    strict: bool | None = None
    """A variable without value or default fails a build."""
    cancels_health_checks: bool | None = None
    """A new revision ends the health check of the one before."""
    overrides: tuple[str, ...] = ()
    """Field managers whose fields it takes over, besides those that it always does."""


@dataclass(frozen=True, slots=True)
class Controllers:
    """The kustomize-controller and its shards, each with the selector of what it watches and how it was started."""

    known: tuple[tuple[str, Started], ...] = ()

    def serving(self, shard: str) -> Started:
        """What is certain of whichever serves an object of this shard: that in which all that may serve it agree."""
        found = [each for selector, each in self.known if sharding.may_watch(selector, shard)]
        if not found:
            return Started()
        cancels = {each.cancels_health_checks for each in found}
        return Started(
            _agreed({each.default_service_account for each in found}),
            _agreed({each.crosses_namespaces for each in found}),
            _agreed({each.strict for each in found}),
            None if None in cancels else all(cancels),
            _agreed({each.overrides for each in found}) or (),
        )


def controllers(deployments: Sequence[Raw]) -> Controllers:
    """Read the Deployments of kustomize-controller and its shards."""
    selectors = (argument(each, "watch-label-selector") if _is_plain(each) else "" for each in deployments)
    return Controllers(tuple(zip(selectors, map(started, deployments), strict=True)))


def started(deployment: Raw) -> Started:
    """Read one Deployment; nothing is known of one that starts something else than the controller, as a shell."""
    if not _is_plain(deployment):
        return Started()
    gates = _gates(deployment)
    return Started(
        default_service_account=_certain(argument(deployment, "default-service-account")),
        crosses_namespaces=_crosses(deployment),
        strict=_is_strict(deployment),
        cancels_health_checks=gates.get(_CANCELS, False),
        overrides=tuple(sorted(set(arguments(deployment, "override-manager")))),
    )


def _is_plain(deployment: Raw) -> bool:
    """Whether what it is started with can be read: one container, its program and flags, all of them in the open."""
    found = _containers(deployment)
    if len(found) != 1 or any(not isinstance(found[0].get(part, []), list) for part in ("command", "args")):
        return False
    command = found[0].get("command") or []
    program = not command or str(command[0]).rpartition("/")[2] == _PROGRAM
    return program and not any(_EXPANDED in word.partition("=")[0] for word in _words(deployment))


def _certain(value: str) -> str | None:
    """Read a value that Kubernetes fills in from the environment as not known."""
    return None if _EXPANDED in value else value


def _crosses(deployment: Raw) -> bool | None:
    """Whether a reference to another namespace is followed: unless the flag is there, alone or with a true value."""
    said = [word.partition("=") for word in _words(deployment) if word.partition("=")[0] == _LOCKDOWN]
    if not said:
        return True
    _, equals, value = said[-1]
    forbids = _BOOLEANS.get(value) if equals else True
    return None if forbids is None else not forbids


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
    """The container of the controller; all of them where none has its name."""
    pod = read_map(read_map(read_map(deployment, "spec"), "template"), "spec")
    found = [*read_list(pod, "containers")]
    return [each for each in found if read_text(each, "name") == _MANAGER] or found


def _words(deployment: Raw) -> Iterator[str]:
    for container in _containers(deployment):
        for part in ("command", "args"):
            found = container.get(part)
            yield from (str(word) for word in found) if isinstance(found, list) else ()
