"""A Kustomization that names a source of another namespace: what the whole operator looks at, and what it writes."""

from __future__ import annotations

import json

import pytest

from tests.handlers.embedded import running
from tests.handlers.story import A
from tests.support.api_server import CONTRACTS, DEPLOYMENTS, KUSTOMIZATIONS, SOURCES, ApiServer
from tests.support.api_server_flux import Flux, condition
from tests.support.virtual_time import eventually, passing
from tests.support.virtual_time_git import GitScript

pytestmark = pytest.mark.looptime

URL = "https://git.example/victim"
FLAG = "--no-cross-namespace-refs"


def declare(api: ApiServer, *, args: list[str] | None) -> Flux:
    """A tenant's Kustomization that names a source of `infra`, and a contract; None: Deployments tell nothing."""
    api.create(SOURCES, "infra", "victim", {"interval": "1m", "url": URL, "ref": {"branch": "main"}})
    Flux(api, "victim", "infra").fetch(A)
    reference = {"kind": "GitRepository", "name": "victim", "namespace": "infra"}
    spec = {"interval": "10m", "prune": True, "wait": True, "path": "./deploy", "sourceRef": reference}
    api.create(KUSTOMIZATIONS, "apps", "shop", spec)
    if args is not None:
        pod = {"spec": {"containers": [{"name": "manager", "args": args}]}}
        api.create(DEPLOYMENTS, "flux-system", "kustomize-controller", {"template": pod})
    flux = Flux(api)
    flux.contract()
    return flux


def deny(flux: Flux) -> None:
    """Have Flux refuse the reference."""
    generation = flux.kustomization["metadata"]["generation"]
    said = {"reason": "AccessDenied", "message": "no", "observedGeneration": generation}
    found = [{"type": "Ready", "status": "False", **said}, {"type": "Stalled", "status": "True", **said}]
    flux.api.change(KUSTOMIZATIONS, "apps", "shop", {"status": {"conditions": found}})


@pytest.mark.parametrize(
    ("args", "denied"),
    [([FLAG], True), ([FLAG], False), ([], True), (None, True), (None, False)],
    ids=["locked and denied", "locked", "denied", "unreadable and denied", "unreadable and not delivered yet"],
)
async def test_nothing_is_looked_at_that_flux_may_not_read(args: list[str] | None, denied: bool) -> None:
    """No look at Git, and no word of it: neither commit nor URL, nor whether the source exists."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git):
        flux = declare(api, args=args)
        if denied:
            deny(flux)
        await eventually(lambda: flux.reason() == "SourceAccessDenied", "the contract to say so")
        await passing(600)

        assert (git.looks, git.reads) == ([], [])
        told = json.dumps([flux.status, *(seen.body for seen in api.writes(CONTRACTS) if seen.body)])
        assert A not in told
        assert "git.example" not in told


@pytest.mark.parametrize("args", [[], None], ids=["open", "unreadable, and Flux has delivered"])
async def test_what_flux_delivers_from_is_followed_without_its_words(args: list[str] | None) -> None:
    """Revision and times are told as the Kustomization has them; the commit's subject is not."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git):
        flux = declare(api, args=args)
        flux.deliver(A)
        await eventually(lambda: A in flux.status.get("lastGoodRevision", ""), "the commit to be good")
        await passing(60)

        assert git.looks
        assert "subject" not in flux.status["delivery"]
        assert condition(flux.seen, "Ready")["status"] == "True"


async def test_a_source_that_is_locked_away_later_is_left_at_once() -> None:
    """The looks at Git end with the permission."""
    git = GitScript(heads={URL: A})
    async with ApiServer() as api, running(api, git):
        flux = declare(api, args=[])
        flux.deliver(A)
        await eventually(lambda: A in flux.status.get("lastGoodRevision", ""), "the commit to be good")

        deny(flux)
        await eventually(lambda: flux.reason() == "SourceAccessDenied", "the contract to say so")
        looks = len(git.looks)
        await passing(600)

        assert len(git.looks) == looks
