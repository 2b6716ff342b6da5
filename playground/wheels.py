"""Wheels for each platform, each with the `flux-build` that Go compiles for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from playground.cache import cache_directory
from playground.compilation import BuildError, Compilation
from playground.progress import Progress
from playground.toolchain import find_go
from playground.toolset import FLUX_BUILD

ROOT = Path(__file__).parents[1]
PLATFORMS = {
    "linux/amd64": "manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64",
    "linux/arm64": "manylinux_2_17_aarch64.manylinux2014_aarch64.musllinux_1_1_aarch64",
    "darwin/amd64": "macosx_12_0_x86_64",
    "darwin/arm64": "macosx_12_0_arm64",
}
"""A wheel's platform tags by Go's platform; the program is static, so that it runs with any C library of Linux."""


def build_wheels(target: Path, progress: Progress, platforms: Sequence[str] = ()) -> list[Path]:
    """Build wheels into a folder, by default for all platforms: one or two minutes each. Raises `BuildError`."""
    go = find_go(cache_directory(), progress)
    found = []
    for platform in platforms or PLATFORMS:
        with tempfile.TemporaryDirectory(prefix="wheel-") as name:
            Compilation(go, FLUX_BUILD, progress, platform).run(Path(name))
            found.append(package(Path(name) / "flux-build", PLATFORMS[platform], target))
    return found


def package(program: Path, tag: str, target: Path) -> Path:
    """Make one wheel with a program in it. Raises `BuildError`."""
    with tempfile.TemporaryDirectory(prefix="wheel-") as name:
        command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check"]
        command += ["--no-build-isolation", "--no-deps", "--wheel-dir", name, str(ROOT)]
        environment = {**os.environ, "WHEEL_FLUX_BUILD": str(program), "WHEEL_PLATFORM": tag}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise BuildError(f"pip makes no wheel:\n{result.stderr}")
        (wheel,) = Path(name).glob("*.whl")
        target.mkdir(parents=True, exist_ok=True)
        return Path(shutil.move(wheel, target / wheel.name))
