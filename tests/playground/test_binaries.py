"""The build cache: built once, never used half-built."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from playground.assets import FLUX_CRDS, KWOK, KWOK_STAGES, read_assets
from playground.binaries import Binaries, BrokenBuildError, build_key, inputs_key, open_build, provide
from playground.cache import exclusive
from playground.compilation import BuildError
from playground.progress import Progress
from playground.toolset import CLUSTER, FLUX_OPERATOR, MONITORING
from playground.waiting import wait_until
from tests.playground.fake_go import FakeGo
from tests.playground.running import ROOT, is_running

QUIET = Progress(quiet=True)


def build(go: FakeGo, cache: Path, progress: Progress = QUIET) -> Binaries:
    return provide(progress, cache=cache, tools=go.tools)


def test_programs_are_built_once(fake_go: FakeGo, tmp_path: Path) -> None:
    """A second request finds the first one's build and compiles nothing."""
    first = build(fake_go, tmp_path)
    second = build(fake_go, tmp_path)

    assert first == second
    assert fake_go.builds() == 1
    assert first.program("etcd").read_text() == "etcd"
    assert first.versions["k8s.io/kubernetes"] == "v1.2.3"


def test_a_later_start_needs_no_go(fake_go: FakeGo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a complete build in the cache, Go is not even looked for."""
    first = build(fake_go, tmp_path)
    monkeypatch.setenv("PATH", "/nowhere")

    assert build(fake_go, tmp_path) == first


def test_manifests_of_the_modules_are_kept_with_the_programs(fake_go: FakeGo, tmp_path: Path) -> None:
    """CRDs and stages are copied out of the modules, so that Go's own cache may be cleared."""
    built = build(fake_go, tmp_path)

    assert [crd["kind"] for crd in read_assets(built.asset(FLUX_CRDS))] == ["CRD"] * 3
    assert [stage["kind"] for stage in read_assets(built.asset(KWOK_STAGES))] == ["Stage"] * 2


def test_a_file_that_a_module_embeds_and_lacks_is_made_in_a_copy(fake_go: FakeGo, tmp_path: Path) -> None:
    """Go builds from the copy, which is complete; its own cache stays as it was."""
    page = "web/dist/index.html"
    provide(QUIET, cache=tmp_path, tools=replace(fake_go.tools, embedded={KWOK: page}))

    assert (fake_go.home / "replaced" / page).read_text() == ""
    assert (fake_go.home / "replaced/kustomize/stage/node/fast/one.yaml").exists()
    assert not (fake_go.home / "modules" / KWOK / page).exists()


@pytest.mark.parametrize("name", ["go.mod", "go.sum"])
def test_other_modules_are_another_build(fake_go: FakeGo, name: str) -> None:
    """The key follows the contents of go.mod and of go.sum."""
    before = inputs_key(fake_go.tools)
    (fake_go.module / name).write_text("something else")

    assert inputs_key(fake_go.tools) != before


def test_another_go_is_another_build(fake_go: FakeGo) -> None:
    """The key names the Go version."""
    assert build_key(fake_go.tools, "go1.26.1") != build_key(fake_go.tools, "go1.27.0")


def test_a_failed_build_leaves_nothing_and_says_why(fake_go: FakeGo, tmp_path: Path) -> None:
    """The compiler's last words are in the error, and the next try starts afresh."""
    fake_go.set("fail")
    with pytest.raises(BuildError, match="it does not compile"):
        build(fake_go, tmp_path)
    fake_go.unset("fail")

    assert not list((tmp_path / "playground").glob("*go1*"))
    assert not list((tmp_path / "playground").glob("building-*"))
    assert build(fake_go, tmp_path).program("kubectl").exists()


def test_a_killed_build_is_redone(fake_go: FakeGo, tmp_path: Path) -> None:
    """SIGKILL in the middle: the compiler dies too, the half-built directory is removed and never used."""
    fake_go.set("hang")
    code = (
        "import sys; from pathlib import Path; from playground.binaries import provide;"
        "from playground.progress import Progress; from tests.playground.fake_go import FakeGo;"
        f"go = FakeGo(Path({str(fake_go.home)!r}), Path({str(fake_go.module)!r}));"
        f"provide(Progress(), cache=Path({str(tmp_path)!r}), tools=go.tools)"
    )
    builder = subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": str(ROOT)})
    pid_file = fake_go.home / "pid"
    wait_until(lambda: pid_file.exists() and pid_file.read_text(), 60, "the build to begin")
    builder.send_signal(signal.SIGKILL)
    builder.wait(60)
    wait_until(lambda: not is_running(int(pid_file.read_text())), 60, "the compiler to die")
    assert list((tmp_path / "playground").glob("building-*"))
    fake_go.unset("hang")

    built = build(fake_go, tmp_path)

    assert built.program("kubectl").exists()
    assert not list((tmp_path / "playground").glob("building-*"))
    assert fake_go.builds() == 2


def test_a_truncated_program_is_rebuilt(fake_go: FakeGo, tmp_path: Path) -> None:
    """A file of another size than the manifest says makes the build no build."""
    built = build(fake_go, tmp_path)
    built.program("etcd").write_text("")

    again = build(fake_go, tmp_path)

    assert again.program("etcd").read_text() == "etcd"
    assert fake_go.builds() == 2


def test_a_build_without_manifest_is_rebuilt(fake_go: FakeGo, tmp_path: Path) -> None:
    """The manifest is written last; without it the directory is not a build."""
    built = build(fake_go, tmp_path)
    (built.directory / "manifest.json").unlink()

    build(fake_go, tmp_path)

    assert fake_go.builds() == 2


def test_a_changed_program_of_the_same_size_is_noticed_by_its_hash(fake_go: FakeGo, tmp_path: Path) -> None:
    """The thorough check reads every file."""
    built = build(fake_go, tmp_path)
    built.program("etcd").write_text("ETCD")

    open_build(built.directory)
    with pytest.raises(BrokenBuildError, match="is not what was built"):
        open_build(built.directory, thorough=True)


def test_a_second_builder_waits_for_the_first(fake_go: FakeGo, tmp_path: Path) -> None:
    """While another process holds the lock, a message says so, and nothing is built."""
    shown = io.StringIO()
    results: list[Binaries] = []
    waiter = threading.Thread(target=lambda: results.append(build(fake_go, tmp_path, Progress(shown))))

    with exclusive(tmp_path / "playground" / "build.lock", lambda: None):
        waiter.start()
        wait_until(lambda: "waiting for it" in shown.getvalue(), 60, "the second builder's message")
        builds_meanwhile = fake_go.builds()
    waiter.join(60)

    assert builds_meanwhile == 0
    assert results[0].program("kubectl").exists()


def test_progress_is_shown_in_a_pipe(fake_go: FakeGo, tmp_path: Path) -> None:
    """What is done, how long it usually takes, how long it took."""
    shown = io.StringIO()

    build(fake_go, tmp_path, Progress(shown))

    assert "8 to 10 minutes the first time" in shown.getvalue()
    assert "Built in " in shown.getvalue()


def test_other_build_tags_are_another_build(fake_go: FakeGo) -> None:
    """What is compiled in or left out is part of the key."""
    assert inputs_key(replace(fake_go.tools, tags=("small",))) != inputs_key(fake_go.tools)


def test_what_only_tests_need_is_a_build_of_its_own() -> None:
    """A demo never waits for Prometheus or Flux Operator to be compiled."""
    assert len({inputs_key(tools) for tools in (CLUSTER, MONITORING, FLUX_OPERATOR)}) == 3
    assert "flux-operator" not in (CLUSTER.module / "go.mod").read_text()
    assert "prometheus/prometheus" not in (CLUSTER.module / "go.mod").read_text()
