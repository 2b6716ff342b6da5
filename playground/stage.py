"""How fake pods and nodes live: kwok's stages, with a way to make a rollout that never becomes ready.

kwok moves each object through stages. A stage's selector is a list of jq queries; our change to kwok's own
stages is one query on the images of a pod's containers:

- a pod becomes Ready within about a second of being scheduled, unless
- one of its containers has an image with the tag `never-ready` (`shop:never-ready`): it then runs, and its
  containers stay not ready for ever, as with a readiness probe that always fails. The annotation
  `playground/never-ready` (any value) on the pod does the same.

Deleting works for both.
"""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

NEVER_READY_TAG = "never-ready"
NEVER_READY_ANNOTATION = "playground/never-ready"

_UNHEALTHY = (
    f'(.spec.containers[].image | select(endswith(":{NEVER_READY_TAG}"))),'
    f' (.metadata.annotations // {{}} | .["{NEVER_READY_ANNOTATION}"] // empty)'
)
_STATUS = """
{{ $now := Now }}
conditions:
{{ range list "Initialized" "PodReadyToStartContainers" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "True", type: {{ . }}}
{{ end }}
{{ range list "Ready" "ContainersReady" }}
- {lastTransitionTime: {{ $now | Quote }}, status: "False", type: {{ . }}, reason: ContainersNotReady}
{{ end }}
containerStatuses:
{{ range .spec.containers }}
- image: {{ .image | Quote }}
  name: {{ .name | Quote }}
  ready: false
  started: false
  restartCount: 0
  state:
    running:
      startedAt: {{ $now | Quote }}
{{ end }}
phase: Running
startTime: {{ $now | Quote }}
"""


def write_stages(stages: list[dict[str, Any]], path: Path) -> None:
    """Write kwok's configuration: its own fast stages, and ours for pods that never become ready."""
    adapted = [_without_unhealthy(stage) if stage["metadata"]["name"] == "pod-ready" else stage for stage in stages]
    # One JSON object a document: JSON is YAML.
    path.write_text("\n---\n".join(json.dumps(stage) for stage in [*adapted, _never_ready()]))


def _without_unhealthy(stage: dict[str, Any]) -> dict[str, Any]:
    changed = copy.deepcopy(stage)
    changed["spec"]["selector"]["matchExpressions"].append({"key": _UNHEALTHY, "operator": "DoesNotExist"})
    return changed


def _never_ready() -> dict[str, Any]:
    expressions = [
        {"key": ".metadata.deletionTimestamp", "operator": "DoesNotExist"},
        {"key": ".status.phase", "operator": "In", "values": ["Pending"]},
        {"key": _UNHEALTHY, "operator": "Exists"},
    ]
    return {
        "apiVersion": "kwok.x-k8s.io/v1alpha1",
        "kind": "Stage",
        "metadata": {"name": "pod-never-ready"},
        "spec": {
            "resourceRef": {"apiGroup": "v1", "kind": "Pod"},
            "selector": {"matchExpressions": expressions},
            "next": {"statusTemplate": _STATUS},
        },
    }
