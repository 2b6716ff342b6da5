"""Our own look at Git: which commit each tracked ref points to, and when commits were made.

One look per distinct repository, ref and Secret, however many contracts share it; at an interval with jitter, backing
off while the repository does not answer. What it finds is only remembered here and told as facts.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from reconciliation_contract.adapters import git
from reconciliation_contract.adapters.kubernetes.client import SECRETS, Cluster
from reconciliation_contract.api.kubernetes.raw import read_map, read_strings
from reconciliation_contract.core.facts.observation import Commit, Git, Head, Source, Unreadable
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import BadName, ClusterError, Refused
from reconciliation_contract.observers.supervisor import BUG, Keeper

Key = tuple[str, str]
Place = tuple[str, tuple[tuple[str, str], ...], str, str]
"""URL, ref, namespace and name of the Secret (both empty without one)."""

_log = logging.getLogger(__name__)

TRIES: Final = 3
"""Before the time of a commit counts as not to be had."""
_COMMITS: Final = 64
"""Commits remembered of one place, the newest kept."""


@dataclass
class _Post:
    """One place that is looked at, and what was found."""

    source: Source
    contracts: set[Key] = field(default_factory=set)
    facts: Git = field(default_factory=lambda: Git(looked=False))
    asked: set[str] = field(default_factory=set)
    failures: int = 0
    task: asyncio.Task[None] | None = None
    errands: set[asyncio.Task[None]] = field(default_factory=set)


def place_of(source: Source) -> Place:
    """What tells two looks apart."""
    secret = (source.namespace, source.secret) if source.secret else ("", "")
    return (source.url, tuple(sorted(source.ref.items())), *secret)


class Lookout:
    """Looks at Git for all contracts; ``tell`` is called with those that should be looked at again."""

    def __init__(
        self,
        reader: git.Git,
        cluster: Cluster,
        tell: Callable[[set[Key]], None],
        clock: Callable[[], datetime],
        interval: timedelta,
        *,
        keeper: Keeper | None = None,
        timing: Timing = TIMING,
    ) -> None:
        self._longest_pause = timing.git_pause_longest
        self._reader = reader
        self._cluster = cluster
        self._tell = tell
        self._clock = clock
        self._interval = interval
        self._keeper = keeper or Keeper()
        self._posts: dict[Place, _Post] = {}
        self._of: dict[Key, Place] = {}

    def facts(self, contract: Key, source: Source | None, wanted: str) -> Git:
        """What is known for a contract's source now; ``wanted`` is a commit whose time it needs (or empty)."""
        if source and source.hidden:
            self.forget(contract)
            return Git(commits={wanted: Unreadable(source.hidden)}, problem=source.hidden)
        place = place_of(source) if source and source.url else None
        if self._of.get(contract) != place:
            self.forget(contract)
        if place is None or source is None:
            return Git()
        post = self._posts.get(place)
        if post is None:
            post = self._posts[place] = _Post(source)
            name = f"git {source.namespace}/{source.name}"
            post.task = self._keeper.begin(partial(self._watch, post), name, partial(self._broke, post))
        self._of[contract] = place
        post.contracts.add(contract)
        for hash_ in {wanted, post.facts.head.hash if post.facts.head else ""} - {""} - post.asked:
            self._ask(post, hash_)
        return post.facts

    def forget(self, contract: Key) -> None:
        """Stop looking on behalf of a contract; the last one ends the looking."""
        place = self._of.pop(contract, None)
        post = self._posts.get(place) if place else None
        if place is None or post is None:
            return
        post.contracts.discard(contract)
        if not post.contracts:
            self._end(self._posts.pop(place))

    def close(self) -> None:
        """Stop looking at all."""
        for post in self._posts.values():
            self._end(post)
        self._posts.clear()
        self._of.clear()

    def _end(self, post: _Post) -> None:
        for task in (post.task, *post.errands):
            if task:
                task.cancel()

    def _broke(self, post: _Post) -> None:
        self._found(post, replace(post.facts, problem=BUG, looked=True), quiet=True)

    # Heads ------------------------------------------------------------------------------------------------------

    async def _watch(self, post: _Post) -> None:
        while True:
            pause = self._interval
            try:
                await self._look(post)
                post.failures = 0
            except git.UnsupportedRef:
                self._found(post, replace(post.facts, looked=True))
                return  # commits can still be read, the head of such a ref cannot
            except (git.GitError, ClusterError) as error:
                post.failures += 1
                pause = min(self._longest_pause, self._interval * 2 ** min(post.failures, 8))
                self._found(post, replace(post.facts, problem=str(error), refless=False, looked=True), quiet=True)
            await asyncio.sleep(pause.total_seconds() * random.uniform(0.9, 1.1))  # noqa: S311 - jitter

    async def _look(self, post: _Post) -> None:
        ref = post.source.ref
        if "commit" in ref:
            raise git.UnsupportedRef(post.source.url, ref["commit"], "a pinned commit never moves")
        began = self._clock()
        hash_ = await self._reader.head(await self._remote(post), git.GitRef(**ref))
        known, readable = post.facts.head, replace(post.facts, problem="", refless=False, looked=True)
        if hash_ is None:
            message = f"{git.redact(post.source.url)}: the ref does not exist; create it or mend spec.ref"
            self._found(post, replace(post.facts, problem=message, refless=True, looked=True), quiet=True)
        elif known and known.hash == hash_:
            self._found(post, replace(readable, head=replace(known, looked_at=began)), quiet=True)
        else:
            head = Head(hash_, self._clock(), known.looked_at if known else None, began)
            self._found(post, replace(readable, head=head))

    def _found(self, post: _Post, facts: Git, *, quiet: bool = False) -> None:
        changed = facts.problem != post.facts.problem or not quiet
        post.facts = facts
        if changed:
            self._tell(set(post.contracts))

    # Commits ----------------------------------------------------------------------------------------------------

    def _ask(self, post: _Post, hash_: str) -> None:
        post.asked.add(hash_)
        broke = partial(self._broke, post)
        task = self._keeper.begin(partial(self._read, post, hash_), f"commit {hash_[:12]}", broke)
        post.errands.add(task)
        task.add_done_callback(post.errands.discard)

    async def _read(self, post: _Post, hash_: str) -> None:
        found: Commit | Unreadable = Unreadable("not asked")
        for attempt in range(TRIES):
            if attempt:
                await asyncio.sleep(2.0 ** (attempt - 1))
            try:
                read = await self._reader.commit(await self._remote(post), hash_)
                found = Commit(read.committed_at, read.subject)
                break
            except (git.GitError, ClusterError) as error:
                found = Unreadable(str(error))
                if isinstance(error, git.AddressRefused | git.AccessDenied | git.NotFound | git.SshUnavailable):
                    break
        kept = dict(list(post.facts.commits.items())[-(_COMMITS - 1) :]) | {hash_: found}
        post.asked -= post.facts.commits.keys() - kept.keys()  # what is forgotten may be asked for again
        self._found(post, replace(post.facts, commits=kept))

    async def _remote(self, post: _Post) -> git.Remote:
        source = post.source
        if not source.secret:
            return git.Remote(source.url)
        try:
            secret = await self._cluster.get(SECRETS, source.namespace, source.secret)
        except BadName:
            raise
        except Refused as error:
            remedy = "let the operator get this Secret, as deploy/components/git-secrets does"
            where = f"Secret {source.namespace}/{source.secret}"
            raise Refused("read", where, f"{error.detail}; {remedy}") from error
        return git.Remote(source.url, git.credentials_from_secret(_decoded(read_map(secret, "data"))))


def _decoded(data: Mapping[str, object]) -> dict[str, bytes]:
    decoded = {}
    for key, value in read_strings(data).items():
        try:
            decoded[key] = base64.b64decode(value, validate=True)
        except ValueError:  # binascii.Error is one, and so is text outside ASCII
            _log.warning("a Secret holds a value that is not base64", extra={"key": key})
    return decoded
