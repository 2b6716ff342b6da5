"""A kind of source that nobody thought of: one value more, and it is followed."""

from __future__ import annotations

import pytest

from reconciliation_contract.core.facts.source_kind import SOURCE_KINDS, SourceKind
from tests.handlers.embedded import running
from tests.support.api_server import KUSTOMIZATIONS, ApiServer
from tests.support.api_server_flux import condition, verdict
from tests.support.api_server_objects import KINDS
from tests.support.builders import advance, kustomization, metadata, named, serve
from tests.support.virtual_time import eventually, now, passing

pytestmark = pytest.mark.looptime

CHEST = SourceKind(
    name="Chest",
    plural="chests",
    command="chest",
    host="treasury",
    package_url=lambda _url, hash_: f"pkg:generic/chest@{hash_}",
    group="treasure.example.com",
    version="v1beta1",
)


async def test_one_value_makes_a_kind_of_source_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is watched, read, delivered from and named in messages, without a line elsewhere."""
    monkeypatch.setitem(KINDS, CHEST.plural, (f"{CHEST.group}/{CHEST.version}", CHEST.name))
    async with ApiServer() as api, running(api, kinds={**SOURCE_KINDS, CHEST.name: CHEST}):
        source = {
            "kind": CHEST.name,
            "metadata": metadata("shop", "s-1"),
            "spec": {"interval": "1m", "url": "chest://shop"},
        }
        child = kustomization(sourceRef={"kind": CHEST.name, "apiVersion": "treasure.example.com/v1", "name": "shop"})
        api.create(CHEST.plural, "apps", "shop", source["spec"])
        api.create(KUSTOMIZATIONS, "apps", "shop", child["spec"])
        api.create("reconciliationcontracts", "apps", "shop", {"kustomizationRef": {"name": "shop"}})

        for content in ("A", "B"):
            source = serve(source, content, now())
            api.change(CHEST.plural, "apps", "shop", {"status": source["status"]})
            await passing(5)
            for phase in ("fetching", "building", "applying", "checking", "ready"):
                child = advance(child, phase, content, now())
                api.change(KUSTOMIZATIONS, "apps", "shop", {"status": child["status"]})
            await passing(60)

        found = api.get("reconciliationcontracts", "apps", "shop")
        assert found["status"]["delivery"]["revision"] == named("B", CHEST.name)
        assert verdict(found, "Reconciliation") == "Kept"
        assert "Chest" in found["status"]["delivery"]["commitProblem"]

        api.delete(CHEST.plural, "apps", "shop")
        await eventually(
            lambda: (
                "Chest apps/shop" in condition(api.get("reconciliationcontracts", "apps", "shop"), "Ready")["message"]
            ),
            "the lack to be told",
        )
