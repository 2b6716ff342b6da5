"""The cluster as a context manager: everything runs inside the `with`, and nothing after it.

    with Cluster() as cluster:
        shop = cluster.git.repository("shop")
        shop.commit({"deploy/app.yaml": manifest}, "First release")
        cluster.kubectl_run("apply", "-f", "-", input=flux_objects)

A pod whose image has the tag `never-ready` never becomes ready; see `playground.stage`.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from playground import component, population, stage
from playground.api_client import ApiClient
from playground.assets import KWOK_STAGES, read_assets
from playground.binaries import Binaries, provide
from playground.cache import cache_directory
from playground.component import API_SERVER, Layout, components
from playground.credential import ADMIN, Access, write_kubeconfig, write_signing_key, write_token_file
from playground.fleet import Fleet
from playground.git_server import GitServer
from playground.port import reserve
from playground.progress import Progress
from playground.state import state_directory
from playground.toolset import FLUX_BUILD

TOKEN_SECONDS = 24 * 3600
PASSED_ON = ("PATH", "LANG", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR")
"""What components get of our environment: enough to fetch from elsewhere, nothing that steers them."""


class KubectlError(Exception):
    """kubectl ended with an error."""

    def __init__(self, arguments: Sequence[str], code: int, stderr: str) -> None:
        self.code = code
        self.stderr = stderr
        super().__init__(f"kubectl {' '.join(arguments)} ended with code {code}: {stderr.strip()}")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a cluster consists of."""

    nodes: int = 1
    """Number of fake nodes; each has room for any number of pods."""
    flux: bool = True
    """Run Flux's controllers."""
    flux_crds: bool = True
    """Install Flux's CRDs; the controllers need them."""
    extra_args: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """More arguments by component: {"kustomize-controller": ["--feature-gates=..."]}."""
    keep: bool = False
    """Leave the state directory, with all logs, when the cluster stops."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        if self.flux and not self.flux_crds:
            raise ValueError("Flux's controllers do not start without Flux's CRDs")
        known = {*component.CONTROL_PLANE, *component.KUBERNETES, *component.FLUX}
        if unknown := set(self.extra_args) - known:
            raise ValueError(f"no such component: {', '.join(sorted(unknown))}; there are {sorted(known)}")


class Cluster:
    """A control plane, Flux and a Git server on loopback.

    The first start on a machine builds the programs, which takes minutes and is told through `progress`.
    """

    def __init__(self, options: Options | None = None, *, progress: Progress | None = None) -> None:
        self.options = options or Options()
        self._progress = progress or Progress()
        self._stack = contextlib.ExitStack()
        self._fleet: Fleet
        self._layout: Layout
        self._binaries: Binaries
        self.git: GitServer
        """The Git server; `git.repository("shop")` creates a repository."""
        self.api: ApiClient
        """Requests to the API server as administrator, without kubectl's start-up time."""
        self.admin_token: str
        """The administrator's bearer token."""
        self.kubeconfig: Path
        """The administrator's kubeconfig."""

    def __enter__(self) -> Self:
        try:
            self._start_all()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def state(self) -> Path:
        """The directory of everything that belongs to this cluster."""
        return self._layout.state

    @property
    def server(self) -> str:
        """The API server's URL."""
        return self._layout.access.server

    @property
    def ca_file(self) -> Path:
        """The CA that signed the API server's certificate."""
        return self._layout.access.ca_file

    @property
    def ports(self) -> Mapping[str, int]:
        """The ports by name, see `component.PORTS`."""
        return self._layout.ports

    @property
    def kubectl(self) -> Path:
        """The kubectl that was built together with the cluster."""
        return self._binaries.program("kubectl")

    @property
    def flux_build(self) -> Path:
        """The operator's `flux-build`, with the code of the cluster's kustomize-controller."""
        return provide(self._progress, tools=FLUX_BUILD).program("flux-build")

    @property
    def versions(self) -> Mapping[str, str]:
        """Versions of the components, by Go module."""
        return self._binaries.versions

    @property
    def components(self) -> Sequence[str]:
        """The names of all components, in the order they started."""
        return self._fleet.names

    @property
    def events_url(self) -> str:
        """Where Flux's notification-controller takes events."""
        return f"http://{self._layout.address('notification-events')}/"

    def kubectl_run(self, *arguments: str, input: str | None = None) -> str:  # noqa: A002 - named as in subprocess
        """Run kubectl as administrator and return what it prints. Raises `KubectlError`."""
        environment = {**os.environ, "KUBECONFIG": str(self.kubeconfig), "KUBECACHEDIR": str(self.state / "kubectl")}
        result = subprocess.run(
            [self.kubectl, *arguments], input=input, env=environment, capture_output=True, text=True, check=False
        )
        if result.returncode != 0:
            raise KubectlError(arguments, result.returncode, result.stderr)
        return result.stdout

    def token_kubeconfig(self, namespace: str, service_account: str) -> Path:
        """Write a kubeconfig with a fresh token of a service account, and with exactly its rights.

        The token is valid for a day. Raises `ApiError` if there is no such service account.
        """
        answer = self.api.create(
            f"/api/v1/namespaces/{namespace}/serviceaccounts/{service_account}/token",
            {
                "apiVersion": "authentication.k8s.io/v1",
                "kind": "TokenRequest",
                "spec": {"expirationSeconds": TOKEN_SECONDS},
            },
        )
        path = self.state / f"kubeconfig-{namespace}-{service_account}"
        token = answer["status"]["token"]
        return write_kubeconfig(path, self._layout.access, service_account, token, namespace)

    def logs(self, name: str) -> Path:
        """Return the log file of a component."""
        return self._fleet.process(name).log

    def pid(self, name: str) -> int | None:
        """Return the process id of a component, or None while it is stopped."""
        return self._fleet.process(name).pid

    def start(self, name: str) -> None:
        """Start a component, on the same ports as before, and wait until it is ready."""
        self._fleet.start(name)

    def stop(self, name: str, *, grace: float = 10.0) -> None:
        """Stop a component as a rollout does: SIGTERM, after `grace` seconds SIGKILL. With 0, kill at once."""
        self._fleet.process(name).stop(grace)

    def restart(self, name: str, *, grace: float = 10.0) -> None:
        """Stop a component and start it again."""
        self.stop(name, grace=grace)
        self.start(name)

    def pause(self, name: str) -> None:
        """Freeze a component: it keeps its connections and answers nothing."""
        self._fleet.process(name).pause()

    def resume(self, name: str) -> None:
        """Let a frozen component run on."""
        self._fleet.process(name).resume()

    def check(self) -> None:
        """Raise `ProcessDiedError` if a component has ended by itself."""
        self._fleet.check()

    def _start_all(self) -> None:
        self._binaries = provide(self._progress)
        with self._progress.timed("Cluster ready"):
            self._prepare()
            self._start_everything()

    def _prepare(self) -> None:
        """Choose directory and ports, write credentials, start the Git server. Undone in reverse order."""
        state = self._stack.enter_context(state_directory(keep=self.options.keep))
        ports = self._stack.enter_context(reserve(cache_directory() / "ports", component.PORTS))
        for folder in ("logs", "tmp", "home", "artifacts", "certificates"):
            (state / folder).mkdir()
        access = Access(f"https://127.0.0.1:{ports[API_SERVER]}", state / "certificates" / "apiserver.crt")
        clients = (*component.KUBERNETES, *component.FLUX)
        tokens = write_token_file(state / "tokens.csv", (ADMIN, *clients))
        kubeconfigs = {
            name: write_kubeconfig(state / f"kubeconfig-{name}", access, name, tokens[name]) for name in clients
        }
        self.admin_token = tokens[ADMIN]
        self.kubeconfig = write_kubeconfig(state / "kubeconfig", access, ADMIN, tokens[ADMIN])
        self._layout = Layout(state, self._binaries.directory / "bin", ports, access, kubeconfigs)
        write_signing_key(self._layout.signing_key)
        stage.write_stages(read_assets(self._binaries.asset(KWOK_STAGES)), self._layout.stages)
        self.git = self._stack.enter_context(GitServer(state / "git", ports["git"]))
        self._fleet = self._stack.enter_context(
            Fleet(
                components(self._layout, flux=self.options.flux),
                programs=self._layout.programs,
                extra_args=self.options.extra_args,
                environment=self._environment(),
                directory=state / "logs",
                certificate=self._layout.certificate,
            )
        )

    def _environment(self) -> dict[str, str]:
        passed_on = {name: os.environ[name] for name in PASSED_ON if name in os.environ}
        return {**passed_on, "HOME": str(self.state / "home"), "TMPDIR": str(self.state / "tmp")}

    def _start_everything(self) -> None:
        # The API server waits for etcd by itself.
        self._fleet.start(*component.CONTROL_PLANE)
        self.api = ApiClient(self._layout.access, self.admin_token)
        with ThreadPoolExecutor(thread_name_prefix="playground-start") as pool:
            try:
                rest = pool.submit(self._fleet.start, *component.KUBERNETES)
                self._populate()
                rest.result()
            except BaseException:
                # Else leaving the pool would wait for what can no longer become ready.
                self._fleet.abandon()
                raise
        self._fleet.wait_until(
            lambda: population.is_complete(self.api, self.options.nodes), "nodes and service accounts"
        )

    def _populate(self) -> None:
        """Create what a cluster has from the beginning, then start Flux, which needs its CRDs."""
        population.create_namespaces(self.api)
        population.create_nodes(self.api, self.options.nodes)
        if self.options.flux_crds:
            population.install_flux_crds(self.api, self._binaries)
        if self.options.flux:
            self._fleet.start(*component.FLUX)
            population.declare_controller(self.api, component.KUSTOMIZE, self._fleet.arguments(component.KUSTOMIZE))
