"""The Dockerfile read, and its steps performed in a folder instead of a container.

A folder takes the place of the root file system: every path that the Dockerfile names absolutely in WORKDIR or
`COPY --from` is moved below it, in commands too. Both stages share it, so `COPY --from` must copy a path to
itself. An instruction that is not known here is an error: nobody would have tried it.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from dataclasses import dataclass, field
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

PASSED_ON = (
    "PIP_",
    "GO",
    "SSL_CERT_",
    "http_proxy",
    "https_proxy",
    "no_proxy",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)
"""What a build takes over of this machine's environment: how to reach the package indexes."""


@dataclass(frozen=True)
class Instruction:
    """One instruction, its continued lines joined."""

    keyword: str
    arguments: str

    @property
    def words(self) -> list[str]:
        """The arguments as words, options included."""
        return shlex.split(self.arguments)

    @property
    def pairs(self) -> dict[str, str]:
        """The `key=value` arguments of ENV and LABEL."""
        return dict(word.split("=", 1) for word in self.words)

    @property
    def command(self) -> list[str]:
        """The words of an ENTRYPOINT or CMD in exec form."""
        found: list[str] = json.loads(self.arguments)
        return found


def read_stages(text: str) -> list[list[Instruction]]:
    """Split a Dockerfile into its stages, each beginning with FROM; what stands before the first is left out."""
    lines = "\n".join(line for line in text.splitlines() if not line.startswith("#"))
    joined = lines.replace("\\\n", " ").splitlines()
    stages: list[list[Instruction]] = []
    for keyword, _, arguments in (line.partition(" ") for line in joined if line.strip()):
        if keyword == "FROM":
            stages.append([])
        if stages:
            stages[-1].append(Instruction(keyword, arguments.strip()))
    return stages


def read_context(root: Path, dockerignore: str) -> list[str]:
    """List what a build from a clean checkout would be sent: files that Git tracks or would, less the ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split("\0")
    patterns = [line for line in dockerignore.splitlines() if line and not line.startswith("#")]
    return [name for name in listed if name and (root / name).is_file() and not is_ignored(name, patterns)]


def is_ignored(name: str, patterns: list[str]) -> bool:
    """Tell whether a `.dockerignore` leaves a file out: the last pattern that fits it or a parent decides."""
    path = PurePosixPath(name)
    candidates = [str(path), *(str(parent) for parent in path.parents if parent.name)]
    ignored = False
    for pattern in patterns:
        wanted = pattern.removeprefix("!").rstrip("/")
        if any(_fits(candidate, wanted) for candidate in candidates):
            ignored = not pattern.startswith("!")
    return ignored


def _fits(candidate: str, pattern: str) -> bool:
    if pattern.startswith("**/"):
        return fnmatch(PurePosixPath(candidate).name, pattern.removeprefix("**/"))
    return fnmatch(candidate, pattern)


def go_caches(go: Path) -> dict[str, str]:
    """Return where this machine keeps modules and what it compiled: a container would begin with nothing."""
    names = ("GOMODCACHE", "GOCACHE")
    answer = subprocess.run([go, "env", *names], capture_output=True, text=True, check=True)
    return dict(zip(names, answer.stdout.splitlines(), strict=True))


@dataclass
class Build:
    """A build in a folder. `environment` and `workdir` are those that hold for the next command."""

    stages: list[list[Instruction]]
    context: Path
    root: Path
    """Takes the place of `/`."""
    programs: Path
    """The folder with the base image's `python`."""
    go: Path
    """The `go` of the image for it."""
    environment: dict[str, str] = field(default_factory=dict)
    workdir: Path = field(init=False)

    def run(self) -> None:
        """Perform all stages in order. Raises `CalledProcessError` when a command fails."""
        for stage in self.stages:
            for instruction in stage:
                self._perform(instruction)

    def place(self, text: str) -> str:
        """Move the absolute paths in a text below the root folder."""
        known = {
            word
            for stage in self.stages
            for instruction in stage
            if instruction.keyword == "WORKDIR" or "--from=" in instruction.arguments
            for word in instruction.words
            if word.startswith("/")
        }
        return re.sub(
            "|".join(map(re.escape, sorted(known, reverse=True))), lambda found: f"{self.root}{found[0]}", text
        )

    def execute(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        """Run a program as the container would be started: environment and PATH of the last stage, empty folder."""
        folder = self.root / "started"
        folder.mkdir(exist_ok=True)
        found = shutil.which(command[0], path=self.environment["PATH"])
        assert found is not None, f"{command[0]} is not on the image's PATH"
        return subprocess.run(
            [found, *command[1:]], cwd=folder, env=self.environment, capture_output=True, text=True, check=False
        )

    def _perform(self, instruction: Instruction) -> None:
        match instruction.keyword:
            case "FROM":
                self.environment = {"PATH": f"{self.programs}:{os.defpath}", "HOME": str(self.root)}
                if "GO_IMAGE" in instruction.arguments:
                    self.environment |= {"PATH": f"{self.go.parent}:{os.defpath}", **go_caches(self.go)}
                self.workdir = self.root
            case "ENV":
                values = {key: self.place(value) for key, value in instruction.pairs.items()}
                path = values.get("PATH", "$PATH").replace("$PATH", self.environment["PATH"])
                self.environment |= values | {"PATH": path}
            case "WORKDIR":
                self.workdir = Path(self.place(instruction.arguments))
                self.workdir.mkdir(parents=True)
            case "COPY":
                self._copy(instruction.words)
            case "RUN":
                self._shell(self.place(instruction.arguments))
            case "LABEL" | "USER" | "ENTRYPOINT" | "CMD":
                pass
            case other:
                raise NotImplementedError(other)

    def _copy(self, words: list[str]) -> None:
        if words[0].startswith("--from="):
            source, target = words[1:]
            assert source == target, "nothing is moved: all stages share one folder"
            assert Path(self.place(target)).exists()
            return
        *sources, target = words
        for source in sources:
            # As COPY does: a folder's content goes into the target, a file into a target that ends in a slash.
            if (self.context / source).is_dir():
                shutil.copytree(self.context / source, self.workdir / target, dirs_exist_ok=True)
            else:
                (self.workdir / target).mkdir(parents=True, exist_ok=True)
                shutil.copy(self.context / source, self.workdir / target)

    def _shell(self, command: str) -> None:
        passed_on = {name: value for name, value in os.environ.items() if name.startswith(PASSED_ON)}
        result = subprocess.run(
            ["/bin/sh", "-c", command],
            cwd=self.workdir,
            env=passed_on | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert result.returncode == 0, f"RUN {command}\n{result.stdout}"
