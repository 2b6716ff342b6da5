"""Nothing of a cluster remains, however it ends."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from playground.cluster import Cluster, Options
from playground.component import CONTROL_PLANE, FLUX, KUBERNETES
from playground.process import ProcessDiedError
from playground.progress import Progress
from playground.waiting import wait_until
from tests.playground.running import children_of, in_another_process, is_running, pids_of

pytestmark = [
    pytest.mark.e2e,
    # The first cluster on a machine builds the programs.
    pytest.mark.timeout(1800),
]

LIMIT = 180.0
"""Seconds for what takes a few; the machine may be busy."""
PROGRAM = """
import json, signal
from playground.cluster import Cluster
with Cluster() as cluster:
    pids = [cluster.pid(name) for name in cluster.components]
    print(json.dumps({"pids": pids, "state": str(cluster.state)}), flush=True)
    signal.pause()
"""


def test_two_run_side_by_side_and_stop_without_a_trace() -> None:
    """Two clusters share nothing; when one ends its processes and its directory are gone, the other runs on."""
    small, quiet = Options(flux=False, flux_crds=False), Progress(quiet=True)

    with Cluster(small, progress=quiet) as first:
        first.kubectl_run("create", "configmap", "mine")
        with Cluster(Options(nodes=2), progress=quiet) as second:
            assert not set(first.ports.values()) & set(second.ports.values())
            assert len(second.api.get("/api/v1/nodes")["items"]) == 2
            assert second.api.find("/api/v1/namespaces/default/configmaps/mine") is None
            assert tuple(first.components) == (*CONTROL_PLANE, *KUBERNETES)
            pids, state = pids_of(second), second.state

        assert not [pid for pid in pids if is_running(pid)]
        assert not state.exists()
        first.check()
        assert first.api.find("/api/v1/namespaces/default/configmaps/mine") is not None


def test_nothing_survives_a_killed_parent() -> None:
    """SIGKILL, which nothing can catch: every component dies; the next cluster removes the directory."""
    with in_another_process("-c", PROGRAM) as parent:
        assert parent.stdout is not None
        told = json.loads(parent.stdout.readline())
        assert all(is_running(pid) for pid in told["pids"])

        parent.send_signal(signal.SIGKILL)
        parent.wait(60)

    wait_until(lambda: not [pid for pid in told["pids"] if is_running(pid)], LIMIT, "all components to die")
    with Cluster(Options(flux=False, flux_crds=False, nodes=0), progress=Progress(quiet=True)):
        assert not Path(told["state"]).exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_the_command_line_stops_everything_when_told(number: signal.Signals) -> None:
    """`up` prints how to use the cluster; Ctrl-C, SIGTERM and a closed terminal end it cleanly."""
    with in_another_process("-m", "playground", "up") as command:
        assert command.stdout is not None
        shown = []
        for line in command.stdout:
            shown.append(line)
            if "Ctrl-C stops everything" in line:
                break
        text = "".join(shown)
        kubeconfig = Path(text.split("KUBECONFIG=")[1].split()[0])
        children = children_of(command.pid)
        assert kubeconfig.exists()
        assert len(children) == len((*CONTROL_PLANE, *KUBERNETES, *FLUX))

        command.send_signal(number)
        command.wait(60)

    assert not [pid for pid in children if is_running(pid)]
    assert not kubeconfig.parent.exists()


WITHOUT_GIT = """
import os, sys
from playground.__main__ import main
os.environ["PATH"] = ""
sys.stderr = sys.stdout
sys.exit(main(["up"]))
"""
SHELL = """
import subprocess, sys
command = subprocess.Popen([sys.executable, "-m", "playground", "up"], stdout=subprocess.PIPE, text=True)
print(command.pid, flush=True)
for line in command.stdout:
    print(line, end="", flush=True)
"""


def test_the_command_line_ends_with_whoever_started_it() -> None:
    """A `make` or a runner that is killed leaves no cluster behind."""
    with in_another_process("-c", SHELL) as shell:
        assert shell.stdout is not None
        command = int(shell.stdout.readline())
        text = "".join(iter(shell.stdout.readline, "Ctrl-C stops everything.\n"))
        kubeconfig = Path(text.split("KUBECONFIG=")[1].split()[0])
        children = children_of(command)
        assert children

        shell.send_signal(signal.SIGKILL)
        shell.wait(60)

    left = [command, *children]
    wait_until(lambda: not [pid for pid in left if is_running(pid)], LIMIT, "the command and all components to end")
    assert not kubeconfig.parent.exists()


def test_a_machine_without_git_is_told_so(tmp_path: Path) -> None:
    """One line, without a traceback."""
    with in_another_process("-c", WITHOUT_GIT, TMPDIR=str(tmp_path)) as command:
        assert command.stdout is not None
        said = command.stdout.read()

    assert command.returncode == 1
    assert said == "\ngit is not on PATH; the playground's Git server needs it\n"


def test_an_impatient_person_leaves_nothing(tmp_path: Path) -> None:
    """Ctrl-C again and again while the API server still starts: everything stops and is removed all the same."""
    with in_another_process("-m", "playground", "up", TMPDIR=str(tmp_path)) as command:
        wait_until(lambda: children_of(command.pid, "kube-apiserver"), LIMIT, "the API server to be started")
        children = children_of(command.pid)

        def ended() -> bool:
            command.send_signal(signal.SIGINT)
            return command.poll() is not None

        wait_until(ended, LIMIT, "the command to end", interval=0.005)

    assert command.returncode == 130
    assert not [pid for pid in children if is_running(pid)]
    assert list(tmp_path.iterdir()) == []


def test_a_start_that_fails_shows_the_log_and_leaves_nothing() -> None:
    """A wrong argument for one component: its last lines and its log's path are in the error."""
    options = Options(extra_args={"kustomize-controller": ["--no-such-flag"]})
    programs = ("etcd", "kube-apiserver", "kube-controller-manager", "kwok", "source-controller")
    before = children_of(os.getpid(), *programs)

    with pytest.raises(ProcessDiedError, match="unknown flag: --no-such-flag") as caught, Cluster(options):
        pass

    assert caught.value.name == "kustomize-controller"
    assert children_of(os.getpid(), *programs) == before
    assert not caught.value.log.exists()


def test_impossible_options_are_refused() -> None:
    """Before anything starts."""
    with pytest.raises(ValueError, match="without Flux's CRDs"):
        Options(flux_crds=False)
    with pytest.raises(ValueError, match="no such component: kubelet"):
        Options(extra_args={"kubelet": []})
