"""The acts on Flux's objects: what a pinned copy holds, whose it is, and who acts."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from reconciliation_contract.adapters.kubernetes.flux_acts import Flux, pinned
from reconciliation_contract.adapters.kubernetes.resource import service_account_user
from reconciliation_contract.api.flux.source import content_of
from reconciliation_contract.core.facts.observation import SourceRef
from reconciliation_contract.core.memory.effects import Disown, EnsurePin, SwitchSource
from reconciliation_contract.core.memory.memory import Copy
from reconciliation_contract.core.spec.contract import Contract
from reconciliation_contract.errors import Conflict, Refused
from tests.adapters.scripted import Asked, scripted
from tests.support.virtual_time import START

GOOD = "a" * 40
SOURCE = SourceRef("GitRepository", "apps", "shop")
PIN = SourceRef("GitRepository", "apps", "shop-aaaaaaa-0123456789abcdef")
MAKE = EnsurePin(PIN, SOURCE, GOOD)
OWNER = "reconciliation.dev/contract-uid"


def contract(name: str = "shop", account: str | None = None) -> Contract:
    """A contract on the Kustomization `shop`."""
    return Contract("apps", name, "uid-1", 1, START, "shop", service_account=account)


def source(**spec: Any) -> dict[str, Any]:
    """A raw GitRepository that follows `main`."""
    spec = {"url": "https://git.example/shop", "interval": "1m", "ref": {"branch": "main"}, **spec}
    return {"metadata": {"name": "shop", "namespace": "apps"}, "spec": spec}


COPIED: dict[str, Any] = {
    "secretRef": {"name": "git"},
    "serviceAccountName": "git",
    "provider": "generic",
    "timeout": "90s",
    "verify": {"mode": "HEAD", "secretRef": {"name": "keys"}},
    "proxySecretRef": {"name": "proxy"},
    "ignore": "/*\n!/deploy",
    "recurseSubmodules": True,
    "include": [{"repository": {"name": "base"}}],
    "sparseCheckout": ["deploy"],
}


@pytest.mark.parametrize("field", COPIED)
def test_what_decides_the_content_is_copied(field: str) -> None:
    """Each field that decides what the artifact holds, or how it is fetched, is the source's own."""
    body = pinned(source(**{field: COPIED[field]}), PIN, GOOD, contract())

    assert body["spec"][field] == COPIED[field]


def test_what_is_not_given_is_not_invented() -> None:
    """The copy has the source's URL, one commit, a long interval and nothing else."""
    body = pinned(source(suspend=True), PIN, GOOD, contract())

    assert body == {
        "apiVersion": "source.toolkit.fluxcd.io/v1",
        "kind": "GitRepository",
        "metadata": {
            "name": PIN.name,
            "namespace": "apps",
            "labels": {"reconciliation.dev/contract": "shop"},
            "annotations": {OWNER: "uid-1", **_original(body)},
        },
        "spec": {
            "url": "https://git.example/shop",
            "interval": "24h",
            "ref": {"branch": "main", "commit": GOOD},
        },
    }


def _original(body: dict[str, Any]) -> dict[str, str]:
    """The annotation that names the source; checked by its value."""
    return {key: value for key, value in body["metadata"]["annotations"].items() if key != OWNER and value == "shop"}


@pytest.mark.parametrize(
    ("ref", "expected"),
    [
        ({"branch": "main"}, {"branch": "main", "commit": GOOD}),
        ({"tag": "v1"}, {"commit": GOOD}),
        ({"semver": ">=1"}, {"commit": GOOD}),
        ({"name": "refs/heads/main"}, {"commit": GOOD}),
        ({"branch": "main", "commit": "b" * 40}, {"branch": "main", "commit": GOOD}),
        (None, {"commit": GOOD}),
    ],
    ids=str,
)
def test_the_commit_is_pinned_whatever_the_ref(ref: dict[str, str] | None, expected: dict[str, str]) -> None:
    """Only a branch is kept beside the commit: Flux prefers name and tag to a commit's absence, never to a commit."""
    assert pinned(source(ref=ref), PIN, GOOD, contract())["spec"]["ref"] == expected


def test_the_copy_belongs_to_the_same_shard() -> None:
    """Other labels of the source, which may select it for something else, are not copied."""
    raw = source()
    raw["metadata"]["labels"] = {"sharding.fluxcd.io/key": "blue", "team": "shop"}

    labels = pinned(raw, PIN, GOOD, contract())["metadata"]["labels"]

    assert labels == {"reconciliation.dev/contract": "shop", "sharding.fluxcd.io/key": "blue"}


def test_a_long_name_still_makes_a_valid_label() -> None:
    """A label has 63 characters at most and ends in a letter or digit."""
    label = pinned(source(), PIN, GOOD, contract("a" * 62 + "-b"))["metadata"]["labels"][
        "reconciliation.dev/contract"
    ]

    assert label == "a" * 62


@pytest.mark.parametrize(("account", "user"), [("", ""), ("deployer", "system:serviceaccount:apps:deployer")])
def test_an_account_acts_as_its_user(account: str, user: str) -> None:
    """Without an account the operator acts as itself."""
    assert service_account_user("apps", account) == user


def answering(found: dict[str, Any] | None, *, exists: bool = False) -> Any:
    """A server with the source and, if so, an object of the pinned copy's name."""

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.method == "POST":
            return (409, {"message": "exists"}) if exists or found else (201, {})
        if asked.path.endswith(PIN.name):
            return (200, found) if found else (404, {})
        return 200, source()

    return answer


def owned(uid: str) -> dict[str, Any]:
    """A pinned copy that belongs to a contract."""
    return {"metadata": {"uid": "uid-9", "annotations": {OWNER: uid}}}


@pytest.mark.parametrize("owner", ["uid-1", "uid-2"])
async def test_what_has_the_name_already_is_shown_and_left_alone(owner: str) -> None:
    """Nothing is written over it, whosoever it is: whether it is the copy is decided on all of it."""
    async with scripted(answering(owned(owner))) as (cluster, script):
        found = await Flux(cluster).ensure_pin(contract(), MAKE)

    assert found == owned(owner)
    assert [asked.method for asked in script.asked] == ["GET", "POST", "GET"]


async def test_no_copy_is_made_of_a_source_that_changed_since_the_decision() -> None:
    """What would be made is not what was decided on."""
    make = replace(MAKE, content=content_of(source(include=[{"repository": {"name": "other"}}])["spec"]))
    async with scripted(answering(None)) as (cluster, script):
        with pytest.raises(Conflict, match="its source was changed"):
            await Flux(cluster).ensure_pin(contract(), make)
        await Flux(cluster).ensure_pin(contract(), replace(MAKE, content=content_of(source()["spec"])))

    assert [asked.method for asked in script.asked] == ["GET", "GET", "POST"]


def made(**spec: Any) -> dict[str, Any]:
    """The pinned copy as it was made, and serves."""
    raw = pinned(source(**spec), PIN, GOOD, contract())
    raw["metadata"] |= {"uid": "uid-9", "generation": 1}
    raw["status"] = {"artifact": {"revision": f"main@sha1:{GOOD}", "digest": "sha256:good"}}
    return raw


TAMPERED: dict[str, dict[str, Any]] = {
    "made anew": {"metadata": {**made()["metadata"], "uid": "uid-10"}},
    "an include": {"spec": {**made()["spec"], "include": [{"repository": {"name": "other"}}]}},
    "another URL": {"spec": {**made()["spec"], "url": "https://git.example/evil"}},
    "another commit": {"spec": {**made()["spec"], "ref": {"commit": "c" * 40}}},
    "another revision": {"status": {"artifact": {"revision": f"main@sha1:{'c' * 40}", "digest": "sha256:good"}}},
    "another artifact": {"status": {"artifact": {"revision": f"main@sha1:{GOOD}", "digest": "sha256:evil"}}},
    "nothing served": {"status": {}},
}


@pytest.mark.parametrize("name", TAMPERED)
async def test_a_copy_that_was_changed_just_now_is_not_switched_to(name: str) -> None:
    """Whatever the watch has told so far, the copy is read once more before the switch."""
    copy = Copy(content_of(source()["spec"]), "uid-9", "sha256:good")
    act = SwitchSource("u", "1", PIN, {}, GOOD, copy)
    async with scripted(answering(made() | TAMPERED[name])) as (cluster, script):
        with pytest.raises(Conflict, match="it was changed"):
            await Flux(cluster).switch(contract(), act)
    async with scripted(answering(made())) as (cluster, right):
        await Flux(cluster).switch(contract(), act)

    assert [asked.method for asked in script.asked] == ["GET"]
    assert [asked.method for asked in right.asked] == ["GET", "PATCH"]


async def test_only_our_own_copy_is_deleted() -> None:
    """Ours is deleted by its uid; another's, or none, is not touched."""
    deleted = []
    for found in (owned("uid-1"), owned("uid-2"), None):
        async with scripted(answering(found)) as (cluster, script):
            await Flux(cluster).delete_pin(contract(), PIN, contract().uid)
            deleted.append([asked.body for asked in script.asked if asked.method == "DELETE"])

    assert deleted == [[{"preconditions": {"uid": "uid-9"}}], [], []]


async def test_the_switch_changes_the_name_of_the_source_and_the_marks_only() -> None:
    """Everything else of the Kustomization is its owner's."""
    act = SwitchSource("uid-7", "42", PIN, {"reconciliation.dev/rolled-back-from": "b", "removed": None})
    async with scripted() as (cluster, script):
        await Flux(cluster).switch(contract(), act)

    (asked,) = script.asked
    assert asked.path.endswith("/namespaces/apps/kustomizations/shop")
    assert asked.body == {
        "metadata": {
            "uid": "uid-7",
            "resourceVersion": "42",
            "annotations": {"reconciliation.dev/rolled-back-from": "b", "removed": None},
        },
        "spec": {"sourceRef": {"name": PIN.name}},
    }


async def test_our_claim_is_given_up_on_the_version_that_was_seen() -> None:
    """Only our own entry goes, where it still is ours, under the contract's identity."""
    async with scripted() as (cluster, script):
        await Flux(cluster).disown(contract(account="deployer"), Disown("7", 2))

    (asked,) = script.asked
    assert asked.body == [
        {"op": "replace", "path": "/metadata/resourceVersion", "value": "7"},
        {"op": "test", "path": "/metadata/managedFields/2/manager", "value": "reconciliation-contract"},
        {"op": "remove", "path": "/metadata/managedFields/2"},
    ]
    assert asked.headers["Content-Type"] == "application/json-patch+json"
    assert asked.headers["Impersonate-User"].endswith(":deployer")


@pytest.mark.parametrize(("status", "kind"), [(409, Conflict), (422, Conflict), (403, Refused)])
async def test_a_claim_that_has_moved_is_looked_at_again(status: int, kind: type[Exception]) -> None:
    """On another version the test of the patch fails before the versions are compared; that is no refusal."""
    async with scripted(lambda _: (status, {"message": "no"})) as (cluster, _):
        with pytest.raises(kind):
            await Flux(cluster).disown(contract(), Disown("7", 2))


async def test_writes_run_as_the_contracts_account_and_reads_as_ourselves() -> None:
    """The account of the contract comes before the default one."""
    default = "system:serviceaccount:apps:flux-applier"
    named = "system:serviceaccount:apps:deployer"
    users = []
    for account in (None, "deployer"):
        async with scripted(answering(None)) as (cluster, script):
            flux = Flux(cluster, "flux-applier")
            await flux.ensure_pin(contract(account=account), MAKE)
            await flux.switch(contract(account=account), SwitchSource("u", "1", PIN, {}))
            users.append([asked.headers.get("Impersonate-User") for asked in script.asked])

    assert users == [[None, default, default], [None, named, named]]


async def test_the_operators_own_rights_are_not_lent_to_other_namespaces() -> None:
    """Whatever was decided, a copy beside a source of another namespace is made by an account of the contract or not."""
    make = EnsurePin(replace(PIN, namespace="infra"), replace(SOURCE, namespace="infra"), GOOD)
    async with scripted(answering(None)) as (cluster, script):
        with pytest.raises(Refused, match="in another namespace"):
            await Flux(cluster).ensure_pin(contract(), make)
        refused = [asked.method for asked in script.asked]
        await Flux(cluster).ensure_pin(contract(account="deployer"), make)

    assert refused == []
    assert script.asked[-1].path.endswith("/namespaces/infra/gitrepositories")
    assert script.asked[-1].headers["Impersonate-User"] == "system:serviceaccount:apps:deployer"


async def test_two_at_once_make_one_copy() -> None:
    """Two replicas that create the same copy at once are both content."""
    made: list[Asked] = []

    def answer(asked: Asked) -> tuple[int, Any]:
        if asked.method == "POST":
            made.append(asked)
            return (201, {}) if len(made) == 1 else (409, {"message": "exists"})
        return 200, (owned("uid-1") if asked.path.endswith(PIN.name) else source())

    async with scripted(answer) as (cluster, _):
        flux = Flux(cluster)
        await asyncio.gather(*(flux.ensure_pin(contract(), MAKE) for _ in range(2)))

    assert len(made) == 2
