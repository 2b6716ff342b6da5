"""How long it takes to build and validate a revision and to compare the cluster with it, on a real API server.

The operator's own trial with its own builder: the artifact is fetched and unpacked, `flux-build` builds it.
What is built once is taken from memory then, so each row tells only of its own work.
"""

from __future__ import annotations

import asyncio
import os
import resource
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import yaml

from playground.cluster import Cluster as Playground
from playground.cluster import Options
from reconciliation_contract.adapters.kubernetes.client import Cluster
from reconciliation_contract.adapters.kubernetes.credentials import Access
from reconciliation_contract.adapters.manifests.artifact_server import ArtifactServers
from reconciliation_contract.adapters.manifests.build import Artifact, Built
from reconciliation_contract.adapters.manifests.builder import Builder
from reconciliation_contract.core.facts.comparison import Drift
from reconciliation_contract.core.facts.dry_run import Validation
from reconciliation_contract.core.facts.observation import SourceRef
from reconciliation_contract.core.values.object_key import Manifest
from reconciliation_contract.observers.manifest_checks import Trial
from tests.support.artifacts import serving, tar_of
from tests.support.builders_core import standing

LOOPBACK = ArtifactServers(named=("127.0.0.1",))

SIZES = (10, 100, 1_000)
HASH = "a" * 40
NAME = "shop"
SOURCE = SourceRef("GitRepository", "default", NAME)
SOURCES = "/apis/source.toolkit.fluxcd.io/v1/namespaces/default/gitrepositories/shop"
KUSTOMIZATION = "/apis/kustomize.toolkit.fluxcd.io/v1/namespaces/default/kustomizations/shop"
LIMIT = timedelta(seconds=30)
Found = Built | Validation | Drift


def manifest(number: int) -> Manifest:
    """A ConfigMap or, each tenth, a Deployment without replicas."""
    labels = {"app": f"app-{number}"}
    meta = {"name": f"object-{number}", "namespace": "default", "labels": labels}
    if number % 10:
        body = {"apiVersion": "v1", "kind": "ConfigMap", "data": {f"key-{n}": "value" * 10 for n in range(10)}}
    else:
        pod = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "web", "image": "web:1"}]}}
        spec = {"replicas": 0, "selector": {"matchLabels": labels}, "template": pod}
        body = {"apiVersion": "apps/v1", "kind": "Deployment", "spec": spec}
    return Manifest(str(body["apiVersion"]), str(body["kind"]), "default", meta["name"], body | {"metadata": meta})


def prepare(playground: Playground) -> None:
    """Make a Kustomization and its source."""
    meta = {"name": NAME, "namespace": "default"}
    source = {"apiVersion": "source.toolkit.fluxcd.io/v1", "kind": "GitRepository", "metadata": meta}
    playground.api.apply(SOURCES, source | {"spec": {"interval": "1h", "url": "https://git.example.com/shop"}})
    spec = {"interval": "1h", "prune": True, "path": "./", "sourceRef": {"kind": "GitRepository", "name": NAME}}
    playground.api.apply(
        KUSTOMIZATION,
        {
            "apiVersion": "kustomize.toolkit.fluxcd.io/v1",
            "kind": "Kustomization",
            "metadata": meta,
            "spec": spec,
        },
    )


def publish(playground: Playground, artifact: Artifact) -> None:
    """Have the source say where its artifact is, as source-controller does."""
    stamp = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    told = {"digest": artifact.digest, "url": artifact.url, "revision": f"main@sha1:{HASH}"}
    status = {"artifact": told | {"lastUpdateTime": stamp, "path": "shop.tar.gz"}}
    playground.api.merge(f"{SOURCES}/status", {"status": status})


async def timed(work: Callable[[], Awaitable[Found]]) -> tuple[float, float, Found]:
    """Seconds by the clock, seconds of our processor, and what it came to."""
    began, busy = time.perf_counter(), time.process_time()
    found = await work()
    return time.perf_counter() - began, time.process_time() - busy, found


async def measure(playground: Playground) -> None:
    """Print rows for each size: the build, a revision that is new, the same when it is there, and the comparison."""
    async with Cluster(Access.find()) as cluster, serving(b"") as server:
        builder = Builder(cluster, str(playground.flux_build), servers=LOOPBACK)
        kustomization = playground.api.get(KUSTOMIZATION)
        trial = Trial(cluster, builder, lambda: datetime.now(UTC), ("", ""))
        print(f"{'objects':>8} {'what':<22} {'seconds':>8} {'ms each':>8} {'our CPU s':>10}  result")
        for size in SIZES:
            manifests = tuple(manifest(number) for number in range(size))
            server.content = tar_of({f"{each.name}.yaml": yaml.safe_dump(dict(each.body)) for each in manifests})
            await asyncio.to_thread(publish, playground, server.artifact)

            async def build() -> Built:
                return await builder.build(server.artifact, kustomization)

            async def validate() -> Validation:
                return await trial.validate("default", NAME, SOURCE, HASH, LIMIT)

            async def compare() -> Drift:
                return (await trial.compare(standing(namespace="default", name=NAME), HASH, ()))[0]

            row(size, "build", *await timed(build))
            row(size, "build, known", *await timed(build))
            row(size, "validate, all new", *await timed(validate))
            await asyncio.to_thread(apply, playground, manifests)
            row(size, "validate, all there", *await timed(validate))
            row(size, "compare", *await timed(compare))
    for whose, who in (("this process", resource.RUSAGE_SELF), ("a process of a build", resource.RUSAGE_CHILDREN)):
        print(f"memory of {whose}, at most: {resource.getrusage(who).ru_maxrss / 1024:.0f} MiB")


def apply(playground: Playground, manifests: tuple[Manifest, ...]) -> None:
    """Apply them as kustomize-controller does."""
    for each in manifests:
        root, plural = ("/api/v1", "configmaps") if each.kind == "ConfigMap" else ("/apis/apps/v1", "deployments")
        path = f"{root}/namespaces/default/{plural}/{each.name}"
        playground.api.apply(path, dict(each.body), manager="kustomize-controller")


def row(size: int, what: str, seconds: float, busy: float, found: Found) -> None:
    """Print one line."""
    match found:
        case Built():
            result = f"{len(found.objects)} built"
        case Validation():
            result = found.problem or f"{found.total - found.refusals - found.unchecked} valid"
        case Drift():
            result = found.problem or f"{found.compared} compared, {found.drifted} drifted"
    print(f"{size:>8} {what:<22} {seconds:>8.2f} {1000 * seconds / size:>8.1f} {busy:>10.2f}  {result}")


def main() -> None:
    """Start a control plane without Flux's controllers, and measure."""
    with Playground(Options(flux=False)) as playground:
        os.environ["KUBECONFIG"] = str(playground.kubeconfig)
        prepare(playground)
        asyncio.run(measure(playground))


if __name__ == "__main__":
    main()
