"""Who may read a repository over HTTP, and where redirects and errors lead."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from reconciliation_contract.adapters.git import (
    AccessDenied,
    AddressRefused,
    Credentials,
    Git,
    GitRef,
    GitSettings,
    Malformed,
    NotFound,
    Remote,
    Unreachable,
)
from tests.support.git_server import Repository, Served, git, serve

LOCAL = GitSettings(allow_local=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """A repository with one commit."""
    repository = Repository.create(tmp_path_factory.mktemp("served") / "team" / "shop.git")
    repository.commit("Second")
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


@pytest.mark.parametrize(
    "credentials",
    [
        Credentials(username="ada", password="s3cret"),
        Credentials(username="ada", password="s3cret", bearer_token="no"),
    ],
    ids=["user and password", "before a token"],
)
async def test_basic_authentication(
    repository: Repository, served: Served, remote: Remote, credentials: Credentials
) -> None:
    """User and password open a private repository, as in Flux before a token."""
    served.demand_basic("ada", "s3cret")

    head = await Git(LOCAL).head(replace(remote, credentials=credentials), GitRef(branch="main"))

    assert head == tip(repository, "main")


async def test_user_and_password_in_the_url(repository: Repository, served: Served, remote: Remote) -> None:
    """A URL's own user and password count when the Secret has none, percent-decoded."""
    served.demand_basic("ada", "s3/cret")
    url = remote.url.replace("://", "://ada:s3%2Fcret@")

    head = await Git(LOCAL).head(Remote(url), GitRef(branch="main"))

    assert head == tip(repository, "main")


async def test_bearer_token(repository: Repository, served: Served, remote: Remote) -> None:
    """A token opens a private repository."""
    served.authorization = "Bearer t0ken"

    head = await Git(LOCAL).head(
        replace(remote, credentials=Credentials(bearer_token="t0ken")), GitRef(branch="main")
    )

    assert head == tip(repository, "main")


@pytest.mark.parametrize(
    ("credentials", "message"),
    [
        (Credentials(), "credentials are needed"),
        (Credentials(username="ada", password="wr0ng"), "these credentials are not accepted"),
    ],
    ids=["none", "wrong"],
)
async def test_access_denied(served: Served, remote: Remote, credentials: Credentials, message: str) -> None:
    """Missing and wrong credentials are told apart, and never repeated."""
    served.demand_basic("ada", "s3cret")

    with pytest.raises(AccessDenied, match=message) as raised:
        await Git(LOCAL).head(replace(remote, credentials=credentials), GitRef(branch="main"))

    assert "wr0ng" not in str(raised.value)


async def test_no_such_repository(served: Served) -> None:
    """A repository the server does not have is not found."""
    with pytest.raises(NotFound, match="repository"):
        await Git(LOCAL).head(Remote(f"{served.url}/team/other.git"), GitRef(branch="main"))


@pytest.mark.parametrize(
    ("status", "error"),
    [(403, AccessDenied), (410, NotFound), (429, Unreachable), (503, Unreachable), (418, Malformed)],
)
async def test_statuses(served: Served, remote: Remote, status: int, error: type[Exception]) -> None:
    """What may pass is told from what will not."""
    served.statuses["/"] = status

    with pytest.raises(error, match=str(status)):
        await Git(LOCAL).head(remote, GitRef(branch="main"))


async def test_a_redirect_within_the_host_is_followed(repository: Repository, served: Served) -> None:
    """Servers that redirect to the path with .git are followed, with credentials, for all requests."""
    served.demand_basic("ada", "s3cret")
    served.redirects = {"/shop/": "/team/shop.git/"}
    remote = Remote(f"{served.url}/shop", Credentials(username="ada", password="s3cret"))

    commit = await Git(LOCAL).commit(remote, tip(repository, "main"))

    assert commit.subject == "Second"
    assert served.requests[-1] == "POST /team/shop.git/git-upload-pack"


@pytest.mark.parametrize(
    "target",
    [
        "http://localhost:{port}/team/shop.git/",
        "https://127.0.0.1:{port}/team/shop.git/",
        "//127.0.0.1:1/",
        "http://[/",
    ],
    ids=["host", "scheme", "port", "no URL"],
)
async def test_a_redirect_elsewhere_is_refused(served: Served, target: str) -> None:
    """Another host, scheme or port gets no request, least of all with credentials."""
    port = served.url.rpartition(":")[2]
    served.redirects = {"/shop/": target.format(port=port)}
    remote = Remote(f"{served.url}/shop", Credentials(username="ada", password="s3cret"))

    with pytest.raises((AddressRefused, Malformed), match="redirects to") as caught:
        await Git(LOCAL).head(remote, GitRef(branch="main"))

    assert len(served.requests) == 1
    assert "team" not in str(caught.value), "where it leads is the server's answer, and told to nobody"


async def test_a_redirect_to_a_login_page_is_access_denied(served: Served) -> None:
    """Where Git's question is dropped from the URL, credentials are what is missing."""
    served.redirects = {"/shop/info/refs": "/login#"}

    with pytest.raises(AccessDenied, match="login"):
        await Git(LOCAL).head(Remote(f"{served.url}/shop"), GitRef(branch="main"))


async def test_redirects_in_a_circle_end(served: Served) -> None:
    """A server that redirects for ever is left after a few rounds."""
    served.redirects = {"/shop/": "/shop/"}

    with pytest.raises(Malformed, match="307"):
        await Git(LOCAL).head(Remote(f"{served.url}/shop"), GitRef(branch="main"))

    assert len(served.requests) == 4


async def test_a_request_with_content_is_not_redirected(
    repository: Repository, served: Served, remote: Remote
) -> None:
    """As in git, only the first question may be redirected."""
    served.redirects = {"/team/shop.git/git-upload-pack": "/elsewhere"}

    with pytest.raises(Malformed, match="307"):
        await Git(LOCAL).commit(remote, tip(repository, "main"))
