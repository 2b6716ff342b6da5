"""Sources other than GitRepositories: watched where their kind exists, followed from the artifact on."""

from __future__ import annotations

import pytest

from tests.handlers.embedded import running
from tests.support.api_server import KUSTOMIZATIONS, ApiServer, Raw
from tests.support.api_server_flux import condition, verdict
from tests.support.builders import advance, bucket, kustomization, named, oci_repository, serve
from tests.support.virtual_time import eventually, now, passing
from tests.support.virtual_time_git import GitScript

pytestmark = pytest.mark.looptime

KINDS = {"OCIRepository": ("ocirepositories", oci_repository), "Bucket": ("buckets", bucket)}
"""Plural and shape of each kind, as source-controller 1.9.3 has it."""


class Delivered:
    """A Kustomization that takes its manifests from a source of a kind, in an emulated cluster."""

    def __init__(self, api: ApiServer, kind: str) -> None:
        self.api = api
        self.plural, make = KINDS[kind]
        self._source = make()
        self._kustomization = kustomization(sourceRef={"kind": kind, "name": "shop"})
        api.create(self.plural, "apps", "shop", self._source["spec"])
        api.create(KUSTOMIZATIONS, "apps", "shop", self._kustomization["spec"])

    def fetch(self, content: str) -> None:
        """Have the source serve other content."""
        self._source = serve(self._source, content, now())
        self.api.change(self.plural, "apps", "shop", {"status": self._source["status"]})

    def deliver(self, content: str) -> None:
        """Have it applied and healthy."""
        for phase in ("fetching", "building", "applying", "checking", "ready"):
            self._kustomization = advance(self._kustomization, phase, content, now())
            self.api.change(KUSTOMIZATIONS, "apps", "shop", {"status": self._kustomization["status"]})

    @property
    def contract(self) -> Raw:
        """The contract."""
        return self.api.get("reconciliationcontracts", "apps", "shop")

    def is_at(self, revision: str) -> bool:
        """Whether the contract follows this revision."""
        return bool(self.contract.get("status", {}).get("delivery", {}).get("revision") == revision)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_source_without_commits_is_followed_from_its_artifact_on(kind: str) -> None:
    """It is told by its digest, judged from the artifact on, and nobody looks for it in Git."""
    git = GitScript()
    async with ApiServer() as api, running(api, git):
        flux = Delivered(api, kind)
        flux.fetch("A")
        flux.deliver("A")
        api.create("reconciliationcontracts", "apps", "shop", {"kustomizationRef": {"name": "shop"}})
        await eventually(lambda: flux.is_at(named("A", kind)), "the contract to follow A")
        await passing(60)

        flux.fetch("B")
        await passing(5)
        flux.deliver("B")
        await eventually(lambda: verdict(flux.contract, "Reconciliation") == "Kept", "a verdict on B")

        ready = condition(flux.contract, "Ready")
        assert flux.is_at(named("B", kind))
        assert (ready["status"], ready["reason"]) == ("True", "PartlyMeasured")
        assert verdict(flux.contract, "Detection") == "Unknown"
        assert kind in flux.contract["status"]["delivery"]["commitProblem"]
        assert (git.looks, git.reads) == ([], [])


async def test_a_source_that_goes_is_missed() -> None:
    """By the name of its own kind."""
    async with ApiServer() as api, running(api):
        flux = Delivered(api, "Bucket")
        flux.fetch("A")
        flux.deliver("A")
        api.create("reconciliationcontracts", "apps", "shop", {"kustomizationRef": {"name": "shop"}})
        await eventually(lambda: flux.is_at(named("A", "Bucket")), "the contract to follow A")

        api.delete("buckets", "apps", "shop")
        await eventually(
            lambda: condition(flux.contract, "Ready")["reason"] == "SourceNotFound", "the lack to be seen"
        )

        assert "Bucket apps/shop does not exist" in condition(flux.contract, "Ready")["message"]
