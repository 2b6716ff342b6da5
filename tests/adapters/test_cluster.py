"""The calls to the API server: paths, headers, preconditions, and errors converted at the edge."""

from __future__ import annotations

from typing import Any

import pytest
from kubernetes import client

from reconciliation_contract.adapters.kubernetes.client import (
    CONTRACTS,
    GIT_REPOSITORIES,
    KUSTOMIZATIONS,
    SECRETS,
    Cluster,
)
from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.errors import ClusterError, Conflict, Missing, Powerless, Refused, Unavailable
from tests.adapters.scripted import Asked, scripted
from tests.support.virtual_time_port import free_port

KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/apps/kustomizations/shop"


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Refused),
        (401, Refused),
        (403, Refused),
        (404, Missing),
        (409, Conflict),
        (410, Refused),
        (422, Refused),
        (429, Unavailable),
        (500, Unavailable),
        (503, Unavailable),
        (504, Unavailable),
    ],
)
async def test_each_status_becomes_one_of_our_errors(status: int, kind: type[ClusterError]) -> None:
    """The server's own message is kept, with what was tried and the status."""
    async with scripted(lambda _: (status, {"kind": "Status", "message": "because of this"})) as (cluster, _):
        with pytest.raises(ClusterError) as caught:
            await cluster.get(KUSTOMIZATIONS, "apps", "shop")

    assert type(caught.value) is kind
    assert str(caught.value) == f"cannot read {KUSTOMIZATION}: because of this (HTTP {status})"


@pytest.mark.parametrize(
    "body",
    [b"<html>bad gateway</html>", b"", b"[1]", b"\xff\xfe", b"x" * 100_000],
    ids=["html", "empty", "a list", "no text", "long"],
)
async def test_a_refusal_without_a_status_object_is_still_told(body: bytes) -> None:
    """Whatever a proxy in between answers, the error is ours and short."""
    async with scripted(lambda _: (502, body)) as (cluster, _):
        with pytest.raises(Unavailable) as caught:
            await cluster.get(KUSTOMIZATIONS, "apps", "shop")

    assert len(str(caught.value)) < 1200


@pytest.mark.parametrize("body", [b"<html>", b"\xff\xfe", b"{"], ids=["html", "no text", "cut off"])
async def test_an_answer_that_is_not_json_counts_as_none(body: bytes) -> None:
    """A success with nonsense in it is tried again like a failure."""
    async with scripted(lambda _: (200, body)) as (cluster, _):
        with pytest.raises(Unavailable):
            await cluster.list_versions(CONTRACTS)


async def test_a_server_that_does_not_answer_is_unavailable() -> None:
    """A refused connection is one of our errors, too."""
    configuration = client.Configuration()
    configuration.host = f"http://127.0.0.1:{free_port()}"
    async with Cluster(Access(configuration)) as cluster:
        with pytest.raises(Unavailable, match="cannot read"):
            await cluster.get(KUSTOMIZATIONS, "apps", "shop")


async def test_a_connection_that_is_not_open_says_so() -> None:
    """A call outside of the context is an error of ours, not of aiohttp."""
    cluster = Cluster(Access(client.Configuration()))

    with pytest.raises(Unavailable, match="not open"):
        await cluster.get(KUSTOMIZATIONS, "apps", "shop")


async def test_a_status_is_written_on_the_version_it_was_decided_on() -> None:
    """A JSON patch that first demands the version and then replaces the whole status."""
    async with scripted() as (cluster, script):
        await cluster.replace_status("apps", "shop", "41", {"conditions": []})

    (asked,) = script.asked
    assert asked.method == "PATCH"
    assert asked.path == "/apis/reconciliation.dev/v1alpha1/namespaces/apps/reconciliationcontracts/shop/status"
    assert asked.headers["Content-Type"] == "application/json-patch+json"
    assert asked.query == {"fieldManager": "reconciliation-contract"}
    assert asked.body == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "41"},
        {"op": "add", "path": "/status", "value": {"conditions": []}},
    ]


async def test_a_merge_sends_the_patch_as_it_is() -> None:
    """A merge patch names its field manager."""
    patch = {"metadata": {"resourceVersion": "7"}, "spec": {"suspend": None}}
    async with scripted() as (cluster, script):
        await cluster.merge(KUSTOMIZATIONS, "apps", "shop", patch)

    (asked,) = script.asked
    assert (asked.method, asked.path, asked.body) == ("PATCH", KUSTOMIZATION, patch)
    assert asked.headers["Content-Type"] == "application/merge-patch+json"
    assert asked.query == {"fieldManager": "reconciliation-contract"}


async def test_a_delete_demands_the_uid() -> None:
    """Another object of the same name is not deleted; one that is gone is fine."""
    async with scripted(lambda _: (404, {})) as (cluster, script):
        await cluster.delete(GIT_REPOSITORIES, "apps", "pin", "uid-1")
        await cluster.delete(GIT_REPOSITORIES, "apps", "pin")

    assert [asked.body for asked in script.asked] == [{"preconditions": {"uid": "uid-1"}}, None]


async def test_pages_are_followed_to_the_end() -> None:
    """Only metadata is asked for, page by page."""

    def answer(asked: Asked) -> tuple[int, Any]:
        page = int(asked.query.get("continue", "0"))
        item = {"metadata": {"namespace": "apps", "name": f"shop-{page}", "resourceVersion": str(page)}}
        return 200, {"metadata": {"continue": str(page + 1) if page < 2 else ""}, "items": [item]}

    async with scripted(answer) as (cluster, script):
        found = await cluster.list_versions(KUSTOMIZATIONS)

    assert found == {("apps", "shop-0"): "0", ("apps", "shop-1"): "1", ("apps", "shop-2"): "2"}
    assert [asked.query.get("continue") for asked in script.asked] == [None, "1", "2"]
    assert {asked.query["limit"] for asked in script.asked} == {"500"}
    assert all("as=PartialObjectMetadataList" in asked.headers["Accept"] for asked in script.asked)


async def test_an_empty_list_without_items_is_empty() -> None:
    """`items: null`, as Go writes an empty list, is no error."""
    async with scripted(lambda _: (200, {"metadata": None, "items": None})) as (cluster, _):
        assert await cluster.list_versions(CONTRACTS, "apps") == {}


async def test_an_act_as_somebody_impersonates_him() -> None:
    """The user is named in a header, and only where one is given."""
    async with scripted() as (cluster, script):
        await cluster.create(GIT_REPOSITORIES, "apps", {}, user="system:serviceaccount:apps:deployer")
        await cluster.create(GIT_REPOSITORIES, "apps", {})

    first, second = script.asked
    assert first.headers["Impersonate-User"] == "system:serviceaccount:apps:deployer"
    assert "Impersonate-User" not in second.headers


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (
            'serviceaccounts "deployer" is forbidden: User "me" cannot impersonate resource "serviceaccounts"',
            Powerless,
        ),
        ('things is forbidden: User "system:serviceaccount:apps:deployer" cannot list resource "things"', Refused),
    ],
)
async def test_whose_right_is_lacking_is_told_apart(said: str, expected: type[Refused]) -> None:
    """The operator's, to act as an account, or the account's own; each is granted to somebody else."""
    async with scripted(lambda _: (403, {"message": said, "reason": "Forbidden"})) as (cluster, _):
        with pytest.raises(Refused) as caught:
            await cluster.get(SECRETS, "apps", "git", user="system:serviceaccount:apps:deployer")

    assert type(caught.value) is expected
    told = "grant the operator impersonate on serviceaccounts deployer in apps, see deploy/components/impersonation"
    assert (told in str(caught.value)) is (expected is Powerless)


async def test_the_token_is_read_anew_for_each_request() -> None:
    """A token that rotates is used as soon as it is there."""
    async with scripted() as (cluster, script):
        await cluster.get(SECRETS, "apps", "git")
        script.configuration.api_key = {"authorization": "Bearer second"}
        await cluster.get(SECRETS, "apps", "git")

    assert [asked.headers["Authorization"] for asked in script.asked] == ["Bearer first", "Bearer second"]
    assert script.asked[0].path == "/api/v1/namespaces/apps/secrets/git"


@pytest.mark.parametrize(
    ("status", "expected"), [({"allowed": True}, True), ({"allowed": False}, False), (None, False)]
)
async def test_an_access_review_is_asked_as_the_one_it_is_about(status: object, expected: bool) -> None:
    """What cannot be told from the answer is not allowed."""
    async with scripted(lambda _: (201, {"status": status})) as (cluster, script):
        allowed = await cluster.may("patch", "group", "things", "apps", user="somebody")

    assert allowed is expected
    (asked,) = script.asked
    assert asked.headers["Impersonate-User"] == "somebody"
    assert asked.body["spec"]["resourceAttributes"] == {
        "verb": "patch",
        "group": "group",
        "resource": "things",
        "namespace": "apps",
    }
