"""Looks at objects of any kind: which path they have, and what an answer means."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from reconciliation_contract.adapters.kubernetes.objects import LiveObjects
from reconciliation_contract.adapters.kubernetes.resource import group_path
from reconciliation_contract.core.facts.inventory import entry
from reconciliation_contract.core.facts.pruning import Live
from reconciliation_contract.errors import Missing, Refused, Unavailable
from tests.support import builders

DEPLOYMENT = "/apis/apps/v1/namespaces/apps/deployments/web"
DOCUMENTS: dict[str, Any] = {
    "/api/v1": {"resources": [{"name": "configmaps", "kind": "ConfigMap"}, {"name": "nodes", "kind": "Node"}]},
    "/apis/apps/v1": {
        "resources": [
            {"name": "deployments/scale", "kind": "Scale"},
            {"name": "deployments", "kind": "Deployment"},
            "nonsense",
        ]
    },
    "/apis/apps": {"preferredVersion": {"version": "v1"}},
}


class Cluster:
    """Stands in for the API server: documents and metadata by path."""

    def __init__(self, at: dict[str, Any] | None = None) -> None:
        self.known: dict[str, Any] = DOCUMENTS | (at or {})
        self.asked: list[str] = []

    async def discover(self, group: str, version: str = "") -> Any:
        """Read a document."""
        return self.read(group_path(group, version))

    def read(self, path: str) -> Any:
        """Read what a path has."""
        self.asked.append(path)
        found = self.known.get(path, Missing("discover", path))
        if isinstance(found, Exception):
            raise found
        return found

    async def get_metadata(self, resource: Any, namespace: str, name: str) -> Any:
        """Read metadata."""
        return self.read(resource.path_of(namespace, name))


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        self.now = builders.at(0)

    def __call__(self) -> Any:
        """Read it."""
        return self.now


async def look(cluster: Cluster, id_: str, version: str = "v1") -> Live | None:
    """Look at one object."""
    found = entry(id_, version)
    assert found is not None
    return await LiveObjects(cluster, Clock()).look(found)  # type: ignore[arg-type]  # a script


@pytest.mark.parametrize(
    ("id_", "path"),
    [
        ("apps_web_apps_Deployment", DEPLOYMENT),
        ("apps_settings__ConfigMap", "/api/v1/namespaces/apps/configmaps/settings"),
        ("_one__Node", "/api/v1/nodes/one"),
    ],
)
async def test_an_object_is_found_by_its_kind(id_: str, path: str) -> None:
    """The discovery tells the plural; no namespace means the whole cluster."""
    cluster = Cluster(at={path: {"labels": {}}})

    assert await look(cluster, id_) == Live()


@pytest.mark.parametrize(
    ("id_", "version"),
    [
        ("apps_web_apps_Deployment", "v1"),
        ("apps_web_apps_Gone", "v1"),
        ("apps_web_gone.example.com_Kind", "v1"),
    ],
    ids=["the object", "its kind", "its group"],
)
async def test_what_does_not_exist_is_gone(id_: str, version: str) -> None:
    """An object goes with its kind, and a kind with its group."""
    assert await look(Cluster(), id_, version) is None


async def test_a_version_that_is_served_no_more_is_no_deletion() -> None:
    """The object is looked for at the version that the API server prefers."""
    cluster = Cluster(at={DEPLOYMENT: {"labels": {}}})

    assert await look(cluster, "apps_web_apps_Deployment", "v1beta1") == Live()


async def test_a_refusal_names_the_verb_and_the_resource() -> None:
    """So that somebody can grant it."""
    cluster = Cluster(at={DEPLOYMENT: Refused("get", DEPLOYMENT, "no")})

    with pytest.raises(Refused) as refusal:
        await look(cluster, "apps_web_apps_Deployment")

    assert (refusal.value.verb, refusal.value.what) == ("get", "Deployment objects in apps")


async def test_an_outage_is_no_deletion() -> None:
    """No answer says nothing."""
    cluster = Cluster(at={DEPLOYMENT: Unavailable("get", DEPLOYMENT)})

    with pytest.raises(Unavailable):
        await look(cluster, "apps_web_apps_Deployment")


async def test_the_discovery_is_asked_once_and_again_after_a_while() -> None:
    """A thousand objects cost one document; a kind that is installed later is found."""
    cluster, clock = Cluster(at={DEPLOYMENT: {}}), Clock()
    live, found = LiveObjects(cluster, clock), entry("apps_web_apps_Deployment", "v1")  # type: ignore[arg-type]  # a script
    assert found is not None

    for _ in range(5):
        await live.look(found)
    once = cluster.asked.count("/apis/apps/v1")
    clock.now += timedelta(minutes=11)
    await live.look(found)

    assert (once, cluster.asked.count("/apis/apps/v1")) == (1, 2)


async def test_a_kind_that_came_a_minute_ago_is_not_taken_for_gone() -> None:
    """Its group was known before its CRD was: what is not in the document is looked for again."""
    cluster, clock = Cluster(at={DEPLOYMENT: {}}), Clock()
    live, known = LiveObjects(cluster, clock), entry("apps_web_apps_Deployment", "v1")  # type: ignore[arg-type]  # a script
    fresh = entry("apps_one_apps_Widget", "v1")
    assert known is not None
    assert fresh is not None
    await live.look(known)
    document = {"resources": [{"name": "widgets", "kind": "Widget"}]}
    cluster.known |= {"/apis/apps/v1": document, "/apis/apps/v1/namespaces/apps/widgets/one": {}}

    clock.now += timedelta(minutes=1)

    assert await live.look(fresh) == Live()
