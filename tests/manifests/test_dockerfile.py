"""The recipe of the image, as it is written."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.manifests.dockerfile import Instruction, is_ignored, read_stages
from tests.manifests.rendering import NAME, ROOT, Rendering

STAGES = read_stages((ROOT / "Dockerfile").read_text())
LAST = {instruction.keyword: instruction for instruction in STAGES[-1]}


def of(keyword: str) -> list[Instruction]:
    """Return all instructions with a keyword, in all stages."""
    return [instruction for stage in STAGES for instruction in stage if instruction.keyword == keyword]


def test_every_installation_is_pinned_by_hash() -> None:
    """Whatever pip installs is pinned by hash and a wheel, or is our own wheel taken without an index."""
    commands = [part for run in of("RUN") for part in run.arguments.split("&&") if "install" in part]

    assert len(commands) == 3
    for command in commands:
        words = set(command.split())
        assert {"--require-hashes", "--only-binary=:all:"} <= words or {"--no-index", "--no-deps"} <= words


def test_the_last_stage_runs_nothing_and_fetches_nothing() -> None:
    """The image is the base, the virtual environment and metadata; no command or URL adds to it."""
    keywords = {instruction.keyword for instruction in STAGES[-1]}

    assert keywords == {"FROM", "LABEL", "ENV", "COPY", "USER", "ENTRYPOINT", "CMD"}
    copied = [copy.words[0] for copy in STAGES[-1] if copy.keyword == "COPY"]
    assert copied == ["--from=build", "--from=flux-build"]


def test_each_part_is_made_with_what_it_needs() -> None:
    """A virtual environment works only with the Python that made it; flux-build is a program of its own."""
    bases = [instruction.words[0] for instruction in of("FROM")]

    assert bases == ["${GO_IMAGE}", "${PYTHON_IMAGE}", "${PYTHON_IMAGE}"]


def test_what_builds_manifests_is_pinned_and_what_the_tests_cluster_has() -> None:
    """Go builds nothing that is not in `go.sum`; Flux's libraries are those of the cluster's controller."""
    (build,) = [run.arguments for run in of("RUN") if "go build" in run.arguments]
    ours, theirs = (
        {line for line in (ROOT / folder / "go.sum").read_text().splitlines() if "github.com/fluxcd/" in line}
        for folder in ("operator/flux-build", "playground/go")
    )
    decisive = [f"github.com/fluxcd/{name} " for name in ("pkg/kustomize", "pkg/ssa", "pkg/envsubst", "pkg/tar")]

    assert {"-mod=readonly", "GOTOOLCHAIN=local"} <= set(build.split())
    for name in decisive:
        assert {line for line in ours if line.startswith(name)} <= theirs, name
        assert any(line.startswith(name) for line in ours)


def test_the_image_runs_as_the_user_of_the_deployment(full: Rendering) -> None:
    """The user is a number, so that the kubelet can tell that it is not root, and the Deployment's."""
    security = full.pod["spec"]["securityContext"]

    assert LAST["USER"].arguments == f"{security['runAsUser']}:{security['runAsGroup']}"


def test_the_image_starts_what_the_deployment_starts(full: Rendering) -> None:
    """With and without Kubernetes, the same command is run."""
    started = LAST["ENTRYPOINT"].command + LAST["CMD"].command

    assert started == full.container["command"]


def test_the_image_says_its_version() -> None:
    """The labels name the package, its version and its licence."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    labels = LAST["LABEL"].pairs

    assert labels["org.opencontainers.image.title"] == NAME
    assert labels["org.opencontainers.image.version"] == project["version"]
    assert labels["org.opencontainers.image.licenses"] == project["license"]


def test_the_context_is_what_the_build_copies(context: list[str]) -> None:
    """The build is sent every file that it copies, and none that it does not."""
    copied = [word for copy in of("COPY") if "--from" not in copy.arguments for word in copy.words[:-1]]

    unused = [name for name in context if not any(name == word or name.startswith(word) for word in copied)]
    absent = [word for word in copied if not any(name == word or name.startswith(word) for name in context)]

    assert (unused, absent) == ([], [])


def test_the_dockerfile_names_no_host() -> None:
    """Images and packages come from wherever the builder's tools are set up to take them."""
    text = (ROOT / "Dockerfile").read_text()

    assert not re.search(r"https?://|--index-url|--extra-index-url|--trusted-host", text)


@pytest.mark.parametrize(
    ("name", "ignored"),
    [
        ("Makefile", True),
        ("tests/core/test_text.py", True),
        ("LICENSE", False),
        ("operator/package/module.py", False),
        ("operator/package/__pycache__/module.pyc", True),
        ("requirements/runtime.txt", False),
        ("requirements/other.txt", True),
    ],
)
def test_the_dockerignore_is_read_as_docker_reads_it(name: str, ignored: bool) -> None:
    """Our reading of `.dockerignore` agrees with its rules: the last pattern that fits a file or a parent decides."""
    patterns = ["*", "!LICENSE", "!operator/", "!requirements/runtime.txt", "**/__pycache__"]

    assert is_ignored(name, patterns) == ignored
