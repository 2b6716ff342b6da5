"""`flux-build` reads its own folder and nothing else, whatever the tree says, and ends in time.

Each tree is built as artifact and as checkout. Beside its folder lie canaries, each with a text that must appear
nowhere in what the program writes.
"""

from __future__ import annotations

import io
import json
import os
import subprocess
import tarfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support.programs import flux_build

pytestmark = pytest.mark.slow

CANARY = "canary-5d1f"
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\n"


@dataclass
class Place:
    """A folder to build in, with canaries around it."""

    folder: Path

    @property
    def work(self) -> Path:
        return self.folder / "work"

    def build(
        self, *source: str, spec: Mapping[str, Any] | None = None, limits: tuple[str, ...] = (), **request: Any
    ) -> tuple[list[dict[str, Any]], str]:
        """Run the program; return its lines and all that it wrote."""
        meta = {"name": "shop", "namespace": "apps"}
        asked = {"kustomization": {"metadata": meta, "spec": {"path": "app", **(spec or {})}}, "values": {}}
        ran = subprocess.run(
            [flux_build(), *limits, *source, str(self.work)],
            input=json.dumps(asked | request),
            capture_output=True,
            text=True,
            check=False,
            cwd=self.work,
            # The program itself has to let go of it.
            env={"TOKEN": CANARY, "HOME": str(self.folder / "home"), "PATH": os.environ["PATH"]},
        )
        return [json.loads(line) for line in ran.stdout.splitlines()], ran.stdout + ran.stderr


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """A folder, and canaries in every place that a hostile tree could aim at."""
    for name in ("token", "home/.gitconfig", "home/.ssh/id", "canary.yaml", "kustomization.yaml", "canary.env"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MAP.replace("name: x", f"name: {CANARY}") if name.endswith("yaml") else f"key={CANARY}\n")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "sibling").mkdir()
    return Place(tmp_path)


def packed(files: Mapping[str, str], *more: tarfile.TarInfo) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz", compresslevel=1) as tar:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text.encode())
            tar.addfile(member, io.BytesIO(text.encode()))
        for member in more:
            tar.addfile(member, io.BytesIO(b"x" * member.size))
    return content.getvalue()


def artifact(place: Place, content: bytes, **more: Any) -> tuple[list[dict[str, Any]], str]:
    """Build an archive."""
    (place.work / "artifact").write_bytes(content)
    return place.build(f"-artifact={place.work / 'artifact'}", **more)


def checkout(place: Place, files: Mapping[str, str], **more: Any) -> tuple[list[dict[str, Any]], str]:
    """Build a folder."""
    tree = place.folder / "checkout"
    for name, text in files.items():
        (tree / name).parent.mkdir(parents=True, exist_ok=True)
        (tree / name).write_text(text)
    return place.build(f"-checkout={tree}", **more)


def settings(**fields: Any) -> dict[str, str]:
    return {"app/kustomization.yaml": json.dumps(fields, ensure_ascii=False), "app/x.yaml": MAP}


# Trees ------------------------------------------------------------------------------------------------------------

OUT = "../../../"
"""From the folder that is built to the canaries: tree, work, place."""
TOKEN = "/proc/self/environ"
PATCH = {"target": {"kind": "ConfigMap"}}
COPY = [
    {
        "source": {"kind": "ConfigMap", "name": "stolen", "fieldPath": "data.token"},
        "targets": [{"select": {"kind": "ConfigMap", "name": "x"}, "fieldPaths": ["metadata.labels.a"]}],
    }
]


FUNCTION = """\
apiVersion: a/v1
kind: Run
metadata:
  name: r
  annotations:
    config.kubernetes.io/function: '{}'
"""


def generator(kind: str, **fields: Any) -> str:
    return json.dumps({"apiVersion": "builtin", "kind": kind, "metadata": {"name": "g"}, **fields})


HOSTILE: dict[str, dict[str, str]] = {
    "resource": settings(resources=[f"{OUT}canary.yaml"]),
    "folder": settings(resources=[OUT]),
    "absolute resource": settings(resources=["x.yaml", "/proc/self/environ"]),
    "two spellings": settings(configMapGenerator=[{"name": "g", "files": [f"t={OUT}token"], "FILES": ["x.yaml"]}]),
    "two spellings, turned": settings(
        configMapGenerator=[{"name": "g", "FILES": [f"t={OUT}token"], "files": ["x.yaml"]}]
    ),
    "folded letters": settings(configMapGenerator=[{"name": "g", "FILE\u017f": [f"t={OUT}token"]}]),
    "field in capitals": settings(CONFIGMAPGENERATOR=[{"name": "g", "files": [f"t={OUT}token"]}]),
    "file": settings(configMapGenerator=[{"name": "g", "files": [f"{OUT}token"]}]),
    "file by key": settings(secretGenerator=[{"name": "g", "files": [f"t={OUT}token"]}]),
    "process": settings(configMapGenerator=[{"name": "g", "files": [f"t={TOKEN}"]}]),
    "parent process": settings(configMapGenerator=[{"name": "g", "files": [f"t=/proc/{os.getpid()}/environ"]}]),
    "environment file": settings(configMapGenerator=[{"name": "g", "envs": [f"{OUT}canary.env"]}]),
    "old environment file": settings(configMapGenerator=[{"name": "g", "env": f"{OUT}canary.env"}]),
    "variable of the environment": settings(configMapGenerator=[{"name": "g", "literals": ["TOKEN"]}]),
    "names in a file": {
        **settings(configMapGenerator=[{"name": "g", "envs": ["names.env"]}]),
        "app/names.env": "TOKEN\nHOME\n",
    },
    "component": settings(components=[OUT]),
    "patch": settings(resources=["x.yaml"], patches=[{**PATCH, "path": f"{OUT}canary.yaml"}]),
    "patch in capitals": settings(resources=["x.yaml"], patches=[{**PATCH, "PATH": f"{OUT}canary.yaml"}]),
    "strategic patch": settings(resources=["x.yaml"], patchesStrategicMerge=[f"{OUT}canary.yaml"]),
    "path with a line break": settings(resources=["x.yaml"], patchesStrategicMerge=[f"x\n/{OUT}canary.yaml"]),
    "JSON patch": settings(resources=["x.yaml"], patchesJson6902=[{**PATCH, "path": f"{OUT}canary.yaml"}]),
    "replacement": settings(resources=["x.yaml"], replacements=[{"path": f"{OUT}canary.yaml"}]),
    "replacement into a label": settings(
        resources=["x.yaml"],
        configMapGenerator=[{"name": "stolen", "files": [f"token={OUT}token"]}],
        replacements=COPY,
    ),
    "schema": settings(resources=["x.yaml"], openapi={"path": f"{OUT}canary.yaml"}),
    "definitions": settings(resources=["x.yaml"], crds=[f"{OUT}canary.yaml"]),
    "configurations": settings(resources=["x.yaml"], configurations=[f"{OUT}canary.yaml"]),
    "generator written out": settings(generators=[generator("ConfigMapGenerator", files=[f"t={OUT}token"])]),
    "generator in a deep folder": {
        **settings(generators=["deep/er/gen.yaml"]),
        "app/deep/er/gen.yaml": generator("ConfigMapGenerator", files=[f"t={OUT}token"]),
    },
    "folder of generators": {
        **settings(generators=["deep"]),
        "app/deep/kustomization.yaml": "resources: [gen.yaml]",
        "app/deep/gen.yaml": generator("SecretGenerator", files=[f"t={OUT}token"]),
    },
    "transformer": settings(
        resources=["x.yaml"], transformers=[generator("PatchTransformer", path=f"{OUT}canary.yaml")]
    ),
    "validator": settings(resources=["x.yaml"], validators=[f"{OUT}canary.yaml"]),
    "chart": settings(helmCharts=[{"name": "c", "repo": "https://example.org", "valuesFile": f"{OUT}canary.yaml"}]),
    "chart's home": settings(helmGlobals={"chartHome": OUT}, helmCharts=[{"name": "home"}]),
    "plugin": settings(
        generators=["apiVersion: a/v1\nkind: Plug\nmetadata: {name: p}\nargsOneLiner: cat /proc/self/environ\n"]
    ),
    "program to run": settings(transformers=[FUNCTION.format("exec: {path: /usr/bin/env}")]),
    "container to run": settings(
        transformers=[FUNCTION.format("container: {image: a, mounts: [{type: bind, src: /, dst: /}]}")]
    ),
    "windows": settings(configMapGenerator=[{"name": "g", "files": ["t=..\\..\\..\\token", "C:\\token"]}]),
    "quoted": settings(configMapGenerator=[{"name": "g", "files": [f't="{OUT}token"', f"'{OUT}token'"]}]),
    "other spellings of up": settings(resources=["./.././../.././../canary.yaml", ".//..//..//..//canary.yaml"]),
    "far up": settings(resources=["../" * 40 + "proc/self/environ"]),
    "file address": settings(resources=["file:///proc/self/environ", f"file://{OUT}canary.yaml"]),
    "second kustomization": {**settings(resources=["x.yaml"]), "app/kustomization.yml": f"resources: [{OUT}]"},
    "base that leaves": {
        **settings(resources=["../base"]),
        "base/kustomization.yaml": f"configMapGenerator: [{{name: g, files: [{OUT}token]}}]",
    },
}
REMOTE: dict[str, dict[str, str]] = {
    "file": settings(resources=["https://example.org/x.yaml"]),
    "file in capitals": settings(resources=["HTTPS://example.org/x.yaml"]),
    "repository": settings(resources=["https://github.com/org/repo//path?ref=v1"]),
    "short repository": settings(resources=["github.com/org/repo"]),
    "by SSH": settings(resources=["git@example.org:org/repo.git"]),
    "patch": settings(resources=["x.yaml"], patches=[{**PATCH, "path": "https://example.org/x.yaml"}]),
    "component": settings(components=["https://example.org/org/repo//c?ref=main"]),
    "in a base": {
        **settings(resources=["../base"]),
        "base/kustomization.yaml": "resources: ['http://127.0.0.1:1/x']",
    },
    "schema": settings(resources=["x.yaml"], openapi={"path": "https://example.org/x.json"}),
    "generator's file": settings(configMapGenerator=[{"name": "g", "files": ["t=https://example.org/x"]}]),
}


@pytest.mark.parametrize("how", [artifact, checkout])
@pytest.mark.parametrize("files", HOSTILE.values(), ids=HOSTILE.keys())
def test_no_tree_reaches_what_is_around_it(place: Place, files: dict[str, str], how: Any) -> None:
    """Neither an object nor an error shows a canary, and nothing is left behind."""
    lines, written = how(place, files if how is checkout else packed(files))

    assert CANARY not in written
    assert str(place.work) not in written
    assert lines[-1].keys() & {"done", "failed", "unknown"}, written
    assert not (place.work / "tree").exists()


@pytest.mark.parametrize("files", REMOTE.values(), ids=REMOTE.keys())
def test_what_is_elsewhere_is_unknown_and_named(place: Place, files: dict[str, str]) -> None:
    """Flux may have it; here there is no network."""
    lines, _ = artifact(place, packed(files))

    assert lines[-1]["unknown"] == "remote", lines[-1]
    assert "example.org" in lines[-1]["message"] or "127.0.0.1" in lines[-1]["message"] or "github.com" in str(lines)


def test_links_of_a_checkout_are_not_followed(place: Place) -> None:
    """No file, folder or list of patterns behind one is read."""
    tree = place.folder / "checkout"
    (tree / "app").mkdir(parents=True)
    (tree / "app" / "canary.yaml").symlink_to(place.folder / "canary.yaml")
    (tree / "app" / "all").symlink_to(place.folder)
    (tree / "app" / ".sourceignore").symlink_to(place.folder / "token")
    os.mkfifo(tree / "app" / "pipe.yaml")

    lines, written = checkout(place, {"app/x.yaml": MAP})

    assert CANARY not in written
    assert [line["object"]["metadata"]["name"] for line in lines if "object" in line] == ["x"]


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "", size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.linkname, found.size = kind, link, size
    return found


@pytest.mark.parametrize(
    "members",
    [
        (entry("/tmp/escaped", size=1),),
        (entry("../../escaped", size=1),),
        (entry("app/../../../escaped", size=1),),
        (entry("..", tarfile.DIRTYPE), entry("../escaped", tarfile.DIRTYPE)),
        (entry("app/way", tarfile.SYMTYPE, "../../.."), entry("app/way/escaped", size=1)),
        (entry("app/x2.yaml", tarfile.SYMTYPE, "../../../canary.yaml"),),
        (entry("app/x2.yaml", tarfile.LNKTYPE, "../../../canary.yaml"),),
        (entry("app/x2.yaml", tarfile.LNKTYPE, "/proc/self/environ"),),
        (entry("app/pipe", tarfile.FIFOTYPE),),
        (entry("app/disk", tarfile.BLKTYPE),),
        (entry("app/tty", tarfile.CHRTYPE),),
        (entry("app\\..\\..\\escaped", size=1),),
    ],
    ids=lambda members: f"{members[-1].name[:20]} {members[-1].type.decode()}",
)
def test_no_archive_writes_or_reads_outside(place: Place, members: tuple[tarfile.TarInfo, ...]) -> None:
    """It is refused as Flux refuses it, or what leads outside is an empty file."""
    before = {str(path) for path in place.folder.rglob("*")}
    lines, written = artifact(place, packed({"app/a.yaml": MAP}, *members))

    assert CANARY not in written
    assert {str(path) for path in place.folder.rglob("*")} - before <= {str(place.work / "artifact")}
    assert not Path("/tmp/escaped").exists()
    assert lines[-1].keys() & {"done", "failed"}, written


@pytest.mark.parametrize(
    "content", [b"", b"not gzip", packed({"a": "x" * 5000})[:60], b"\x1f\x8b" + b"\0" * 30], ids=len
)
def test_what_is_no_archive_fails(place: Place, content: bytes) -> None:
    """As in Flux, with a word on why."""
    lines, _ = artifact(place, content)

    assert lines[-1]["failed"]


# Confinement ------------------------------------------------------------------------------------------------------


def test_the_kernel_confines_it(place: Place) -> None:
    """On a kernel that has Landlock and seccomp, as this one; the program says which."""
    lines, _ = artifact(place, packed({"app/a.yaml": MAP}))

    assert lines[0]["confinement"]["seccomp"] is True
    assert lines[0]["confinement"]["landlock"] >= 1


# Bounds -----------------------------------------------------------------------------------------------------------

DEEP = 100_000
BOMB = "a: &a [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
    f"{c}: &{c} [{', '.join([f'*{chr(ord(c) - 1)}'] * 10)}]\n" for c in "bcdefghi"
)


@pytest.mark.parametrize(
    ("files", "ends"),
    [
        ({f"app/{n}.txt": "" for n in range(99_000)} | {"app/x.yaml": MAP}, {"done"}),
        ({f"app/{n}.txt": "" for n in range(100_001)} | {"app/x.yaml": MAP}, {"unknown"}),
        ({f"app/{n}.yaml": MAP.replace("name: x", f"name: x{n}") for n in range(20_001)}, {"unknown"}),
        ({"app/x.yaml": f"{MAP}deep: {'[' * DEEP}{']' * DEEP}\n"}, {"failed", "unknown"}),
        ({"app/x.yaml": f"{MAP}deep: {'{a: ' * 9000}1{'}' * 9000}\n"}, {"done", "failed", "unknown"}),
        ({"app/x.yaml": MAP + "".join(f"{' ' * n}a:\n" for n in range(5000))}, {"done", "failed", "unknown"}),
        ({"app/x.yaml": MAP + BOMB}, {"failed", "unknown"}),
        ({"app/x.yaml": MAP, "app/" + "d/" * 300 + "x.yaml": MAP}, {"unknown"}),
        (
            {f"k{n}/kustomization.yaml": f"resources: [../k{n + 1}]" for n in range(2000)}
            | {"app/kustomization.yaml": "resources: [../k0]", "k2000/kustomization.yaml": "resources: []"},
            {"done", "failed", "unknown"},
        ),
        ({"app/x.yaml": "\0" * (130 << 20)}, {"unknown"}),
    ],
    ids=["files", "too many", "objects", "deep", "less deep", "indented", "aliases", "folders", "bases", "bytes"],
)
def test_it_ends_within_a_minute(place: Place, files: dict[str, str], ends: set[str]) -> None:
    """In a verdict or in a clear word that there is none; a machine that has much else to do counts as such."""
    content = packed(files)
    before, busy = time.monotonic(), os.times().children_user + os.times().children_system

    lines, written = artifact(place, content)

    used = os.times().children_user + os.times().children_system - busy
    last = lines[-1] if lines and lines[-1].keys() & {"done", "failed", "unknown"} else {"unknown": "ended"}
    assert last.keys() & ends, written[-500:]
    assert used < 60, (used, time.monotonic() - before)
