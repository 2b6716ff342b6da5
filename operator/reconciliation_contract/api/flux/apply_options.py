"""Those parts of a Kustomization's spec that say how Flux applies, and not what."""

from __future__ import annotations

from typing import Final

from reconciliation_contract.api.kubernetes.raw import Raw, read_list, read_map, read_text
from reconciliation_contract.core.spec.ignore_rules import FluxRule

_TARGET: Final = ("group", "version", "kind", "name", "namespace")


def ignore_rules(kustomization: Raw) -> tuple[FluxRule, ...]:
    """Read ``spec.ignore``."""
    return tuple(_rule(item) for item in read_list(read_map(kustomization, "spec"), "ignore"))


def _rule(raw: Raw) -> FluxRule:
    target, paths = read_map(raw, "target"), raw.get("paths")
    return FluxRule(
        paths=tuple(path for path in paths if isinstance(path, str)) if isinstance(paths, list) else (),
        labels=read_text(target, "labelSelector"),
        annotations=read_text(target, "annotationSelector"),
        **{name: read_text(target, name) for name in _TARGET},
    )


def elsewhere(kustomization: Raw) -> bool:
    """Whether it applies to another cluster."""
    return "kubeConfig" in read_map(kustomization, "spec")


def account(kustomization: Raw) -> str:
    """The ServiceAccount that it names; empty where it names none."""
    return read_text(read_map(kustomization, "spec"), "serviceAccountName")


def forces(kustomization: Raw) -> bool:
    """Whether Flux makes anew what cannot be changed."""
    return read_map(kustomization, "spec").get("force") is True
