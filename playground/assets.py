"""Manifests that come with the Go modules: CRDs and kwok's stages, as JSON.

They are read once, at build time, so that a later start needs neither Go nor a YAML parser.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

FLUX_CRDS = "flux-crds.json"
KWOK_STAGES = "kwok-stages.json"
FLUX_OPERATOR_CRDS = "flux-operator-crds.json"

FLUX = (
    "github.com/fluxcd/source-controller",
    "github.com/fluxcd/kustomize-controller",
    "github.com/fluxcd/notification-controller",
)
KWOK = "sigs.k8s.io/kwok"
FLUX_OPERATOR = "github.com/controlplaneio-fluxcd/flux-operator"
CRDS = Path("config", "crd", "bases")
STAGE_FOLDERS = ("node/fast", "pod/fast")


class MissingAssetsError(Exception):
    """A module does not hold the manifests that are expected in it."""


def write_assets(modules: Mapping[str, Path], target: Path) -> None:
    """Write Flux's CRDs and kwok's stages into `target`, given the folder of each module."""
    crds = [crd for module in FLUX for crd in _documents(modules[module] / CRDS)]
    stages = [
        stage
        for folder in STAGE_FOLDERS
        for stage in _documents(modules[KWOK] / "kustomize" / "stage" / folder)
        if stage["kind"] == "Stage"
    ]
    (target / FLUX_CRDS).write_text(json.dumps(crds))
    (target / KWOK_STAGES).write_text(json.dumps(stages))


def write_flux_operator_crds(modules: Mapping[str, Path], target: Path) -> None:
    """Write Flux Operator's CRDs into `target`, given the folder of its module."""
    (target / FLUX_OPERATOR_CRDS).write_text(json.dumps(_documents(modules[FLUX_OPERATOR] / CRDS)))


def read_assets(path: Path) -> list[dict[str, Any]]:
    """Read the objects of one file written by `write_assets`."""
    objects: list[dict[str, Any]] = json.loads(path.read_text())
    return objects


def _documents(folder: Path) -> list[dict[str, Any]]:
    found = [
        document
        for file in sorted(folder.glob("*.yaml"))
        for document in yaml.safe_load_all(file.read_text())
        if document
    ]
    if not found:
        raise MissingAssetsError(f"no manifests in {folder}")
    return found
