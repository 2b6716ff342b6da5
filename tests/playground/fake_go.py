"""A Go that compiles nothing, for tests of what happens around the compiler."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from playground.toolset import CLUSTER, Toolset

SCRIPT = """#!{python}
import json, os, pathlib, shutil, signal, sys

home = pathlib.Path({home!r})
arguments = sys.argv[1:]
with (home / "calls").open("a") as calls:
    calls.write(" ".join(arguments) + "\\n")
if arguments == ["env", "GOVERSION"]:
    print((home / "version").read_text())
elif arguments[0] == "list" and "-deps" in arguments:
    print("a\\nb\\nc")
elif arguments[0] == "build":
    target = pathlib.Path(arguments[arguments.index("-o") + 1])
    if arguments[1].startswith("-modfile="):
        settings = pathlib.Path(arguments[1].partition("=")[2]).read_text()
        shutil.copytree(settings.split()[-1], home / "replaced")
    (target / "server").write_text("etcd")
    (home / "pid").write_text(str(os.getpid()))
    if (home / "hang").exists():
        signal.pause()
    if (home / "fail").exists():
        sys.exit("package x: it does not compile")
    print("package/a", file=sys.stderr)
    (target / "kubectl").write_text("kubectl")
else:
    for path in arguments[3:]:
        print(json.dumps({{"Path": path, "Version": "v1.2.3", "Dir": str(home / "modules" / path)}}))
"""


@dataclass
class FakeGo:
    """A folder with a `go` that records its calls and can be told to hang or to fail."""

    home: Path
    module: Path
    """A wrapper module for it to build."""

    @property
    def tools(self) -> Toolset:
        """What is built for the cluster, from that module."""
        return replace(CLUSTER, module=self.module)

    @property
    def bin(self) -> Path:
        return self.home / "bin"

    def set(self, flag: str) -> None:
        """Let builds `hang` or `fail`."""
        (self.home / flag).touch()

    def unset(self, flag: str) -> None:
        (self.home / flag).unlink()

    def builds(self) -> int:
        """How many builds were begun."""
        calls = self.home / "calls"
        return sum(line.startswith("build ") for line in calls.read_text().splitlines()) if calls.exists() else 0
