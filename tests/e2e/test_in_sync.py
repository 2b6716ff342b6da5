"""On a repository as teams have them, what Flux has just reconciled shows no drift, and a change by hand does.

Three Kustomizations of one source: the cluster's, which applies the two others; the infrastructure with values from a
ConfigMap and a Secret; and the apps, an overlay of podinfo that waits for it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from playground.cluster import Cluster
from playground.waiting import wait_until
from tests.e2e.conftest import PODINFO
from tests.support.flux_account import flux_build
from tests.support.flux_objects import PATIENCE, Workspace, condition
from tests.support.operator_process import StartOperator

pytestmark = pytest.mark.e2e

NAMES = ("cluster", "infrastructure", "apps")
INFRASTRUCTURE = """\
apiVersion: v1
kind: Namespace
metadata:
  name: ${namespace}-extra
  labels:
    team: ${team:=nobody}
---
apiVersion: v1
kind: LimitRange
metadata: {name: small}
spec:
  limits: [{type: Container, default: {cpu: 1000m, memory: 1024Mi}, defaultRequest: {cpu: 0.1, memory: 64Mi}}]
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: bounds}
spec: {hard: {pods: "50", requests.memory: 1Gi}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: inside}
spec: {podSelector: {}, ingress: [{from: [{podSelector: {}}]}]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules: [{apiGroups: [""], resources: [configmaps], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects: [{kind: ServiceAccount, name: default}]
---
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: "widgets.${namespace}.example.com"}
spec:
  group: ${namespace}.example.com
  names: {kind: Widget, plural: widgets}
  scope: Namespaced
  versions:
    - name: v1
      served: true
      storage: true
      schema:
        openAPIV3Schema:
          type: object
          properties:
            spec: {type: object, properties: {size: {type: integer, default: 3}, colour: {type: string}}}
---
apiVersion: ${namespace}.example.com/v1
kind: Widget
metadata: {name: one}
spec: {colour: blue}
---
apiVersion: source.toolkit.fluxcd.io/v1
kind: HelmRepository
metadata: {name: charts}
spec: {interval: 1h, url: "https://charts.example.com", suspend: true}
---
apiVersion: v1
kind: Secret
metadata: {name: login}
stringData: {password: "${password}"}
"""
OVERLAY = """\
apiVersion: kustomize.config.k8s.io/v1beta1
kind: Kustomization
resources: [../../base/podinfo, job.yaml]
configMapGenerator: [{name: settings, literals: [colour=blue]}]
labels: [{pairs: {tier: front}, includeSelectors: true}]
patches:
  - target: {kind: HorizontalPodAutoscaler}
    patch: '[{"op": "replace", "path": "/spec/minReplicas", "value": 1}]'
  - target: {kind: Deployment}
    patch: |
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: podinfo}
      spec:
        template:
          spec:
            containers: [{name: podinfod, envFrom: [{configMapRef: {name: settings}}]}]
"""
JOB = """\
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    spec:
      template:
        spec: {restartPolicy: Never, containers: [{name: job, image: "job:1"}]}
"""


def child(namespace: str, name: str, path: str, **spec: object) -> str:
    """A Kustomization in Git, as the cluster's own applies it."""
    whole = {
        "interval": "10m",
        "retryInterval": "2s",
        "timeout": "30s",
        "path": path,
        "prune": True,
        "wait": True,
        "targetNamespace": namespace,
        "sourceRef": {"kind": "GitRepository", "name": "cluster"},
        **spec,
    }
    meta = {"name": name, "namespace": namespace}
    return yaml.safe_dump(
        {"apiVersion": "kustomize.toolkit.fluxcd.io/v1", "kind": "Kustomization", "metadata": meta, "spec": whole}
    )


def layout(namespace: str, podinfo: Path) -> dict[str, str]:
    """The files of the repository."""
    values = {
        "substitute": {"namespace": namespace},
        "substituteFrom": [{"kind": "ConfigMap", "name": "values"}, {"kind": "Secret", "name": "values"}],
    }
    waits = {"dependsOn": [{"name": "infrastructure"}]}
    base = {f"apps/base/podinfo/{path.name}": path.read_text() for path in podinfo.glob("*.yaml")}
    return base | {
        "README.md": "Not a manifest.\n",
        ".github/workflows/check.yaml": "on: push\n",
        "clusters/one/infrastructure.yaml": child(
            namespace, "infrastructure", "./infrastructure", wait=False, postBuild=values
        ),
        "clusters/one/apps.yaml": child(namespace, "apps", "./apps/one/podinfo", **waits),
        "infrastructure/all.yaml": INFRASTRUCTURE,
        "apps/one/podinfo/kustomization.yaml": OVERLAY,
        "apps/one/podinfo/job.yaml": JOB,
    }


@pytest.mark.usefixtures("validation")
def test_what_flux_has_just_reconciled_is_in_sync(
    cluster: Cluster, start_operator: StartOperator, workspace: Workspace, measured: Callable[[str], None]
) -> None:
    """Every object of all three Kustomizations is compared, and only what is then changed by hand is found."""
    releases = sorted(path for path in PODINFO.glob("*") if path.is_dir())
    if not releases:
        pytest.skip("the releases of podinfo are not beside the repository")
    namespace, here = workspace.namespace, ("-n", workspace.namespace)
    cluster.kubectl_run(*here, "create", "configmap", "values", "--from-literal=team=red")
    cluster.kubectl_run(*here, "create", "secret", "generic", "values", "--from-literal=password=hunter2")
    start_operator(flux_build(cluster))
    repository = workspace.repository("cluster")
    repository.commit(layout(namespace, releases[-1]), "All")
    workspace.source("cluster", repository.url)
    workspace.kustomization("cluster", path="./clusters/one", timeout="60s")
    for name in NAMES:
        workspace.contract(name, promises={"drift": {"interval": "10s"}})

    for name in NAMES:
        workspace.wait(name, lambda s: condition(s, "InSync").get("status"), f"{name} to be compared", 2 * PATIENCE)
    told = {name: condition(workspace.contract_status(name), "InSync") for name in NAMES}
    wanted = {name: len(workspace.get("kustomization", name)["status"]["inventory"]["entries"]) for name in NAMES}
    measured(f"in sync, fresh: {', '.join(f'{count} objects of {name}' for name, count in wanted.items())}")
    assert {name: (said["status"], said["message"]) for name, said in told.items()} == {
        name: ("True", f"{count} objects are as Git wants them") for name, count in wanted.items()
    }

    change = json.dumps({"spec": {"colour": "red", "size": 3}})
    cluster.kubectl_run(*here, "patch", f"widgets.{namespace}.example.com", "one", "--type=merge", "-p", change)
    cluster.kubectl_run(*here, "patch", "hpa", "podinfo", "--type=merge", "-p", '{"spec":{"maxReplicas":9}}')
    found = workspace.wait("infrastructure", lambda s: s.get("drift", {}).get("objects"), "the widget to be found")
    other = workspace.wait("apps", lambda s: s.get("drift", {}).get("objects"), "the autoscaler to be found")
    assert [item["fields"] for item in (*found["drift"]["objects"], *other["drift"]["objects"])] == [
        [{"path": "/spec/colour", "want": "blue", "have": "red"}],
        [{"path": "/spec/maxReplicas", "want": "4", "have": "9"}],
    ]
    assert condition(workspace.contract_status("cluster"), "InSync")["status"] == "True"

    for name in NAMES:
        workspace.reconcile("kustomization", name)
    for name in NAMES:
        wait_until(
            lambda name=name: condition(workspace.contract_status(name), "InSync")["status"] == "True",
            PATIENCE,
            f"{name} to be in sync again",
        )
