"""The Git server, asked by a real git and by dulwich."""

from __future__ import annotations

import subprocess
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from dulwich.client import HttpGitClient, HTTPUnauthorized
from dulwich.errors import GitProtocolError, HangupException
from dulwich.objects import Commit, ObjectID
from dulwich.refs import Ref
from dulwich.repo import MemoryRepo

from playground.git_command import GitError, git_environment
from playground.git_server import GitServer
from playground.waiting import wait_until


@pytest.fixture
def server(tmp_path: Path) -> Iterator[GitServer]:
    with GitServer(tmp_path / "served") as running:
        yield running


def git_client(folder: Path, *arguments: str) -> str:
    """Run git as a user would; what it says in case of an error becomes the test's error."""
    result = subprocess.run(
        ["git", *arguments], cwd=folder, env=git_environment(), capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def fetch_one_commit(
    url: str, sha: str, username: str | None = None, password: str | None = None
) -> tuple[MemoryRepo, Commit]:
    """Fetch as the operator does: one commit, no trees."""
    base, _, name = url.rpartition("/")
    target = MemoryRepo()

    def wanted(refs: Mapping[Ref, ObjectID], depth: int | None = None) -> list[ObjectID]:
        return [ObjectID(sha.encode())]

    HttpGitClient(base, username=username, password=password).fetch(
        name, target, determine_wants=wanted, depth=1, filter_spec=b"tree:0"
    )
    commit = target[ObjectID(sha.encode())]
    assert isinstance(commit, Commit)
    return target, commit


def test_a_commit_is_visible_to_git_at_once(server: GitServer, tmp_path: Path) -> None:
    """Clone, see the file; commit again, pull, see the change."""
    shop = server.repository("shop")
    first = shop.commit({"deploy/app.yaml": "kind: One\n"}, "First")

    git_client(tmp_path, "clone", "--quiet", shop.url, "clone")
    clone = tmp_path / "clone"
    assert git_client(clone, "rev-parse", "HEAD").strip() == first
    assert (clone / "deploy/app.yaml").read_text() == "kind: One\n"
    second = shop.commit({"deploy/app.yaml": "kind: Two\n"}, "Second")
    git_client(clone, "pull", "--quiet")

    assert git_client(clone, "rev-parse", "HEAD").strip() == second == shop.head()
    assert (clone / "deploy/app.yaml").read_text() == "kind: Two\n"


def test_a_user_can_push(server: GitServer, tmp_path: Path) -> None:
    """Also more than a buffer's worth, which git sends in chunks."""
    shop = server.repository("shop")
    shop.commit({"a": "a"}, "First")
    git_client(tmp_path, "clone", "--quiet", shop.url, "clone")
    clone = tmp_path / "clone"
    (clone / "big").write_text("".join(f"{number * 7919}\n" for number in range(50_000)))
    identity = ("-c", "user.name=x", "-c", "user.email=x@example.invalid", "-c", "http.postBuffer=65536")

    git_client(clone, "add", "big")
    git_client(clone, *identity, "commit", "--quiet", "-m", "Big")
    git_client(clone, *identity, "push", "--quiet")

    assert shop.head() == git_client(clone, "rev-parse", "HEAD").strip()
    assert shop.files() == ["a", "big"]


def test_dulwich_fetches_one_commit_without_trees(server: GitServer) -> None:
    """Filtered and shallow: exactly the commit object arrives, with the time we gave it."""
    shop = server.repository("shop")
    when = datetime(2026, 5, 1, 12, 0, 0, tzinfo=UTC)
    shop.commit({"a": "a"}, "First")
    sha = shop.commit({"a": "b"}, "Second", when=when)

    target, commit = fetch_one_commit(shop.url, sha)

    assert commit.commit_time == when.timestamp()
    assert commit.message == b"Second"
    assert commit.tree not in target.object_store


def test_without_partial_clone_the_filter_is_ignored(server: GitServer) -> None:
    """Such a server sends the tree as well."""
    shop = server.repository("shop", partial_clone=False)
    sha = shop.commit({"a": "a"}, "First")

    target, commit = fetch_one_commit(shop.url, sha)

    assert commit.tree in target.object_store


def test_an_old_commit_can_be_asked_for_by_its_hash(server: GitServer) -> None:
    """Also when no branch reaches it any more, as after a force-push."""
    shop = server.repository("shop")
    base = shop.commit({"a": "a"}, "Base")
    lost = shop.commit({"a": "b"}, "Lost")
    shop.reset("main", base)

    _, commit = fetch_one_commit(shop.url, lost)

    assert commit.message == b"Lost"


def test_a_forgotten_commit_is_gone(server: GitServer) -> None:
    """As on a host that has collected its garbage."""
    shop = server.repository("shop")
    base = shop.commit({"a": "a"}, "Base")
    lost = shop.commit({"a": "b"}, "Lost")
    shop.reset("main", base)
    shop.forget()

    with pytest.raises((GitProtocolError, HangupException, KeyError)):
        fetch_one_commit(shop.url, lost)


def test_basic_authentication_is_asked_for(server: GitServer) -> None:
    """Without or with wrong credentials 401; with the right ones it works; others stay open."""
    closed = server.repository("closed", user="flux", password="secret word")
    sha = closed.commit({"a": "a"}, "First")
    refs = f"{closed.url}/info/refs?service=git-upload-pack"

    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(refs, timeout=60)
    refused.value.close()
    assert refused.value.code == 401
    with pytest.raises(HTTPUnauthorized):
        fetch_one_commit(closed.url, sha, username="flux", password="wrong")

    fetch_one_commit(closed.url, sha, username="flux", password="secret word")
    opened = server.repository("open")
    fetch_one_commit(opened.url, opened.commit({"a": "a"}, "First"))


def test_it_stops_and_starts_on_the_same_port(server: GitServer, tmp_path: Path) -> None:
    """Meanwhile connections are refused; afterwards everything is as before."""
    shop = server.repository("shop")
    sha = shop.commit({"a": "a"}, "First")

    server.stop()
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(shop.url, timeout=60)
    server.start()

    assert git_client(tmp_path, "ls-remote", shop.url, "main").split()[0] == sha


def test_a_paused_server_hangs_until_resumed(server: GitServer) -> None:
    """The request is accepted and answered only after the pause."""
    shop = server.repository("shop")
    sha = shop.commit({"a": "a"}, "First")
    answers: list[bytes] = []

    def ask() -> None:
        with urllib.request.urlopen(f"{shop.url}/info/refs?service=git-upload-pack", timeout=60) as answer:
            answers.append(answer.read())

    server.pause()
    with pytest.raises(TimeoutError):
        urllib.request.urlopen(shop.url, timeout=0.2)
    client = threading.Thread(target=ask)
    client.start()
    assert answers == []
    server.resume()
    client.join(60)

    wait_until(lambda: answers, 60, "the answer")
    assert sha.encode() in answers[0]


def test_files_branches_and_tags_change_without_a_working_tree(server: GitServer) -> None:
    """None deletes a file; branches begin empty, can be moved and deleted; tags name commits."""
    shop = server.repository("shop")
    first = shop.commit({"a": "1", 'odd "name"/ä': "2"}, "First")
    second = shop.commit({"a": None}, "Second")

    assert shop.read('odd "name"/ä') == "2"
    assert shop.files() != shop.files(first)
    with pytest.raises(GitError):
        shop.read("a")
    shop.commit({"b": "3"}, "Elsewhere", branch="release")
    assert shop.head("release") not in (first, second)
    shop.reset("release", first)
    assert shop.head("release") == first
    shop.delete_branch("release")
    with pytest.raises(GitError):
        shop.head("release")
    assert shop.tag("v1") == second
    assert shop.tag("v0", first) == first


def test_git_variables_of_the_caller_change_nothing(
    server: GitServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Inside a git hook GIT_DIR is set; our repository is meant all the same."""
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    shop = server.repository("shop")

    assert shop.commit({"a": "a"}, "First") == shop.head()


def test_an_unknown_repository_is_not_found(server: GitServer) -> None:
    """And a name that leads out of the folder is refused."""
    with pytest.raises(urllib.error.HTTPError) as missing:
        urllib.request.urlopen(f"{server.url}/none.git/info/refs?service=git-upload-pack", timeout=60)
    missing.value.close()

    assert missing.value.code == 404
    with pytest.raises(ValueError, match="cannot name"):
        server.repository("../etc")
    assert server.repository("shop") is server.repository("shop")
