"""Every kustomization that a build reaches, checked and written anew before kustomize sees it.

Flux lets kustomize read any file below the artifact's root and nothing else; the program itself knows only "this
directory" and "anything", which would be the operator's own token. So each path that a kustomization names is
checked here. What is checked is then written back as JSON: another reading of the same YAML cannot slip by.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.adapters.manifests.document import DocumentError, read_document, split_documents
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.adapters.manifests.kustomization import (
    MOST_BYTES,
    MOST_NODES,
    find_file,
    is_remote,
    read_file,
    write_file,
)
from reconciliation_contract.core.values import reasons

_BASES: Final = ("resources", "components", "bases")
_PLUGINS: Final = ("generators", "transformers", "validators")
_FILES: Final = ("crds", "configurations", "patchesStrategicMerge")
_WITH_PATH: Final = ("patches", "patchesJson6902", "replacements")
_GENERATORS: Final = ("configMapGenerator", "secretGenerator")
_SOPS: Final = re.compile(rb'(?m)^(?:sops_mac=|sops:\s*$)|"sops"\s*:\s*\{')
MOST_DIRECTORIES: Final = 2_000
"""Kustomizations that one build may reach."""


def confine(root: Path, directory: Path, *, decrypts: bool) -> None:
    """Check and rewrite everything that building ``directory`` reads.

    ``decrypts`` says that Flux decrypts files before it builds. Raises `BuildError`.
    """
    walk = _Walk(root, decrypts)
    ahead = [directory]
    while ahead:
        ahead += walk.visit(ahead.pop())


class _Walk:
    def __init__(self, root: Path, decrypts: bool) -> None:
        self._root = root
        self._decrypts = decrypts
        self._seen: set[Path] = set()

    def visit(self, directory: Path) -> list[Path]:
        """Check a directory's kustomization, and return the paths of its bases."""
        file = find_file(directory)
        if file is None or directory in self._seen:
            # Without one it is a manifest, or nothing at all: kustomize says so.
            return []
        self._seen.add(directory)
        if len(self._seen) > MOST_DIRECTORIES:
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"more than {MOST_DIRECTORIES} kustomizations are involved")
        kustomization = read_file(file, self._root)
        for entry in _files(kustomization):
            self._check(directory, entry)
        for entry in _decrypted(kustomization) if self._decrypts else ():
            self._check_readable(self._check(directory, entry))
        for field in _PLUGINS:
            if entries := _texts(kustomization.get(field)):
                kustomization[field] = [self._plugin(directory, entry) for entry in entries]
        write_file(file, kustomization)
        return [self._check(directory, entry) for field in _BASES for entry in _texts(kustomization.get(field))]

    def _check(self, directory: Path, entry: str) -> Path:
        """Resolve one path; it is in the tree or refused."""
        if is_remote(entry):
            raise BuildUnknown(reasons.REMOTE_BASE, f"{entry}: is on another server; copy it into the repository")
        path = Path(os.path.normpath(directory / entry))
        if not path.is_relative_to(self._root):
            raise BuildFailed(f"{entry}: is outside the artifact")
        return path

    def _plugin(self, directory: Path, entry: str) -> str:
        """Check the configuration of a generator or transformer, written out or in a file."""
        if ":" in entry:
            return self._checked(directory, entry)
        path = self._check(directory, entry)
        if path.is_dir():
            raise BuildUnknown(reasons.BUILD_REFUSED, f"{entry}: a directory of generators or transformers")
        if path.is_file():
            if path.stat().st_size > MOST_BYTES:
                raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"{entry} is larger than {MOST_BYTES >> 20} MiB")
            checked = self._checked(path.parent, path.read_text("utf-8", errors="replace"))
            path.write_text(checked, "utf-8")
        return entry

    def _checked(self, directory: Path, text: str) -> str:
        """Write a configuration anew; any text in it may be a path."""
        try:
            documents = [read_document(part, MOST_NODES) for part in split_documents(text)]
        except DocumentError as error:
            raise BuildFailed(f"the configuration of a generator or transformer: {error}") from error
        for value in (value for document in documents for value in _values(document)):
            for path in (value, value.rpartition("=")[2]):
                inside = Path(os.path.normpath(directory / path)).is_relative_to(self._root)
                if is_remote(path) or not inside:
                    text = f"{value}: a generator or transformer may read it, and it is not in the repository"
                    raise BuildUnknown(reasons.BUILD_REFUSED, text)
        return "\n---\n".join(json.dumps(document, ensure_ascii=False) for document in documents)

    def _check_readable(self, path: Path) -> None:
        """Refuse a file that Flux decrypts before it builds: what comes of it has another name and content."""
        if path.is_file() and path.stat().st_size <= MOST_BYTES and _SOPS.search(path.read_bytes()):
            text = (
                f"{path.relative_to(self._root)}: is encrypted, and what is generated from it depends on its content"
            )
            raise BuildUnknown(reasons.ENCRYPTED, text)


def _files(kustomization: dict[str, Any]) -> Iterator[str]:
    """Every file that a kustomization names, other than its bases; a patch may be written out in place of one."""
    for field in _FILES:
        yield from _texts(kustomization.get(field))
    for field in _WITH_PATH:
        for item in _maps(kustomization.get(field)):
            yield from _texts(item.get("path"))
    openapi = kustomization.get("openapi")
    for item in _maps([openapi]):
        yield from _texts(item.get("path"))
    for field in _GENERATORS:
        for item in _maps(kustomization.get(field)):
            yield from (text.rpartition("=")[2] for text in _texts(item.get("files")))
            yield from (text for name in ("envs", "env") for text in _texts(item.get(name)))


def _decrypted(kustomization: dict[str, Any]) -> Iterator[str]:
    """The files that Flux decrypts where they are encrypted."""
    for item in _maps(kustomization.get("secretGenerator")):
        yield from (text.rpartition("=")[2] for text in _texts(item.get("files")))
        yield from _texts(item.get("envs"))
    for item in _maps(kustomization.get("patches")):
        yield from _texts(item.get("path"))


def _maps(value: Any) -> list[dict[str, Any]]:
    """The mappings of a list, their fields named as Go finds them: without looking at the case."""
    items = value if isinstance(value, list) else []
    return [{key.casefold(): item[key] for key in item} for item in items if isinstance(item, dict)]


def _texts(value: Any) -> list[str]:
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _values(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list):
        for item in value.values() if isinstance(value, dict) else value:
            yield from _values(item)
