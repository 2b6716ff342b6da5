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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from weakref import WeakValueDictionary

from reconciliation_contract.adapters.manifests.build import Artifact, Built, LeftOut
from reconciliation_contract.adapters.manifests.checkout import copy
from reconciliation_contract.adapters.manifests.download import download
from reconciliation_contract.adapters.manifests.error import BuildError, BuildFailed, BuildUnknown
from reconciliation_contract.adapters.manifests.order import place
from reconciliation_contract.adapters.manifests.variable import Reader, read_values
from reconciliation_contract.api.raw import Raw, read_map, read_text
from reconciliation_contract.core import reasons
from reconciliation_contract.core.manifest import Manifest

_WORKER: Final = "reconciliation_contract.adapters.manifests.worker"
_BUILT_FROM: Final = (  # noqa: SIM905 - reads better than a line each
    "path targetNamespace namePrefix nameSuffix patches images components ignoreMissingComponents commonMetadata "
    "buildMetadata postBuild decryption"
).split()
"""Fields of a Kustomization's spec that a build depends on."""


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
    entries: int = 64
    """Builds that are remembered."""
    size: int = 16 << 20
    """Bytes of all that is remembered; no larger result is taken."""


class Builder:
    """Builds what a Kustomization applies.

    ``kustomize`` is the program, by default the one on PATH. ``strict`` is Flux's feature gate
    StrictPostBuildSubstitutions, on since Flux 2.9: a variable without value or default fails the build. Without a
    ``reader`` no ConfigMap or Secret can be substituted from.
    """

    def __init__(
        self, reader: Reader | None, kustomize: str = "", limits: Limits | None = None, *, strict: bool = True
    ) -> None:
        self._reader = reader
        self._kustomize = kustomize
        self._limits = limits or Limits()
        self._strict = strict
        self._slots = asyncio.Semaphore(self._limits.at_once)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._known: OrderedDict[str, bytes] = OrderedDict()

    async def build(self, artifact: Artifact, kustomization: Raw, user: str = "") -> Built:
        """Build an artifact as the Kustomization (the whole raw object) says.

        ``user`` is whose rights read the ConfigMaps and Secrets to substitute from. Raises `BuildError`.
        """
        values = await read_values(self._reader, kustomization, user)
        key = self._key(artifact, kustomization, values)
        lock = self._locks.setdefault(key, asyncio.Lock())
        async with lock:
            if key not in self._known:
                async with self._slots:
                    with _directory() as work:
                        await download(artifact, work / "artifact")
                        self._remember(key, await self._work(work, kustomization, values))
            self._known.move_to_end(key)
            return _built(self._known[key])

    async def build_tree(self, tree: Path, kustomization: Raw) -> Built:
        """Build from a checkout in place of an artifact. Raises `BuildError`."""
        values = await read_values(self._reader, kustomization)
        async with self._slots:
            with _directory() as work:
                await asyncio.to_thread(copy, tree, work / "tree")
                return _built(await self._work(work, kustomization, values))

    # Worker -----------------------------------------------------------------------------------------------------

    async def _work(self, work: Path, kustomization: Raw, values: dict[str, str]) -> bytes:
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
            "values": values,
            "strict": self._strict,
            "memory": self._limits.memory,
            "seconds": self._limits.seconds,
        }
        await self._run(job)
        return _taken(work / "result.json", self._limits.size)

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

    def _key(self, artifact: Artifact, kustomization: Raw, values: dict[str, str]) -> str:
        parts = [artifact.digest, _relevant(kustomization), values]
        return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()

    def _remember(self, key: str, result: bytes) -> None:
        self._known[key] = result
        while len(self._known) > 1 and (
            len(self._known) > self._limits.entries or sum(map(len, self._known.values())) > self._limits.size
        ):
            self._known.popitem(last=False)


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


def _taken(result: Path, most: int) -> bytes:
    with result.open("rb") as file:
        taken = file.read(most + 1)
    if len(taken) > most:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"the build comes to more than {most >> 20} MiB of objects")
    return taken


@contextmanager
def _directory() -> Iterator[Path]:
    """A directory that only we can read, gone afterwards."""
    with tempfile.TemporaryDirectory(prefix="build-", ignore_cleanup_errors=True) as name:
        yield Path(name)


def _built(result: bytes) -> Built:
    """Read what the worker wrote. Raises the `BuildError` that it met."""
    found = json.loads(result)
    if "objects" not in found:
        error: BuildError = BuildUnknown(found["reason"], found["message"])
        raise BuildFailed(found["message"]) if found["failed"] else error
    pairs = [(_manifest(item["body"], item["file"]), item["why"]) for item in found["objects"]]
    pairs.sort(key=lambda pair: place(pair[0].key))
    return Built(
        objects=tuple(manifest for manifest, why in pairs if not why),
        left_out=tuple(
            LeftOut(m.key, m.file, reasons.ENCRYPTED, f"{why}; Flux decrypts it") for m, why in pairs if why
        ),
        digest=hashlib.sha256(result).hexdigest(),
    )


def _manifest(body: dict[str, Any], file: str) -> Manifest:
    meta = read_map(body, "metadata")
    return Manifest(
        api_version=read_text(body, "apiVersion"),
        kind=read_text(body, "kind"),
        namespace=read_text(meta, "namespace"),
        name=read_text(meta, "name"),
        body=body,
        file=file,
    )
