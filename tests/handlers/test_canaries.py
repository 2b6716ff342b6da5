"""Canaries: a token in every place where a secret can be, looked for in everything that the operator emits.

The whole operator runs in this process at log level debug, with every sink, traces and metrics; what is kept out of
sight are the ways on which a secret has to go: the header that logs in, the copy of a source, the manifest that is tried.
"""

from __future__ import annotations

import asyncio
import json
import re
from base64 import b64encode
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, field, replace
from pathlib import Path

import kopf
import pytest

from reconciliation_contract import logs
from reconciliation_contract.adapters.git import Unreachable
from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.manifests.build import Artifact, Built
from reconciliation_contract.adapters.manifests.error import BuildFailed
from reconciliation_contract.adapters.telemetry.otlp import Traces
from reconciliation_contract.api.kubernetes.raw import Raw
from reconciliation_contract.config import Settings
from reconciliation_contract.core.facts.failure_cause import classify
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.handlers.watching import configure, register
from reconciliation_contract.runtime.operator import Operator
from tests.handlers.embedded import SETTINGS
from tests.handlers.story import A, B, C, activate, deliver, prove, release
from tests.support.api_server import CONFIG_MAPS, DEPLOYMENTS, KUSTOMIZATIONS, SECRETS, SOURCES, ApiServer, Seen
from tests.support.api_server_flux import Flux
from tests.support.collector import Collector, collecting
from tests.support.receiver import Receiver, receiving
from tests.support.virtual_time import eventually, now, passing
from tests.support.virtual_time_git import GitScript

pytestmark = [
    pytest.mark.looptime,
    pytest.mark.slow,
    pytest.mark.usefixtures("logging_as_before"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning:apprise.*"),
]

CANARY = "canary"


def canary(place: str) -> str:
    """The token of a place."""
    return f"{CANARY}7{place}7"


# What Flux says -----------------------------------------------------------------------------------------------------

SAID: dict[str, str] = {
    "a field that is not valid": 'Deployment/apps/web dry-run failed (Invalid): Deployment.apps "web" is invalid: spec.template.spec.containers[0].env[0].name: Invalid value: "{}": must consist of',
    "a value twice": 'Service/apps/web dry-run failed (Invalid): spec.ports[1].name: Duplicate value: "{}"',
    "a value of no choice": 'Service/apps/web dry-run failed (Invalid): spec.type: Unsupported value: "{}": supported values: "ClusterIP"',
    "an object": 'Deployment/apps/web dry-run failed (Invalid): spec.selector: Invalid value: {{"matchLabels":{{"a":"{}"}}}}: field is immutable',
    "a wrong type": 'Deployment/apps/web dry-run failed: failed to create typed patch object: .data.a: expected string, got &value.valueUnstructured{{Value:"{}"}}',
    "a webhook": 'Deployment/apps/web dry-run failed (Forbidden): admission webhook "p.example.com" denied the request: the password {} is weak',
    "a policy": "Deployment/apps/web dry-run failed (Invalid): ValidatingAdmissionPolicy 'p' with binding 'p' denied request: {} is not allowed",
    "a rule of a CRD": 'Widget/apps/web dry-run failed (Invalid): spec: Invalid value: "object": the host {} is taken',
    "YAML": "post build failed for 'ConfigMap.v1.[noGrp]/p': yaml: unmarshal errors: line 1: cannot unmarshal !!str `{}` into int",
    "a patch": 'kustomize build failed: unable to parse SM or JSON patch from [patch: "{}"]',
    "an object of kustomize": "failed to decode Kubernetes YAML: missing kind in object {{{{ }} {{{{x }} map[a:{}] map[]}}}}",
    "a URL": "failed to fetch https://ann:{0}@git.example.com/x.git?token={0}#access_token={0}: 403",
    "a header": "Get https://git.example.com: 401, sent Authorization: Bearer {0} and Basic {0}{0}",
    "a key": "decryption failed: -----BEGIN OPENSSH PRIVATE KEY-----\n{}\n-----END OPENSSH PRIVATE KEY----- is no key",
    "a kubeconfig": "cannot load kubeconfig: users: - name: a user: token: {0} client-key-data: {0}",
    "a proxy": "proxyconnect tcp: dial http://ann:{}@proxy.example.com:3128: refused",
    "an address of a webhook": 'failed calling webhook "x": Post "https://hooks.example.com/services/T0/{}": EOF',
    "thirty kilobytes": 'Deployment/apps/web dry-run failed: spec.a: Invalid value: "{}'
    + "x" * 30_000
    + '": \u202eno\x1b[31m',
}
"""Flux's messages with what stands in a Secret, which the Kustomization substitutes or decrypts."""


@dataclass
class Emitted:
    """Everything that left the operator."""

    api: ApiServer
    receiver: Receiver
    collector: Collector
    scrapes: list[str] = field(default_factory=list)
    stderr: str = ""
    ways: set[str] = field(default_factory=set)
    """Those on which something left."""

    def texts(self) -> Iterator[tuple[str, str]]:
        """Each text with the way on which it left."""
        for seen in self.api.requests:
            # A copy of a source has the source's own URL, and what is tried is what Flux applies.
            if seen.body is not None and seen.plural != SOURCES and "dryRun" not in seen.query:
                yield str(seen), json.dumps(seen.body, ensure_ascii=False)
            yield f"query of {seen}", str(seen.query)
        for post in self.receiver.came:
            yield f"POST {post.path}", json.dumps(post.body, ensure_ascii=False)
        while not self.collector.received.empty():
            yield "traces", self.collector.received.get()[1].decode("utf-8", "replace")
        for scrape in self.scrapes:
            yield "metrics", scrape
        for line in self.stderr.splitlines():
            yield "logs", line

    def found(self) -> dict[str, str]:
        """The canaries that got out, each with the way."""
        texts = [*self.texts()]
        self.ways |= {way for way, _ in texts}
        return {
            token: f"{way}: {text[:400]}" for way, text in texts for token in re.findall(rf"{CANARY}7[\w-]*7", text)
        }


class Build:
    """Stands in for the build: what it makes holds a Secret's value, or it fails with one."""

    def __init__(self) -> None:
        self.fails = False

    async def build(self, _: Artifact, __: Raw, ___: str = "", **____: object) -> Built:
        """Build one object, into which a value of a Secret was put."""
        if self.fails:
            raise BuildFailed(f"yaml: cannot unmarshal !!str `{canary('build')}` into int")
        meta = {"name": "settings", "namespace": "apps"}
        body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": {"a": canary("substituted")}}
        return Built((Manifest("v1", "ConfigMap", "apps", "settings", body, substituted=True),), ())


def _secret(api: ApiServer, name: str, **values: str) -> None:
    data = {key.replace("__", "."): b64encode(value.encode()).decode() for key, value in values.items()}
    made = api.create(SECRETS, "apps", name, {})
    api.change(SECRETS, "apps", name, {"data": data, "metadata": made["metadata"]})


def _declare(flux: Flux) -> None:
    """Put a canary into every Secret, URL and ConfigMap that the operator may come by."""
    api = flux.api
    names = ("username", "password", "bearerToken", "identity", "known_hosts", "caFile")
    _secret(api, "git", **{name: canary(f"git-{name}") for name in names})
    for name in ("values", "sops", "kubeconfig", "proxy", "verify"):
        _secret(api, name, value=canary(name), age__agekey=f"AGE-SECRET-KEY-1{canary('age').upper()}")
    api.create(CONFIG_MAPS, "apps", "db-password", {})
    api.change(CONFIG_MAPS, "apps", "db-password", {"data": {"value": canary("config-map")}})
    url = f"https://ann:{canary('url-password')}@git.example/shop?token={canary('url-query')}"
    api.change(SOURCES, "apps", "shop", {"spec": {"url": url, "secretRef": {"name": "git"}}})
    substitute = [{"kind": "Secret", "name": "values"}, {"kind": "ConfigMap", "name": "db-password"}]
    spec = {
        "postBuild": {"substituteFrom": substitute, "substitute": {"a": canary("inline")}},
        "decryption": {"provider": "sops", "secretRef": {"name": "sops"}},
    }
    api.change(KUSTOMIZATIONS, "apps", "shop", {"spec": spec})


@asynccontextmanager
async def emitting(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], build: Build, git: GitScript
) -> AsyncIterator[tuple[Flux, Emitted]]:
    """The whole operator with all of its ways out; what left it is complete when the context ends."""
    logs.set_up("debug", "json")
    with collecting() as collector, closing(Traces(collector.url)) as traces:
        async with receiving() as receiver, ApiServer() as api, Cluster(api.access) as cluster:
            pod = {"spec": {"containers": [{"name": "manager", "args": []}]}}
            for name in ("source-controller", "kustomize-controller"):
                api.create(DEPLOYMENTS, "flux-system", name, {"replicas": 1, "template": pod})
                up = {"replicas": 1, "readyReplicas": 1, "availableReplicas": 1, "observedGeneration": 1}
                api.change(DEPLOYMENTS, "flux-system", name, {"status": up})
            emitted = Emitted(api, receiver, collector)
            settings = _settings(tmp_path, receiver)
            operator = Operator(settings, cluster, now, git, follow=traces.follow, builder=build)  # type: ignore[arg-type]  # a script
            async with _watching(operator, api):
                yield Flux(api), emitted
                for kind in ("", "application/openmetrics-text"):
                    emitted.scrapes.append(b"".join(operator.metrics.scrape(kind)[1]).decode())
        await asyncio.to_thread(traces.close)
        emitted.stderr = capsys.readouterr().err


def _settings(tmp_path: Path, receiver: Receiver) -> Settings:
    token, urls = tmp_path / "token", tmp_path / "urls"
    token.write_text(canary("sink-token"))
    host = receiver.url.removeprefix("http://")
    urls.write_text(f"json://ann:{canary('apprise')}@{host}{canary('apprise-path')}\n")
    return replace(
        SETTINGS,
        manifests=True,
        flux_events=receiver.url,
        alertmanagers=(receiver.url,),
        alertmanager_token_file=str(token),
        cloudevents=receiver.url,
        cloudevents_token_file=str(token),
        notify_urls_file=str(urls),
    )


@asynccontextmanager
async def _watching(operator: Operator, api: ApiServer) -> AsyncIterator[None]:
    registry, configuration, stop = kopf.OperatorRegistry(), kopf.OperatorSettings(), asyncio.Event()
    register(registry, operator, api.access)
    configure(configuration)
    configuration.process.ultimate_exiting_timeout = None
    async with operator.running():
        running = kopf.operator(
            registry=registry, settings=configuration, clusterwide=True, standalone=True, stop_flag=stop
        )
        task = asyncio.create_task(running)
        await eventually(lambda: not operator.sweep.unready(), "the operator to be ready")
        try:
            yield
        finally:
            stop.set()
            await asyncio.wait((task,))


def _echoes(place: str) -> tuple[str, Callable[[Seen], bool]]:
    """What a webhook says of a request, and of which."""
    message = f'admission webhook "w.example.com" denied the request: "{canary(place)}" is no good, Invalid value: "{canary(place)}"'
    wheres: dict[str, Callable[[Seen], bool]] = {
        "act": lambda seen: seen.method == "POST" and seen.plural == SOURCES,
        "dry-run": lambda seen: "dryRun" in seen.query,
        "events": lambda seen: seen.plural == "events",
        "status": lambda seen: seen.sub == "status",
        "git-secret": lambda seen: seen.plural == SECRETS,
    }
    return message, wheres[place]


@pytest.mark.parametrize("name", SAID)
async def test_no_canary_gets_out_by_flux(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From the failing commit over the rollback to the fix, with what Flux says of it holding a value of a Secret."""
    git = GitScript()
    async with emitting(tmp_path, capsys, Build(), git) as (flux, emitted):
        await prove(flux)
        _declare(flux)
        flux.deliver(A)
        await passing(30)
        said = SAID[name].format(canary("said"))
        flux.fetch(B)
        for _ in range(2):
            flux.attempt(B)
            await passing(5)
            flux.fail(B, said)
        await passing(1)
        await passing(60)
        if classify("HealthCheckFailed", said).curable:
            await activate(flux)
            await release(flux)
        await deliver(flux, C)
        await passing(120)
        assert flux.status["incidents"]

    assert emitted.found() == {}
    assert {"traces", "metrics", "POST /", "POST /api/v2/alerts"} <= emitted.ways
    assert all(json.loads(line) for line in emitted.stderr.splitlines())


@pytest.mark.parametrize("place", ["act", "dry-run", "events", "status", "git-secret"])
async def test_no_canary_gets_out_by_a_refusal(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a webhook repeats of a request of ours, or the API server of a Secret, reaches nobody."""
    message, where = _echoes(place)
    url = f"https://ann:{canary('git-url')}@git.example/shop"
    git = GitScript(heads={url: Unreachable(url, f"proxy http://ann:{canary('proxy')}@proxy:3128 refused")})
    async with emitting(tmp_path, capsys, Build(), git) as (flux, emitted):
        await prove(flux)
        _declare(flux)
        with emitted.api.failing(422, message, where=where) as refused:
            flux.fetch(B)
            for _ in range(2):
                flux.attempt(B)
                await passing(5)
                flux.fail(B)
            await passing(90)
        assert refused

    assert emitted.found() == {}
    assert ("***" in json.dumps(flux.status) + emitted.stderr) == (place != "dry-run")


async def test_no_canary_gets_out_by_a_build_or_a_sink(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A build that repeats a value, a sink that sends back what it was sent, and a fault of ours with a value in it."""
    build = Build()
    async with emitting(tmp_path, capsys, build, GitScript()) as (flux, emitted):
        await prove(flux)
        _declare(flux)
        emitted.receiver.status, build.fails = 500, True
        flux.fetch(B)
        flux.attempt(B)
        await passing(5)
        flux.fail(B)
        await passing(60)
        assert "***" in json.dumps(flux.status["delivery"])
        emitted.receiver.status = 202
        await passing(400)

    assert emitted.receiver.came
    assert emitted.found() == {}
