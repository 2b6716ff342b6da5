"""Which cluster and namespace a command is about, found as kubectl finds them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from kubernetes import client, config
from kubernetes.config.config_exception import ConfigException
from kubernetes.config.kube_config import KUBE_CONFIG_DEFAULT_LOCATION, ConfigNode, KubeConfigMerger

from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.cli.client.errors import Problem

_POD_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_DEFAULT: Final = "default"
_MALFORMED: Final = (ConfigException, OSError, ValueError, TypeError, KeyError, AttributeError, yaml.YAMLError)
"""What the client raises for a file that is no kubeconfig."""


@dataclass(frozen=True)
class Place:
    """A way to the API server, and the namespace meant where none is named."""

    access: Access
    namespace: str


def find(kubeconfig: str | None = None, context: str | None = None) -> Place:
    """Find the cluster: the kubeconfig's, or in a pod without one the pod's own.

    Raises `Problem` where there is neither, or the kubeconfig has no such context.
    """
    found = client.Configuration()
    if kubeconfig is None and context is None and not _exists() and _in_pod(found):
        return Place(Access(found), _POD_NAMESPACE.read_text().strip() or _DEFAULT)
    where = kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION
    try:
        known = _contexts(where)
        name = context or _read(where).get("current-context") or ""
        if name in known:
            config.load_kube_config(where, name, found)  # type: ignore[no-untyped-call]  # the client is not annotated
            return Place(Access(found), known[name].get("namespace") or _DEFAULT)
    except _MALFORMED as error:
        message = f"no cluster: {where} cannot be used ({error}); set KUBECONFIG or --kubeconfig to a kubeconfig"
        raise Problem(message) from error
    asked = f"has no context {name}" if name else "has no current context"
    raise Problem(f"{where} {asked}; name one with --context: {', '.join(known) or 'there is none'}")


def context_names(kubeconfig: str | None = None) -> list[str]:
    """Return the names of the kubeconfig's contexts; none where it cannot be read."""
    try:
        return list(_contexts(kubeconfig or KUBE_CONFIG_DEFAULT_LOCATION))
    except _MALFORMED:
        return []


def _exists() -> bool:
    return any(Path(part).expanduser().is_file() for part in KUBE_CONFIG_DEFAULT_LOCATION.split(":"))


def _in_pod(found: client.Configuration) -> bool:
    try:
        config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]  # same
    except ConfigException:
        return False
    return _POD_NAMESPACE.is_file()


def _read(where: str) -> Mapping[str, Any]:
    merged = KubeConfigMerger(where).config  # type: ignore[no-untyped-call]  # same
    if merged is None:
        raise FileNotFoundError("there is no such file")
    read: Mapping[str, Any] = merged.value
    return read


def _contexts(where: str) -> dict[str, Mapping[str, Any]]:
    """Read the contexts by name."""
    nodes = (_plain(node) for node in _read(where).get("contexts") or ())
    return {str(one["name"]): _plain(one.get("context")) or {} for one in nodes}


def _plain(node: Any) -> Any:
    """Unwrap what the client wraps to remember the file that it came from."""
    return node.value if isinstance(node, ConfigNode) else node
