"""The real Flux Operator as a process: what it tells of everything that is labelled as Flux's."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from playground.assets import FLUX_OPERATOR_CRDS, read_assets
from playground.binaries import Binaries, provide
from playground.cache import cache_directory
from playground.cluster import Cluster
from playground.component import FLUX_NAMESPACE
from playground.population import CRDS, install_crds
from playground.port import reserve
from playground.process import Process, Starter
from playground.progress import Progress
from playground.toolset import FLUX_OPERATOR
from playground.waiting import wait_until
from tests.support.operator_process import fetch

START = 60.0
"""Seconds to become ready."""
REPORT = f"/apis/fluxcd.controlplane.io/v1/namespaces/{FLUX_NAMESPACE}/fluxreports/flux"
_ENTITLEMENT = f"/api/v1/namespaces/{FLUX_NAMESPACE}/secrets/flux-operator-entitlement"
"""It writes this Secret at its first start."""
_LABEL = re.compile(r'(\w+)="([^"]*)"')


class FluxOperator:
    """Asked for its report and its metrics."""

    def __init__(self, cluster: Cluster, metrics: str) -> None:
        self._cluster = cluster
        self._metrics = metrics

    def reported(self, kind: str) -> dict[str, Any]:
        """The report's entry for a kind; empty while there is none."""
        report = self._cluster.api.find(REPORT) or {}
        entries = report.get("spec", {}).get("reconcilers", [])
        return next((dict(entry) for entry in entries if entry["kind"] == kind), {})

    def labels(self, kind: str, name: str) -> dict[str, str]:
        """The labels of an object's series of `flux_resource_info`; empty while there is none."""
        lines = fetch(f"{self._metrics}/metrics")[1].splitlines()
        found = [dict(_LABEL.findall(line)) for line in lines if line.startswith("flux_resource_info{")]
        return next((labels for labels in found if (labels["kind"], labels["name"]) == (kind, name)), {})


@contextlib.contextmanager
def flux_operator(cluster: Cluster, folder: Path) -> Iterator[FluxOperator]:
    """Run it with its CRDs and without its web server; it reports each second. Ended with the context."""
    programs = provide(Progress(), tools=FLUX_OPERATOR)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_installed(cluster, programs))
        ports = stack.enter_context(reserve(cache_directory() / "ports", ("health", "metrics")))
        health, metrics = (f"127.0.0.1:{ports[name]}" for name in ("health", "metrics"))
        starter = Starter()
        stack.callback(starter.close)
        process = Process(
            "flux-operator",
            [
                str(programs.program("flux-operator")),
                f"--health-addr={health}",
                f"--metrics-addr={metrics}",
                "--enable-leader-election=false",
                "--reporting-interval=1s",
                f"--storage-path={folder}",
                "--web-server-port=0",  # it would listen on all addresses
            ],
            # It ends at once without Go's FIPS mode.
            env={"PATH": os.environ["PATH"], "KUBECONFIG": str(cluster.kubeconfig), "GODEBUG": "fips140=on"},
            log=folder / "flux-operator.log",
            starter=starter,
        )
        stack.callback(process.stop)
        process.start()

        def ready() -> bool:
            process.check()
            return fetch(f"http://{health}/readyz")[0] == 200

        wait_until(ready, START, f"Flux Operator to be ready (log: {process.log})")
        yield FluxOperator(cluster, f"http://{metrics}")


@contextlib.contextmanager
def _installed(cluster: Cluster, programs: Binaries) -> Iterator[None]:
    """Its CRDs; at the end they are gone again, and what it wrote, too."""
    crds = read_assets(programs.asset(FLUX_OPERATOR_CRDS))
    install_crds(cluster.api, crds)
    yield
    cluster.api.delete(_ENTITLEMENT)
    for crd in crds:
        cluster.api.delete(f"{CRDS}/{crd['metadata']['name']}")
