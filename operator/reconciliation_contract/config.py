"""The operator's own settings. What belongs to a contract lives in its spec instead."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from ipaddress import ip_address
from urllib.parse import urlsplit

from reconciliation_contract.core.values.timing import TIMING, Timing


@dataclass(frozen=True, slots=True)
class Listen:
    """An address to listen on."""

    host: str
    port: int

    @staticmethod
    def parse(text: str) -> Listen:
        """Read ``HOST:PORT``; raises `ValueError` with the mend otherwise."""
        host, colon, port = text.rpartition(":")
        if not colon or not host or not port.isdecimal() or not 0 <= int(port) < 1 << 16:
            message = f"{text!r} is no address to listen on; write HOST:PORT, for example 127.0.0.1:8080"
            raise ValueError(message)
        return Listen(host.strip("[]"), int(port))

    @property
    def loopback(self) -> bool:
        """Whether only this machine, or this pod, can reach it."""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


def read_endpoint(text: str) -> str:
    """Read the URL of a sink; raises `ValueError` with the mend, which never repeats a secret."""
    mend = "it is no URL to send to; write http://HOST:PORT/PATH or https://..."
    try:
        url = urlsplit(text)
        usable = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError as error:
        raise ValueError(mend) from error
    if not usable:
        raise ValueError(mend)
    if url.username is not None or url.password is not None or url.query or url.fragment:
        raise ValueError("a URL to send to must hold no secret; put a token into a file instead")
    return text


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that can be set when the operator starts."""

    namespaces: tuple[str, ...] = ()
    """Namespaces to watch; empty means all."""
    acts: bool = True
    """False observes only: nothing but the contracts' status is ever written."""
    flux_namespace: str = "flux-system"
    """Where Flux's controllers run."""
    manifests: bool = True
    """False leaves manifests alone: none is built, tried or compared, and validation and drift are not judged."""
    flux_account: str = "kustomize-controller"
    """ServiceAccount in `flux_namespace` with which Flux applies where a Kustomization names none; manifests are
    tried with its rights. Empty: the operator's own."""
    default_service_account: str = ""
    """Whose rights acts use where a contract names no service account; empty: the operator's own."""
    fleet_brake: int = 3
    """Repositories that fail at once before no rollback begins anywhere; 0 switches it off."""
    flux_events: str = ""
    """URL at which Flux's notification-controller takes events; empty: it is not told."""
    flux_commit_statuses: bool = False
    """Events for Flux's notification-controller are good for commit statuses, too."""
    alertmanagers: tuple[str, ...] = ()
    """URLs of the replicas of Prometheus' Alertmanager; empty: it is not told."""
    alertmanager_token_file: str = ""
    cloudevents: str = ""
    """URL that takes CloudEvents; empty: none are sent."""
    cloudevents_token_file: str = ""
    notify_urls_file: str = ""
    """File of Apprise's URLs, one a line; empty: Apprise is not used."""
    health: Listen = field(default_factory=lambda: Listen("127.0.0.1", 8081))
    metrics: Listen = field(default_factory=lambda: Listen("127.0.0.1", 8080))
    otlp_endpoint: str = ""
    """Base URL of an OpenTelemetry collector that takes OTLP over HTTP; empty: no traces."""
    log_level: str = "info"
    log_format: str = "text"
    workers: int = 8
    """Contracts looked at side by side."""
    flux_build: str = ""
    """The program that builds manifests; empty: ``$FLUX_BUILD``, the one beside the package, or the one on PATH."""
    artifact_servers: tuple[str, ...] = ()
    """``HOST`` or ``HOST:PORT`` of artifact servers beside source-controller's Services in `flux_namespace`."""
    git_interval: timedelta = timedelta(seconds=15)
    """Between two looks at the same Git reference."""
    git_allow_local: bool = False
    """Let Git be on loopback and link-local addresses; for a playground only."""
    timing: Timing = TIMING
    """All other times; only tests set them."""
