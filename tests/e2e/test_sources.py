"""Sources that keep no commits, with the real source-controller: an OCIRepository and a Bucket."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.artifact_server import ArtifactServer, artifact_server
from tests.support.flux_objects import (
    GROUPS,
    Object,
    Workspace,
    assert_same_second,
    condition,
    config_map,
    deployment,
    verdict,
)
from tests.support.operator_process import OperatorProcess

pytestmark = pytest.mark.e2e


@pytest.fixture
def artifacts() -> Iterator[ArtifactServer]:
    """A registry and an S3 server."""
    with artifact_server() as running:
        yield running


def spec_of(kind: str, artifacts: ArtifactServer) -> Object:
    """The spec of a source of a kind that looks at the server every two seconds."""
    where: dict[str, Object] = {
        "oci": {"url": f"oci://{artifacts.address}/shop", "ref": {"tag": "latest"}},
        "bucket": {"provider": "generic", "endpoint": artifacts.address, "bucketName": "shop"},
    }
    return {"interval": "2s", "insecure": True, **where[kind]}


@pytest.mark.parametrize("kind", ["oci", "bucket"])
def test_a_source_without_commits_is_judged_from_its_artifact_on(
    operator: OperatorProcess, workspace: Workspace, artifacts: ArtifactServer, kind: str
) -> None:
    """What is delivered is told by its digest, timed by the artifact, and not rolled back when it fails."""
    artifacts.put("shop", {"deploy/settings.yaml": config_map(color="blue")})
    workspace.write(kind, "shop", spec_of(kind, artifacts))
    workspace.kustomization("shop", sourceRef={"kind": GROUPS[kind][1], "name": "shop"})
    workspace.contract("shop")
    first = workspace.wait("shop", lambda s: s.get("lastGoodRevision"), "the first content to be good")

    artifacts.put("shop", {"deploy/settings.yaml": config_map(color="red")})
    status = workspace.wait(
        "shop", lambda s: s.get("lastGoodRevision") != first["lastGoodRevision"], "the second content to be good"
    )

    artifact = workspace.get(kind, "shop")["status"]["artifact"]
    ready, stages = condition(status, "Ready"), status["delivery"]["stages"]
    assert workspace.get("configmap", "settings")["data"] == {"color": "red"}
    assert status["delivery"]["revision"] == status["lastGoodRevision"] == artifact["revision"]
    assert "sha256:" in artifact["revision"]
    assert (ready["status"], ready["reason"]) == ("True", "PartlyMeasured")
    assert (verdict(status, "Detection"), verdict(status, "Reconciliation")) == ("Unknown", "Kept")
    assert GROUPS[kind][1] in status["delivery"]["commitProblem"]
    assert "committed" not in stages
    assert_same_second(stages["detected"]["at"], artifact["lastUpdateTime"])
    assert_same_second(
        stages["healthy"]["at"], condition(workspace.get("kustomization", "shop"), "Ready")["lastTransitionTime"]
    )

    artifacts.put("shop", {"deploy/web.yaml": deployment("never-ready")})

    said = workspace.wait_reason("shop", "SourceNotPinnable", "RolledBack")
    assert GROUPS[kind][1] in said["message"]
    assert workspace.get("kustomization", "shop")["spec"]["sourceRef"] == {"kind": GROUPS[kind][1], "name": "shop"}
