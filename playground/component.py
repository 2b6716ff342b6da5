"""The command line of each program of the cluster, and where it says that it is ready."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from playground.credential import Access

ETCD = "etcd"
API_SERVER = "kube-apiserver"
CONTROLLER_MANAGER = "kube-controller-manager"
SCHEDULER = "kube-scheduler"
KWOK = "kwok"
SOURCE = "source-controller"
KUSTOMIZE = "kustomize-controller"
NOTIFICATION = "notification-controller"

CONTROL_PLANE = (ETCD, API_SERVER)
KUBERNETES = (CONTROLLER_MANAGER, SCHEDULER, KWOK)
FLUX = (NOTIFICATION, SOURCE, KUSTOMIZE)
"""In this order: the other two send their events to the first."""

FLUX_NAMESPACE = "flux-system"
LONG = "24h"
"""Longer than any cluster lives."""

PORTS = (
    ETCD,
    "etcd-peer",
    API_SERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    KWOK,
    "source-artifacts",
    "source-metrics",
    "source-health",
    "kustomize-metrics",
    "kustomize-health",
    "notification-events",
    "notification-webhooks",
    "notification-metrics",
    "notification-health",
    "git",
)


@dataclass(frozen=True)
class Layout:
    """Where everything of one cluster is: folders, ports, credentials."""

    state: Path
    programs: Path
    ports: Mapping[str, int]
    access: Access
    kubeconfigs: Mapping[str, Path]
    """One for each component that talks to the API server."""

    def address(self, port: str) -> str:
        """Return `127.0.0.1:PORT` of a port named in `PORTS`."""
        return f"127.0.0.1:{self.ports[port]}"

    @property
    def certificates(self) -> Path:
        """The folder where the API server writes its certificate and its key."""
        return self.state / "certificates"

    @property
    def certificate(self) -> Path:
        """The API server's certificate, followed by the CA that signed it."""
        return self.certificates / "apiserver.crt"

    @property
    def signing_key(self) -> Path:
        """The key that signs service account tokens."""
        return self.state / "service-account.key"

    @property
    def tokens(self) -> Path:
        """The API server's token file."""
        return self.state / "tokens.csv"

    @property
    def stages(self) -> Path:
        """Kwok's configuration: how pods and nodes live."""
        return self.state / "stages.json"


@dataclass(frozen=True)
class Component:
    """How to run one program."""

    name: str
    arguments: Sequence[str]
    health: str
    """A URL that answers 200 when it is ready."""
    environment: Mapping[str, str] = field(default_factory=dict)


def components(layout: Layout, *, flux: bool) -> list[Component]:
    """Return all components in the order they are to be started."""
    found = [_etcd(layout), _api_server(layout), _controller_manager(layout), _scheduler(layout), _kwok(layout)]
    if flux:
        found += [_notification(layout), _source(layout), _kustomize(layout)]
    return found


def _etcd(layout: Layout) -> Component:
    client, peer = f"http://{layout.address(ETCD)}", f"http://{layout.address('etcd-peer')}"
    arguments = (
        "--name=playground",
        f"--data-dir={layout.state / 'etcd'}",
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=playground={peer}",
        # The data need not survive a power failure, and a slow disk would make everything slow.
        "--unsafe-no-fsync",
    )
    return Component(ETCD, arguments, f"{client}/health")


def _api_server(layout: Layout) -> Component:
    arguments = (
        f"--etcd-servers=http://{layout.address(ETCD)}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        # The `kubernetes` Service cannot have a loopback endpoint; nothing here uses it.
        "--endpoint-reconciler-type=none",
        f"--secure-port={layout.ports[API_SERVER]}",
        f"--cert-dir={layout.certificates}",
        f"--service-account-key-file={layout.signing_key}",
        f"--service-account-signing-key-file={layout.signing_key}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--token-auth-file={layout.tokens}",
        "--authorization-mode=RBAC,Node",
        "--allow-privileged",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--profiling=false",
    )
    return Component(API_SERVER, arguments, f"https://{layout.address(API_SERVER)}/readyz")


def _serving(layout: Layout, name: str) -> tuple[str, ...]:
    """Options that Kubernetes' own controllers share; they serve with the API server's certificate."""
    return (
        f"--kubeconfig={layout.kubeconfigs[name]}",
        "--bind-address=127.0.0.1",
        f"--secure-port={layout.ports[name]}",
        f"--tls-cert-file={layout.certificate}",
        f"--tls-private-key-file={layout.certificates / 'apiserver.key'}",
        "--leader-elect=false",
        "--profiling=false",
    )


def _controller_manager(layout: Layout) -> Component:
    arguments = (
        *_serving(layout, CONTROLLER_MANAGER),
        f"--service-account-private-key-file={layout.signing_key}",
        f"--root-ca-file={layout.access.ca_file}",
        # Fake nodes send no heartbeats; without this a frozen API server would cost them their pods.
        f"--node-monitor-grace-period={LONG}",
    )
    return Component(CONTROLLER_MANAGER, arguments, f"https://{layout.address(CONTROLLER_MANAGER)}/healthz")


def _scheduler(layout: Layout) -> Component:
    return Component(SCHEDULER, _serving(layout, SCHEDULER), f"https://{layout.address(SCHEDULER)}/healthz")


def _kwok(layout: Layout) -> Component:
    arguments = (
        f"--kubeconfig={layout.kubeconfigs[KWOK]}",
        f"--config={layout.stages}",
        "--manage-all-nodes=true",
        "--node-ip=127.0.0.1",
        f"--server-address={layout.address(KWOK)}",
    )
    return Component(KWOK, arguments, f"http://{layout.address(KWOK)}/healthz")


def _flux(layout: Layout, name: str, *arguments: str) -> Component:
    short = name.removesuffix("-controller")
    shared = (
        f"--metrics-addr={layout.address(f'{short}-metrics')}",
        f"--health-addr={layout.address(f'{short}-health')}",
        "--watch-all-namespaces=true",
    )
    environment = {"KUBECONFIG": str(layout.kubeconfigs[name]), "RUNTIME_NAMESPACE": FLUX_NAMESPACE}
    health = f"http://{layout.address(f'{short}-health')}/readyz"
    return Component(name, (*shared, *arguments), health, environment)


def _notification(layout: Layout) -> Component:
    return _flux(
        layout,
        NOTIFICATION,
        f"--events-addr={layout.address('notification-events')}",
        f"--receiverAddr={layout.address('notification-webhooks')}",
    )


def _source(layout: Layout) -> Component:
    artifacts = layout.address("source-artifacts")
    return _flux(
        layout,
        SOURCE,
        f"--events-addr=http://{layout.address('notification-events')}/",
        f"--storage-path={layout.state / 'artifacts'}",
        f"--storage-addr={artifacts}",
        f"--storage-adv-addr={artifacts}",
    )


def _kustomize(layout: Layout) -> Component:
    return _flux(layout, KUSTOMIZE, f"--events-addr=http://{layout.address('notification-events')}/")
