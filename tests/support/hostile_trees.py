"""Trees whose kustomizations name what lies outside of them: on the disk, in the process, on another server.

Each is built in ``app``; the canaries are files three folders above it, where a test puts them.
"""

from __future__ import annotations

import json
import os
from typing import Any

CANARY = "canary-5d1f"
"""A text that must appear nowhere."""
MAP = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: x}\ndata: {a: b}\n"


def settings(**fields: Any) -> dict[str, str]:
    return {"app/kustomization.yaml": json.dumps(fields, ensure_ascii=False), "app/x.yaml": MAP}


OUT = "../../../"
"""From the folder that is built to the canaries: tree, work, place."""
TOKEN = "/proc/self/environ"
PATCH = {"target": {"kind": "ConfigMap"}}
COPY = [
    {
        "source": {"kind": "ConfigMap", "name": "stolen", "fieldPath": "data.token"},
        "targets": [{"select": {"kind": "ConfigMap", "name": "x"}, "fieldPaths": ["metadata.labels.a"]}],
    }
]


FUNCTION = """\
apiVersion: a/v1
kind: Run
metadata:
  name: r
  annotations:
    config.kubernetes.io/function: '{}'
"""


def generator(kind: str, **fields: Any) -> str:
    return json.dumps({"apiVersion": "builtin", "kind": kind, "metadata": {"name": "g"}, **fields})


HOSTILE: dict[str, dict[str, str]] = {
    "resource": settings(resources=[f"{OUT}canary.yaml"]),
    "folder": settings(resources=[OUT]),
    "absolute resource": settings(resources=["x.yaml", "/proc/self/environ"]),
    "two spellings": settings(configMapGenerator=[{"name": "g", "files": [f"t={OUT}token"], "FILES": ["x.yaml"]}]),
    "two spellings, turned": settings(
        configMapGenerator=[{"name": "g", "FILES": [f"t={OUT}token"], "files": ["x.yaml"]}]
    ),
    "folded letters": settings(configMapGenerator=[{"name": "g", "FILE\u017f": [f"t={OUT}token"]}]),
    "field in capitals": settings(CONFIGMAPGENERATOR=[{"name": "g", "files": [f"t={OUT}token"]}]),
    "file": settings(configMapGenerator=[{"name": "g", "files": [f"{OUT}token"]}]),
    "file by key": settings(secretGenerator=[{"name": "g", "files": [f"t={OUT}token"]}]),
    "process": settings(configMapGenerator=[{"name": "g", "files": [f"t={TOKEN}"]}]),
    "parent process": settings(configMapGenerator=[{"name": "g", "files": [f"t=/proc/{os.getpid()}/environ"]}]),
    "environment file": settings(configMapGenerator=[{"name": "g", "envs": [f"{OUT}canary.env"]}]),
    "old environment file": settings(configMapGenerator=[{"name": "g", "env": f"{OUT}canary.env"}]),
    "variable of the environment": settings(configMapGenerator=[{"name": "g", "literals": ["TOKEN"]}]),
    "names in a file": {
        **settings(configMapGenerator=[{"name": "g", "envs": ["names.env"]}]),
        "app/names.env": "TOKEN\nHOME\n",
    },
    "component": settings(components=[OUT]),
    "patch": settings(resources=["x.yaml"], patches=[{**PATCH, "path": f"{OUT}canary.yaml"}]),
    "patch in capitals": settings(resources=["x.yaml"], patches=[{**PATCH, "PATH": f"{OUT}canary.yaml"}]),
    "strategic patch": settings(resources=["x.yaml"], patchesStrategicMerge=[f"{OUT}canary.yaml"]),
    "path with a line break": settings(resources=["x.yaml"], patchesStrategicMerge=[f"x\n/{OUT}canary.yaml"]),
    "JSON patch": settings(resources=["x.yaml"], patchesJson6902=[{**PATCH, "path": f"{OUT}canary.yaml"}]),
    "replacement": settings(resources=["x.yaml"], replacements=[{"path": f"{OUT}canary.yaml"}]),
    "replacement into a label": settings(
        resources=["x.yaml"],
        configMapGenerator=[{"name": "stolen", "files": [f"token={OUT}token"]}],
        replacements=COPY,
    ),
    "schema": settings(resources=["x.yaml"], openapi={"path": f"{OUT}canary.yaml"}),
    "definitions": settings(resources=["x.yaml"], crds=[f"{OUT}canary.yaml"]),
    "configurations": settings(resources=["x.yaml"], configurations=[f"{OUT}canary.yaml"]),
    "generator written out": settings(generators=[generator("ConfigMapGenerator", files=[f"t={OUT}token"])]),
    "generator in a deep folder": {
        **settings(generators=["deep/er/gen.yaml"]),
        "app/deep/er/gen.yaml": generator("ConfigMapGenerator", files=[f"t={OUT}token"]),
    },
    "folder of generators": {
        **settings(generators=["deep"]),
        "app/deep/kustomization.yaml": "resources: [gen.yaml]",
        "app/deep/gen.yaml": generator("SecretGenerator", files=[f"t={OUT}token"]),
    },
    "transformer": settings(
        resources=["x.yaml"], transformers=[generator("PatchTransformer", path=f"{OUT}canary.yaml")]
    ),
    "validator": settings(resources=["x.yaml"], validators=[f"{OUT}canary.yaml"]),
    "chart": settings(helmCharts=[{"name": "c", "repo": "https://example.org", "valuesFile": f"{OUT}canary.yaml"}]),
    "chart's home": settings(helmGlobals={"chartHome": OUT}, helmCharts=[{"name": "home"}]),
    "plugin": settings(
        generators=["apiVersion: a/v1\nkind: Plug\nmetadata: {name: p}\nargsOneLiner: cat /proc/self/environ\n"]
    ),
    "program to run": settings(transformers=[FUNCTION.format("exec: {path: /usr/bin/env}")]),
    "container to run": settings(
        transformers=[FUNCTION.format("container: {image: a, mounts: [{type: bind, src: /, dst: /}]}")]
    ),
    "windows": settings(configMapGenerator=[{"name": "g", "files": ["t=..\\..\\..\\token", "C:\\token"]}]),
    "quoted": settings(configMapGenerator=[{"name": "g", "files": [f't="{OUT}token"', f"'{OUT}token'"]}]),
    "other spellings of up": settings(resources=["./.././../.././../canary.yaml", ".//..//..//..//canary.yaml"]),
    "far up": settings(resources=["../" * 40 + "proc/self/environ"]),
    "file address": settings(resources=["file:///proc/self/environ", f"file://{OUT}canary.yaml"]),
    "second kustomization": {**settings(resources=["x.yaml"]), "app/kustomization.yml": f"resources: [{OUT}]"},
    "base that leaves": {
        **settings(resources=["../base"]),
        "base/kustomization.yaml": f"configMapGenerator: [{{name: g, files: [{OUT}token]}}]",
    },
}
REMOTE: dict[str, dict[str, str]] = {
    "file": settings(resources=["https://example.org/x.yaml"]),
    "file in capitals": settings(resources=["HTTPS://example.org/x.yaml"]),
    "repository": settings(resources=["https://github.com/org/repo//path?ref=v1"]),
    "short repository": settings(resources=["github.com/org/repo"]),
    "by SSH": settings(resources=["git@example.org:org/repo.git"]),
    "patch": settings(resources=["x.yaml"], patches=[{**PATCH, "path": "https://example.org/x.yaml"}]),
    "component": settings(components=["https://example.org/org/repo//c?ref=main"]),
    "in a base": {
        **settings(resources=["../base"]),
        "base/kustomization.yaml": "resources: ['http://127.0.0.1:1/x']",
    },
    "schema": settings(resources=["x.yaml"], openapi={"path": "https://example.org/x.json"}),
    "generator's file": settings(configMapGenerator=[{"name": "g", "files": ["t=https://example.org/x"]}]),
}
