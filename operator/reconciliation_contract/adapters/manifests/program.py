"""`flux-build`, the program that builds manifests as kustomize-controller does; see `operator/flux-build`."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.adapters.manifests.build import Built, LeftOut, Rows, manifest
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.core.values import reasons

NAME: Final = "flux-build"
VARIABLE: Final = "FLUX_BUILD"
"""Environment variable that names the program where no setting does."""
BESIDE: Final = Path(__file__).parents[2] / "bin" / NAME
"""Where a wheel of a platform has it."""
_GATE: Final = (
    "whether Flux minds is not known: let the operator read kustomize-controller's Deployment, as "
    "deploy/components/flux-health shows"
)
_REASONS: Final = {
    "costly": reasons.BUILD_TOO_COSTLY,
    "encrypted": reasons.ENCRYPTED,
    "remote": reasons.REMOTE_BASE,
    "strict": reasons.FLUX_UNKNOWN,
}
"""By what the program says of what cannot be known."""
_OBJECT: Final = b'{"object":'
_LEFT_OUT: Final = b'{"leftOut":'
_PROBLEM: Final = 4096
"""Bytes of a crash that are looked at."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What builds may cost."""

    seconds: int = 50
    """Of the processor; a thousand objects take three."""
    patience: int = 55
    """Seconds of the clock."""
    memory: int = 384 << 20
    """Bytes of data that a build may hold."""
    at_once: int = 2
    doubt: float = 300.0
    """Seconds for which a failure that may pass is believed: what is too costly is not tried again and again."""
    entries: int = 64
    """Builds that are remembered."""
    size: int = 16 << 20
    """Bytes of all that is remembered; no larger result is taken."""


@dataclass(frozen=True, slots=True)
class Result:
    """What a run of the program came to."""

    rows: tuple[bytes, ...]
    left_out: tuple[LeftOut, ...] = ()
    digest: str = ""
    failed: str = ""
    """Why the manifests cannot be built by Flux either."""

    @property
    def size(self) -> int:
        """Its size in bytes."""
        return sum(map(len, self.rows))

    def built(self) -> Built:
        """What was built. Raises `BuildFailed` where that cannot be."""
        if self.failed:
            raise BuildFailed(self.failed)
        return Built(Rows(self.rows), self.left_out, self.digest)


def find(named: str = "") -> str | None:
    """The program that a setting or the environment names, else the one beside the package, else on PATH."""
    named = named or os.environ.get(VARIABLE, "")
    return shutil.which(named or str(BESIDE)) or (None if named else shutil.which(NAME))


Note = Callable[[int, bool], None]
"""Takes how the kernel confines builds: the version of Landlock, 0 without it, and whether it has seccomp."""


class Program:
    """Runs the program, one process for each build; ``note`` is told how the kernel confines it."""

    def __init__(self, named: str, limits: Limits, note: Note = lambda _landlock, _seccomp: None) -> None:
        self._named = named
        self._limits = limits
        self._note = note
        self._confinement: tuple[int, bool] | None = None
        """In the last run; None before the first."""

    async def run(self, work: Path, source: Sequence[str], request: Mapping[str, Any]) -> Result:
        """Build in a directory that is the run's own, from ``source`` (its options). Raises `BuildUnknown`."""
        program = find(self._named)
        if program is None:
            text = (
                f"{NAME} is not installed: install the package's wheel for this platform, or build the program with "
                f"`make flux-build` and name it with --flux-build or {VARIABLE}"
            )
            raise BuildUnknown(reasons.BUILD_PROGRAM_MISSING, text)
        limits = (f"-memory={self._limits.memory}", f"-seconds={self._limits.seconds}")
        code = await self._ended((program, *limits, *source, str(work)), work, json.dumps(request).encode())
        return await asyncio.to_thread(self._taken, work, code)

    async def _ended(self, command: Sequence[str], work: Path, request: bytes) -> int:
        """Run it to its end, or to that of its time; return its code."""
        # Nothing of our environment or files is passed on; what it writes goes to files that are open before.
        with (work / "result").open("wb") as result, (work / "problem").open("wb") as problem:
            process = await asyncio.create_subprocess_exec(
                *command,
                env={},
                cwd=work,
                stdin=asyncio.subprocess.PIPE,
                stdout=result,
                stderr=problem,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(self._limits.patience):
                await process.communicate(request)
        except TimeoutError:
            text = f"the build takes longer than {self._limits.patience} s"
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, text) from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
        return process.returncode or 0

    def _taken(self, work: Path, code: int) -> Result:
        """Take what it wrote. Raises the `BuildUnknown` that it met."""
        with (work / "result").open("rb") as file:
            taken = file.read(self._limits.size + 1)
        if len(taken) > self._limits.size:
            text = f"the build comes to more than {self._limits.size >> 20} MiB of objects"
            raise BuildUnknown(reasons.BUILD_TOO_COSTLY, text)
        lines = taken.splitlines()
        rows = tuple(line for line in lines if line.startswith(_OBJECT))
        left_out = tuple(_left_out(json.loads(line)) for line in lines if line.startswith(_LEFT_OUT))
        # A line that is cut off is not the last word.
        last = json.loads(lines[-1]) if lines and taken.endswith(b"\n") else {}
        if lines and lines[0].startswith(b'{"confinement":'):
            self._tell(json.loads(lines[0])["confinement"])
        if code or not {"done", "failed", "unknown"} & last.keys():
            raise _broken_off(code, (work / "problem").read_bytes()[:_PROBLEM])
        if why := last.get("unknown"):
            message = f"{last['message']}; {_GATE}" if why == "strict" else last["message"]
            raise BuildUnknown(_REASONS.get(why, reasons.BUILD_REFUSED), message)
        return Result(rows, left_out, last.get("done", ""), last.get("failed", ""))

    def _tell(self, given: Mapping[str, Any]) -> None:
        """Tell once how builds are confined here."""
        landlock, seccomp = int(given.get("landlock", 0)), given.get("seccomp") is True
        if (landlock, seccomp) != self._confinement:
            self._confinement = (landlock, seccomp)
            self._note(landlock, seccomp)
            level = logging.INFO if landlock and seccomp else logging.WARNING
            _log.log(
                level, "how the kernel confines builds of manifests", extra={"landlock": landlock, "seccomp": seccomp}
            )


def _left_out(row: dict[str, Any]) -> LeftOut:
    return LeftOut(manifest(row), reasons.ENCRYPTED, f"{row['why']}; Flux decrypts it")


def _broken_off(code: int, problem: bytes) -> BuildUnknown:
    """Why it did not say how it ended: mostly the kernel or Go's runtime ended it for what it needs."""
    if code < 0 or b"fatal error: " in problem or b"out of memory" in problem or b"newosproc" in problem:
        return BuildUnknown(reasons.BUILD_TOO_COSTLY, "the build was ended: it needs too much time or memory")
    return BuildUnknown(reasons.BUILD_REFUSED, f"{NAME} stopped with code {code}; please report it")
