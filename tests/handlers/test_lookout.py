"""Our own look at Git: how often, on whose behalf, and what it makes of what it finds."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest

from reconciliation_contract.adapters.git import AccessDenied, Malformed, NotFound, Unreachable, UnsupportedRef
from reconciliation_contract.core.facts.observation import Commit, Source, Unreadable
from reconciliation_contract.core.values.timing import TIMING
from reconciliation_contract.errors import BadName, Missing, Refused, Unavailable
from reconciliation_contract.observers.git import Key, Lookout, place_of
from tests.support.virtual_time import START, eventually, now, passing
from tests.support.virtual_time_git import GitScript

pytestmark = pytest.mark.looptime

A, B = "a" * 40, "b" * 40
URL = "https://git.example/shop"
INTERVAL = timedelta(seconds=15)
SOURCE = Source("apps", "shop", "s-1", "1", URL, {"branch": "main"})
ONE, TWO = ("apps", "one"), ("apps", "two")


class Secrets:
    """Stands in for the cluster: Secrets by name, or what to raise."""

    def __init__(self, known: Mapping[str, object] | None = None) -> None:
        self.known = dict(known or {})
        self.read: list[str] = []

    async def get(self, _: object, namespace: str, name: str) -> Any:
        """Read a Secret."""
        self.read.append(f"{namespace}/{name}")
        found = self.known[name]
        if isinstance(found, Exception):
            raise found
        return found


class Post:
    """A lookout with what it told."""

    def __init__(self, git: GitScript, secrets: Secrets) -> None:
        self.told: list[set[Key]] = []
        self.lookout = Lookout(git, secrets, self.told.append, now, INTERVAL)  # type: ignore[arg-type]  # scripts

    def facts(self, contract: Key = ONE, source: Source | None = SOURCE, wanted: str = "") -> Any:
        """What is known for a contract."""
        return self.lookout.facts(contract, source, wanted)


@asynccontextmanager
async def looking(git: GitScript, secrets: Mapping[str, object] | None = None) -> AsyncIterator[Post]:
    """A lookout that ends with the context."""
    post = Post(git, Secrets(secrets))
    try:
        yield post
    finally:
        post.lookout.close()


def secret(**data: str) -> dict[str, object]:
    """A raw Secret."""
    return {"data": {key: b64encode(value.encode()).decode() for key, value in data.items()}}


# Heads ------------------------------------------------------------------------------------------------------------


async def test_nothing_is_known_before_the_first_look() -> None:
    """Asking begins the looking, and returns at once."""
    async with looking(GitScript(heads={URL: A})) as post:
        facts = post.facts()

        assert facts.head is None
        assert facts.looked is False


async def test_a_head_has_the_window_in_which_it_appeared() -> None:
    """Seen at the first look that found it, absent at the last one before that, looked at again and again."""
    git = GitScript(heads={URL: A})
    async with looking(git) as post:
        post.facts()
        await passing(1)
        first = post.facts().head
        await passing(100)
        again = post.facts().head
        git.heads[URL] = B
        changed_at = now()
        await passing(20)
        second = post.facts().head

    assert (first.hash, first.seen_at, first.absent_at) == (A, START, None)
    assert (again.hash, again.seen_at) == (A, START)
    assert timedelta(0) <= START + timedelta(seconds=101) - again.looked_at <= INTERVAL * 1.1
    assert second.hash == B
    assert second.absent_at <= changed_at <= second.seen_at
    assert second.seen_at - second.absent_at <= INTERVAL * 1.1


async def test_only_news_are_told() -> None:
    """A look that finds what was known wakes nobody; a problem is told when it begins, and its end too."""
    git = GitScript(heads={URL: A})
    async with looking(git) as post:
        post.facts()
        await passing(200)
        quiet = len(post.told)
        git.heads[URL] = Unreachable(URL, "no route")
        await passing(600)
        broken = len(post.told) - quiet
        git.heads[URL] = A
        await passing(400)
        mended = len(post.told) - quiet - broken

    assert (quiet, broken, mended) == (1, 1, 1)


async def test_one_look_serves_all_contracts_that_share_a_place() -> None:
    """However many contracts follow a ref, it is looked at once an interval, and all are told."""
    git = GitScript(heads={URL: A})
    async with looking(git) as post:
        for number in range(50):
            post.facts(("apps", f"shop-{number}"), replace(SOURCE, name=f"source-{number}"))
        await passing(150)

    assert 9 <= len(git.looks) <= 12
    assert len(post.told[0]) == 50


@pytest.mark.parametrize(
    ("other", "same"),
    [
        pytest.param(replace(SOURCE, name="other", uid="s-2", interval=INTERVAL), True, id="another source"),
        pytest.param(replace(SOURCE, url=f"{URL}-2"), False, id="another URL"),
        pytest.param(replace(SOURCE, ref={"branch": "dev"}), False, id="another branch"),
        pytest.param(replace(SOURCE, secret="git"), False, id="with a Secret"),
        pytest.param(replace(SOURCE, namespace="other"), True, id="another namespace, no Secret"),
    ],
)
def test_what_tells_two_places_apart(other: Source, same: bool) -> None:
    """URL, ref and the Secret, with its namespace."""
    assert (place_of(SOURCE) == place_of(other)) is same
    assert place_of(replace(SOURCE, secret="git")) != place_of(replace(SOURCE, secret="git", namespace="other"))


async def test_a_repository_that_does_not_answer_is_asked_ever_more_rarely() -> None:
    """Up to five minutes between two looks; once it answers, at the interval again."""
    git = GitScript(heads={URL: Unreachable(URL, "no route")})
    async with looking(git) as post:
        post.facts()
        await passing(3600)
        failing = [at for _, _, at in git.looks]
        problem = post.facts().problem
        git.heads[URL] = A
        await passing(400)
        mended = post.facts().problem
        git.looks.clear()
        await passing(150)

    pauses = [later - earlier for earlier, later in pairwise(failing)]
    assert pauses[0] == pytest.approx(30, rel=0.11)
    assert pauses == sorted(pauses, key=lambda pause: min(pause, 250))
    assert max(pauses) <= TIMING.git_pause_longest.total_seconds() * 1.1
    assert "no route" in problem
    assert mended == ""
    assert 9 <= len(git.looks) <= 12


async def test_a_head_outlives_a_failing_look() -> None:
    """What was known stays known, with the problem beside it."""
    git = GitScript(heads={URL: A})
    async with looking(git) as post:
        post.facts()
        await passing(1)
        git.heads[URL] = Unreachable(URL, "no route")
        await passing(20)

        assert post.facts().head.hash == A
        assert "no route" in post.facts().problem


async def test_what_only_flux_can_read_is_not_looked_at() -> None:
    """Nothing is waited for: neither a head nor the time of a commit will ever be had."""
    git = GitScript(heads={URL: A})
    async with looking(git) as post:
        post.facts()
        await passing(1)
        facts = post.facts(source=replace(SOURCE, hidden="by a proxy"), wanted=A)
        looks = len(git.looks)
        await passing(100)

    assert (facts.head, facts.looked, facts.problem) == (None, True, "by a proxy")
    assert facts.commits == {A: Unreadable("by a proxy")}
    assert len(git.looks) == looks


async def test_a_ref_that_does_not_exist_is_a_problem() -> None:
    """The message says what to do, and a ref that is made later is found."""
    git = GitScript(heads={URL: None})
    async with looking(git) as post:
        post.facts()
        await passing(1)
        problem = post.facts().problem
        git.heads[URL] = A
        await passing(20)

        assert problem == f"{URL}: the ref does not exist; create it or mend spec.ref"
        assert post.facts().head.hash == A
        assert post.facts().problem == ""


@pytest.mark.parametrize("ref", [{"commit": A}, {"semver": ">=1"}], ids=["a commit", "semver"])
async def test_a_ref_that_cannot_be_followed_is_not_looked_at_but_its_commits_are_read(ref: dict[str, str]) -> None:
    """Looking ends for good, and no problem is told; the time of a commit can still be had."""
    git = GitScript(heads={URL: UnsupportedRef(URL, ">=1", "semver")})
    async with looking(git) as post:
        post.facts(source=replace(SOURCE, ref=ref), wanted=B)
        await passing(600)
        facts = post.facts(source=replace(SOURCE, ref=ref), wanted=B)

    assert len(git.looks) == (0 if "commit" in ref else 1)
    assert (facts.head, facts.problem, facts.looked) == (None, "", True)
    assert isinstance(facts.commits[B], Commit)


# Commits ----------------------------------------------------------------------------------------------------------


async def test_a_commit_is_read_once() -> None:
    """That of the artifact and that of the head, however often they are asked for and by however many."""
    git = GitScript(heads={URL: A}, commits={B: START - timedelta(hours=1)})
    async with looking(git) as post:
        for _ in range(20):
            post.facts(ONE, wanted=B)
            post.facts(TWO, wanted=B)
            await passing(1)

        facts = post.facts(ONE, wanted=B)

    assert sorted(hash_ for _, hash_ in git.reads) == [A, B]
    assert facts.commits[B] == Commit(START - timedelta(hours=1), "commit bbbbbbb")


async def test_a_commit_that_is_being_read_is_not_asked_for_again_when_another_arrives() -> None:
    """Of two that are under way, the end of one does not begin the other anew."""
    git = GitScript(commits={B: Unreachable(URL, "slow")})
    async with looking(git) as post:
        post.facts(wanted=B)
        post.facts(wanted=A)
        await passing(0.5)
        post.facts(wanted=B)
        await passing(0.1)

    assert [hash_ for _, hash_ in git.reads] == [B, A]


async def test_a_commit_that_cannot_be_read_is_tried_three_times() -> None:
    """Within seconds, and then its time counts as not to be had, with the reason."""
    git = GitScript(commits={B: Unreachable(URL, "no route")})
    async with looking(git) as post:
        post.facts(wanted=B)
        await passing(3.5)
        found = post.facts(wanted=B).commits[B]
        await passing(600)

    assert isinstance(found, Unreadable)
    assert "no route" in found.problem
    assert len(git.reads) == 3


@pytest.mark.parametrize("error", [AccessDenied(URL, "no"), NotFound(URL, "commit")], ids=["denied", "not found"])
async def test_a_commit_that_will_never_be_had_is_tried_once(error: Exception) -> None:
    """Trying again would not help."""
    git = GitScript(commits={B: error})
    async with looking(git) as post:
        post.facts(wanted=B)
        await passing(0.1)

        assert isinstance(post.facts(wanted=B).commits[B], Unreadable)
        assert len(git.reads) == 1


async def test_commits_that_are_remembered_are_bounded() -> None:
    """The oldest are forgotten, and may be asked for again."""
    git = GitScript()
    async with looking(git) as post:
        hashes = [f"{number:040x}" for number in range(1, 101)]
        for hash_ in hashes:
            post.facts(wanted=hash_)
            await passing(0.1)

        assert len(post.facts().commits) == 64
        assert hashes[-1] in post.facts().commits
        post.facts(wanted=hashes[0])
        await passing(0.1)
        assert hashes[0] in post.facts().commits


# Secrets ----------------------------------------------------------------------------------------------------------


async def test_credentials_come_from_the_sources_secret() -> None:
    """Read anew for each look, so that a changed password is used."""
    git = GitScript(heads={URL: A})
    source = replace(SOURCE, secret="git")
    async with looking(git, {"git": secret(username="ada", password="lovelace")}) as post:
        post.facts(source=source)
        await passing(20)

    assert {remote.credentials.username for remote, _, _ in git.looks} == {"ada"}
    assert len(git.looks) == 2


@pytest.mark.parametrize(
    ("found", "said"),
    [
        pytest.param(
            Refused("read", "x", "secrets is forbidden (HTTP 403)"),
            "cannot read Secret apps/git: secrets is forbidden (HTTP 403); let the operator get this Secret",
            id="forbidden",
        ),
        pytest.param(Missing("read", "x", "not found"), "not found", id="missing"),
        pytest.param(Unavailable("read", "x", "no answer"), "no answer", id="no answer"),
        pytest.param(
            BadName("../../victim/secrets/git", "a name of secrets", "only a-z may stand in it"),
            'cannot use "../../victim/secrets/git" as a name of secrets: only a-z may stand in it; correct it',
            id="no name",
        ),
        pytest.param(secret(bearerToken="a\nb"), "bearerToken", id="nonsense in it"),
        pytest.param({"data": {"username": "%%%"}}, "", id="not base64"),
        pytest.param({"data": {"username": "ü"}}, "", id="not even ASCII"),
        pytest.param({"data": "none"}, "", id="no map"),
    ],
)
async def test_a_secret_that_cannot_be_used_is_a_problem_and_not_the_end(found: object, said: str) -> None:
    """What is wrong with it is told, what it holds is not; looking goes on."""
    git = GitScript(heads={URL: A})
    source = replace(SOURCE, secret="git")
    async with looking(git, {"git": found}) as post:
        post.facts(source=source)
        await passing(1)
        problem = post.facts(source=source).problem
        post.lookout._cluster.known["git"] = secret(username="ada")  # type: ignore[attr-defined]  # the script
        await passing(60)

        assert said in problem
        assert bool(problem) is bool(said)
        assert post.facts(source=source).head.hash == A


# Ends -------------------------------------------------------------------------------------------------------------


async def test_looking_ends_with_the_last_contract_that_cares() -> None:
    """The first that leaves changes nothing, the last one ends all that is under way."""
    git = GitScript(heads={URL: A})
    async with looking(git) as post:
        before = len(asyncio.all_tasks())
        post.facts(ONE)
        post.facts(TWO)
        await passing(20)
        post.lookout.forget(ONE)
        await passing(20)
        went_on = len(git.looks)
        post.lookout.forget(TWO)
        post.lookout.forget(TWO)
        await passing(600)

        assert went_on >= 3
        assert len(git.looks) == went_on
        assert len(asyncio.all_tasks()) == before


@pytest.mark.parametrize(
    "source", [None, replace(SOURCE, url=""), replace(SOURCE, url=f"{URL}-2")], ids=["none", "no URL", "another"]
)
async def test_a_contract_that_moves_on_leaves_its_old_place(source: Source | None) -> None:
    """The place that nobody cares for any more is not looked at."""
    git = GitScript(heads={URL: A, f"{URL}-2": B})
    async with looking(git) as post:
        post.facts()
        await passing(1)
        post.facts(source=source)
        git.looks.clear()
        await passing(60)

        assert URL not in {remote.url for remote, _, _ in git.looks}


async def test_closing_ends_everything() -> None:
    """Reads under way included."""
    git = GitScript(heads={URL: Malformed(URL, "nonsense")}, commits={B: Unreachable(URL, "slow")})
    async with looking(git) as post:
        before = len(asyncio.all_tasks())
        post.facts(wanted=B)
        await passing(0.5)
        post.lookout.close()
        await eventually(lambda: len(asyncio.all_tasks()) == before, "the tasks to end")
        asked = len(git.looks) + len(git.reads)
        await passing(60)

        assert len(git.looks) + len(git.reads) == asked
