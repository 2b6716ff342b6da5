"""An operator that watches named namespaces only, with the rights of the deployed one."""

from __future__ import annotations

import pytest

from playground.cluster import Cluster
from tests.support.flux_objects import Workspace, config_map, new_namespace
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e


def test_it_starts_at_once_and_looks_nowhere_else(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace
) -> None:
    """It may not list namespaces; kopf tries to for minutes before it takes them as they are named."""
    with new_namespace(cluster) as other:
        operator = start_operator(f"--namespace={workspace.namespace}")
        for place in (other, workspace):
            repository = place.repository("shop")
            sha = repository.commit({"deploy/settings.yaml": config_map(a="1")}, "First")
            place.follow("shop", repository)

        workspace.wait_good("shop", sha)

        assert "conditions" not in other.get("contract", "shop").get("status", {})
        assert "will retry" not in operator.log.read_text()
