"""What is built together: the programs of the cluster, and those that only some tests need."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from playground import assets

_GO = Path(__file__).parent / "go"


def _no_assets(_modules: Mapping[str, Path], _target: Path) -> None:
    """Take nothing out of the modules."""


@dataclass(frozen=True, kw_only=True)
class Toolset:
    """A module whose programs are built by one `go build`, and what is special about it."""

    module: Path
    title: str
    """For a person who waits."""
    usual_time: str
    components: tuple[str, ...]
    """Go modules whose versions are kept with the build."""
    packages: str = "tool"
    """What is built of the module: its tools, or a package."""
    tags: tuple[str, ...] = ()
    """Build tags."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Programs whose Go package has another name than the program."""
    embedded: Mapping[str, str] = field(default_factory=dict)
    """A file, by module, that its source embeds and that is not in the module; an empty one stands in for it."""
    write_assets: Callable[[Mapping[str, Path], Path], None] = _no_assets
    """Takes manifests out of the modules' folders into the build."""


CLUSTER = Toolset(
    module=_GO,
    title="the cluster's programs",
    usual_time="8 to 10 minutes the first time on 2 cores; seconds when Go's own cache is warm",
    components=(*assets.FLUX, assets.KWOK, "k8s.io/kubernetes", "go.etcd.io/etcd/server/v3"),
    names={"server": "etcd"},
    write_assets=assets.write_assets,
)
MONITORING = Toolset(
    module=_GO / "monitoring",
    title="Prometheus and Alertmanager for the tests",
    usual_time="3 to 5 minutes the first time on 2 cores; seconds when Go's own cache is warm",
    components=("github.com/prometheus/prometheus", "github.com/prometheus/alertmanager"),
    # No discovery of targets in clouds: a list in a file is enough, and some of their modules are not to be had.
    tags=("remove_all_sd",),
)
"""Without their web pages, which are no part of the Go modules."""
FLUX_OPERATOR = Toolset(
    module=_GO / "flux-operator",
    title="Flux Operator for the tests",
    usual_time="1 to 3 minutes after the cluster's programs on 2 cores; seconds when Go's own cache is warm",
    components=(assets.FLUX_OPERATOR,),
    names={"operator": "flux-operator"},
    embedded={assets.FLUX_OPERATOR: "web/dist/index.html"},
    write_assets=assets.write_flux_operator_crds,
)
"""Without its web pages, which are no part of the Go module. It is no newer than Go 1.26 can build."""
FLUX_BUILD = Toolset(
    module=Path(__file__).parents[1] / "operator" / "flux-build",
    title="flux-build",
    usual_time="1 to 2 minutes the first time on 2 cores; seconds when Go's own cache is warm",
    components=("github.com/fluxcd/kustomize-controller/api",),
    packages=".",
)
"""The operator's own program that builds manifests."""
