"""The story of a rollback in an emulated cluster, told step by step; each step waits until the operator took its own."""

from __future__ import annotations

from tests.support.api_server_flux import A, B, C, Flux
from tests.support.virtual_time import eventually, passing

__all__ = ["A", "B", "C", "activate", "deliver", "fail", "prove", "release", "switch"]


async def prove(flux: Flux, hash_: str = A, **spec: object) -> None:
    """Make everything, and wait until the commit that stands is known to be good."""
    flux.standing(hash_, **spec)
    await eventually(lambda: hash_ in flux.status.get("lastGoodRevision", ""), f"{hash_[:7]} to be good")


async def deliver(flux: Flux, hash_: str) -> None:
    """Push a commit, which becomes healthy in ten seconds."""
    flux.fetch(hash_)
    await passing(1)
    flux.attempt(hash_)
    await passing(4)
    flux.apply(hash_)
    await passing(5)
    flux.deliver(hash_)


async def fail(flux: Flux, hash_: str = B, attempts: int = 2) -> None:
    """Push a commit whose attempts fail, five seconds each; two are persistent by `QUICK`."""
    flux.fetch(hash_)
    for _ in range(attempts):
        flux.attempt(hash_)
        await passing(5)
        flux.fail(hash_)
    await passing(1)


async def switch(flux: Flux, good: str = A) -> None:
    """Have the pinned copy serve its commit, and wait until the Kustomization is switched to it."""
    await eventually(lambda: flux.pins, "the pinned copy")
    flux.fetch(good, flux.pins[0]["metadata"]["name"])
    await eventually(lambda: source_of(flux) != flux.name, "the switch")


async def activate(flux: Flux, good: str = A) -> None:
    """Go all the way from the failing commit to the good one being Ready again."""
    await switch(flux, good)
    flux.attempt(good)
    await passing(1)
    flux.deliver(good)
    await eventually(lambda: flux.state == "Active", "the rollback to be active")


async def release(flux: Flux, hash_: str = C) -> None:
    """Push a fix, and wait until the rollback is over."""
    flux.fetch(hash_)
    await eventually(lambda: not flux.state and not flux.pins, "the rollback to be released")


def source_of(flux: Flux) -> str:
    """Name of the source that the Kustomization has."""
    return str(flux.kustomization["spec"]["sourceRef"]["name"])
