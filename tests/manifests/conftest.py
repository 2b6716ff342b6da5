"""Rendered manifests as fixtures; each kustomization is rendered once."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from playground.binaries import find_build
from playground.cache import cache_directory
from tests.manifests.dockerfile import read_context
from tests.manifests.rendering import DEPLOY, ROOT, Manifest, Rendering, render
from tests.support.programs import lack

Overlay = Callable[[Manifest], Rendering]


@pytest.fixture(scope="session")
def kubectl() -> Path:
    """The playground's kubectl, whose version is pinned, or else the one on PATH."""
    build = find_build(cache_directory() / "playground")
    found = build.program("kubectl") if build else shutil.which("kubectl")
    if found is None:
        lack("needs kubectl: put it on PATH, or run `make playground` once, which builds one")
    return Path(found)


@pytest.fixture(scope="session")
def context() -> list[str]:
    """The files that a build of the image is sent from a clean checkout."""
    if not (ROOT / ".git").exists():
        pytest.skip("needs a Git checkout: nothing else tells which files belong to the project")
    return read_context(ROOT, (ROOT / ".dockerignore").read_text())


@pytest.fixture(scope="session")
def full(kubectl: Path) -> Rendering:
    """The variant that rolls back."""
    return render(kubectl, DEPLOY)


@pytest.fixture(scope="session")
def observe(kubectl: Path) -> Rendering:
    """The variant that only observes."""
    return render(kubectl, DEPLOY / "observe")


@pytest.fixture(params=["full", "observe"])
def variant(request: pytest.FixtureRequest) -> Rendering:
    """Either variant."""
    rendering: Rendering = request.getfixturevalue(request.param)
    return rendering


@pytest.fixture
def overlay(kubectl: Path, tmp_path: Path) -> Overlay:
    """Render a user's kustomization that stands in a folder beside `deploy`."""
    shutil.copytree(DEPLOY, tmp_path / "deploy")
    shutil.copytree(ROOT / "crds", tmp_path / "crds")

    def build(kustomization: Manifest) -> Rendering:
        folder = tmp_path / "mine"
        folder.mkdir()
        header = {"apiVersion": "kustomize.config.k8s.io/v1beta1", "kind": "Kustomization"}
        (folder / "kustomization.yaml").write_text(yaml.safe_dump(header | kustomization))
        return render(kubectl, folder)

    return build
