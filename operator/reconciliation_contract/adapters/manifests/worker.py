"""A build, in a process of its own: ``python -m reconciliation_contract.adapters.manifests.worker``.

It reads a job as JSON from standard input and writes the result as JSON to a file. Its limits hold for kustomize
too, which it starts.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from reconciliation_contract.adapters.manifests.artifact.archive import unpack
from reconciliation_contract.adapters.manifests.build import manifest
from reconciliation_contract.adapters.manifests.confinement import confine
from reconciliation_contract.adapters.manifests.document import split_documents
from reconciliation_contract.adapters.manifests.error import BuildError, BuildFailed, BuildUnknown
from reconciliation_contract.adapters.manifests.kustomization import merge
from reconciliation_contract.adapters.manifests.order import place
from reconciliation_contract.adapters.manifests.postbuild import PostBuild
from reconciliation_contract.adapters.manifests.variable import Values
from reconciliation_contract.api.kubernetes.raw import read_map, read_text
from reconciliation_contract.core.values import reasons

_PROXIES: Final = ("HTTP_PROXY", "HTTPS_PROXY")
_NOWHERE: Final = "http://127.0.0.1:1"
MOST_OUTPUT: Final = 16 << 20
"""Bytes of YAML that kustomize may write."""
MOST_OBJECTS: Final = 20_000
_EXHAUSTED: Final = (
    *("out of memory", "cannot allocate memory", "no space left on device", "disk quota exceeded", "newosproc"),
    *("file too large", "too many open files", "resource temporarily unavailable", "fatal error: "),
)
"""What kustomize, or Go's runtime, says where the machine is at its end and not the manifests are wrong."""


def main() -> int:
    """Do the job of standard input; always 0, what failed stands in the result.

    The result has a row of JSON for each object, in Flux's order, or one row that says what failed.
    """
    job = json.load(sys.stdin)
    _limit(job["memory"], job["seconds"])
    try:
        rows = sorted(build(job), key=lambda row: place(manifest(row).key))
    except BuildError as error:
        rows = [{"failed": isinstance(error, BuildFailed), "reason": error.reason, "message": error.message}]
    except MemoryError:
        rows = [{"failed": False, "reason": reasons.BUILD_TOO_COSTLY, "message": "the build needs too much memory"}]
    with Path(job["result"]).open("w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False, separators=(",", ":")))
            file.write("\n")
    return 0


def _limit(memory: int, seconds: int) -> None:
    """Bound this process and those it starts; the kernel ends them first when memory runs out."""
    # Not RLIMIT_AS: Go reserves far more addresses than it uses.
    for kind, limit in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, MOST_OUTPUT * 8),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        allowed = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(kind, (allowed, allowed))
    with suppress(OSError):
        # Linux only.
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")


def build(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Build the objects of a Kustomization in a working directory that is the job's own. Raises `BuildError`."""
    work, kustomization = Path(job["work"]), job["kustomization"]
    tree = work / "tree"
    if not tree.exists():
        tree.mkdir()
        unpack(Path(job["archive"]), tree)
    spec = read_map(kustomization, "spec")
    # Leading dots and slashes mean the root, however many.
    directory = Path(os.path.normpath(f"/{read_text(spec, 'path').lstrip('/')}")).relative_to("/")
    if not (tree / directory).is_dir():
        raise BuildFailed(f"the path {directory} is not in the artifact")
    try:
        noted = merge(tree / directory, tree, spec)
    except (TypeError, AttributeError) as error:
        raise BuildFailed(f"{directory}: a field of the kustomization has a wrong type") from error
    confine(tree, tree / directory, decrypts="decryption" in spec)
    text = _run(job["kustomize"], tree / directory, tree, work)
    values = Values(job["values"], frozenset(job["private"]))
    after = PostBuild(kustomization, values, strict=job["strict"], directory=directory, noted=noted)
    objects = [found for part in split_documents(text) for found in after.objects(part)]
    if len(objects) > MOST_OBJECTS:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"more than {MOST_OBJECTS} objects")
    return objects


def _run(kustomize: str, directory: Path, tree: Path, work: Path) -> str:
    """Run kustomize, without plug-ins, Helm or anything of our environment."""
    command = [kustomize, "build", "--load-restrictor=LoadRestrictionsNone", str(directory)]
    output, problems = work / "output.yaml", work / "problems"
    # Nothing remote is left to load; should that be wrong, a proxy that is not there stands in its way.
    environment = {"HOME": str(work), "TMPDIR": str(work), "GOMAXPROCS": "1"} | dict.fromkeys(_PROXIES, _NOWHERE)
    with output.open("wb") as out, problems.open("wb") as err:
        code = subprocess.run(  # noqa: S603 - the operator's own program, no shell
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment, cwd=work, check=False
        ).returncode
    said = problems.read_bytes()[:100_000].decode(errors="replace").replace(f"{tree}/", "").replace(f"{tree}", ".")
    if code < 0 or any(sign in said for sign in _EXHAUSTED):
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, "kustomize needs more time or memory than it is given")
    if code:
        raise BuildFailed(f"kustomize build failed: {said.removeprefix('Error: ')}")
    if output.stat().st_size > MOST_OUTPUT:
        raise BuildUnknown(reasons.BUILD_TOO_COSTLY, f"more than {MOST_OUTPUT >> 20} MiB of manifests")
    return output.read_text("utf-8", errors="replace")


if __name__ == "__main__":
    sys.exit(main())
