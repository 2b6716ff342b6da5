"""A cluster without Flux, in which Flux is installed later."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from playground.binaries import provide
from playground.cluster import Cluster, Options
from playground.population import install_flux_crds
from playground.progress import Progress
from playground.waiting import wait_until
from tests.support.flux_objects import CRD, PATIENCE, Workspace, new_namespace
from tests.support.operator_process import operator_process

pytestmark = pytest.mark.e2e

DEPLOY = Path(__file__).parents[2] / "deploy"


@pytest.fixture
def bare() -> Iterator[Workspace]:
    """A namespace of a cluster that knows nothing of Flux."""
    with Cluster(Options(flux=False, flux_crds=False)) as cluster:
        cluster.kubectl_run("apply", "-k", str(DEPLOY))
        wait_until(lambda: cluster.api.find(f"{CRD}?limit=1"), 30, "the contracts to be served")
        with new_namespace(cluster) as workspace:
            yield workspace


def test_flux_can_be_installed_later(bare: Workspace, tmp_path: Path) -> None:
    """Without Flux a contract says so; once Flux is installed it goes on, and the operator keeps running."""
    with operator_process(bare.cluster, tmp_path / "operator.log") as operator:
        operator.start()
        bare.contract("shop")
        told = bare.wait_reason("shop", "FluxMissing")
        pid = operator.pid

        install_flux_crds(bare.api, provide(Progress()))

        assert "install Flux" in told["message"]
        bare.wait_reason("shop", "KustomizationNotFound")
        bare.kustomization("shop")
        bare.wait_reason("shop", "SourceNotFound")
        bare.source("shop", bare.repository("shop").url)
        bare.wait_reason("shop", "SourceNotReady")
        assert operator.pid == pid
        wait_until(lambda: operator.sample("flux_contract_info", name="shop") == 1, PATIENCE, "the metric")
