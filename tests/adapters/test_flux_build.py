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

from playground.waiting import wait_until
from tests.support.hostile_trees import CANARY, HOSTILE, MAP, REMOTE
from tests.support.programs import flux_build

pytestmark = pytest.mark.slow


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


# Trees ------------------------------------------------------------------------------------------------------------


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
    """The program tries what it may not do, and says what holds; all of its threads are bound before it reads."""
    (place.folder / "open").write_text(CANARY)
    with (
        (place.folder / "open").open() as inherited,
        subprocess.Popen(
            [flux_build(), str(place.work)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=[inherited.fileno()],
            env={},
        ) as running,
    ):
        process = Path("/proc", str(running.pid))
        wait_until(lambda: settled(process), 60, "it to wait for a request")
        threads = [(task / "status").read_text() for task in (process / "task").iterdir()]
        files = [str(link.readlink()) for link in (process / "fd").iterdir()]
        output = running.communicate(b"{}")[0].splitlines()

    confinement = json.loads(output[0])["confinement"]
    assert confinement["seccomp"] is True
    assert confinement["landlock"] >= 1
    for status in threads:
        assert "NoNewPrivs:\t1" in status
        assert "Seccomp:\t2" in status
    assert str(place.folder / "open") not in files


def settled(process: Path) -> bool:
    """Whether every thread of a process sleeps, the filter in force."""
    tasks = [(task / "status").read_text() for task in (process / "task").iterdir()]
    return all("Seccomp:\t2" in task for task in tasks) and all("State:\tS" in task for task in tasks)


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
