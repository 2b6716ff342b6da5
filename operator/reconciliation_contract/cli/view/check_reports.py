"""The checks of manifests, written for people and for the systems that run them before a merge.

Formats: GitHub's workflow commands (https://docs.github.com/actions/reference/workflow-commands-for-github-actions),
GitLab's Code Quality report (https://docs.gitlab.com/ci/testing/code_quality/).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

from reconciliation_contract.cli.view.terminal import ABSENT, Cell, Screen, Tone, clean, table
from reconciliation_contract.core.facts.dry_run import Check, told_of_dropped
from reconciliation_contract.core.values.duration import spoken

_LATE: Final = "it took longer than it may"


@dataclass(frozen=True, slots=True)
class Finding:
    """One manifest with its verdict."""

    check: Check
    file: str
    """Its file as the one who asks names it; empty where that is not known."""

    @property
    def verdict(self) -> str:
        """valid, refused or unchecked."""
        if self.check.refused or self.check.late:
            return "refused"
        return "unchecked" if self.check.unchecked else "valid"

    @property
    def message(self) -> str:
        """Why it is not valid, or what is hardly meant so though it is."""
        return (
            self.check.refused or self.check.unchecked or (_LATE if self.check.late else told_of_dropped(self.check))
        )


_TONES: Final = {"valid": Tone.GOOD, "refused": Tone.BAD, "unchecked": Tone.WARNING}


def text(screen: Screen, findings: Sequence[Finding]) -> Iterator[str]:
    """A table, and a sum."""
    rows = [
        [
            Cell(found.verdict, _TONES[found.verdict]),
            Cell(str(found.check.key)),
            Cell(found.file or ABSENT),
            Cell(spoken(found.check.took) if found.check.took else ABSENT),
            Cell(found.message),
        ]
        for found in findings
    ]
    yield from table(screen, rows)
    counts = {verdict: sum(found.verdict == verdict for found in findings) for verdict in _TONES}
    told = ", ".join(f"{count} {verdict}" for verdict, count in counts.items() if count)
    yield told or "no manifests"


def as_json(_screen: Screen, findings: Sequence[Finding]) -> Iterator[str]:
    """One document for scripts."""
    manifests = [
        {
            "object": str(found.check.key),
            "file": found.file,
            "verdict": found.verdict,
            "seconds": round(found.check.took / timedelta(seconds=1), 3),
            "message": found.message,
        }
        for found in findings
    ]
    yield json.dumps({"valid": _valid(findings), "manifests": manifests}, indent=2)


def _valid(findings: Sequence[Finding]) -> bool | None:
    """As the exit code says it: None (2) where the API server did not answer, for something may yet be refused."""
    if any(found.verdict == "refused" for found in findings):
        return False
    return None if any(found.check.unanswered for found in findings) else True


def github(_screen: Screen, findings: Sequence[Finding]) -> Iterator[str]:
    """Workflow commands, which GitHub shows at the file."""
    for found in findings:
        level = "error" if found.verdict == "refused" else "warning"
        if found.message:
            where = f"file={_property(found.file)}," if found.file else ""
            title = _property(str(found.check.key))
            yield f"::{level} {where}title={title}::{_escaped(clean(found.message))}"


def _escaped(said: str) -> str:
    return said.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(said: str) -> str:
    return _escaped(clean(said)).replace(":", "%3A").replace(",", "%2C")


def gitlab(_screen: Screen, findings: Sequence[Finding]) -> Iterator[str]:
    """A Code Quality report, to be kept as the artifact ``codequality``."""
    yield json.dumps([_issue(found) for found in findings if found.message], indent=2)


def _issue(found: Finding) -> dict[str, Any]:
    told = f"{found.check.key}: {found.message}"
    return {
        "description": told,
        "check_name": "flux-contract-validate",
        "fingerprint": hashlib.sha256(f"{found.file} {told}".encode()).hexdigest(),
        "severity": "blocker" if found.verdict == "refused" else "info",
        "location": {"path": found.file or ".", "lines": {"begin": 1}},
    }


FORMATS: Final[dict[str, Callable[[Screen, Sequence[Finding]], Iterator[str]]]] = {
    "text": text,
    "json": as_json,
    "github": github,
    "gitlab": gitlab,
}
