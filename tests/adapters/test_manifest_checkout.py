"""What of a checkout is copied: what source-controller would put into the artifact."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciliation_contract.adapters.manifests.artifact import checkout
from reconciliation_contract.adapters.manifests.artifact.checkout import copy
from reconciliation_contract.adapters.manifests.error import BuildUnknown

TREE = (
    ".git/config",
    ".gitignore",
    ".github/workflows/ci.yaml",
    ".gitlab-ci.yml",
    ".sops.yaml",
    "apps/.sops.yaml",
    "apps/logo.png",
    "apps/web.yaml",
    "apps/base/web.yaml",
    "docs/notes.yaml",
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A repository with all that is around the manifests."""
    for name in TREE:
        (tmp_path / "tree" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "tree" / name).write_text("a: b\n")
    return tmp_path / "tree"


def copied(tree: Path) -> set[str]:
    """The files of a copy."""
    target = tree.parent / "copy"
    copy(tree, target)
    return {str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()}


@pytest.mark.parametrize(
    ("ignore", "kept"),
    [
        ({}, {"apps/web.yaml", "apps/base/web.yaml", "docs/notes.yaml"}),
        (
            {".sourceignore": "docs/\n"},
            set(TREE) - {".git/config", ".gitignore", "docs/notes.yaml"} | {".sourceignore"},
        ),
        ({".sourceignore": "# only these\n/*\n!/apps\n"}, {name for name in TREE if name.startswith("apps/")}),
        ({".sourceignore": "/*\n!/apps/web.yaml\n"}, {"apps/web.yaml"}),
        (
            {"apps/.sourceignore": "/web.yaml\n*.png\n.sops.yaml\n"},
            set(TREE) - {".git/config", ".gitignore", "apps/web.yaml", "apps/logo.png", "apps/.sops.yaml"}
            | {"apps/.sourceignore"},
        ),
        (
            {".sourceignore": "\n# nothing\n"},
            {"apps/web.yaml", "apps/base/web.yaml", "docs/notes.yaml", ".sourceignore"},
        ),
    ],
    ids=[
        "nothing is said: the defaults",
        "something is said: the defaults are off",
        "all but one directory",
        "one file of a directory that is left out",
        "patterns hold where their file is",
        "an empty file says nothing",
    ],
)
def test_what_source_controller_leaves_out(tree: Path, ignore: dict[str, str], kept: set[str]) -> None:
    """By the patterns of the tree, or the usual ones."""
    for name, text in ignore.items():
        (tree / name).write_text(text)

    assert copied(tree) == kept


def test_links_are_left_out(tree: Path) -> None:
    """Wherever they point to."""
    (tree / "apps" / "link.yaml").symlink_to("/etc/passwd")
    (tree / "all").symlink_to(tree)

    assert copied(tree) == {"apps/web.yaml", "apps/base/web.yaml", "docs/notes.yaml"}


@pytest.mark.parametrize("limit", ["MOST_BYTES", "MOST_FILES"])
def test_a_copy_is_bounded(tree: Path, monkeypatch: pytest.MonkeyPatch, limit: str) -> None:
    """Somebody may name the root of a disk."""
    monkeypatch.setattr(checkout, limit, 2)

    with pytest.raises(BuildUnknown):
        copied(tree)
