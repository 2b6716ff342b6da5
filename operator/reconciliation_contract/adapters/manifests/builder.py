"""Builds of revisions: what is in the cache is not built again, and few are built at once."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import signal
import sys
import tempfile
from collections import OrderedDict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from reconciliation_contract.adapters.manifests.artifact.checkout import copy
from reconciliation_contract.adapters.manifests.artifact.download import download
from reconciliation_contract.adapters.manifests.build import Artifact, Built, LeftOut, Rows, manifest
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.adapters.manifests.variable import Reader, Values, read_values
from reconciliation_contract.api.kubernetes.raw import Raw, read_map, read_text
from reconciliation_contract.core.values import reasons

_WORKER: Final = "reconciliation_contract.adapters.manifests.worker"
_BUILT_FROM: Final = (  # noqa: SIM905 - reads better than a line each
    "path targetNamespace namePrefix nameSuffix patches images components ignoreMissingComponents commonMetadata "
    "buildMetadata postBuild decryption"
).split()
"""Fields of a Kustomization's spec that a build depends on."""
_PLAIN: Final = b'{"why":"",'
"""How the row of an object begins that is not left out."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What builds may cost."""

    seconds: int = 60
    """Of the processor, for each process of a build; a thousand objects take six."""
    patience: int = 180
    """Seconds of the clock for a build, on a machine with much else to do."""
    memory: int = 192 << 20
    """Bytes of data that each process of a build may hold."""
    at_once: int = 2
    doubt: float = 300.0
    """Seconds for which a failure that may pass is believed: what is too costly is not tried again and again."""
    entries: int = 64
    """Builds that are remembered."""
    size: int = 16 << 20
    """Bytes of all that is remembered; no larger result is taken."""


class Builder:
    """Builds what a Kustomization applies.

    ``kustomize`` is the program, by default the one on PATH. Without a ``reader`` no ConfigMap or Secret can be
    substituted from.
    """

    def __init__(self, reader: Reader | None, kustomize: str = "", limits: Limits | None = None) -> None:
        self._reader = reader
        self._kustomize = kustomize
        self._limits = limits or Limits()
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._known: OrderedDict[str, _Result] = OrderedDict()
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
        values = await read_values(self._reader, kustomization, user)
        key = self._key(artifact, kustomization, values, strict)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if key not in self._known:
                self._raise_again(key)
                async with self._slots, _directory() as work:
                    await download(artifact, work / "artifact")
                    try:
                        self._remember(key, await self._work(work, kustomization, values, strict))
                    except BuildUnknown as error:
                        self._passing[key] = (asyncio.get_running_loop().time() + self._limits.doubt, error)
                        raise
            self._known.move_to_end(key)
            return _built(self._known[key])

    async def build_tree(self, tree: Path, kustomization: Raw) -> Built:
        """Build from a checkout in place of an artifact. Raises `BuildError`."""
        values = await read_values(self._reader, kustomization)
        async with self._slots, _directory() as work:
            await asyncio.to_thread(copy, tree, work / "tree")
            return _built(await self._work(work, kustomization, values, strict=True))

    # Worker -----------------------------------------------------------------------------------------------------

    async def _work(self, work: Path, kustomization: Raw, values: Values, strict: bool | None) -> _Result:
        """Have the worker build; return what it wrote."""
        program = shutil.which(self._kustomize or "kustomize")
        if program is None:
            text = "kustomize is not installed: put it on the operator's PATH, or name it with --kustomize"
            raise BuildUnknown(reasons.KUSTOMIZE_MISSING, text)
        job = {
            "work": str(work),
            "archive": str(work / "artifact"),
            "result": str(work / "result.json"),
            "kustomize": program,
            "kustomization": _relevant(kustomization),
            "values": values.by_name,
            "private": sorted(values.private),
            "strict": strict,
            "memory": self._limits.memory,
            "seconds": self._limits.seconds,
        }
        await self._run(job)
        return await asyncio.to_thread(_taken, work / "result.json", self._limits.size)

    async def _run(self, job: dict[str, Any]) -> None:
        """Run the worker to its end, or to that of its time."""
        # No part of the operator's environment or files is passed on; its group is ended as a whole.
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-I", "-m", _WORKER),
            env={},
            cwd=job["work"],
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(self._limits.patience):
                _, problem = await process.communicate(json.dumps(job).encode())
        except TimeoutError:
            text = f"the build takes longer than {self._limits.patience} s"
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, text) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        if process.returncode:
            raise _ended(process.returncode, problem)

    # Cache ------------------------------------------------------------------------------------------------------

    def _key(self, artifact: Artifact, kustomization: Raw, values: Values, strict: bool | None) -> str:
        parts = [artifact.digest, _relevant(kustomization), values.by_name, sorted(values.private), strict]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _remember(self, key: str, result: _Result) -> None:
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


def _ended(code: int, problem: bytes) -> BuildUnknown:
    """Why a worker left nothing; of its last words only the type of the error is shown."""
    if code < 0 or b"MemoryError" in problem:
        return BuildUnknown(reasons.BUILD_TOO_COSTLY, "the build was ended: it needs too much time or memory")
    kind = problem.decode(errors="replace").strip().rpartition("\n")[2].partition(":")[0]
    return BuildUnknown(reasons.BUILD_REFUSED, f"the build stopped with an unexpected {kind}; please report it")


@dataclass(frozen=True, slots=True)
class _Result:
    """What a worker wrote."""

    rows: tuple[bytes, ...]
    left_out: tuple[LeftOut, ...]
    failed: str
    """Why the manifests cannot be built by Flux either."""

    @property
    def size(self) -> int:
        return sum(map(len, self.rows))


def _taken(result: Path, most: int) -> _Result:
    """Take what a worker wrote. Raises the `BuildUnknown` that it met."""
    with result.open("rb") as file:
        taken = file.read(most + 1)
    if len(taken) > most:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"the build comes to more than {most >> 20} MiB of objects")
    rows = taken.splitlines()
    if rows and rows[0].startswith(b'{"failed":'):
        found = json.loads(rows[0])
        if not found["failed"]:
            raise BuildUnknown(found["reason"], found["message"])
        return _Result((), (), found["message"])
    left_out = [json.loads(row) for row in rows if not row.startswith(_PLAIN)]
    return _Result(tuple(row for row in rows if row.startswith(_PLAIN)), tuple(map(_left_out, left_out)), "")


def _left_out(row: dict[str, Any]) -> LeftOut:
    return LeftOut(manifest(row), reasons.ENCRYPTED, f"{row['why']}; Flux decrypts it")


def _built(result: _Result) -> Built:
    """What was built. Raises `BuildFailed` where that cannot be."""
    if result.failed:
        raise BuildFailed(result.failed)
    return Built(Rows(result.rows), result.left_out)


@asynccontextmanager
async def _directory() -> AsyncIterator[Path]:
    """A directory that only we can read, gone afterwards."""
    name = await asyncio.to_thread(tempfile.mkdtemp, prefix="build-")
    try:
        yield Path(name)
    finally:
        # A tree of many thousand files takes a while; also a build that is given up leaves nothing.
        await asyncio.shield(asyncio.to_thread(shutil.rmtree, name, ignore_errors=True))
