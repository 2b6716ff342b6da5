"""Real releases of a real project, delivered one after the other and recorded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.flux_objects import Object, Workspace, verdict
from tests.support.flux_objects_watch import Recorder, Sighting

NAME = "podinfo"
STILL = "still"
"""A contract beside it for which nothing ever changes."""


@dataclass
class Releases:
    """What the deliveries left behind."""

    versions: list[str]
    """In the order of delivery."""
    commits: dict[str, str] = field(default_factory=dict)
    """Hash by version."""
    statuses: dict[str, Object] = field(default_factory=dict)
    """By version: the contract's status when its delivery was over."""
    contracts: list[Sighting] = field(default_factory=list)
    """Every version of the contract."""
    kustomizations: list[Sighting] = field(default_factory=list)
    """Every version of the Kustomization."""
    still: list[Sighting] = field(default_factory=list)
    """Every version of the contract for which nothing changed, from when it was at rest."""


def find_versions(folder: Path) -> list[str]:
    """The releases in a folder, the oldest first."""
    found = [path.name for path in folder.iterdir() if (path / "kustomization.yaml").is_file()]
    return sorted(found, key=lambda name: [int(part) for part in name.split(".")])


def deliver(workspace: Workspace, folder: Path) -> Releases:
    """Deliver every release, each when the one before is judged; beside it, have Flux look at what stands still."""
    releases = Releases(find_versions(folder))
    quiet = workspace.repository(STILL)
    rest = quiet.commit(
        {"deploy/settings.yaml": "{apiVersion: v1, kind: ConfigMap, metadata: {name: still}}"}, "Rest"
    )
    workspace.follow(STILL, quiet)
    workspace.wait_good(STILL, rest)
    # The operator's own look at Git comes last.
    workspace.wait(STILL, lambda s: "seen" in s["delivery"]["stages"], "our own look at Git")
    repository = workspace.repository(NAME)
    with Recorder(workspace, "contract") as contracts, Recorder(workspace, "kustomization") as kustomizations:
        for version in releases.versions:
            files = {f"deploy/{path.name}": path.read_text() for path in (folder / version).iterdir()}
            sha = releases.commits[version] = repository.commit(files, f"Release {version}")
            if version == releases.versions[0]:
                workspace.follow(NAME, repository, timeout="3m")
            workspace.request("source", NAME)
            workspace.request("kustomization", STILL)
            releases.statuses[version] = workspace.wait(
                NAME, lambda s, sha=sha: _over(s, sha), f"{version} to arrive"
            )
    releases.contracts = list(contracts.sightings(NAME))
    releases.kustomizations = list(kustomizations.sightings(NAME))
    releases.still = list(contracts.sightings(STILL))
    return releases


def _over(status: Object, sha: str) -> bool:
    delivery = status.get("delivery", {})
    return sha in delivery.get("revision", "") and verdict(status, "Reconciliation") not in ("", "Pending")
