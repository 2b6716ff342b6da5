"""Programs for the cluster and for tests: built once from Go modules, kept in the per-user cache.

A build is a directory named after what it was made from. It is filled under another name beside its place and
renamed when complete, with a manifest of sizes and hashes written last; so a directory without a manifest, or
with a file of another size, is not a build, and is made again. A file lock keeps two processes from building at
once: the second waits, and then finds the first one's result.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.cache import cache_directory, exclusive
from playground.compilation import FLAGS, Compilation
from playground.progress import Progress
from playground.toolchain import Go, find_go
from playground.toolset import CLUSTER, Toolset

MANIFEST = "manifest.json"
RECIPE = "1"
"""Raise it when the same modules give another directory, as after a change in `assets`."""


class BrokenBuildError(Exception):
    """A build in the cache is incomplete or damaged."""


@dataclass(frozen=True)
class Binaries:
    """A complete build: programs and the manifests that belong to them."""

    directory: Path
    versions: Mapping[str, str]
    """Version of each Go module that is a component, by module path."""

    def program(self, name: str) -> Path:
        """Return the path of a program, such as `kube-apiserver`."""
        return self.directory / "bin" / name

    def asset(self, name: str) -> Path:
        """Return the path of a file written by `assets.write_assets`."""
        return self.directory / name


def provide(progress: Progress, *, cache: Path | None = None, tools: Toolset = CLUSTER) -> Binaries:
    """Return the programs, built first if need be, which takes minutes.

    Any complete build of the same modules and flags is used, whichever Go made it; so a later start needs no Go.
    """
    root = (cache or cache_directory()) / "playground"
    existing = find_build(root, tools)
    if existing is not None:
        return existing

    def waiting() -> None:
        progress.say(f"Another process is building {tools.title}; waiting for it ...")

    with exclusive(root / "build.lock", waiting):
        return find_build(root, tools) or _build(root, tools, progress)


def find_build(root: Path, tools: Toolset = CLUSTER) -> Binaries | None:
    """Return a complete build of these modules, or None; broken ones are passed over."""
    for directory in sorted(root.glob(f"{inputs_key(tools)}-go*")):
        try:
            return open_build(directory)
        except BrokenBuildError:
            continue
    return None


def open_build(directory: Path, *, thorough: bool = False) -> Binaries:
    """Check a build against its manifest: sizes, and with `thorough` also hashes (about 2 s).

    Raises `BrokenBuildError`.
    """
    try:
        manifest = json.loads((directory / MANIFEST).read_text())
        files: dict[str, dict[str, Any]] = manifest["files"]
        for name, expected in files.items():
            if (directory / name).stat().st_size != expected["size"]:
                raise BrokenBuildError(f"{directory / name} has another size than when it was built")
            if thorough and _sha256(directory / name) != expected["sha256"]:
                raise BrokenBuildError(f"{directory / name} is not what was built")
        return Binaries(directory, manifest["versions"])
    except (OSError, ValueError, KeyError) as error:
        raise BrokenBuildError(f"{directory}: {error}") from error


def inputs_key(tools: Toolset) -> str:
    """Name what goes into a build except for the Go version: sources, modules, their hashes, flags, platform."""
    digest = hashlib.sha256()
    sources = [path.read_bytes() for path in sorted(tools.module.glob("*.go"))]
    for part in (
        *sources,
        (tools.module / "go.mod").read_bytes(),
        (tools.module / "go.sum").read_bytes(),
        "\0".join((*FLAGS, *tools.tags)).encode(),
        f"{platform.system()}/{platform.machine()}/{RECIPE}".encode(),
    ):
        digest.update(hashlib.sha256(part).digest())
    return digest.hexdigest()[:16]


def build_key(tools: Toolset, go_version: str) -> str:
    """Name a build: its inputs and the Go that compiles them."""
    return f"{inputs_key(tools)}-{go_version}"


def _build(root: Path, tools: Toolset, progress: Progress) -> Binaries:
    go = find_go(root.parent, progress)
    final = root / build_key(tools, go.version)
    _remove_leftovers(root, final, progress)
    with tempfile.TemporaryDirectory(prefix="building-", dir=root) as name:
        unfinished = Path(name) / "build"
        _fill(unfinished, tools, go, progress)
        unfinished.rename(final)
    return open_build(final)


def _fill(directory: Path, tools: Toolset, go: Go, progress: Progress) -> None:
    programs = directory / "bin"
    programs.mkdir(parents=True)
    compilation = Compilation(go, tools, progress)
    compilation.run(programs)
    for built, wanted in tools.names.items():
        (programs / built).rename(programs / wanted)
    found = compilation.modules()
    tools.write_assets({path: module.directory for path, module in found.items()}, directory)
    files = sorted(path for path in directory.rglob("*") if path.is_file())
    manifest = {
        "go": go.version,
        "versions": {path: module.version for path, module in found.items()},
        "files": {
            str(path.relative_to(directory)): {"size": path.stat().st_size, "sha256": _sha256(path)} for path in files
        },
    }
    # What the manifest vouches for must be on the disk before it is.
    os.sync()
    (directory / MANIFEST).write_text(json.dumps(manifest, indent=2))


def _remove_leftovers(root: Path, final: Path, progress: Progress) -> None:
    """Clear what a killed build left behind; the lock is held, so nobody is at work on it."""
    for leftover in [*root.glob("building-*"), final]:
        if leftover.exists():
            progress.say(f"Removing an incomplete build: {leftover}")
            shutil.rmtree(leftover)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
