"""``reconciliation-contract``: the operator's own command line."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from datetime import timedelta
from importlib.metadata import version

import kopf

from reconciliation_contract import logs
from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.adapters.notification import SinkError
from reconciliation_contract.adapters.telemetry.metrics import Metrics
from reconciliation_contract.api.duration import parse_duration
from reconciliation_contract.config import Listen, Settings, read_endpoint
from reconciliation_contract.core.values.duration import spoken
from reconciliation_contract.core.values.object_name import flaw_of_label, flaw_of_subdomain
from reconciliation_contract.core.values.timing import TIMING, Timing
from reconciliation_contract.errors import ClusterError, Unavailable
from reconciliation_contract.handlers.watched_kinds import discover
from reconciliation_contract.handlers.watching import configure, register
from reconciliation_contract.runtime.operator import Operator
from reconciliation_contract.runtime.reconciler import Follow

_log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """Describe the command line."""
    found = argparse.ArgumentParser(
        prog="reconciliation-contract", description="A Kubernetes operator that holds Flux to its promises."
    )
    found.add_argument("--version", action="version", version=f"%(prog)s {version('reconciliation-contract')}")
    commands = found.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser(
        "run",
        help="run the operator",
        description="Run the operator against the cluster of the pod it is in, else of the kubeconfig.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    defaults = Settings()
    run.add_argument("--observe-only", action="store_true", help="measure and judge, never act on a Flux object")
    run.add_argument(
        "--namespace",
        type=_namespace,
        action="append",
        default=[],
        metavar="NS",
        help="watch only this one (repeatable)",
    )
    run.add_argument(
        "--flux-namespace",
        type=_namespace,
        default=defaults.flux_namespace,
        metavar="NS",
        help="where Flux's controllers run",
    )
    run.add_argument(
        "--skip-manifests",
        action="store_true",
        help="do not try or compare manifests; leave out the promises validation and drift",
    )
    run.add_argument(
        "--flux-account",
        type=_account,
        default=defaults.flux_account,
        metavar="NAME",
        help="try manifests as this service account of Flux's namespace where a Kustomization names none",
    )
    run.add_argument(
        "--default-service-account",
        type=_account,
        default=defaults.default_service_account,
        metavar="NAME",
        help="act with the rights of this service account of the contract's namespace where a contract names none",
    )
    run.add_argument(
        "--fleet-brake",
        type=int,
        default=defaults.fleet_brake,
        metavar="N",
        help="begin no rollback while N repositories fail at once (0: never brake)",
    )
    _notifying(run)
    _address(run, "--health-listen", defaults.health, "where /healthz and /readyz are served")
    _address(
        run,
        "--metrics-listen",
        defaults.metrics,
        "where /metrics is served; but on loopback, to those only whom Kubernetes lets get it",
    )
    run.add_argument(
        "--otlp-endpoint",
        default=os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT", ""),
        metavar="URL",
        help="send a trace of each delivery to this OpenTelemetry collector, by OTLP over HTTP",
    )
    run.add_argument("--log-level", choices=("debug", "info", "warning", "error"), default=defaults.log_level)
    run.add_argument("--log-format", choices=("text", "json"), default=defaults.log_format)
    run.add_argument("--workers", type=int, default=defaults.workers, help="contracts looked at side by side")
    run.add_argument(
        "--flux-build", default=defaults.flux_build, metavar="PATH", help="the program that builds manifests"
    )
    run.add_argument(
        "--artifact-server",
        action="append",
        default=[],
        metavar="HOST[:PORT]",
        help="fetch artifacts from here, too, beside source-controller's Services in Flux's namespace (repeatable)",
    )
    run.add_argument(
        "--git-interval",
        type=_duration,
        default=spoken(defaults.git_interval),
        metavar="DURATION",
        help="between two looks at the same Git reference",
    )
    run.add_argument(
        "--allow-local-git",
        action="store_true",
        help="read Git on loopback and link-local addresses (playground only)",
    )
    # For tests alone, so the help leaves it out.
    run.add_argument("--test-time", type=_test_time, action="append", default=[], help=argparse.SUPPRESS)
    return found


def _notifying(run: argparse.ArgumentParser) -> None:
    """Add where people are told."""
    found = run.add_argument_group("where incidents are told")
    for flag, text in (
        ("--flux-events", "Flux's notification-controller, http://notification-controller.NS.svc.cluster.local./"),
        ("--cloudevents", "a receiver of CloudEvents"),
    ):
        found.add_argument(flag, type=_endpoint, default="", metavar="URL", help=text)
    text = "Prometheus' Alertmanager (repeatable: each replica)"
    found.add_argument("--alertmanager", type=_endpoint, action="append", default=[], metavar="URL", help=text)
    text = "let --flux-events set commit statuses; first see docs/alerts.md, or they replace Flux's own"
    found.add_argument("--flux-commit-statuses", action="store_true", help=text)
    for name in ("alertmanager", "cloudevents"):
        found.add_argument(f"--{name}-token-file", default="", metavar="FILE", help=f"bearer token for --{name}")
    text = "URLs of chat, mail or pagers in Apprise's form, one a line (needs the extra 'notify')"
    found.add_argument("--notify-urls-file", default="", metavar="FILE", help=text)


def _namespace(text: str) -> str:
    return _named(text, flaw_of_label(text))


def _account(text: str) -> str:
    """Read the name of a service account; an empty one stands for the operator's own rights."""
    return _named(text, flaw_of_subdomain(text) if text else "")


def _named(text: str, flaw: str) -> str:
    if flaw:
        message = f"{text!r} is no name: {flaw}"
        raise argparse.ArgumentTypeError(message)
    return text


def _endpoint(text: str) -> str:
    try:
        return read_endpoint(text) if text else ""
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _duration(text: str) -> timedelta:
    try:
        return parse_duration(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _test_time(text: str) -> tuple[str, timedelta]:
    """Read NAME=DURATION, another value for one of the operator's own times; refused in a cluster."""
    name, _, duration = text.partition("=")
    if os.environ.get("KUBERNETES_SERVICE_HOST"):
        raise argparse.ArgumentTypeError("times are set by tests only, never in a cluster; leave it out")
    if name not in (known := [each.name for each in fields(Timing)]):
        raise argparse.ArgumentTypeError(f"{name!r} is no time of the operator; write one of {', '.join(known)}")
    return name, _duration(duration)


def _address(command: argparse.ArgumentParser, flag: str, default: Listen, text: str) -> None:
    command.add_argument(flag, type=_listen, default=f"{default.host}:{default.port}", metavar="HOST:PORT", help=text)


def _listen(text: str) -> Listen:
    try:
        return Listen.parse(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error  # argparse drops the message of any other


def settings_of(arguments: argparse.Namespace) -> Settings:
    """Turn the parsed command line into settings."""
    return Settings(
        namespaces=tuple(arguments.namespace),
        acts=not arguments.observe_only,
        flux_namespace=arguments.flux_namespace,
        manifests=not arguments.skip_manifests,
        flux_account=arguments.flux_account,
        default_service_account=arguments.default_service_account,
        fleet_brake=arguments.fleet_brake,
        flux_events=arguments.flux_events,
        flux_commit_statuses=arguments.flux_commit_statuses,
        alertmanagers=tuple(filter(None, arguments.alertmanager)),
        alertmanager_token_file=arguments.alertmanager_token_file,
        cloudevents=arguments.cloudevents,
        cloudevents_token_file=arguments.cloudevents_token_file,
        notify_urls_file=arguments.notify_urls_file,
        health=arguments.health_listen,
        metrics=arguments.metrics_listen,
        otlp_endpoint=arguments.otlp_endpoint,
        log_level=arguments.log_level,
        log_format=arguments.log_format,
        workers=max(1, arguments.workers),
        artifact_servers=tuple(arguments.artifact_server),
        git_interval=arguments.git_interval,
        git_allow_local=arguments.allow_local_git,
        flux_build=arguments.flux_build,
        timing=replace(TIMING, **dict(arguments.test_time)),
    )


@asynccontextmanager
async def followed(endpoint: str, timing: Timing) -> AsyncIterator[Follow]:
    """Send traces to a collector while the context lasts, if there is one; what waits at the end is sent.

    Raises `Unavailable` where what this needs is not installed.
    """
    if not endpoint:
        yield lambda *_: None
        return
    try:
        from reconciliation_contract.adapters.telemetry.otlp import Traces  # noqa: PLC0415 - only where it is asked for
    except ImportError as error:
        detail = f"{error.name} is not installed; install reconciliation-contract[tracing]"
        raise Unavailable("send traces to", endpoint, detail) from error
    traces = Traces(endpoint, timing)
    try:
        yield traces.follow
    finally:
        await asyncio.to_thread(traces.close)


async def serve(settings: Settings, access: Access) -> None:
    """Run until a signal asks to stop, which kopf listens for. Raises `ClusterError` where the start fails."""
    metrics, timing = Metrics(), settings.timing
    async with (
        followed(settings.otlp_endpoint, timing) as follow,
        Cluster(access, metrics.requested, timing) as cluster,
    ):
        operator = Operator(settings, cluster, metrics=metrics, follow=follow)
        registry, kopf_settings = kopf.OperatorRegistry(), kopf.OperatorSettings()
        register(registry, operator, access)
        insights = discover(registry, operator)
        configure(kopf_settings)
        async with operator.running():
            await kopf.operator(
                registry=registry,
                settings=kopf_settings,
                insights=insights,
                clusterwide=not settings.namespaces,
                namespaces=settings.namespaces,
                standalone=True,
                identity=socket.gethostname(),  # type: ignore[arg-type]  # kopf keeps its NewType of str private
            )


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; return the exit status."""
    settings = settings_of(parser().parse_args(arguments))
    logs.set_up(settings.log_level, settings.log_format)
    if settings.timing != TIMING:
        _log.warning("times are shortened for a test", extra={"times": str(settings.timing)})
    try:
        asyncio.run(serve(settings, Access.find()))
    except (ClusterError, SinkError) as error:
        print(f"reconciliation-contract: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
