"""Running git without the user's configuration."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path


class GitError(Exception):
    """A git command failed."""


def git_environment() -> dict[str, str]:
    """Return an environment in which git reads no configuration but the repository's own.

    It is made anew instead of copied: inside a git hook, variables such as GIT_DIR would redirect every command.
    """
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": os.devnull,
        "LANG": "C.UTF-8",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_SYSTEM": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_TERMINAL_PROMPT": "0",
    }


def git(directory: Path, *arguments: str, data: bytes | None = None) -> str:
    """Run git in a bare repository and return its output without the last newline. Raises `GitError`."""
    result = subprocess.run(
        ["git", f"--git-dir={directory}", *arguments],
        input=data,
        stdin=subprocess.DEVNULL if data is None else None,
        capture_output=True,
        env=git_environment(),
        check=False,
    )
    if result.returncode != 0:
        raise GitError(f"git {' '.join(arguments)}: {result.stderr.decode(errors='replace').strip()}")
    return result.stdout.decode().rstrip("\n")
