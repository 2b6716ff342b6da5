"""Puts `flux-build` into a wheel for one platform; see `make wheels`.

Without it, as in a source distribution or an editable installation, the package is the same for all platforms, and
needs the program from elsewhere to build manifests.
"""

from __future__ import annotations

import os
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

PROGRAM = "WHEEL_FLUX_BUILD"
"""Environment variable with the path of the program."""
PLATFORM = "WHEEL_PLATFORM"
"""Environment variable with the wheel's platform tag."""


class FluxBuildHook(BuildHookInterface[Any]):
    """Adds the program, and the platform to the wheel's name."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Change what is built, where the environment asks for it."""
        program, platform = os.environ.get(PROGRAM), os.environ.get(PLATFORM)
        if version == "standard" and program and platform:
            build_data["force_include"][program] = "reconciliation_contract/bin/flux-build"
            build_data["tag"] = f"py3-none-{platform}"
            build_data["pure_python"] = False
