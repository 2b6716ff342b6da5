"""A wheel for a platform brings `flux-build`; any other installation works without it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from playground.wheels import PLATFORMS, package

pytestmark = pytest.mark.slow

INSIDE = "reconciliation_contract/bin/flux-build"
FIND = "from reconciliation_contract.adapters.manifests.program import find; print(find())"


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """Stands in for the program."""
    path = tmp_path / "flux-build"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def installed(wheel: Path, folder: Path) -> str:
    """Unpack a wheel as pip does, and return the program that its package finds without anything on PATH."""
    command = [
        sys.executable,
        "-m",
        "pip",
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--target",
        folder,
        wheel,
    ]
    subprocess.run(command, check=True)
    environment = {"PYTHONPATH": str(folder), "PATH": ""}
    answer = subprocess.run(
        [sys.executable, "-c", FIND], env=environment, capture_output=True, text=True, check=True, cwd=folder
    )
    return answer.stdout.strip()


def test_a_wheel_for_a_platform_brings_the_program(program: Path, tmp_path: Path) -> None:
    """It may be run, and is found before any on PATH."""
    wheel = package(program, PLATFORMS["linux/amd64"], tmp_path / "dist")

    assert wheel.name.endswith("-py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64.musllinux_1_1_x86_64.whl")
    assert installed(wheel, tmp_path / "site") == str(tmp_path / "site" / INSIDE)
    assert os.access(tmp_path / "site" / INSIDE, os.X_OK)


def test_a_wheel_for_any_platform_has_none(tmp_path: Path, program: Path) -> None:
    """As from a source distribution without Go; it can be imported, and says what is missing when it is asked."""
    wheel = package(program, "", tmp_path / "dist")

    assert wheel.name.endswith("-py3-none-any.whl")
    assert INSIDE not in ZipFile(wheel).namelist()
    assert installed(wheel, tmp_path / "site") == "None"
