"""The kustomization.yaml that Flux builds: generated where there is none, then merged with the Kustomization's spec.

As fluxcd/pkg ``kustomize`` does it in `GenerateManifest`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.adapters.manifests.document import DocumentError, TooManyNodes, read_document
from reconciliation_contract.adapters.manifests.error import BuildFailed, BuildUnknown
from reconciliation_contract.api.kubernetes.raw import Raw
from reconciliation_contract.core.values import reasons

NAMES: Final = ("kustomization.yaml", "kustomization.yml", "Kustomization")
"""In the order in which kustomize looks for them."""
ORIGIN: Final = "originAnnotations"
MOST_BYTES: Final = 1 << 20
"""Of one kustomization file."""
MOST_NODES: Final = 100_000

_REMOTE: Final = re.compile(
    r"(?i)\s*(?:[a-z][a-z0-9+.-]*://|git::|gh:|[\w.-]+@[\w.-]+:|(?:www\.)?(?:github|gitlab|bitbucket)\.(?:com|org)[:/])"
    r"|.*(?:\?ref=|\?version=|\?timeout=|\?submodules=|\.git(?:/|$|\?)|/_git/)"
)
_FIELDS: Final[Mapping[str, str]] = {
    name.casefold(): name
    for name in (  # noqa: SIM905 - reads better than a line each
        "apiVersion kind metadata openapi namePrefix nameSuffix namespace commonLabels labels commonAnnotations "
        "patchesStrategicMerge patchesJson6902 patches images imageTags replacements replicas vars sortOptions "
        "resources components crds bases configMapGenerator secretGenerator helmGlobals helmCharts "
        "helmChartInflationGenerator generatorOptions configurations generators transformers validators buildMetadata"
    ).split()
}
"""Names of the fields of a kustomization, by what Go takes for them: it does not look at the case."""

_SET: Final = {"targetNamespace": "namespace", "namePrefix": "namePrefix", "nameSuffix": "nameSuffix"}
"""Fields of the spec that take the place of the kustomization's own."""


def is_remote(entry: str) -> bool:
    """Whether a resource or file is on another server."""
    return _REMOTE.match(entry) is not None


def find_file(directory: Path) -> Path | None:
    """The kustomization file of a directory; None where it has none."""
    return next((directory / name for name in NAMES if (directory / name).is_file()), None)


def read_file(path: Path, root: Path) -> dict[str, Any]:
    """Read a kustomization file, its fields by their proper names. Raises `BuildError`."""
    where = path.relative_to(root)
    if path.stat().st_size > MOST_BYTES:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"{where} is larger than {MOST_BYTES >> 20} MiB")
    try:
        found = read_document(path.read_text("utf-8"), MOST_NODES)
    except TooManyNodes as error:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"{where}: {error}") from error
    except (DocumentError, UnicodeDecodeError) as error:
        raise BuildFailed(f"{where}: {error}") from error
    if not isinstance(found, dict | None):
        raise BuildFailed(f"{where} is no kustomization")
    return {_FIELDS.get(str(key).casefold(), str(key)): value for key, value in (found or {}).items()}


def write_file(path: Path, kustomization: Raw) -> None:
    """Write a kustomization as JSON, so that kustomize reads exactly what was checked."""
    path.write_text(json.dumps(kustomization, ensure_ascii=False, indent=1), "utf-8")


def merge(directory: Path, root: Path, spec: Raw) -> bool:
    """Write the directory's kustomization with the spec merged in.

    Returns whether the built objects carry a note of their origin that Flux would not write. Raises `BuildError`.
    """
    file = find_file(directory)
    if file is None:
        path, kustomization = directory / NAMES[0], _generated(directory)
    else:
        # Flux drops fields that it does not know here; kustomize would refuse them.
        path = file
        kustomization = {k: v for k, v in read_file(file, root).items() if k in _FIELDS.values()}
        if not kustomization.get("resources"):
            kustomization["buildMetadata"] = [ORIGIN]
    kustomization = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        **kustomization,
        **{field: spec[ours] for ours, field in _SET.items() if spec.get(ours)},
    }
    _append(kustomization, "patches", [_patch(patch) for patch in spec.get("patches") or ()])
    _append(kustomization, "components", _components(directory, spec))
    if spec.get("images"):
        kustomization["images"] = _images(kustomization.get("images") or [], spec["images"])
    if spec.get("buildMetadata"):
        kustomization["buildMetadata"] = list(spec["buildMetadata"])
    metadata = list(kustomization.get("buildMetadata") or ())
    kustomization["buildMetadata"] = [*metadata, *({ORIGIN} - set(metadata))]
    write_file(path, kustomization)
    return ORIGIN not in metadata


def _generated(directory: Path) -> dict[str, Any]:
    resources = _scan(directory, directory)
    return {"resources": resources} if resources else {"namespace": "_placeholder"}


def _scan(base: Path, folder: Path) -> list[str]:
    """Find manifests below a directory; one with its own kustomization stands for all that it holds."""
    found: list[str] = []
    for path in sorted(folder.iterdir(), key=lambda path: path.name):
        if path.is_dir() and find_file(path) is None:
            found += _scan(base, path)
        elif path.is_dir() or path.suffix in (".yaml", ".yml"):
            found.append(f"./{path.relative_to(base).as_posix()}")
    return found


def _append(kustomization: dict[str, Any], field: str, items: list[Any]) -> None:
    if items:
        kustomization[field] = [*(kustomization.get(field) or ()), *items]


def _patch(patch: Raw) -> dict[str, Any]:
    """Keep what Flux passes on: a patch that is written out and its target."""
    return {key: patch[key] for key in ("patch", "target") if patch.get(key)}


def _components(directory: Path, spec: Raw) -> list[str]:
    found = []
    for component in spec.get("components") or ():
        if is_remote(component) or component.startswith("/"):
            raise BuildFailed(f"component path {component!r} must be local and relative")
        if (directory / component).exists() or not spec.get("ignoreMissingComponents"):
            found.append(component)
    return found


def _images(own: list[Any], ours: list[Raw]) -> list[Any]:
    """Replace those images that the kustomization has by the same name, and add the others."""
    images = list(own)
    for image in ours:
        fields = {key: image[key] for key in ("name", "newName", "newTag", "digest") if image.get(key)}
        same = [
            n for n, other in enumerate(images) if isinstance(other, dict) and other.get("name") == image.get("name")
        ]
        images[slice(same[0], same[0] + 1) if same else slice(len(images), None)] = [fields]
    return images
