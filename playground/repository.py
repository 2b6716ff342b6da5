"""A bare Git repository that is changed without a working tree: one call, one commit."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from playground.git_command import GitError, git

AUTHOR = "Playground <playground@example.invalid>"


class Repository:
    """A repository of a `GitServer`, reachable at `url`; what is committed is visible there at once."""

    def __init__(self, path: Path, url: str) -> None:
        self.path = path
        """The bare repository on disk."""
        self.url = url
        """Where the server serves it; without user and password."""
        self._lock = threading.Lock()

    def initialise(self, *, partial_clone: bool) -> None:
        """Create it, empty, with `main` as its default branch.

        With `partial_clone`, clients may ask for filtered fetches and for any object by its hash, as the big
        hosts allow; without, it behaves like a plain git server.
        """
        # `git init` wants the directory as an argument; --git-dir alone would name the same place twice.
        git(self.path, "init", "--quiet", "--bare", "--initial-branch=main")
        allowed = "true" if partial_clone else "false"
        for key in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant"):
            git(self.path, "config", key, allowed)
        git(self.path, "config", "http.receivepack", "true")

    def commit(
        self,
        files: Mapping[str, str | None],
        message: str,
        *,
        branch: str = "main",
        when: datetime | None = None,
    ) -> str:
        """Commit changed files on a branch (made if missing) and return the commit's hash.

        `files` maps paths to new contents, None deletes. No change at all makes an empty commit. `when` is the
        commit time, by default now; Git keeps whole seconds.
        """
        with self._lock:
            parent = self._resolve(f"refs/heads/{branch}")
            git(self.path, "fast-import", "--quiet", data=_stream(files, message, branch, parent, when))
            return self.head(branch)

    def head(self, branch: str = "main") -> str:
        """Return the hash of a branch's last commit. Raises `GitError` if there is no such branch."""
        return git(self.path, "rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}")

    def reset(self, branch: str, sha: str) -> None:
        """Let a branch point to a commit, as a force-push does."""
        git(self.path, "update-ref", f"refs/heads/{branch}", sha)

    def delete_branch(self, branch: str) -> None:
        """Delete a branch. Its commits stay until `forget`."""
        git(self.path, "update-ref", "-d", f"refs/heads/{branch}")

    def tag(self, name: str, sha: str | None = None) -> str:
        """Set a lightweight tag on a commit, by default the head of `main`, and return the commit's hash."""
        target = sha or self.head()
        git(self.path, "update-ref", f"refs/tags/{name}", target)
        return target

    def forget(self) -> None:
        """Remove every object that no branch or tag reaches, as a host does some time after a force-push."""
        git(self.path, "reflog", "expire", "--expire=now", "--all")
        git(self.path, "gc", "--quiet", "--prune=now")

    def files(self, ref: str = "main") -> list[str]:
        """Return the paths of all files at a branch, tag or commit."""
        return git(self.path, "ls-tree", "-r", "--name-only", ref).splitlines()

    def read(self, path: str, ref: str = "main") -> str:
        """Return the contents of a file, without a last newline. Raises `GitError` if it does not exist."""
        return git(self.path, "cat-file", "blob", f"{ref}:{path}")

    def _resolve(self, ref: str) -> str | None:
        try:
            return git(self.path, "rev-parse", "--verify", "--quiet", ref)
        except GitError:
            return None


def _stream(
    files: Mapping[str, str | None], message: str, branch: str, parent: str | None, when: datetime | None
) -> bytes:
    """Write one commit in the language of git-fast-import."""
    seconds = int((when or datetime.now(UTC)).timestamp())
    lines = [b"commit refs/heads/" + branch.encode(), f"committer {AUTHOR} {seconds} +0000".encode()]
    lines.append(_data(message))
    if parent is not None:
        lines.append(b"from " + parent.encode())
    for path, content in files.items():
        if content is None:
            lines.append(b"D " + _quoted(path))
        else:
            lines += [b"M 100644 inline " + _quoted(path), _data(content)]
    return b"\n".join([*lines, b"done\n"])


def _data(text: str) -> bytes:
    encoded = text.encode()
    return b"data %d\n%s" % (len(encoded), encoded)


def _quoted(path: str) -> bytes:
    escaped = path.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'.encode()
