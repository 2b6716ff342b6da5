"""Builds of revisions: what is in the cache is not built again, and few are built at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers
from reconciliation_contract.adapters.manifests.build import Artifact, Built
from reconciliation_contract.adapters.manifests.download import download
from reconciliation_contract.adapters.manifests.error import BuildUnknown
from reconciliation_contract.adapters.manifests.program import Limits, Note, Program, Result
from reconciliation_contract.adapters.manifests.variable import Reader, read_values
from reconciliation_contract.api.kubernetes.raw import Raw, read_map, read_text

_BUILT_FROM: Final = (  # noqa: SIM905 - reads better than a line each
    "path targetNamespace namePrefix nameSuffix patches images components ignoreMissingComponents commonMetadata "
    "buildMetadata postBuild decryption"
).split()
"""Fields of a Kustomization's spec that a build depends on."""


class Builder:
    """Builds what a Kustomization applies.

    ``program`` is the path of `flux-build`, by default the one that `program.find` finds. Without a ``reader`` no
    ConfigMap or Secret can be substituted from. ``servers`` may be asked for artifacts,
    ``note`` is told how the kernel confines builds.
    """

    def __init__(
        self,
        reader: Reader | None,
        program: str = "",
        limits: Limits | None = None,
        *,
        servers: ArtifactServers | None = None,
        note: Note | None = None,
    ) -> None:
        self._reader = reader
        self._servers = servers or ArtifactServers()
        self._limits = limits or Limits()
        self._program = Program(program, self._limits, *([note] if note else []))
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._known: OrderedDict[str, Result] = OrderedDict()
        self._passing: dict[str, tuple[float, BuildUnknown]] = {}
        """Failures that may not be met again, and until when they are believed."""

    async def build(
        self, artifact: Artifact, kustomization: Raw, user: str = "", *, strict: bool | None = True
    ) -> Built:
        """Build an artifact as the Kustomization (the whole raw object) says.

        ``user`` is whose rights read the ConfigMaps and Secrets to substitute from. ``strict`` is Flux's feature gate
        StrictPostBuildSubstitutions, on since Flux 2.9: a variable without value or default fails the build; None
        where it is not known. Raises `BuildError`.
        """
        request = await self._request(kustomization, user, strict)
        key = hashlib.sha256(json.dumps([artifact.digest, request], sort_keys=True).encode()).hexdigest()
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if key not in self._known:
                self._raise_again(key)
                async with self._slots, _directory() as work:
                    await download(artifact, work / "artifact", self._servers)
                    try:
                        source = (f"-artifact={work / 'artifact'}",)
                        self._remember(key, await self._program.run(work, source, request))
                    except BuildUnknown as error:
                        self._passing[key] = (asyncio.get_running_loop().time() + self._limits.doubt, error)
                        raise
            self._known.move_to_end(key)
            return self._known[key].built()

    async def build_tree(self, tree: Path, kustomization: Raw, *, strict: bool | None = True) -> Built:
        """Build from a checkout in place of an artifact; ``strict`` as in `build`. Raises `BuildError`."""
        request = await self._request(kustomization, "", strict)
        async with self._slots, _directory() as work:
            return (await self._program.run(work, (f"-checkout={tree}",), request)).built()

    async def _request(self, kustomization: Raw, user: str, strict: bool | None) -> dict[str, Any]:
        values = await read_values(self._reader, kustomization, user)
        return {
            "kustomization": _relevant(kustomization),
            "values": values.by_name,
            "private": sorted(values.private),
            "strict": strict,
        }

    # Cache ------------------------------------------------------------------------------------------------------

    def _remember(self, key: str, result: Result) -> None:
        self._known[key] = result
        while len(self._known) > 1 and (
            len(self._known) > self._limits.entries
            or sum(known.size for known in self._known.values()) > self._limits.size
        ):
            self._known.popitem(last=False)

    def _raise_again(self, key: str) -> None:
        """Raise the failure that was met a moment ago; it would only be met again."""
        now = asyncio.get_running_loop().time()
        self._passing = {known: found for known, found in self._passing.items() if found[0] > now}
        if found := self._passing.get(key):
            raise found[1]


def _relevant(kustomization: Raw) -> dict[str, Any]:
    """A Kustomization without what no build depends on."""
    meta, spec = read_map(kustomization, "metadata"), read_map(kustomization, "spec")
    return {
        "metadata": {key: read_text(meta, key) for key in ("name", "namespace")},
        "spec": {key: spec[key] for key in _BUILT_FROM if key in spec},
    }


@asynccontextmanager
async def _directory() -> AsyncIterator[Path]:
    """A directory that only we can read, gone afterwards."""
    name = await asyncio.to_thread(tempfile.mkdtemp, prefix="build-")
    try:
        yield Path(name)
    finally:
        # A tree of many thousand files takes a while; also a build that is given up leaves nothing.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, name, ignore_errors=True))
