"""The way to the API server: found as kubectl finds it, and kept up while something is waited for."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciliation_contract.cli.client.connection import Connection
from reconciliation_contract.cli.client.errors import Problem, Unreachable
from reconciliation_contract.cli.client.kubeconfig import context_names, find
from tests.cli.api import Api, Request, refused, write_kubeconfig
from tests.cli.objects import contract, failing, healthy

pytestmark = pytest.mark.slow

MALFORMED = {
    "nothing": "",
    "a text": "root:x:0:0",
    "a list": "- a",
    "no YAML": "{",
    "no contexts": "apiVersion: v1\nkind: Config\ncurrent-context: here\n",
    "contexts that are none": "kind: Config\ncontexts: here\ncurrent-context: here\n",
    "a context without a cluster": "kind: Config\ncontexts: [{name: here, context: {cluster: x, user: y}}]\ncurrent-context: here\n",
}


@pytest.fixture
def connection(kubeconfig: Path) -> Connection:
    """A connection to the small API server."""
    return Connection(find(str(kubeconfig)).access)


@pytest.mark.parametrize("case", MALFORMED)
def test_a_file_that_is_no_kubeconfig_is_named(tmp_path: Path, case: str) -> None:
    """Whatever the file holds, the message names it; completion just offers nothing."""
    path = tmp_path / "config"
    path.write_text(MALFORMED[case])

    with pytest.raises(Problem, match=str(path)):
        find(str(path))
    assert context_names(str(path)) in ([], ["here"])


def test_a_context_can_be_named_where_none_is_current(tmp_path: Path) -> None:
    """As with kubectl, --context is enough."""
    path = write_kubeconfig(tmp_path / "config", "http://127.0.0.1:1")
    path.write_text(path.read_text().replace("current-context: here", "current-context: ''"))

    with pytest.raises(Problem, match="has no current context; name one with --context: here, there"):
        find(str(path))
    assert find(str(path), "here").namespace == "apps"
    assert find(str(path), "there").namespace == "default"


def test_who_asks_is_authenticated(api: Api, connection: Connection) -> None:
    """Every request carries the kubeconfig's token."""
    connection.contracts("apps")

    assert connection.user() == "zoe"
    assert {request.headers["Authorization"] for request in api.requests} == {"Bearer secret"}


def test_an_api_server_that_does_not_tell_who_asks_is_no_obstacle(api: Api, connection: Connection) -> None:
    """An older API server has no such review; the request is just not signed."""
    api.refusals = {("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews"): (404, "404 page not found")}

    assert connection.user() == ""


def test_a_watch_that_ends_is_begun_anew(api: Api, connection: Connection) -> None:
    """What happened between two watches is seen by looking again, once; what went away is told as well."""
    api.contracts = [contract(healthy()), contract(healthy(), name="web")]
    later = contract(failing(), meta={"resourceVersion": "8"})

    def change(request: Request) -> None:
        if "watch" in request.query:
            api.contracts = [later]

    api.before = change
    seen = connection.watch("apps", seconds=30)

    told = [next(seen) for _ in range(4)]

    assert [(one.raw["metadata"]["name"], one.raw["metadata"]["resourceVersion"], one.gone) for one in told] == [
        ("shop", "7", False),
        ("web", "7", False),
        ("web", "7", True),
        ("shop", "8", False),
    ]


def test_an_api_server_that_restarts_is_waited_for(api: Api, connection: Connection) -> None:
    """Once it has answered, its absence is a matter of time."""
    api.contracts = [contract(healthy())]
    answers = iter([None, refused(503, "starting"), refused(503, "starting"), None])
    api.before = lambda _: next(answers, None)
    seen = connection.watch("apps", "shop", seconds=30)
    first = next(seen)
    api.contracts = [contract(failing(), meta={"resourceVersion": "8"})]

    second = next(seen)

    assert (first.raw["metadata"]["resourceVersion"], second.raw["metadata"]["resourceVersion"]) == ("7", "8")


def test_an_api_server_that_never_answered_is_not_waited_for(api: Api, connection: Connection) -> None:
    """A mistake in the kubeconfig is told at once."""
    api.before = lambda _: refused(503, "starting")

    with pytest.raises(Unreachable):
        next(connection.watch("apps", "shop", seconds=30))


def test_a_lost_right_ends_the_watch(api: Api, connection: Connection) -> None:
    """Waiting cannot mend a refusal."""
    api.before = lambda request: refused(403, 'User "zoe" cannot watch') if "watch" in request.query else None

    with pytest.raises(Problem, match=r"user zoe may not list reconciliationcontracts\.reconciliation\.dev"):
        list(connection.watch("apps", "shop", seconds=30))


def test_the_time_ends_the_watch(api: Api, connection: Connection) -> None:
    """What does not come is not waited for longer than asked, and the server is told how long."""
    api.contracts = [contract(healthy())]

    assert len(list(connection.watch("apps", "shop", seconds=0.05))) == 1
    assert {value for request in api.requests for value in request.query.get("timeoutSeconds", [])} == {"1"}


@pytest.mark.parametrize("line", ["{broken\n", '{"type": "ERROR", "object": {"code": 410}}\n'])
def test_a_watch_that_goes_wrong_is_begun_anew(api: Api, connection: Connection, line: str) -> None:
    """A garbled line, or a version that is too old, ends one watch and not the waiting."""
    api.contracts = [contract(healthy())]
    answers = iter([None, (200, line)])
    api.before = lambda _: next(answers, None)
    seen = connection.watch("apps", "shop", seconds=30)
    next(seen)
    api.contracts = [contract(failing(), meta={"resourceVersion": "8"})]

    assert next(seen).raw["metadata"]["resourceVersion"] == "8"
