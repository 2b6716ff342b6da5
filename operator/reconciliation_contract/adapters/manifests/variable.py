"""The values for post-build substitution, from the Kustomization and the ConfigMaps and Secrets that it names."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from typing import Final, Protocol

from reconciliation_contract.adapters.kubernetes.client import SECRETS
from reconciliation_contract.adapters.kubernetes.resource import Resource
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.api.kubernetes.raw import Raw, read_list, read_map, read_strings, read_text
from reconciliation_contract.core.values import reasons
from reconciliation_contract.errors import BadName, ClusterError, Missing, Powerless, Refused

CONFIG_MAPS: Final = Resource("", "v1", "configmaps")
_KINDS: Final = {"ConfigMap": CONFIG_MAPS, "Secret": SECRETS}


class Reader(Protocol):
    """Reads objects of a cluster."""

    async def get(self, resource: Resource, namespace: str, name: str, *, user: str = "") -> Raw:
        """Read one object; raises `ClusterError`."""


@dataclass(frozen=True, slots=True)
class Values:
    """What to substitute."""

    by_name: dict[str, str] = field(default_factory=dict, repr=False)
    private: frozenset[str] = frozenset()
    """Names of those that come from a Secret."""


async def read_values(reader: Reader | None, kustomization: Raw, user: str = "") -> Values:
    """Collect the values; later references win, and what the Kustomization itself says wins over all.

    Without a ``reader``, as before a merge, only the Kustomization's own are known. Raises `BuildError`.
    """
    namespace = read_text(read_map(kustomization, "metadata"), "namespace")
    post_build = read_map(read_map(kustomization, "spec"), "postBuild")
    values: dict[str, str] = {}
    private: set[str] = set()
    for reference in read_list(post_build, "substituteFrom"):
        found = await _referred(reader, reference, namespace, user)
        values |= found
        private = private | set(found) if read_text(reference, "kind") == "Secret" else private - set(found)
    own = read_strings(read_map(post_build, "substitute"))
    values |= own
    # A line break would reach over the value's own line of YAML.
    plain = {name: value.replace("\n", "") for name, value in values.items()}
    return Values(plain, frozenset(private - set(own)))


async def _referred(reader: Reader | None, reference: Raw, namespace: str, user: str) -> dict[str, str]:
    kind, name = read_text(reference, "kind"), read_text(reference, "name")
    what = f"{kind} {namespace}/{name}"
    if kind not in _KINDS:
        return {}
    if reader is None:
        raise BuildUnknown(reasons.VALUES_UNREADABLE, f"cannot read {what} without a cluster")
    try:
        found = await reader.get(_KINDS[kind], namespace, name, user=user)
    except Missing as error:
        if reference.get("optional") is True:
            return {}
        raise BuildFailed(f"substituteFrom names {what}, which does not exist") from error
    except (BadName, Powerless) as error:
        raise BuildUnknown(reasons.VALUES_UNREADABLE, f"cannot read {what}: {error}") from error
    except Refused as error:
        text = f"cannot read {what}: grant {user or 'the operator'} get on {_KINDS[kind].plural} in {namespace}"
        raise BuildUnknown(reasons.VALUES_UNREADABLE, text) from error
    except ClusterError as error:
        raise BuildUnknown(reasons.VALUES_UNREADABLE, f"cannot read {what}: {error.detail}") from error
    data = read_strings(read_map(found, "data"))
    return {key: _decoded(value) for key, value in data.items()} if kind == "Secret" else data


def _decoded(value: str) -> str:
    return base64.b64decode(value).decode(errors="replace")
