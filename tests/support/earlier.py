"""What an earlier version of the operator left in a cluster: its contracts in the middle of a rollback.

`python -m tests.support.earlier FOLDER`, run on a version that is about to become an earlier one, writes a snapshot
for each state of a rollback. Those in `tests/handlers/earlier` were written before the first release.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import looptime
import yaml

from tests.handlers.embedded import running
from tests.handlers.story import activate, fail, prove
from tests.support.api_server import CONTRACTS, KUSTOMIZATIONS, SOURCES, ApiServer, Raw, Seen
from tests.support.api_server_flux import QUICK, C, Flux
from tests.support.virtual_time import eventually, passing

KINDS: Final = (CONTRACTS, KUSTOMIZATIONS, SOURCES)
AGE: Final = 3600.0
"""Seconds from the beginning of a story after which every snapshot is of the past."""


def taken(api: ApiServer) -> dict[str, list[Raw]]:
    """Everything that matters in a cluster, as it is now."""
    return {plural: api.objects.list(plural) for plural in KINDS}


def restored(api: ApiServer, snapshot: dict[str, list[Raw]]) -> None:
    """Make everything in a cluster as it was."""
    for plural, things in snapshot.items():
        for thing in things:
            api.objects.create(plural, thing)


# Writing them -----------------------------------------------------------------------------------------------------


def _pins(seen: Seen) -> bool:
    return seen.method == "POST" and seen.plural == SOURCES


def _switches(seen: Seen) -> bool:
    return seen.method == "PATCH" and seen.plural == KUSTOMIZATIONS


async def _proposed(api: ApiServer, flux: Flux) -> None:
    await prove(flux, rollback={**QUICK, "mode": "Manual"})
    await fail(flux)
    await eventually(lambda: flux.state == "Proposed", "the proposal")


async def _intended(api: ApiServer, flux: Flux) -> None:
    await prove(flux)
    with api.failing(503, where=_pins):
        await fail(flux)
        await eventually(lambda: flux.state == "Intended", "the intent")


async def _switching(api: ApiServer, flux: Flux) -> None:
    await prove(flux)
    with api.failing(503, where=_switches):
        await fail(flux)
        await eventually(lambda: flux.pins, "the pinned copy")
        flux.fetch("a" * 40, flux.pins[0]["metadata"]["name"])
        await eventually(lambda: flux.state == "Switching", "the switch to be written down")


async def _active(api: ApiServer, flux: Flux) -> None:
    await prove(flux)
    await fail(flux)
    await activate(flux)


async def _releasing(api: ApiServer, flux: Flux) -> None:
    await _active(api, flux)
    with api.failing(503, where=_switches):
        flux.fetch(C)
        await eventually(lambda: flux.state == "Releasing", "the release")


async def _failed(api: ApiServer, flux: Flux) -> None:
    await prove(flux)
    await fail(flux)
    await eventually(lambda: flux.state == "Failed", "it to be given up", within=300)


STATES: Final[dict[str, Callable[[ApiServer, Flux], Awaitable[None]]]] = {
    "proposed": _proposed,
    "intended": _intended,
    "switching": _switching,
    "active": _active,
    "releasing": _releasing,
    "failed": _failed,
}


async def _write(folder: Path) -> None:
    for name, story in STATES.items():
        async with ApiServer() as api:
            async with running(api):
                await story(api, Flux(api))
                found = taken(api)
            (folder / f"{name}.yaml").write_text(yaml.safe_dump(found, sort_keys=False))
        await passing(1)


if __name__ == "__main__":
    loop = looptime.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(_write(Path(sys.argv[1])))
