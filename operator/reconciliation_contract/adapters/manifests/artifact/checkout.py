"""A checkout, copied as source-controller packs it (fluxcd/pkg ``sourceignore``).

Where no ``.sourceignore`` says otherwise, files of CI systems and the like are left out; with one, anywhere in the
tree, only what it says. The last pattern that matches a file or a directory above it decides; unlike with Git, so a
file of a directory that is left out can be taken back. ``spec.ignore`` of the source is not known here.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Final

from dulwich.ignore import IgnoreFilter, Pattern

from reconciliation_contract.adapters.manifests.artifact.archive import MOST_BYTES, MOST_FILES
from reconciliation_contract.adapters.manifests.error import BuildUnknown
from reconciliation_contract.core.values import reasons

_FILE: Final = ".sourceignore"
_GIT: Final = (".git/", ".gitignore", ".gitmodules", ".gitattributes")
_OTHERS: Final = (
    *("*.jpg", "*.jpeg", "*.gif", "*.png", "*.wmv", "*.flv", "*.tar.gz", "*.zip"),
    *(".github/", ".circleci/", ".travis.yml", ".gitlab-ci.yml", "appveyor.yml", ".drone.yml", "cloudbuild.yaml"),
    *("codeship-services.yml", "codeship-steps.yml", "**/.goreleaser.yml", "**/.sops.yaml", "**/.flux.yaml"),
)
"""Left out by default."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A pattern, and the directory of the tree in which it holds."""

    directory: PurePath
    pattern: Pattern

    def matches(self, path: PurePath) -> bool:
        """Whether it matches a file or a directory above it."""
        if not path.is_relative_to(self.directory):
            return False
        parts = path.relative_to(self.directory).parts
        above = ("/".join(parts[:depth]) + "/" for depth in range(1, len(parts)))
        return any(self.pattern.match(os.fsencode(each)) for each in (*above, "/".join(parts)))


def copy(tree: Path, directory: Path) -> None:
    """Copy the plain files of a tree. Raises `BuildUnknown` where they are too many, or too large together."""
    files = sorted(_files(tree))
    rules = _rules(tree, files)
    left = MOST_BYTES
    kept = [path for path in files if not _is_ignored(path, rules)]
    if len(kept) > MOST_FILES:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"the checkout holds more than {MOST_FILES} files")
    directory.mkdir()
    for path in kept:
        left -= (tree / path).stat().st_size
        if left < 0:
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"the checkout comes to more than {MOST_BYTES >> 20} MiB")
        (directory / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(tree / path, directory / path)


def _files(tree: Path) -> Iterator[PurePath]:
    """Plain files; links and Git's own data are in no artifact."""
    for folder, folders, names in os.walk(tree):
        folders[:] = [name for name in folders if name != ".git"]
        for name in names:
            path = Path(folder, name)
            if path.is_file() and not path.is_symlink():
                yield path.relative_to(tree)


def _rules(tree: Path, files: Sequence[PurePath]) -> list[_Rule]:
    own = [rule for path in files if path.name == _FILE for rule in _read(path.parent, (tree / path).read_bytes())]
    defaults = _GIT if own else (*_GIT, *_OTHERS)
    return [*_read(PurePath(), "\n".join(defaults).encode()), *own]


def _read(directory: PurePath, text: bytes) -> Iterator[_Rule]:
    lines = (line for line in text.splitlines() if line.strip() and not line.startswith(b"#"))
    return (_Rule(directory, pattern) for pattern in IgnoreFilter(lines).patterns)


def _is_ignored(path: PurePath, rules: Sequence[_Rule]) -> bool:
    deciding = next((rule for rule in reversed(rules) if rule.matches(path)), None)
    return deciding is not None and deciding.pattern.is_exclude
