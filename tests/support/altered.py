"""A test run on altered code: one excerpt of one module replaced, all else as it stands, in a process of its own.

Each process is forked from one that has imported pytest and what the package depends on, but nothing of the package:
what is imported afterwards takes the altered module, and every other one from where Python keeps it compiled.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import multiprocessing
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from multiprocessing.process import BaseProcess
from pathlib import Path
from types import CodeType
from typing import Final

import pytest

PACKAGE: Final = "reconciliation_contract"
ROOT: Final = Path(__file__).parents[2]
WARM: Final = (
    *("pytest", "pytest_asyncio.plugin", "pytest_timeout", "hypothesis", "_hypothesis_pytestplugin", "xdist.plugin"),
    *("kmock", "looptime", "kopf.on", "kubernetes.config", "pydantic", "aiohttp.web", "dulwich.client", "yaml"),
    *("prometheus_client", "opentelemetry.sdk.trace", "unittest.mock"),
)
"""What is imported once for all; a name that is gone is passed over."""
OPTIONS: Final = ("-x", "-q", "-p", "no:cacheprovider", "--tb=line", "--assert=plain")
"""Which test fails is enough; why would take longer than the test."""
ALTERED: Final = "the altered module was imported"
_forking = multiprocessing.get_context("forkserver")
_forking.set_forkserver_preload(list(WARM))


@dataclass(frozen=True)
class Alteration:
    """An excerpt that occurs once in a file of the package, and what stands there instead."""

    file: str
    excerpt: str
    instead: str

    @property
    def module(self) -> str:
        """The name of the module."""
        name = ".".join([PACKAGE, *Path(self.file).with_suffix("").parts])
        return name.removesuffix(".__init__")

    @property
    def text(self) -> str:
        """The whole file, altered."""
        text = (ROOT / "operator" / PACKAGE / self.file).read_text("utf-8")
        return text.replace(self.excerpt, self.instead)


class _Loader(SourceFileLoader):
    """Loads one module from a text instead of its file."""

    def __init__(self, alteration: Alteration, path: str, output: int) -> None:
        super().__init__(alteration.module, path)
        self._text = alteration.text
        self._output = output

    def get_code(self, fullname: str) -> CodeType:
        os.write(self._output, f"{ALTERED}: {fullname}\n".encode())  # past what pytest captures
        return compile(self._text, self.get_filename(fullname), "exec", dont_inherit=True)


class _Finder:
    """Finds one module, altered."""

    def __init__(self, alteration: Alteration, output: int) -> None:
        self._alteration = alteration
        self._output = output

    def find_spec(self, name: str, _path: Sequence[str] | None = None, _target: object = None) -> ModuleSpec | None:
        if name != self._alteration.module:
            return None
        file = str(ROOT / "operator" / PACKAGE / self._alteration.file)
        return spec_from_file_location(name, file, loader=_Loader(self._alteration, file, self._output))


def run(test: str, output: Path, patience: float, alteration: Alteration | None = None) -> tuple[int | None, str]:
    """Run one test; return pytest's exit code, None where it had to be killed after `patience` seconds, and its output."""
    process = _forking.Process(target=_child, args=(test, str(output), alteration))
    process.start()
    try:
        process.join(patience)
        code = process.exitcode
    finally:
        _end(process)
    return code, output.read_text("utf-8", "replace")


def _end(process: BaseProcess) -> None:
    if process.is_alive() and process.pid:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.kill()
    process.join()


def _child(test: str, output: str, alteration: Alteration | None) -> None:
    os.setsid()
    gc.freeze()  # what the warm process holds is not searched again and again
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for standard in (1, 2):
        os.dup2(descriptor, standard)
    # Whatever was imported on the way here would hide the altered code.
    for name in [name for name in sys.modules if name.split(".")[0] in (PACKAGE, "tests")]:
        del sys.modules[name]
    importlib.invalidate_caches()
    os.chdir(ROOT)
    if alteration:
        sys.meta_path.insert(0, _Finder(alteration, descriptor))
    code = pytest.main([*OPTIONS, test])
    sys.stdout.flush()
    os._exit(code)
