"""Kustomize's output, as the objects that `kubectl apply -k` sends, and what they grant to whom."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

Manifest = dict[str, Any]

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
NAME = "reconciliation-contract"


@dataclass(frozen=True, order=True)
class Right:
    """One verb on one resource, granted to the operator's service account."""

    role: str
    namespace: str
    """Empty for the whole cluster."""
    group: str
    resource: str
    verb: str
    names: tuple[str, ...] = ()
    """Empty for any name."""


@dataclass(frozen=True)
class Rendering:
    """The objects of one kustomization."""

    objects: tuple[Manifest, ...]

    def of_kind(self, *kinds: str) -> list[Manifest]:
        """Return the objects of these kinds, in the order they are applied."""
        return [found for found in self.objects if found["kind"] in kinds]

    def one(self, kind: str) -> Manifest:
        """Return the only object of a kind."""
        (found,) = self.of_kind(kind)
        return found

    @property
    def pod(self) -> Manifest:
        """The pod template of the Deployment."""
        template: Manifest = self.one("Deployment")["spec"]["template"]
        return template

    @property
    def container(self) -> Manifest:
        """The only container of the Deployment."""
        (container,) = self.pod["spec"]["containers"]
        found: Manifest = container
        return found

    def identities(self) -> set[tuple[str, str, str]]:
        """Name every object by kind, namespace and name."""
        return {
            (found["kind"], found["metadata"].get("namespace", ""), found["metadata"]["name"])
            for found in self.objects
        }

    def rules(self) -> Iterator[tuple[Manifest, Manifest]]:
        """Yield every rule with its role, whoever it is bound to."""
        for role in self.of_kind("Role", "ClusterRole"):
            for rule in role["rules"]:
                yield role, rule

    def rights(self) -> set[Right]:
        """Resolve what the bindings grant; a binding to a role that is not rendered here is an error."""
        roles = {(role["kind"], role["metadata"]["name"]): role for role in self.of_kind("Role", "ClusterRole")}
        return {
            right
            for binding in self.of_kind("RoleBinding", "ClusterRoleBinding")
            for right in _granted(roles[binding["roleRef"]["kind"], binding["roleRef"]["name"]], binding)
        }


def render(kubectl: Path, directory: Path) -> Rendering:
    """Run `kubectl kustomize`; it needs no cluster. Raises `CalledProcessError`."""
    result = subprocess.run([kubectl, "kustomize", directory], capture_output=True, text=True, check=True)
    return Rendering(tuple(yaml.safe_load_all(result.stdout)))


def _granted(role: Manifest, binding: Manifest) -> Iterator[Right]:
    for rule in role["rules"]:
        for group in rule["apiGroups"]:
            for resource in rule["resources"]:
                for verb in rule["verbs"]:
                    yield Right(
                        role["metadata"]["name"],
                        binding["metadata"].get("namespace", ""),
                        group,
                        resource,
                        verb,
                        tuple(rule.get("resourceNames", ())),
                    )
