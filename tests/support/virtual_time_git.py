"""Git as a script: what each look at a repository finds, without a repository."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from reconciliation_contract.adapters.git import Commit, GitRef, Remote
from tests.support.virtual_time import now

Answer = str | Exception | None


@dataclass
class GitScript:
    """Stands in for `adapters.git.Git`; to be changed while it is used."""

    heads: dict[str, Answer] = field(default_factory=dict)
    """By URL: the commit, None for a ref that does not exist, or what to raise."""
    commits: dict[str, datetime | Exception] = field(default_factory=dict)
    """By hash: when it was made, or what to raise; others were made just now."""
    looks: list[tuple[Remote, GitRef, float]] = field(default_factory=list)
    """Each look at a head, with its time in seconds since the start."""
    reads: list[tuple[Remote, str]] = field(default_factory=list)
    """Each commit that was asked for."""

    async def head(self, remote: Remote, ref: GitRef) -> str | None:
        """Return what the script says of a URL."""
        self.looks.append((remote, ref, now().timestamp()))
        found = self.heads.get(remote.url)
        if isinstance(found, Exception):
            raise found
        return found

    async def commit(self, remote: Remote, hash_: str) -> Commit:
        """Return what the script says of a commit."""
        self.reads.append((remote, hash_))
        made = self.commits.get(hash_) or now()
        if isinstance(made, Exception):
            raise made
        return Commit(hash_, made, made, f"commit {hash_[:7]}")
