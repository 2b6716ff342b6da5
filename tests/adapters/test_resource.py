"""Paths, selectors, users and headers: no text leads out of what it was put into."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from yarl import URL

from reconciliation_contract.adapters.dry_run.apply import DryRun
from reconciliation_contract.adapters.dry_run.outcome import Applier
from reconciliation_contract.adapters.kubernetes.client import GIT_REPOSITORIES, SECRETS, Cluster
from reconciliation_contract.adapters.kubernetes.objects import LiveObjects
from reconciliation_contract.adapters.kubernetes.resource import (
    Resource,
    group_path,
    header,
    label_selector,
    service_account_user,
    unchecked_kind,
)
from reconciliation_contract.adapters.manifests.error import BuildUnknown
from reconciliation_contract.adapters.manifests.variable import read_values
from reconciliation_contract.cli.client.connection import Connection
from reconciliation_contract.cli.client.errors import Misuse
from reconciliation_contract.core.facts.inventory import Entry
from reconciliation_contract.core.values.object_key import Manifest, ObjectKey
from reconciliation_contract.errors import BadName
from tests.adapters.scripted import Asked, scripted

OUTSIDE = "../../victim/secrets/git-credentials"
HOSTILE = (
    OUTSIDE,
    "..",
    ".",
    "a/b",
    "%2e%2e",
    "a%2fb",
    "a?watch=1",
    "a#b",
    "a\\b",
    "a\r\nX-Evil: 1",
    "a\0b",
    "A",
    "a b",
    "-a",
    "a.",
    "é",
    "a,b=c",
    "a" * 254,
)
"""None of them is a DNS label or subdomain."""
texts = st.text(max_size=12) | st.sampled_from(["", "apps", "v1", "web", "system:node", *HOSTILE])


def segments(path: str) -> list[str]:
    """What a parser of URLs makes of a path, at the other end."""
    url = f"https://api.example:6443{path}"
    parts = urlsplit(url)
    assert (parts.netloc, parts.query, parts.fragment) == ("api.example:6443", "", "")
    assert URL(url, encoded=True).raw_path == path
    assert {".", ".."}.isdisjoint(parts.path.split("/"))
    return [unquote(each) for each in parts.path.split("/")[1:]]


@given(st.tuples(texts, texts, texts), st.tuples(texts, texts, texts), st.booleans(), st.booleans())
@example(("", "v1", "secrets"), ("apps", OUTSIDE, ""), True, True)
@example(("rbac.authorization.k8s.io", "v1", "clusterroles"), ("", "system:node", ""), False, False)
def test_a_path_is_its_own_segments_or_nothing(
    which: tuple[str, str, str], what: tuple[str, str, str], namespaced: bool, strict: bool
) -> None:
    """Whatever stands in any part of it, a parser reads exactly these parts out of it again."""
    (group, version, plural), (namespace, name, sub) = which, what
    kind = Resource if strict else unchecked_kind
    try:
        path = kind(group, version, plural, namespaced=namespaced).path_of(namespace, name, sub)
    except BadName:
        return

    root = ["apis", group, version] if group else ["api", version]
    where = ["namespaces", namespace] if namespace else []
    assert segments(path) == [*root, *where, plural, name, *([sub] if sub else [])]
    assert name
    assert namespace or not namespaced


@given(texts, texts)
def test_the_path_of_a_group_is_its_own_segments_or_nothing(group: str, version: str) -> None:
    """The documents of the discovery, too, are asked for with what manifests say of themselves."""
    try:
        path = group_path(group, version)
    except BadName:
        return

    assert segments(path) == [*(["apis", group] if group else ["api"]), *([version] if version else [])]


@given(st.dictionaries(texts, texts, max_size=3))
def test_a_label_selector_selects_what_it_names(labels: dict[str, str]) -> None:
    """Split as the API server splits it, it has these labels and no other term."""
    try:
        selector = label_selector(labels)
    except BadName:
        return

    terms = [term.partition("=") for term in selector.split(",")] if selector else []
    assert [(key, value) for key, _, value in terms] == [*labels.items()]
    assert {*selector}.isdisjoint("!() \n")


@given(texts)
def test_a_field_selector_selects_one_name(name: str) -> None:
    """Of kinds whose names may hold anything, commas and equals signs are escaped."""
    for kind in (SECRETS, unchecked_kind("", "v1", "things", namespaced=True)):
        try:
            selector = kind.only(name)
        except BadName:
            continue
        plain = selector.replace("\\\\", "\1").replace("\\,", "\2").replace("\\=", "\3")
        assert plain.count("=") == 1
        assert "," not in plain
        value = plain.removeprefix("metadata.name=")
        assert value.replace("\3", "=").replace("\2", ",").replace("\1", "\\") == name


@given(texts, texts)
def test_a_user_is_one_account_of_one_namespace(namespace: str, account: str) -> None:
    """No colon moves the border between the two, and no line break ends the header."""
    try:
        user = service_account_user(namespace, account)
    except BadName:
        return

    assert header(user, "a user") == user
    if account:
        assert user.split(":") == ["system", "serviceaccount", namespace, account]


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0", "é", "\x7f"])
def test_a_header_has_one_line(value: str) -> None:
    """What could end it begins another one."""
    with pytest.raises(BadName):
        header(value, "a user")


@pytest.mark.parametrize("name", ["system:node", "system:controller:job-controller", "a@b", "Web"])
def test_names_that_other_kinds_have_are_taken_for_them(name: str) -> None:
    """RBAC's names are one segment of a path and no DNS names; where the kind is not ours that is the rule."""
    kind = unchecked_kind("rbac.authorization.k8s.io", "v1", "clusterroles", namespaced=False)

    assert segments(kind.path_of("", name))[-1] == name
    with pytest.raises(BadName):
        GIT_REPOSITORIES.path_of("apps", name)


CALLS: dict[str, Callable[[Cluster, str, str], Awaitable[Any]]] = {
    "get": lambda c, where, name: c.get(SECRETS, where, name),
    "metadata": lambda c, where, name: c.get_metadata(SECRETS, where, name),
    "dry-run": lambda c, where, name: c.dry_run(SECRETS, where, name, {}, manager="m", user="", patience=1),
    "delete": lambda c, where, name: c.delete(SECRETS, where, name),
    "merge": lambda c, where, name: c.merge(SECRETS, where, name, {}),
    "amend": lambda c, where, name: c.amend(SECRETS, where, name, "1", []),
    "status": lambda c, where, name: c.replace_status(where, name, "1", {}),
    "find": lambda c, where, name: c.find(SECRETS, where, name),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("hostile", HOSTILE)
async def test_nothing_is_asked_with_what_is_no_name(call: str, hostile: str) -> None:
    """Each call refuses a name or namespace of that kind before it makes a request, and says which it was."""
    async with scripted() as (cluster, script):
        for where, name in ((hostile, "web"), ("apps", hostile)):
            with pytest.raises(BadName, match="correct it where it is written"):
                await CALLS[call](cluster, where, name)

    assert script.asked == []


@pytest.mark.parametrize("call", CALLS)
async def test_no_name_is_not_every_object(call: str) -> None:
    """With an empty name a deletion would be one of all objects, and a read a list of them."""
    async with scripted() as (cluster, script):
        for where, name in (("apps", ""), ("", "web")):
            with pytest.raises(BadName, match="it is empty"):
                await CALLS[call](cluster, where, name)

    assert script.asked == []


async def test_no_line_break_reaches_the_header_of_a_user() -> None:
    """Whatever wrote the user's name, it is one header."""
    async with scripted() as (cluster, script):
        with pytest.raises(BadName):
            await cluster.get(SECRETS, "apps", "web", user="system:a\r\nImpersonate-Group: system:masters")

    assert script.asked == []


async def test_what_is_quoted_arrives_as_it_was() -> None:
    """On its way nothing is decoded and encoded anew."""
    kind = unchecked_kind("", "v1", "things", namespaced=True)
    async with scripted() as (cluster, script):
        await cluster.get(kind, "apps", "a b?c#d;e&f+g")

    assert script.asked[0].path == "/api/v1/namespaces/apps/things/a b?c#d;e&f+g"
    assert script.asked[0].query == {}


# Where names come from others ------------------------------------------------------------------------------------


DOCUMENT = {"resources": [{"name": "widgets", "kind": "Widget", "namespaced": True}]}


def served(asked: Asked) -> tuple[int, Any]:
    return (200, DOCUMENT) if asked.path.count("/") == 2 or asked.path.count("/") == 3 else (200, {})


@pytest.mark.parametrize(
    ("api_version", "namespace", "name"),
    [("v1", "apps", OUTSIDE), ("v1", "../victim", "web"), ("a/../b/v1", "apps", "web"), ("v1?x", "apps", "web")],
)
async def test_a_manifest_with_no_name_for_kubernetes_is_refused(api_version: str, namespace: str, name: str) -> None:
    """Flux cannot apply it either. The API server is not asked for it, and does not count as silent."""
    manifest = Manifest(api_version, "Widget", namespace, name, {"metadata": {"name": name}})
    async with scripted(served) as (cluster, script):
        outcome = await DryRun(cluster, lambda: datetime.now(UTC)).attempt(manifest, Applier(""))

    assert "correct it where it is written" in outcome.refused
    assert not outcome.unanswered
    assert [asked.path for asked in script.asked] in ([], ["/api/v1"])


async def test_an_entry_of_an_inventory_that_is_no_name_is_not_looked_for() -> None:
    """Inventories are part of a status, and a status may say anything."""
    entry = Entry(ObjectKey("", "Widget", "apps", OUTSIDE), "v1")
    async with scripted(served) as (cluster, script):
        with pytest.raises(BadName):
            await LiveObjects(cluster, lambda: datetime.now(UTC)).look(entry)

    assert [asked.path for asked in script.asked] == ["/api/v1"]


@pytest.mark.parametrize("kind", ["Secret", "ConfigMap"])
@pytest.mark.parametrize("name", [OUTSIDE, "..", ""])
async def test_substitute_from_names_an_object_of_the_namespace(kind: str, name: str) -> None:
    """Everything else is told, with the mend, and nothing is read."""
    post_build = {"substituteFrom": [{"kind": kind, "name": name, "optional": True}]}
    kustomization = {"metadata": {"name": "web", "namespace": "apps"}, "spec": {"postBuild": post_build}}
    async with scripted() as (cluster, script):
        with pytest.raises(BuildUnknown, match="correct it where it is written"):
            await read_values(cluster, kustomization)

    assert script.asked == []


async def test_a_persons_words_are_no_path_either() -> None:
    """What is typed as a name is refused before it is sent."""
    async with scripted() as (cluster, script):
        connection = Connection(cluster._access)
        for namespace, name in (("apps", OUTSIDE), ("../kube-system", "web")):
            with pytest.raises(Misuse, match="correct it where it is written"):
                connection.contract(namespace, name)

    assert script.asked == []
