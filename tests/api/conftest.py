"""The CRD as the repository has it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def crd() -> dict[str, Any]:
    """The committed CRD."""
    found: dict[str, Any] = yaml.safe_load((ROOT / "crds" / "reconciliationcontracts.yaml").read_text("utf-8"))
    return found


@pytest.fixture(scope="session")
def schema(crd: dict[str, Any]) -> dict[str, Any]:
    """The schema of a contract in the committed CRD."""
    found: dict[str, Any] = crd["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    return found
