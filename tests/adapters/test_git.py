"""Heads and commits of real repositories, over HTTP from git's own server."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciliation_contract.adapters.git import (
    Git,
    GitRef,
    GitSettings,
    Malformed,
    NotFound,
    Remote,
    UnsupportedRef,
)
from tests.support.git_server import Repository, Served, git, serve

LOCAL = GitSettings(allow_local=True)
ABSENT = "0123456789" * 4


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with two branches, a light and an annotated tag, and a merge request."""
    repository = Repository.create(tmp_path_factory.mktemp("served") / "team" / "shop.git")
    first = repository.commit("First")
    repository.commit("Second\n\nWith a body.", at="1700000123 +0530")
    repository.commit("Elsewhere", ref="refs/heads/main2")
    git(repository.path, "tag", "light", first)
    git(repository.path, "tag", "-m", "Released", "v1.0.0", first)
    git(repository.path, "update-ref", "refs/pull/7/head", first)
    return repository


@pytest.fixture
def served(repository: Repository) -> Iterator[Served]:
    """The repository behind git's own server."""
    with serve(repository.path.parents[1]) as served:
        yield served


@pytest.fixture
def remote(served: Served) -> Remote:
    """The repository as a GitRepository names it."""
    return Remote(f"{served.url}/team/shop.git")


def tip(repository: Repository, ref: str) -> str:
    """The commit a ref points to, as git says."""
    return git(repository.path, "rev-parse", f"{ref}^{{commit}}")


@pytest.mark.parametrize("old_protocol", [False, True], ids=["v2", "v0"])
@pytest.mark.parametrize(
    ("ref", "name"),
    [
        pytest.param(GitRef(branch="main"), "refs/heads/main", id="a branch, not another whose name begins so"),
        pytest.param(GitRef(branch="main2"), "refs/heads/main2", id="another branch"),
        pytest.param(GitRef(tag="light"), "refs/tags/light", id="a light tag"),
        pytest.param(GitRef(tag="v1.0.0"), "refs/tags/v1.0.0", id="the commit of an annotated tag"),
        pytest.param(GitRef(name="refs/pull/7/head"), "refs/pull/7/head", id="a name as it is"),
        pytest.param(GitRef(name="refs/tags/v1.0.0^{}"), "refs/tags/v1.0.0", id="a name with a peeling suffix"),
        pytest.param(GitRef(name="HEAD"), "HEAD", id="the default branch"),
        pytest.param(GitRef(branch="main2", tag="light"), "refs/tags/light", id="a tag before a branch"),
        pytest.param(
            GitRef(branch="main", tag="light", semver="*", name="refs/heads/main2"),
            "refs/heads/main2",
            id="a name first",
        ),
    ],
)
async def test_head_is_what_git_says(
    repository: Repository, served: Served, ref: GitRef, name: str, old_protocol: bool
) -> None:
    """Every form of ref gives the commit that git itself gives, in the new protocol and the old."""
    remote = Remote(f"{served.url}/team/shop.git")
    served.old_protocol = old_protocol

    head = await Git(LOCAL).head(remote, ref)

    assert head == tip(repository, name)


@pytest.mark.parametrize("old_protocol", [False, True], ids=["v2", "v0"])
@pytest.mark.parametrize("ref", [GitRef(branch="gone"), GitRef(tag="main"), GitRef()], ids=str)
async def test_a_ref_that_does_not_exist_is_none(
    served: Served, remote: Remote, ref: GitRef, old_protocol: bool
) -> None:
    """A missing ref is an answer, not an error; nothing given means master, which is missing here."""
    served.old_protocol = old_protocol

    head = await Git(LOCAL).head(remote, ref)

    assert head is None


async def test_an_empty_repository_has_no_head(tmp_path: Path) -> None:
    """A repository without commits has no ref to find."""
    Repository.create(tmp_path / "empty.git")

    with serve(tmp_path) as served:
        heads = [
            await Git(LOCAL).head(Remote(f"{served.url}/empty.git"), ref) for ref in (GitRef(), GitRef(name="HEAD"))
        ]

    assert heads == [None, None]


async def test_a_pinned_commit_is_not_asked_for(served: Served, remote: Remote) -> None:
    """A pinned commit comes before every other field and costs no request."""
    head = await Git(LOCAL).head(remote, GitRef(branch="main", name="refs/heads/main", commit=ABSENT.upper()))

    assert (head, served.requests) == (ABSENT, [])


@pytest.mark.parametrize(
    "ref",
    [
        GitRef(semver=">=1.0.0"),
        GitRef(commit="main"),
        GitRef(branch="a..b"),
        GitRef(branch="line\nbreak"),
        GitRef(branch="\ud800"),
        GitRef(name="main"),
        GitRef(tag="x" * 2000),
    ],
    ids=ascii,
)
async def test_refs_that_cannot_be_resolved_are_refused(served: Served, remote: Remote, ref: GitRef) -> None:
    """Ranges and names that no repository can have are said to be unsupported, without a request."""
    with pytest.raises(UnsupportedRef, match="latencies of this source start at its artifact"):
        await Git(LOCAL).head(remote, ref)

    assert served.requests == []


@pytest.mark.parametrize("old_protocol", [False, True], ids=["v2", "v0"])
async def test_commit_is_what_git_says(
    repository: Repository, served: Served, remote: Remote, old_protocol: bool
) -> None:
    """Times and subject of a commit are those of `git show`, in UTC."""
    served.old_protocol = old_protocol
    hash_ = tip(repository, "main")

    commit = await Git(LOCAL).commit(remote, hash_)

    committed, authored, subject = git(repository.path, "show", "-s", "--format=%ct%n%at%n%s", hash_).splitlines()
    assert commit.hash == hash_
    assert commit.committed_at == datetime.fromtimestamp(int(committed), UTC)
    assert commit.authored_at == datetime.fromtimestamp(int(authored), UTC)
    assert (commit.committed_at.tzinfo, commit.subject) == (UTC, subject)


async def test_a_commit_behind_the_head_is_found(repository: Repository, remote: Remote) -> None:
    """Protocol v2 gives any commit that is still there, not only heads."""
    older = tip(repository, "main~1")

    commit = await Git(LOCAL).commit(remote, older)

    assert (commit.hash, commit.subject) == (older, "First")


@pytest.mark.parametrize("old_protocol", [False, True], ids=["v2", "v0"])
async def test_a_commit_that_is_gone_is_not_found(served: Served, remote: Remote, old_protocol: bool) -> None:
    """A commit lost by a force-push is told from a broken server."""
    served.old_protocol = old_protocol

    with pytest.raises(NotFound, match="commit not found"):
        await Git(LOCAL).commit(remote, ABSENT)


async def test_a_tree_is_no_commit(repository: Repository, remote: Remote) -> None:
    """The hash of something else than a commit is refused rather than misread."""
    tree = git(repository.path, "rev-parse", "main^{tree}")

    with pytest.raises(Malformed):
        await Git(LOCAL).commit(remote, tree)


async def test_a_short_hash_is_refused(served: Served, remote: Remote) -> None:
    """Abbreviations are never sent to a server."""
    with pytest.raises(Malformed, match="40 hexadecimal digits"):
        await Git(LOCAL).commit(remote, "abc123")

    assert served.requests == []


@pytest.mark.parametrize("old_protocol", [False, True], ids=["v2", "v0"])
async def test_a_server_without_filters_is_hung_up_on(tmp_path: Path, old_protocol: bool) -> None:
    """A server that sends all files as well is left as soon as the commit has come."""
    big = 24 * 2**20
    repository = Repository.create(tmp_path / "big.git", allow_filter=False)
    git(repository.path, "config", "core.compression", "0")
    hash_ = repository.commit("Big", content=bytes(big))

    with serve(tmp_path) as served:
        served.old_protocol = old_protocol
        commit = await Git(LOCAL).commit(Remote(f"{served.url}/big.git"), hash_)

    assert commit.subject == "Big"
    assert served.sent_bytes < big / 2


async def test_a_fact_takes_one_connection(repository: Repository, served: Served, remote: Remote) -> None:
    """The requests of one fact share a connection, so that TLS is negotiated once."""
    await Git(LOCAL).commit(remote, tip(repository, "main"))

    assert len(served.requests) == 3
    assert len(served.connections) == 1
