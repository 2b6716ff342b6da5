"""One `go build` over a set of programs, with progress for the person who waits."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from playground.process import tethered
from playground.progress import Progress, elapsed
from playground.toolchain import Go
from playground.toolset import Toolset

FLAGS = ("-trimpath", "-gcflags=all=-dwarf=false", "-ldflags=-s -w")
"""Small programs that name no path of the machine that built them; leaving out DWARF saves a minute."""
SHOWN_ERROR_LINES = 30
TICK = 0.5
"""Seconds between two looks at the clock while the compiler is silent."""


class BuildError(Exception):
    """Go could not build the programs."""


@dataclass(frozen=True)
class Module:
    """A Go module on this machine."""

    version: str
    directory: Path


class Compilation:
    """Runs `go` in a module, in the foreground; for a platform such as `linux/arm64`, by default for this one."""

    def __init__(self, go: Go, tools: Toolset, progress: Progress, platform: str = "") -> None:
        self._go = go
        self._tools = tools
        self._progress = progress
        self._platform = platform
        self._downloaded = 0
        self._compiled = 0
        self._total = 0
        self._started = time.monotonic()

    def run(self, target: Path) -> None:
        """Build the programs of the module into `target`. Raises `BuildError`.

        Interrupted, it stops the compilers it started before it passes the interruption on.
        """
        self._progress.say(f"Building {self._tools.title} with {self._go.version} ({self._tools.usual_time}).")
        with tempfile.TemporaryDirectory(prefix="modules-") as name:
            options = self._completed(Path(name))
            packages = self._go_output("list", *options, "-deps", self._tools.packages)
            self._total = len(packages.split())
            self._go_output("build", *options, "-v", *FLAGS, "-o", f"{target}{os.sep}", self._tools.packages)
        self._progress.say(f"Built in {elapsed(time.monotonic() - self._started)}.")

    def modules(self) -> dict[str, Module]:
        """Return version and folder of the modules that the components come from."""
        answer = self._go_output("list", "-m", "-json=Path,Version,Dir", *self._tools.components)
        return {found["Path"]: Module(found["Version"], Path(found["Dir"])) for found in _json_documents(answer)}

    def _completed(self, folder: Path) -> tuple[str, ...]:
        """Copy modules that lack a file they embed, add it there, and return the options to build with the copies."""
        if not self._tools.embedded:
            return ()
        settings = (self._tools.module / "go.mod").read_text()
        for number, (path, file) in enumerate(self._tools.embedded.items()):
            copy = folder / str(number)
            # Before the rest: folders of Go's cache are copied as read-only as they are.
            (copy / file).parent.mkdir(parents=True)
            (copy / file).touch()
            (downloaded,) = _json_documents(self._go_output("mod", "download", "-json", path))
            shutil.copytree(downloaded["Dir"], copy, dirs_exist_ok=True)
            settings += f"\nreplace {path} => {copy}\n"
        (folder / "go.mod").write_text(settings)
        shutil.copyfile(self._tools.module / "go.sum", folder / "go.sum")
        return (f"-modfile={folder / 'go.mod'}",)

    def _go_output(self, *arguments: str) -> str:
        tags = ",".join(self._tools.tags)
        system, _, machine = self._platform.partition("/")
        environment = {
            **os.environ,
            **({"GOOS": system, "GOARCH": machine} if system else {}),
            "CGO_ENABLED": "0",
            "GOTOOLCHAIN": "local",
            "GOWORK": "off",
            # A user's own flags must not change what is built.
            "GOFLAGS": f"-mod=readonly -buildvcs=false -tags={tags}",
        }
        tail: deque[str] = deque(maxlen=SHOWN_ERROR_LINES)
        command = [str(self._go.command), *arguments]
        with (
            tempfile.TemporaryFile("w+") as output,
            _group(command, self._tools.module, environment, output) as process,
        ):
            follower = threading.Thread(target=self._follow, args=(process.stderr, tail))
            follower.start()
            # Go says nothing while it compiles a large package or links; the clock still moves.
            while follower.is_alive():
                self._progress.update(self._state())
                follower.join(TICK)
            process.wait()
            self._progress.clear()
            if process.returncode != 0:
                raise BuildError(f"go {arguments[0]} failed:\n" + "\n".join(f"  | {line}" for line in tail))
            output.seek(0)
            return output.read()

    def _follow(self, stream: IO[str], tail: deque[str]) -> None:
        """Count what Go reports on its standard error, until it closes it."""
        with stream:
            for line in stream:
                text = line.rstrip()
                if text.startswith("go: downloading "):
                    self._downloaded += 1
                elif " " not in text:
                    self._compiled += 1
                tail.append(text)

    def _state(self) -> str:
        passed = elapsed(time.monotonic() - self._started)
        fetched = f"{self._downloaded} modules fetched, " if self._downloaded else ""
        if not self._total:
            return f"  fetching modules: {fetched}{passed}"
        return f"  compiling and linking: {fetched}{self._compiled} of at most {self._total} packages, {passed}"


@contextmanager
def _group(
    command: list[str], cwd: Path, environment: dict[str, str], output: IO[str]
) -> Iterator[subprocess.Popen[str]]:
    """Run a command in a process group of its own, which is gone at the end of the context.

    It also ends when this process is killed.
    """
    process = subprocess.Popen(
        tethered(command),
        cwd=cwd,
        env=environment,
        stdout=output,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _json_documents(text: str) -> Iterator[dict[str, str]]:
    """Split the concatenated objects that `go list -json` writes."""
    decoder = json.JSONDecoder()
    rest = text.strip()
    while rest:
        document, end = decoder.raw_decode(rest)
        yield document
        rest = rest[end:].lstrip()
