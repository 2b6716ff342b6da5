"""Checks of the cluster itself, so that the contract's word is not all there is.

Each check makes a function that returns what it found as a sentence, or raises `NotYet`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from playground.story.facts import conditions, short
from playground.story.failure import NotYet
from playground.story.scene import NAME, Scene

Check = Callable[[Scene], str]
MARK = "reconciliation.dev/rolled-back-from"
"""The annotation that the operator leaves on a Kustomization for as long as it is rolled back."""


def greets(greeting: str) -> Check:
    """The ConfigMap exists and has this greeting."""

    def check(scene: Scene) -> str:
        settings = scene.find("ConfigMap", "settings")
        found = f"the greeting {settings['data']['greeting']!r}" if settings else "no such ConfigMap"
        return _found(
            f"ConfigMap settings has the greeting {greeting!r}", found == f"the greeting {greeting!r}", found
        )

    return check


def runs(version: str, pods: int = 2) -> Check:
    """All Ready pods run this version, and there are as many as wanted."""

    def check(scene: Scene) -> str:
        images = scene.ready_images()
        found = f"Ready pods with {', '.join(images) or 'nothing'}"
        return _found(f"{pods} pods are Ready, all with shop:{version}", images == [f"shop:{version}"] * pods, found)

    return check


def is_gone(kind: str, name: str) -> Check:
    """The object does not exist."""

    def check(scene: Scene) -> str:
        return _found(f"{kind} {name} is gone from the cluster", scene.find(kind, name) is None, "it still exists")

    return check


def stays(kind: str, name: str) -> Check:
    """The object exists; nothing else was removed with the one that should be."""

    def check(scene: Scene) -> str:
        return _found(f"{kind} {name} is still there", scene.find(kind, name) is not None, "it is gone, too")

    return check


def is_pinned(scene: Scene) -> str:
    """The Kustomization takes its manifests from a copy of its source that is pinned to the good revision."""
    contract = scene.find("ReconciliationContract") or {}
    good = str(contract.get("status", {}).get("lastGoodRevision", "")).rpartition(":")[2]
    used = _source(scene)
    pin = scene.find("GitRepository", used) or {}
    commit = pin.get("spec", {}).get("ref", {}).get("commit", "")
    return _found(
        f"Flux applies from {used}, a copy pinned to {short(good)}",
        used != NAME and bool(good) and commit == good,
        f"source {used} at commit {short(commit) or '(none)'}",
    )


def is_released(scene: Scene) -> str:
    """The Kustomization follows its own source, and nothing of the rollback is left on it."""
    kustomization = scene.find("Kustomization") or {}
    marked = MARK in kustomization.get("metadata", {}).get("annotations", {})
    used = _source(scene)
    found = f"source {used}{', still marked' if marked else ''}"
    return _found("The Kustomization follows its own source again", used == NAME and not marked, found)


def leaves_nothing(scene: Scene) -> str:
    """The pinned copy is removed, and the contract could be deleted without waiting."""
    sources = sorted(str(each["metadata"]["name"]) for each in scene.every("GitRepository"))
    contract = scene.find("ReconciliationContract") or {}
    finalizers = contract.get("metadata", {}).get("finalizers", [])
    found = f"the sources {', '.join(sources)} and {len(finalizers)} finalizers"
    return _found("The pinned copy is removed", sources == [NAME] and not finalizers, found)


def says(condition: str, status: str) -> Check:
    """The contract has this condition."""

    def check(scene: Scene) -> str:
        found = conditions(scene.find("ReconciliationContract"))
        wanted = f"{condition}={status}"
        return _found(f"The contract says {wanted}", any(each.startswith(f"{wanted} ") for each in found), str(found))

    return check


def _source(scene: Scene) -> str:
    kustomization: Any = scene.find("Kustomization") or {}
    return str(kustomization.get("spec", {}).get("sourceRef", {}).get("name", "(none)"))


def _found(expected: str, holds: bool, found: str) -> str:
    if not holds:
        raise NotYet(expected, found)
    return expected
