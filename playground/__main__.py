"""`python -m playground`: the local cluster, for a person at a terminal."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from playground.binaries import BrokenBuildError, open_build, provide
from playground.cluster import Cluster, Options
from playground.compilation import BuildError
from playground.port import NoFreePortsError
from playground.process import ProcessDiedError
from playground.progress import Progress
from playground.toolchain import NoGoError
from playground.toolset import CLUSTER, FLUX_BUILD, FLUX_OPERATOR, MONITORING
from playground.waiting import WaitTimeoutError
from playground.wheels import PLATFORMS, build_wheels

EXPECTED_ERRORS = (
    BuildError,
    NoGoError,
    NoFreePortsError,
    ProcessDiedError,
    WaitTimeoutError,
    BrokenBuildError,
    OSError,  # no git, a full disk, a cache that may not be written: the system says which
)
"""Errors whose message says all a person needs; anything else is a bug and shows its traceback."""
TOOLSETS = {"cluster": CLUSTER, "monitoring": MONITORING, "flux-operator": FLUX_OPERATOR, "flux-build": FLUX_BUILD}
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
CHECK_INTERVAL = 1.0
"""Seconds between two looks at whether every component, and who started them, still runs."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line, run the command, return the exit code."""
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if options.command == "build":
        rest += set(options.toolsets) - TOOLSETS.keys()
    if options.command == "wheels":
        rest += set(options.platforms) - PLATFORMS.keys()
    if rest and options.command != "demo":
        parser.error(f"unknown: {' '.join(rest)}")
    # As Ctrl-C does: leave through the `with` blocks, which stop everything.
    for number in SIGNALS:
        signal.signal(number, _interrupt)
    threading.Thread(target=_end_with, args=(os.getppid(),), name="parent", daemon=True).start()
    try:
        if options.command == "build":
            return _build(options.toolsets)
        if options.command == "wheels":
            print(*build_wheels(options.target, Progress(), options.platforms), sep="\n")
            return 0
        if options.command == "demo":
            return _demo(rest)
        return _up(options)
    except EXPECTED_ERRORS as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m playground",
        description="A real Kubernetes control plane and real Flux as plain processes on loopback, no containers.",
        epilog="The first use builds the programs with Go: 8 to 10 minutes. Later starts take seconds.",
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    up = commands.add_parser(
        "up",
        help="start a cluster and keep it running until Ctrl-C",
        description="Start a cluster, print how to use it, keep it running until Ctrl-C.",
    )
    up.add_argument("--nodes", type=int, default=1, metavar="N", help="number of fake nodes (default: 1)")
    up.add_argument("--no-flux", action="store_true", help="without Flux's controllers; its CRDs are installed")
    up.add_argument("--keep", action="store_true", help="leave the state directory, with all logs, at the end")
    up.add_argument(
        "--arg",
        action="append",
        default=[],
        metavar="COMPONENT=ARGUMENT",
        type=_component_argument,
        help="one more argument for a component; may be repeated:"
        " --arg kustomize-controller=--feature-gates=CancelHealthCheckOnNewRevision=true",
    )
    build = commands.add_parser(
        "build",
        help="only build the programs, or check the built ones",
        description="Build the programs into the cache, or check every file of an earlier build by its hash:"
        " those of the cluster, and Prometheus, Alertmanager and Flux Operator, which the tests need.",
    )
    build.add_argument("toolsets", nargs="*", metavar="TOOLSET", help=f"{' or '.join(TOOLSETS)} (default: all)")
    wheels = commands.add_parser(
        "wheels",
        help="build a wheel for each platform",
        description="Compile flux-build for each platform, and build a wheel with it: one or two minutes each.",
    )
    wheels.add_argument("platforms", nargs="*", metavar="OS/ARCH", help=f"{' or '.join(PLATFORMS)} (default: all)")
    wheels.add_argument("--target", type=Path, default=Path("dist"), metavar="DIR", help="where to (default: dist)")
    # Its options are its own; it shows them itself.
    commands.add_parser(
        "demo",
        help="the story on a cluster of its own: delivered, broken, rolled back, fixed",
        add_help=False,
    )
    return parser


def _component_argument(text: str) -> tuple[str, str]:
    name, separator, argument = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r} is not COMPONENT=ARGUMENT")
    return name, argument


def _up(options: argparse.Namespace) -> int:
    extra: dict[str, list[str]] = {}
    for name, argument in options.arg:
        extra.setdefault(name, []).append(argument)
    wanted = Options(nodes=options.nodes, flux=not options.no_flux, extra_args=extra, keep=options.keep)
    with Cluster(wanted) as cluster:
        cluster.git.repository("playground").commit({"README.md": "Push here.\n"}, "Begin")
        print(_instructions(cluster), flush=True)
        try:
            _run_on(cluster)
        except KeyboardInterrupt:
            print("\nStopping ...", file=sys.stderr)
    if options.keep:
        print(f"Kept: {cluster.state}")
    return 0


def _instructions(cluster: Cluster) -> str:
    kubernetes = cluster.versions["k8s.io/kubernetes"]
    return f"""
Kubernetes {kubernetes} with Flux at {cluster.server}

  export KUBECONFIG={cluster.kubeconfig}
  {cluster.kubectl} get nodes

  Git:     {cluster.git.url}/playground.git  (clone it, push to it; branch main)
  Events:  {cluster.events_url}
  Logs:    {cluster.state / "logs"}

Pods become Ready by themselves; with the image tag `never-ready` they never do.
Ctrl-C stops everything.
"""


def _run_on(cluster: Cluster) -> None:
    """Block until a component dies, which is an error, or the person has had enough."""
    enough = threading.Event()
    while not enough.wait(CHECK_INTERVAL):
        cluster.check()


def _build(names: Sequence[str]) -> int:
    progress = Progress()
    for name in names or TOOLSETS:
        binaries = provide(progress, tools=TOOLSETS[name])
        with progress.timed("Checked"):
            open_build(binaries.directory, thorough=True)
        print(binaries.directory)
    return 0


def _demo(arguments: Sequence[str]) -> int:
    # The demo needs more of the project than the cluster does, so it is imported only when it is asked for.
    from playground.demo import main as demo  # noqa: PLC0415

    return demo(arguments)


def _end_with(parent: int) -> None:
    """Stop everything when the process that started this one dies, a `make` that was killed for example."""
    while os.getppid() == parent:
        time.sleep(CHECK_INTERVAL)
    os.kill(os.getpid(), signal.SIGTERM)


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    # Stopping takes less than a second; a second Ctrl-C must not cut it short and leave files behind.
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
