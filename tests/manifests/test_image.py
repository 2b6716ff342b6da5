"""The image's steps performed from a clean checkout: what is installed, and that it starts.

There is no container here: `tests.manifests.dockerfile` runs the Dockerfile's own commands in a folder.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

from playground.cache import cache_directory
from playground.progress import Progress
from playground.toolchain import find_go
from tests.manifests.dockerfile import Build, read_stages
from tests.manifests.rendering import NAME, ROOT

pytestmark = pytest.mark.e2e

SOURCES = "operator/"
PACKAGE = "reconciliation_contract"


@pytest.fixture(scope="module")
def checkout(context: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what the build is sent, and nothing else."""
    folder = tmp_path_factory.mktemp("context")
    for name in context:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    return folder


@pytest.fixture(scope="module")
def image(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Build:
    """The image, built in a folder (half a minute: pip fetches what the operator needs)."""
    # Like the base image's: a Python with pip and nothing else.
    python = tmp_path_factory.mktemp("python")
    subprocess.run([sys.executable, "-m", "venv", python], check=True)
    go = find_go(cache_directory(), Progress()).command
    root = tmp_path_factory.mktemp("root")
    build = Build(read_stages((ROOT / "Dockerfile").read_text()), checkout, root, python / "bin", go)
    build.run()
    return build


@pytest.fixture(scope="module")
def wheel(image: Build) -> set[str]:
    """The names of the files in the wheel."""
    (built,) = image.root.glob("**/dist/*.whl")
    with ZipFile(built) as archive:
        return set(archive.namelist())


def python(image: Build, code: str) -> str:
    """Run a line of Python in the image and return what it prints."""
    result = image.execute(["python", "-W", "error", "-c", code])
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_the_wheel_is_exactly_the_package(wheel: set[str], checkout: Path) -> None:
    """The wheel holds every file of the package, py.typed among them, its metadata, and nothing else."""
    metadata = {name for name in wheel if name.split("/")[0].endswith(".dist-info")}
    folder = checkout / SOURCES
    sources = {str(path.relative_to(folder)) for path in (folder / PACKAGE).rglob("*") if path.is_file()}

    assert wheel - metadata == sources
    assert f"{PACKAGE}/py.typed" in wheel
    assert {name.split("/")[0] for name in sources} == {PACKAGE}
    assert {name.split("/")[-1] for name in metadata} >= {"METADATA", "RECORD", "LICENSE", "entry_points.txt"}


def test_the_image_starts_the_operator(image: Build) -> None:
    """Entry point and default command are found and understood, without anything mounted or configured."""
    stage = {instruction.keyword: instruction for instruction in image.stages[-1]}

    result = image.execute([*stage["ENTRYPOINT"].command, *stage["CMD"].command, "--help"])

    assert result.returncode == 0, result.stderr
    assert NAME in result.stdout


def test_every_module_finds_what_it_imports(image: Build, wheel: set[str]) -> None:
    """Nothing in the package needs a development tool, or a file that is not in the wheel."""
    names = sorted(name.removesuffix(".py").replace("/", ".") for name in wheel if name.endswith(".py"))
    modules = [name.removesuffix(".__init__") for name in names if not name.endswith(".__main__")]

    answer = python(
        image,
        f"import importlib, json; print(json.dumps([importlib.import_module(n).__file__ for n in {modules!r}]))",
    )

    files = json.loads(answer)
    assert len(files) == len(modules) > 0
    assert all(file.startswith(str(image.root)) for file in files)


def test_the_standard_librarys_operator_is_not_shadowed(image: Build) -> None:
    """The folder `operator/` of the repository does not hide the module `operator`."""
    standard, ours = python(
        image, f"import operator, os, {PACKAGE} as p; print(operator.__file__, os.__file__, sep='\\n')"
    ).splitlines()

    assert Path(standard).parent == Path(ours).parent


def test_requirements_agree_with_the_package(image: Build) -> None:
    """What is pinned satisfies what the package declares, and is complete."""
    result = subprocess.run(
        [image.programs / "python", "-m", "pip", "--python", image.place("/opt/venv/bin/python"), "check"],
        capture_output=True,
        text=True,
        check=False,
    )

    assert result.returncode == 0, result.stdout


def test_the_image_builds_manifests(image: Build) -> None:
    """Its program is where the operator looks for it."""
    result = image.execute(["flux-build", "-versions"])

    assert result.returncode == 0, result.stderr


def test_the_image_holds_no_installer_and_no_tool(image: Build) -> None:
    """The virtual environment has neither pip nor anything of the build backend or the tests."""
    names = {path.name for path in Path(image.place("/opt/venv/lib")).glob("python*/site-packages/*")}

    assert not names & {"pip", "setuptools", "hatchling", "pytest", "ruff", "mypy"}


def test_a_user_without_a_name_can_run_it(image: Build) -> None:
    """Kopf asks for the user's name when it starts; a platform may choose a user id that has none."""
    code = "import pwd; pwd.getpwuid = None; import getpass; print(getpass.getuser())"

    assert python(image, code) == NAME
